"""What Xen or a guest printed on a console: registers, event channels, a few lines of note.

Taken: the tables of the debug keys `e` (event channels) and `v` (VMCS, VMCB), the registers that
come with a crash, a start_info that a unikernel prints. The lines before the first of these say
which release it was. A console does not show when a table was asked for, so nothing in it is an
entry state, except where the guest says so itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from struct import pack
from typing import Any, BinaryIO

from pvhspec.traces.event import Event
from pvhspec.traces.foreign import TextReader, number

__all__ = ["ConsoleReader"]

_AHEAD = 256 << 10  # bytes that are read to find out what the header says

_MARK = re.compile(r"^(?:\[[^\]]{1,40}\] ?)?(?:\(XEN\)|\(d(\d{1,5})\)) ?(?:\[[ \d:.-]{5,40}\] )?")
_XEN = re.compile(r"Xen version (\d+\.\d+(?:\.\d+)?(?:-[\w.]+)?) \(")
_VENDOR = re.compile(r"CPU Vendor: (AMD|Intel|Hygon)\b")
_VENDORS = {"AMD": "AuthenticAMD", "Intel": "GenuineIntel", "Hygon": "HygonGenuine"}
_ON_XEN = re.compile(r"Xen version:? (\d+\.\d+)\b")
_NOTED = re.compile(
    r"Building a PVH Dom0|Triple fault|crashed|Booting (?:kernel|paravirtualized kernel) on Xen"
    r"|Hypervisor detected: Xen|xen:events:|Test result:"
)

_DOMAIN = re.compile(r"Event channel information for domain (\d{1,5}):")
_CHANNEL = re.compile(
    r" +(\d{1,7}) \[([01])/([01])/[^\]]{0,40}\]: s=([0-6]) n=(\d{1,5}) x=\d+"
    r"(?: d=(\d{1,5}))?(?: p=(\d{1,7}))?(?: i=-?\d+)?(?: v=(\d{1,3}))?(?: Z=\S{1,200})?$"
)
_STATUS = ("free", "reserved", "unbound", "interdomain", "pirq", "virq", "ipi")

_OF_DOMAIN = re.compile(r">>> Domain (\d{1,5}) <<<")
_OF_VCPU = re.compile(r"\s*VCPU (\d{1,5})$")
_DUMP = re.compile(r"\*\*\* Guest State \*\*\*|Dumping guest's current state at ")
_DUMPED = re.compile(
    r"\b(CR0|CR2|CR3|CR4|RSP|RIP|RAX|RFLAGS|DR6|DR7|EFER|efer)"
    r"(?:\([A-Z ]+\))?(?:: actual=| ?= ?)(0x[0-9a-f]{1,16}|0)\b"
)
_SELECTOR = re.compile(
    r" *(CS|DS|SS|ES|FS|GS|LDTR|TR): ([0-9a-f]{4}) ([0-9a-f]{4,5}) ([0-9a-f]{8}) ([0-9a-f]{16})$"
)
_TABLE = re.compile(r"(GDTR|IDTR):(?: [0-9a-f]{4} [0-9a-f]{4})? +([0-9a-f]{8}) ([0-9a-f]{16})$")
_MOST_DUMP = 100  # lines of one table

_CRASH = re.compile(r"RFLAGS: ([0-9a-f]{16}) .*CONTEXT: (?:hvm|pv) guest(?: \(d(\d+)v(\d+)\))?")
_WHERE = re.compile(r"RIP: +([0-9a-f]{4}):\[<([0-9a-f]{16})>\]")
_CRASHED = re.compile(r"\b(r[abcd]x|r[sd]i|r[bs]p|r8|r9|r1[0-5]|cr[0234]): +([0-9a-f]{16})\b")
_SEGMENT = re.compile(r"\b([cdefgs]s): ([0-9a-f]{4})\b")

_SOLO5 = re.compile(
    r"Solo5: (?:Xen hvm_start_info @(0x[0-9a-f]{1,16})$|magic=(0x[0-9a-f]{1,8}) version=(\d{1,9})$"
    r"|cmdline_paddr=(0x[0-9a-f]{1,16})$|memmap_paddr=(0x[0-9a-f]{1,16}) entries=(\d{1,9})$"
    r"|memmap\[(\d{1,4})\] = \{ (0x[0-9a-f]{1,16}), (0x[0-9a-f]{1,16}), (\d{1,9}) \}$)"
)


class ConsoleReader(TextReader):
    """A console's text. Lines that say nothing the schema has a kind for are passed over."""

    method = "console"

    def __init__(self, stream: BinaryIO, path: str) -> None:
        super().__init__(stream, path, {})
        self._source = self.lines()
        self._ahead: list[tuple[int, str]] = []
        size = 0
        known: dict[str, Any] = {"hypervisor": {"name": "xen"}}
        for line in self._source:
            self._ahead.append(line)
            size += 100 + len(line[1])
            if size > _AHEAD:
                break
            _learn(line[1], known)
        from pvhspec.traces.decode import decode_header

        origin = {"method": self.method, "file": self.name}
        complete = dict.fromkeys(("events", "args", "results", "memory"), False)
        common = {"schema": self.header.schema, "origin": origin, "complete": complete}
        self.header = decode_header({**common, **known})
        self._dom: int | None = None
        self._vcpu: int | None = None
        self._dump: tuple[str, dict[str, Any], int] | None = None
        self._left = 0
        self._rip: dict[str, Any] = {}
        self._solo5: dict[str, int] = {}

    def events(self) -> Iterator[Event]:
        """The events in the order of the text."""
        for at, text in chain(self._ahead, self._source):
            mark = _MARK.match(text)
            line = text[mark.end() :] if mark else text
            yield from self._line(at, line)
        yield from self._end_of_dump()

    def _line(self, at: int, line: str) -> Iterator[Event]:
        if self._dump is not None:
            self._left -= 1
            if self._left > 0 and _taken(line, self._dump):
                return
            if self._left <= 0 or _ends(line):
                yield from self._end_of_dump()
        if domain := _DOMAIN.search(line) or _OF_DOMAIN.search(line):
            self._dom = int(domain[1])
            self._vcpu = None
        elif vcpu := _OF_VCPU.match(line):
            self._vcpu = int(vcpu[1])
        elif port := _CHANNEL.match(line):
            yield self.event("channel", _channel(port), at, None, None, self._dom)
        elif _DUMP.search(line):
            yield from self._end_of_dump()
            fields: dict[str, Any] = {"view": "hw", "regs": {}, "segs": {}}
            self._dump, self._left = ("dump", fields, at), _MOST_DUMP
        elif where := _WHERE.search(line):
            self._rip = {"sel": int(where[1], 16), "rip": int(where[2], 16)}
        elif crash := _CRASH.search(line):
            self._crash(at, crash)
        elif found := _SOLO5.search(line):
            yield from self._start_info(at, found)
        elif _NOTED.search(line):
            yield self.event("note", {"text": line.strip()[:400]}, at)

    # ---- registers ------------------------------------------------------------------------------

    def _crash(self, at: int, crash: re.Match[str]) -> None:
        registers = {"rflags": int(crash[1], 16)}
        fields: dict[str, Any] = {"view": "hw", "regs": registers, "segs": {}}
        if self._rip:
            registers["rip"] = self._rip["rip"]
            fields["segs"]["cs"] = {"sel": self._rip["sel"]}
        self._dom = number(crash[2], 10, 16) if crash[2] else None
        self._vcpu = number(crash[3], 10, 16) if crash[3] else None
        self._rip = {}
        self._dump, self._left = ("crash", fields, at), 12

    def _end_of_dump(self) -> Iterator[Event]:
        if self._dump is None:
            return
        _, fields, at = self._dump
        self._dump = None
        fields = {name: value for name, value in fields.items() if value}
        if len(fields) > 1:
            yield self.event("state", fields, at, None, self._vcpu, self._dom)

    # ---- start_info, as Solo5 prints it ---------------------------------------------------------

    def _start_info(self, at: int, found: re.Match[str]) -> Iterator[Event]:
        """Pieces of the structure, then what the guest must have had in ebx."""
        base, magic, version, cmdline, memmap, count, index, *entry = found.groups()
        info = self._solo5
        if base is not None:
            info.clear()
            if int(base, 16) >> 32 == 0:  # ebx has no more
                info["at"] = int(base, 16)
        elif "at" not in info:
            return
        elif magic is not None:
            yield self._memory(at, info["at"], pack("<II", int(magic, 16), int(version)))
        elif cmdline is not None:
            yield self._memory(at, info["at"] + 24, pack("<Q", int(cmdline, 16)))
        elif memmap is not None:
            info["memmap"] = int(memmap, 16)
            content = pack("<QI", int(memmap, 16), int(count))
            yield self._memory(at, info["at"] + 40, content)
            registers = {"ebx": info["at"]}
            yield self.event("entry", {"view": "guest", "regs": registers}, at, None, 0)
        elif "memmap" in info:
            first, second, kind = entry
            row = pack("<QQI", int(first, 16), int(second, 16), int(kind))
            address = info["memmap"] + 24 * int(index)
            if address < 1 << 63:
                yield self._memory(at, address, row)

    def _memory(self, at: int, address: int, content: bytes) -> Event:
        fields = {"view": "guest", "gpa": address, "bytes": content, "what": "as printed"}
        return self.event("mem", fields, at)


