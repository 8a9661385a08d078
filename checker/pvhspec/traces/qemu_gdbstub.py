"""Reads an entry state that was taken through QEMU's debugger stub and monitor, a JSON object.

The monitor's `info registers` gives registers and the hidden parts of segments, the stub gives
memory: start_info and what it points to. All of it is what the hardware saw at the first
instruction; the memory comes first, then one `entry` event.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.objects import ObjectTrace
from pvhspec.traces.registers import registers_of
from pvhspec.traces.schema import SCHEMA

__all__ = ["entry_from_monitor", "read_gdbstub_json"]

_MOST_BYTES = 4 << 20


def read_gdbstub_json(stream: BinaryIO, path: str) -> ObjectTrace:
    """The trace such a file stands for."""
    with stream:
        data = stream.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise PvhError(Diagnostic(errors.LINE_TOO_LONG, "the file is too large", path=path))
    try:
        capture = json.loads(data)
    except (ValueError, RecursionError):
        message = "not one whole JSON object, as a gdbstub capture is"
        raise PvhError(Diagnostic(errors.NOT_JSON, message, path=path)) from None
    try:
        return ObjectTrace(_header(capture, path), list(_events(capture)), path)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, struct.error) as error:
        what = f"{type(error).__name__}: {error}"
        message = f"a gdbstub capture is not put together like this ({what[:80]})"
        raise PvhError(Diagnostic(errors.BAD_VALUE, message, path=path)) from None


def entry_from_monitor(text: str) -> dict[str, Any]:
    """The `entry` event in what the monitor's `info registers` printed."""
    found = registers_of(text)
    if not found["regs"] or not found["segs"]:
        raise ValueError("no registers")
    return {"kind": "entry", "view": "hw", **found}


def _header(capture: dict[str, Any], path: str) -> dict[str, Any]:
    version = capture["qemu"]["qemu"]
    package = capture["qemu"].get("package") or ""
    command = " ".join(capture["command"])
    return {
        "schema": SCHEMA,
        "origin": {
            "method": "gdbstub",
            "tool": f"{package}; {command}".removeprefix("; "),
            "file": path.rsplit("/", 1)[-1],
        },
        "hypervisor": {
            "name": "qemu",
            "version": ".".join(str(version[part]) for part in ("major", "minor", "micro")),
        },
        "guest": {"mode": "pvh_boot"},
        "clock": "none",
        "from_boot": True,
        "complete": {"events": True, "args": False, "results": False, "memory": False},
    }


def _events(capture: dict[str, Any]) -> Iterator[dict[str, Any]]:
    entry = entry_from_monitor(capture["hmp_info_registers"])
    info = capture["start_info"]
    yield _memory(entry["regs"]["ebx"], bytes.fromhex(capture["start_info_raw"]), "start_info")
    if capture.get("memmap"):
        rows = [(e["addr"], e["size"], e["type"], e["reserved"]) for e in capture["memmap"]]
        packed = b"".join(struct.pack("<QQII", *row) for row in rows)
        yield _memory(info["memmap_paddr"], packed, "memmap")
    modules = capture.get("modlist") or []
    if modules:
        names = ("paddr", "size", "cmdline_paddr", "reserved")
        packed = b"".join(struct.pack("<QQQQ", *(m[n] for n in names)) for m in modules)
        yield _memory(info["modlist_paddr"], packed, "modlist")
    for number, module in enumerate(modules):
        if module.get("head"):
            head = bytes.fromhex(module["head"])[: module["size"]]
            yield _memory(module["paddr"], head, f"module {number}, its first bytes")
    if capture.get("cmdline") is not None:
        yield _memory(info["cmdline_paddr"], capture["cmdline"].encode() + b"\0", "cmdline")
    if capture.get("rsdp_raw"):
        yield _memory(info["rsdp_paddr"], bytes.fromhex(capture["rsdp_raw"]), "rsdp")
    if capture.get("gdt_raw"):
        yield _memory(entry["gdtr"]["base"], bytes.fromhex(capture["gdt_raw"]), "gdt")
    if capture.get("code_at_entry"):
        code = bytes.fromhex(capture["code_at_entry"])
        yield _memory(int(capture["entry"], 16), code, "code at the entry")
    yield {"vcpu": 0, **entry}


def _memory(address: int, content: bytes, what: str) -> dict[str, Any]:
    return {"kind": "mem", "view": "hw", "gpa": address, "bytes": content.hex(), "what": what}
