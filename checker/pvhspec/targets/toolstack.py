"""A second domain, made by the probe itself: a toolstack of some twenty hypercalls.

The probe is a PVH dom0 and so may build domains. What `xl` would do for a PVH guest is done here
by steps of a probe program: create the domain, give it memory, copy the probe's image and a
start_info into it, set its first vCPU up, pass one I/O port through for its output, start it. The
guest is the probe again, unchanged, and unprivileged.

The start_info, and the registers at entry, are of this module's making and not of Xen's toolstack:
a trace of such a guest shows what Xen does for a domU, not how `xl` starts one.

Numbers and layouts are those of Xen's public headers domctl.h, memory.h, event_channel.h, sched.h
and arch-x86/hvm/save.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvhspec.targets.probe import Probe
from pvhspec.targets.steps import Buf, Buffer, Hypercall, Patch, Save, Slot, Step, Write

__all__ = [
    "DOM0_MEMORY_MIB",
    "GUEST_PORT",
    "INTERFACE",
    "MADE",
    "MOST_PAGES",
    "PAGES",
    "PORTS",
    "REMARK",
    "TURNS_IN_DOM0",
    "TURNS_IN_DOMU",
    "Guest",
    "refusal",
    "start_domain",
]

#: What a trace of the new domain says of its making.
REMARK = "made by pvhspec's own toolstack, from which registers and start_info at entry come"

#: What dom0 may have at most, so that there is memory for another domain.
DOM0_MEMORY_MIB = 128
#: The machine's I/O port that the guest's output port is passed through to.
GUEST_PORT = 0x403
#: The highest event channel port of the new domain.
PORTS = 1023
#: The slot that holds the new domain's id; it stays 0 where none could be made.
MADE = Slot(63)
#: The slot that holds the domctl interface that this Xen has.
INTERFACE = Slot(62)

_OUTPUT_PORT = 0x402  # where the probe writes, whatever domain it is
_ENDED = Slot(61)  # the port that tells of a domain's end

_EXTENTS = 12  # of 2 MiB, from address 0: the probe lies at 16 MiB
_MEMORY = _EXTENTS << 21
_START_INFO = 0x1600000
_WINDOW = 0x40000000  # where dom0 sees the guest's memory: far above its own
_BATCH = 128  # frames mapped by one call
_PAGE = 0x1000

#: How many pages the new domain has, and may have.
PAGES = _MEMORY >> 12
MOST_PAGES = PAGES + 1024
#: The page in which both domains find whose turn it is, as each of them sees it.
TURNS_IN_DOMU = _START_INFO - _PAGE
TURNS_IN_DOM0 = _WINDOW + TURNS_IN_DOMU

_SHADOW_MIB = 2
_VIRQ_DOM_EXC = 3
_MEMORY_OP, _SCHED_OP, _EVENT_CHANNEL_OP, _DOMCTL = 12, 29, 32, 36
_CREATE, _UNPAUSE, _SHADOW, _MAX_MEM, _MAX_VCPUS, _SET_CONTEXT, _MAP_PORT = 1, 4, 10, 11, 15, 34, 40

#: By interface version, what stands between max_maptrack_frames and the emulation flags of
#: xen_domctl_createdomain, and how many words follow those. 4.14 has 0x12, 4.22 has 0x18.
_GRANT_V2, _ZERO = 2, 0
_CREATE_TAILS: dict[int, tuple[tuple[int, ...], int]] = {
    0x12: ((), 0),
    0x13: ((_ZERO,), 1),
    0x14: ((_GRANT_V2, _ZERO), 1),
    0x15: ((_GRANT_V2, _ZERO, _ZERO), 1),
    0x16: ((_GRANT_V2, _ZERO, _ZERO), 1),
    0x17: ((_GRANT_V2, _ZERO, _ZERO, _ZERO), 1),
    0x18: ((_GRANT_V2, _ZERO, _ZERO, _ZERO), 1),
}
_HVM_AND_HAP = 3
_EMULATE_LAPIC = 1
_POPULATE, _MAP_BATCH = 6, 23


@dataclass(frozen=True, slots=True)
class Guest:
    """What the new domain runs: a probe, and its program as `encode` makes it."""

    probe: Probe
    code: bytes
    vcpus: int = 1


def start_domain(guest: Guest, *, width: int = 64, wait: float | None) -> list[Step]:
    """The steps after which a new domain runs; its id is in the slot `MADE`.

    `width` is dom0's. `wait`: after it has been started, wait for its end, at most so many seconds.
    """
    steps: list[Step] = [_create(guest, version) for version in _CREATE_TAILS]
    steps += [
        _domctl(_MAX_VCPUS, struct.pack("<I", guest.vcpus)),
        _domctl(_MAX_MEM, struct.pack("<Q", MOST_PAGES << 2)),
        _domctl(_SHADOW, struct.pack("<III", 31, 0, _SHADOW_MIB)),
        _populate(width),
    ]
    pieces = [*_segments(guest.probe), (_START_INFO, _handed_over(guest.code))]
    pages = {page for piece in pieces for page in _pages(*piece)} | {TURNS_IN_DOMU >> 12}
    steps += _map(sorted(pages), width)
    for at, data in pieces:
        steps += [
            Write(_WINDOW + at + offset, data[offset : offset + _PAGE])
            for offset in range(0, len(data), _PAGE)
        ]
    context = _context(guest.probe.entry)
    steps += [
        _domctl(
            _SET_CONTEXT,
            struct.pack("<IIQ", len(context), 0, 0),
            (Patch(_BODY + 8, 8, Buf(1)),),
            Buffer(context),
        ),
        _domctl(_MAP_PORT, struct.pack("<IIII", _OUTPUT_PORT, GUEST_PORT, 1, 1)),
    ]
    if wait is not None:
        bind = struct.pack("<III", _VIRQ_DOM_EXC, 0, 0)
        save = Save(_ENDED.index, 0, 8, 4)
        steps.append(Hypercall(_EVENT_CHANNEL_OP, (1, Buf(0)), (Buffer(bind),), (save,)))
    steps.append(_domctl(_UNPAUSE))
    if wait is not None:
        steps.append(_poll(wait))
    return steps


def refusal(events: Iterable[dict[str, Any]]) -> str:
    """Why there is no second domain, by the trace of the dom0 that should have made it."""
    calls = [e for e in events if e["kind"] == "hypercall"]
    if not calls:
        return "dom0 itself made no hypercall"
    made, rest = calls[: len(_CREATE_TAILS)], calls[len(_CREATE_TAILS) :]
    if all(call.get("ret") != 0 for call in made):
        said = ", ".join(dict.fromkeys(str(call.get("ret")) for call in made))
        return f"dom0 could not create another domain: XEN_DOMCTL_createdomain returned {said}"
    for call in rest:
        populates = call["nr"] == _MEMORY_OP and call["args"][:1] == [hex(_POPULATE)]
        if call.get("ret") != (_EXTENTS if populates else 0):
            said = f"returned {call['ret']}" if "ret" in call else "did not return"
            return f"dom0 could not make another domain: hypercall {call['nr']} {said}"
    return ""


# ---- hypercalls ----------------------------------------------------------------------------------

_BODY = 16  # bytes of a domctl before what is the command's own
_BODY_SIZE = 128


def _domctl(
    command: int, body: bytes = b"", patches: tuple[Patch, ...] = (), *more: Buffer
) -> Hypercall:
    """A domctl about the new domain."""
    head = struct.pack("<IIQ", command, 0, 0)
    known = (Patch(4, 4, INTERFACE), Patch(8, 2, MADE))
    data = head + body.ljust(_BODY_SIZE, b"\0")
    return Hypercall(_DOMCTL, (Buf(0),), (Buffer(data, known + patches), *more))


def _create(guest: Guest, version: int) -> Hypercall:
    """Create the domain, if the interface is of this version; of any other it is refused."""
    between, after = _CREATE_TAILS[version]
    body = struct.pack("<I16s", 0, b"pvhspec second d")
    body += struct.pack("<IIIIii", _HVM_AND_HAP, 0, guest.vcpus, PORTS, -1, -1)
    body += struct.pack(f"<{len(between) + 1 + after}I", *between, _EMULATE_LAPIC, *[0] * after)
    head = struct.pack("<IIQ", _CREATE, version, 0)
    saves = (Save(MADE.index, 0, 8, 2), Save(INTERFACE.index, 0, 4, 4))
    return Hypercall(_DOMCTL, (Buf(0),), (Buffer(head + body.ljust(_BODY_SIZE, b"\0")),), saves)


def _populate(width: int) -> Hypercall:
    """Memory from address 0 on, in large pages."""
    frames = _words(range(0, _EXTENTS << 9, 1 << 9), width)
    if width == 64:
        reservation = struct.pack("<QQIIHHI", 0, _EXTENTS, 9, 0, 0, 0, 0)
        patches = (Patch(0, 8, Buf(1)), Patch(24, 2, MADE))
    else:
        reservation = struct.pack("<IIIIHH", 0, _EXTENTS, 9, 0, 0, 0)
        patches = (Patch(0, 4, Buf(1)), Patch(16, 2, MADE))
    return Hypercall(
        _MEMORY_OP, (_POPULATE, Buf(0)), (Buffer(reservation, patches), Buffer(frames))
    )


def _map(frames: list[int], width: int) -> Iterator[Hypercall]:
    """The guest's frames into dom0's memory, at the same place above `_WINDOW`."""
    size = width // 8
    for at in range(0, len(frames), _BATCH):
        part = frames[at : at + _BATCH]
        count = len(part)
        theirs = _words(part, width)
        ours = _words(((_WINDOW >> 12) + frame for frame in part), width)
        batch = struct.pack("<HHHH", 0x7FF0, 4, count, 0) + bytes(3 * size)
        lists = tuple(Patch(8 + n * size, size, Buf(n + 1)) for n in range(3))
        buffers = (
            Buffer(batch, (Patch(6, 2, MADE), *lists)),
            Buffer(theirs), Buffer(ours), Buffer(bytes(4 * count)),
        )  # fmt: skip
        yield Hypercall(_MEMORY_OP, (_MAP_BATCH, Buf(0)), buffers)


def _words(numbers: Iterable[int], width: int) -> bytes:
    return b"".join(number.to_bytes(width // 8, "little") for number in numbers)


def _poll(seconds: float) -> Hypercall:
    """Sleep until the guest has ended."""
    poll = struct.pack("<QIIQ", 0, 1, 0, int(seconds * 1e9))
    buffers = (
        Buffer(poll, (Patch(0, 8, Buf(1)),)),
        Buffer(bytes(4), (Patch(0, 4, _ENDED),)),
    )
    return Hypercall(_SCHED_OP, (3, Buf(0)), buffers)


# ---- the guest's memory and registers ------------------------------------------------------------


def _segments(probe: Probe) -> Iterator[tuple[int, bytes]]:
    """What the probe's file holds, by guest-physical address. The rest of its memory is zero: Xen
    scrubs what it gives away."""
    data = Path(probe.path).read_bytes()
    wide = probe.width == 64
    (headers,) = struct.unpack_from("<Q" if wide else "<I", data, 32 if wide else 28)
    size, count = struct.unpack_from("<HH", data, 54 if wide else 42)
    for number in range(count):
        at = headers + number * size
        if wide:
            kind, _, offset, _, address, length = struct.unpack_from("<IIQQQQ", data, at)
        else:
            kind, offset, _, address, length = struct.unpack_from("<IIIII", data, at)
        if kind == 1:
            yield address, data[offset : offset + length]


def _pages(at: int, data: bytes) -> range:
    return range(at >> 12, (at + len(data) + _PAGE - 1) >> 12)


def _handed_over(code: bytes) -> bytes:
    """start_info with a memory map and one module, the program."""
    modules, memory_map, program = 0x100, 0x200, _PAGE
    info = struct.pack(
        "<IIIIQQQQII",
        0x336EC578, 1, 0, 1, _START_INFO + modules, 0, 0, _START_INFO + memory_map, 1, 0,
    )  # fmt: skip
    module = struct.pack("<QQQQ", _START_INFO + program, len(code), 0, 0)
    entry = struct.pack("<QQII", 0, _MEMORY, 1, 0)
    page = info.ljust(modules, b"\0") + module.ljust(memory_map - modules, b"\0") + entry
    return page.ljust(program, b"\0") + code


def _context(entry: int) -> bytes:
    """The save records HEADER, CPU and END: vCPU 0 as docs/misc/pvh.pandoc has it at entry."""
    header = struct.pack("<IIQII", 0x54381286, 1, 0, 0, 0)
    general = [0, _START_INFO, *[0] * 14]  # rax rbx rcx rdx rbp rsi rdi rsp r8 … r15
    cpu = bytes(512) + struct.pack("<16Q", *general)
    cpu += struct.pack("<QQ", entry, 2)
    cpu += struct.pack("<4Q", 0x11, 0, 0, 0)  # cr0 cr2 cr3 cr4
    cpu += struct.pack("<6Q", 0, 0, 0, 0, 0xFFFF0FF0, 0x400)
    cpu += bytes(4 * 8)  # selectors
    cpu += struct.pack("<10I", *[0xFFFFFFFF] * 6, 0x67, 0, 0, 0)  # limits
    cpu += bytes(8 * 10)  # bases
    cpu += struct.pack("<8I", 0xC9B, *[0xC93] * 5, 0x8B, 0)  # attributes: cs … ss, tr, ldtr
    cpu += bytes(3 * 8 + 8 + 7 * 8 + 8 + 4 * 4)
    records = ((1, header), (2, cpu), (0, b""))
    return b"".join(struct.pack("<HHI", kind, 0, len(data)) + data for kind, data in records)