def _learn(line: str, known: dict[str, Any]) -> None:
    if (xen := _XEN.search(line)) or (xen := _ON_XEN.search(line)):
        known["hypervisor"].setdefault("version", xen[1])
    if vendor := _VENDOR.search(line):
        known.setdefault("cpu", {"vendor": _VENDORS[vendor[1]]})
    if "*** Building a PVH Dom0 ***" in line:
        known.setdefault("guest", {"mode": "pvh_dom0"})


def _channel(found: re.Match[str]) -> dict[str, Any]:
    port, pending, masked, status, notify, dom, other, virq = found.groups()
    fields: dict[str, Any] = {
        "port": int(port),
        "pending": pending == "1",
        "masked": masked == "1",
        "status": _STATUS[int(status)],
        "notify": int(notify),
    }
    if dom is not None:
        fields["remote_dom"] = int(dom)
    if other is not None:
        fields["remote_port" if status == "3" else "pirq"] = int(other)
    if virq is not None:
        fields["virq"] = int(virq)
    return fields


def _taken(line: str, dump: tuple[str, dict[str, Any], int]) -> bool:
    """Whether a line is part of the registers being printed; if so its values are kept."""
    what, fields, _ = dump
    registers, segments = fields["regs"], fields["segs"]
    if what == "crash":
        words, selectors = _CRASHED.findall(line), _SEGMENT.findall(line)
        for name, value in words:
            registers[name] = int(value, 16)
        for name, value in selectors:
            segments.setdefault(name, {})["sel"] = int(value, 16)
        return bool(words or selectors) or line.startswith("fsb: ")
    if (found := _SELECTOR.match(line)) is not None:
        name, sel, attr, limit, base = found.groups()
        word = int(attr, 16)
        if len(attr) == 5:  # VMX: AVL to G are in bits 12-15, and 16 says unusable
            word = word & 0xFF | word >> 4 & 0xF00
        segments[name.lower()] = {
            "sel": int(sel, 16), "attr": word, "limit": int(limit, 16), "base": int(base, 16),
        }  # fmt: skip
        return True
    if (table := _TABLE.match(line)) is not None:
        fields[table[1].lower()] = {"limit": int(table[2], 16), "base": int(table[3], 16)}
        return True
    for name, value in _DUMPED.findall(line):
        registers.setdefault(name.lower(), int(value, 16))
    return not _ends(line)


def _ends(line: str) -> bool:
    """Whether a table of registers is surely over: the next begins, or something else does."""
    starts = (
        "*** Host State ***",
        "*** Control State ***",
        ">>> Domain",
        "\tVCPU",
        "Event channel",
    )
    return line.startswith(starts) or bool(_DUMP.search(line) or _WHERE.match(line))
