"""The guest's state at its first instruction, seen from outside: QEMU's debugger stub and monitor.

Some of what the ABI promises cannot be read by the guest itself: the hidden parts of segment
registers, and the task register's limit. QEMU is started stopped, a hardware breakpoint is put on
the entry point, and there the monitor's `info registers` and reads of guest memory give the rest.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from pvhspec.targets.gdbstub import ANSWER_WITHIN, LOOK_EVERY, Lost, Stub, connected

__all__ = ["OPTIONS", "Lost", "entry_events", "handed_over"]

Event = dict[str, Any]

#: What QEMU must be started with, in the folder that holds the two sockets.
OPTIONS = (
    "-S", "-gdb", "unix:gdb.sock,server=on,wait=off", "-qmp", "unix:qmp.sock,server=on,wait=off",
)  # fmt: skip

_START_INFO_SIZE = 56
_START_INFO_MAGIC = 0x336EC578
_MODULE_SIZE, _MAX_MODULES = 32, 64
_MEMMAP_ENTRY_SIZE, _MAX_MEMMAP = 24, 1024
_RSDP_SIZE = 36
_MAX_TEXT = 4096
_MAX_TABLE = 4096


class Memory(Protocol):
    """Guest-physical memory."""

    def memory(self, address: int, length: int) -> bytes:
        """The bytes there; fewer where some are not to be had."""
        ...


class _Monitor:
    """QEMU's machine protocol, as much of it as asking the human monitor needs."""

    def __init__(self, channel: socket.socket) -> None:
        self._file = channel.makefile("rw", encoding="utf-8", newline="\n")
        self._line()
        self._ask("qmp_capabilities")

    def human(self, command: str) -> str:
        return str(self._ask("human-monitor-command", {"command-line": command}))

    def _ask(self, command: str, arguments: dict[str, str] | None = None) -> object:
        request: dict[str, object] = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        self._file.write(json.dumps(request) + "\n")
        self._file.flush()
        while True:
            reply = self._line()
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise Lost(f"the monitor refused {command}: {reply['error']}")

    def _line(self) -> dict[str, object]:
        line = self._file.readline()
        if not line:
            raise Lost("the monitor closed the connection")
        reply: dict[str, object] = json.loads(line)
        return reply


def entry_events(
    folder: Path,
    process: subprocess.Popen[bytes],
    entry: int,
    timeout: float,
    *,
    look: Callable[[], str] = lambda: "",
    memory: bool = True,
) -> list[Event]:
    """Run the guest to its entry point; `mem` events and the `entry` event seen from outside.

    The guest goes on when this returns. Raises Lost where it does not get there in `timeout`
    seconds, QEMU goes away, or `look` gives a reason to stop waiting. `memory` False leaves out
    the `mem` events (under Xen, the stub's memory is the machine's and not the guest's).
    """
    deadline = time.monotonic() + timeout

    def wait() -> None:
        reason = look() or ("time" if time.monotonic() > deadline else "")
        if reason or process.poll() is not None:
            raise Lost(f"the entry point was not reached ({reason or 'QEMU ended'})")

    try:
        with (
            connected(folder / "gdb.sock", wait) as to_stub,
            connected(folder / "qmp.sock", wait) as to_monitor,
        ):
            stub, monitor = Stub(to_stub), _Monitor(to_monitor)
            stub.ask("?")
            if stub.ask(f"Z1,{entry:x},1") != "OK":
                stub.let_go()
                raise Lost("the debugger stub takes no hardware breakpoint")
            to_stub.settimeout(LOOK_EVERY)
            stub.send("c")
            stub.answer(wait)
            to_stub.settimeout(ANSWER_WITHIN)
            try:
                seen = _at(entry, monitor.human("info registers -a"))
                return [*(_memory_events(stub, seen) if memory else ()), seen]
            finally:
                stub.ask(f"z1,{entry:x},1")
                stub.let_go()
    except (OSError, ValueError, struct.error) as error:
        raise Lost(f"no entry state from outside: {error}") from None


def _at(entry: int, text: str) -> Event:
    """The state of the CPU that is at the entry point, of all that the monitor printed."""
    for part in re.split(r"(?=^CPU#\d+)", text, flags=re.MULTILINE):
        if re.search(rf"^EIP={entry:08x}\b", part, re.MULTILINE):
            return {**parse_registers(part), "vcpu": 0, "origin": "gdbstub"}
    raise ValueError("no CPU stands at the entry point")


