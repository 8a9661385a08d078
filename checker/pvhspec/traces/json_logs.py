"""JSON Lines of two tools of this project that are older than its format.

A small VMM on KVM wrote what it set up and what each hypercall exit showed; a script kept what a
single-step log of QEMU showed. Both put one object on a line, with names of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from struct import error, unpack_from
from typing import Any, BinaryIO

from pvhspec.traces.decode import BadValue, decode_event
from pvhspec.traces.event import Event
from pvhspec.traces.foreign import TextReader, head_of
from pvhspec.traces.registers import packed_attributes
from pvhspec.traces.schema import KINDS

__all__ = ["KeptStepsReader", "SmallVmmReader"]

Object = Mapping[str, Any]
_BAD = (BadValue, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, error)
_LOW = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")


class _JsonLogReader(TextReader):
    """Lines that are objects; a subclass says which events of the schema one stands for."""

    def objects(self, line: Object) -> Iterator[dict[str, Any]]:
        """The events of a line, as objects of the schema. May raise what `_BAD` lists."""
        raise NotImplementedError

    def events(self) -> Iterator[Event]:
        """The events in the order of the file."""
        for at, text in self.lines():
            try:
                line = json.loads(text)
                made = [self._made(obj, at) for obj in self.objects(line)]
            except (*_BAD, RecursionError):
                self._passed_over += 1
                continue
            for event in made:
                yield event._replace(seq=self._seq)
                self._seq += 1

    def _made(self, obj: dict[str, Any], at: int) -> Event:
        if obj["kind"] not in KINDS:
            raise KeyError(obj["kind"])
        return decode_event(obj, 0)._replace(origin=f"{self.name}@{at}")


class SmallVmmReader(_JsonLogReader):
    """`{"ev": …}`: a VMM that sets the entry state itself, and answers hypercalls itself."""

    method = "ioctl"

    def __init__(self, stream: BinaryIO, path: str) -> None:
        plays_xen = b'"xen_hvm":0}' not in head_of(stream)
        header = {
            "hypervisor": {"name": "kvm"},
            "guest": {"mode": "kvm_xen" if plays_xen else "pvh_boot"},
            "clock": "ns",
            "from_boot": True,
            "complete": {"events": True, "args": False, "results": plays_xen, "memory": False},
        }
        super().__init__(stream, path, header)
        self._entered = False

    def objects(self, line: Object) -> Iterator[dict[str, Any]]:
        """The events of a line."""
        what = line["ev"]
        if what == "kvm_state":
            self._entered = True
            yield from _state(line)
        elif what == "entry" and not self._entered:
            registers = {
                "eip": line["rip"], "ebx": line["ebx"], "cr0": line["cr0"], "cr4": line["cr4"],
            }  # fmt: skip
            yield {"kind": "entry", "vcpu": 0, "view": "hw", "regs": registers}
        elif what == "hypercall":
            yield {
                "kind": "hypercall", "vcpu": 0, "ts": round(line["t"] * 1e9), "cpl": line["cpl"],
                "width": 64 if line["longmode"] else 32, "nr": line["nr"], "args": line["args"],
                "ret": line["ret"],
            }  # fmt: skip
        elif what == "end":
            yield {"kind": "end", "reason": "shutdown"}
        elif what not in ("cap", "console", "debug_exit", "entry"):
            raise KeyError(what)


def _state(state: Object) -> Iterator[dict[str, Any]]:
    """What KVM_GET_SREGS and KVM_GET_REGS gave before the vCPU first ran, and memory."""
    segments = {}
    for name in ("cs", "ds", "es", "ss", "fs", "gs", "ldt", "tr"):
        s = state[name]
        attr = s["type"] | s["s"] << 4 | s["dpl"] << 5 | s["p"] << 7
        attr |= s["avl"] << 8 | s["l"] << 9 | s["db"] << 10 | s["g"] << 11
        segment = {"sel": s["selector"], "base": s["base"], "limit": s["limit"], "attr": attr}
        segments["ldtr" if name == "ldt" else name] = segment
    registers = {f"e{name}": state[f"r{name}"] for name in _LOW}
    registers |= {"eip": state["rip"], "eflags": state["rflags"]}
    registers |= {name: state[name] for name in ("cr0", "cr3", "cr4", "efer")}
    tables = {f"{t}r": dict(zip(("base", "limit"), state[t], strict=True)) for t in ("gdt", "idt")}
    (memmap,) = unpack_from("<Q", bytes.fromhex(state["start_info"]), 0x28)
    yield _memory(int(state["rbx"], 16), state["start_info"], "start_info")
    yield _memory(memmap, state["memmap"], "memmap")
    entry = {"kind": "entry", "vcpu": 0, "view": "hw", "regs": registers, "segs": segments}
    yield entry | tables


def _memory(address: int, content: str, what: str) -> dict[str, Any]:
    return {"kind": "mem", "view": "hw", "gpa": address, "bytes": content, "what": what}


class KeptStepsReader(_JsonLogReader):
    """`{"src": "qemu-tcg-log", …}`: entry, exits and calls of a dom0, from a single-step log."""

    method = "singlestep"

    def __init__(self, stream: BinaryIO, path: str) -> None:
        version = (
            head_of(stream)
            .partition(b'"hv": "xen-')[2]
            .partition(b'"')[0]
            .decode("ascii", "ignore")
        )
        header = {
            "hypervisor": {"name": "xen", **({"version": version} if version else {})},
            "guest": {"mode": "pvh_dom0"},  # a dom0 that exits by SVM
            "cpu": {"vendor": "AuthenticAMD"},
            "from_boot": True,
            "complete": {"events": True, "args": True, "results": True, "memory": False},
        }
        super().__init__(stream, path, header)

    def objects(self, line: Object) -> Iterator[dict[str, Any]]:
        """The events of a line."""
        common = {"kind": line["kind"], "dom": line["dom"], "vcpu": line["vcpu"]}
        if line["kind"] == "entry":
            registers = {("eflags" if r == "efl" else r): v for r, v in line["regs"].items()}
            segments = {}
            for name, s in line["segs"].items():
                attr = packed_attributes(int(s["attr"], 16))
                segments["ldtr" if name == "LDT" else name.lower()] = {**s, "attr": attr}
            registers["efer"] = line["efer"]
            yield {**common, "view": "hw", "regs": registers, "segs": segments}
        elif line["kind"] == "hypercall":
            names = {"width": line["abi"], "nr": line["nr"], "args": line["args"]}
            yield {**common, **names, "ret": line["ret"]}
        elif line["kind"] == "vmexit":
            names = {name: line[name] for name in ("arch", "code", "info1", "info2", "rip")}
            yield {**common, **names}
        else:
            raise KeyError(line["kind"])