def _memory_events(stub: Stub, seen: Event) -> list[Event]:
    return [
        {"kind": "mem", "view": "hw", "gpa": hex(address), "bytes": data.hex(), "what": what,
         "vcpu": 0, "origin": "gdbstub"}
        for what, address, data in handed_over(stub, seen)
        if data
    ]  # fmt: skip


def handed_over(stub: Memory, entry: Event) -> Iterator[tuple[str, int, bytes]]:
    """(label, address, bytes): descriptor tables, start_info and all that it points to."""
    for table in ("gdt", "idt"):
        register = entry.get(f"{table}r")
        if register:
            base, limit = int(register["base"], 16), int(register["limit"], 16)
            yield table, base, stub.memory(base, min(limit + 1, _MAX_TABLE))
    at = int(entry["regs"]["ebx"], 16)
    info = stub.memory(at, _START_INFO_SIZE)
    yield "start_info", at, info
    if len(info) < _START_INFO_SIZE:
        return
    magic, version, _, modules, modlist, cmdline, rsdp, memmap, entries, _ = struct.unpack(
        "<4I4Q2I", info
    )
    if magic != _START_INFO_MAGIC:
        return
    yield "cmdline", cmdline, _text(stub, cmdline)
    if rsdp:
        yield "rsdp", rsdp, stub.memory(rsdp, _RSDP_SIZE)
    if 0 < modules <= _MAX_MODULES and modlist:
        data = stub.memory(modlist, modules * _MODULE_SIZE)
        yield "modlist", modlist, data
        for _, _, text, _ in struct.iter_unpack("<4Q", data[: len(data) // 32 * 32]):
            yield "module cmdline", text, _text(stub, text)
    if version >= 1 and 0 < entries <= _MAX_MEMMAP and memmap:
        yield "memmap", memmap, stub.memory(memmap, entries * _MEMMAP_ENTRY_SIZE)


def _text(stub: Memory, address: int) -> bytes:
    """The bytes of a text up to and with its end, or nothing where there is none."""
    data = b""
    while address and len(data) < _MAX_TEXT:
        part = stub.memory(address + len(data), 64)
        data += part
        if 0 in part:
            return data[: data.index(0) + 1]
        if len(part) < 64:
            break
    return data


_SEGMENTS = {
    "CS": "cs", "DS": "ds", "ES": "es", "SS": "ss", "FS": "fs", "GS": "gs", "LDT": "ldtr",
    "TR": "tr",
}  # fmt: skip
_REGISTERS = {
    "EAX": "eax", "EBX": "ebx", "ECX": "ecx", "EDX": "edx", "ESI": "esi", "EDI": "edi",
    "EBP": "ebp", "ESP": "esp", "EIP": "eip", "EFL": "eflags", "CR0": "cr0", "CR2": "cr2",
    "CR3": "cr3", "CR4": "cr4", "EFER": "efer", "DR6": "dr6", "DR7": "dr7",
}  # fmt: skip


def parse_registers(text: str) -> Event:
    """The `entry` event, view `hw`, from what `info registers` prints for a 32-bit CPU state.

    Registers that are not printed are left out. Raises ValueError where there are none at all.
    """
    regs = {}
    for name, value in re.findall(r"\b([A-Z][A-Z0-9]+)=([0-9a-f]+)", text):
        if name in _REGISTERS:
            regs[_REGISTERS[name]] = hex(int(value, 16))
    if "ebx" not in regs:
        raise ValueError("the monitor printed no 32-bit registers")
    segs = {}
    for name, sel, base, limit, flags in re.findall(
        r"^([A-Z]+) *=([0-9a-f]{4}) ([0-9a-f]+) ([0-9a-f]{8}) ([0-9a-f]{8})", text, re.MULTILINE
    ):
        word = int(flags, 16)
        segs[_SEGMENTS[name]] = {
            "sel": hex(int(sel, 16)),
            "base": hex(int(base, 16)),
            "limit": hex(int(limit, 16)),
            "attr": hex(word >> 8 & 0xFF | (word >> 20 & 0xF) << 8),
        }
    event: Event = {"kind": "entry", "view": "hw", "regs": regs, "segs": segs}
    for name, field in (("GDT", "gdtr"), ("IDT", "idtr")):
        found = re.search(rf"^{name} *= *([0-9a-f]+) ([0-9a-f]+)", text, re.MULTILINE)
        if found:
            event[field] = {"base": hex(int(found[1], 16)), "limit": hex(int(found[2], 16))}
    return event
