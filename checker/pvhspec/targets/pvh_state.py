"""What a PVH loader of our own puts in front of a guest: registers and memory, what it may do
otherwise, and what it may do wrong on purpose, so that it can be seen whether that is caught.

The layout is that of docs/misc/pvh.pandoc and start_info.h; nothing here runs anything.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from pvhspec.targets.errors import TargetError
from pvhspec.targets.starts import Start

__all__ = ["DEVIATIONS", "LIBERTIES", "PvhState", "pvh_state"]

_START_INFO, _MEMMAP, _MODLIST, _CMDLINE = 0x6000, 0x6100, 0x6400, 0x7000
_INITRD, _INITRD_END = 0x2000000, 0x4000000  # between the probe and its program
_LOW_END = 0xC0000000  # RAM below the hole of 1 GiB under the 4 GiB boundary
_4G = 1 << 32
_MAGIC = 0x336EC578
_RAM, _RESERVED = 1, 2
_INFO = struct.Struct("<4I4Q2I")
_ENTRY = struct.Struct("<QQII")
_FLAT_CODE, _FLAT_DATA, _BUSY_TSS = 0xC9B, 0xC93, 0x8B

#: Selector, base, limit and attributes, packed as in struct vcpu_hvm_x86_32.
Segment = tuple[int, int, int, int]


@dataclass(slots=True)
class PvhState:
    """Registers by the names the monitor of KVM has for them, segments, and what lies in memory:
    label, guest-physical address, bytes. `ram` are the pieces of RAM: address, bytes."""

    ram: list[tuple[int, int]]
    regs: dict[str, int]
    segs: dict[str, Segment]
    memory: list[tuple[str, int, bytes]]

    def patch(self, what: str, offset: int, data: bytes) -> None:
        """Put bytes into one of the pieces of memory."""
        for number, (label, gpa, old) in enumerate(self.memory):
            if label == what:
                new = old[:offset] + data + old[offset + len(data) :]
                self.memory[number] = (label, gpa, new)


def pvh_state(start: Start, entry: int) -> PvhState:
    """What a guest finds at its first instruction, which is at `entry`.

    Raises TargetError for a deviation nobody knows, and a module or command line with no room.
    """
    size = start.memory_mib << 20
    low = min(size, _LOW_END)
    ram = [(0, low)] + ([(_4G, size - low)] if size > low else [])
    ranges = [
        (0, 0x9FC00, _RAM),
        (0x9FC00, 0x100000 - 0x9FC00, _RESERVED),
        (0x100000, low - 0x100000, _RAM),
        (0xFEC00000, _4G - 0xFEC00000, _RESERVED),
        *((at, much, _RAM) for at, much in ram[1:]),
    ]
    memmap = b"".join(_ENTRY.pack(at, much, kind, 0) for at, much, kind in ranges)
    text = start.cmdline.encode() + b"\0"
    memory = [("cmdline", _CMDLINE, text), ("memmap", _MEMMAP, memmap)]
    modules = 0
    if start.initrd is not None:
        if _INITRD + len(start.initrd) > _INITRD_END:
            raise TargetError("the module is too large", "give one of at most 32 MiB")
        modules = 1
        memory.append(("modlist", _MODLIST, struct.pack("<4Q", _INITRD, len(start.initrd), 0, 0)))
        memory.append(("", _INITRD, start.initrd))
    info = _INFO.pack(
        _MAGIC, 1, 0, modules, _MODLIST if modules else 0, _CMDLINE, 0, _MEMMAP, len(ranges), 0
    )
    memory.append(("start_info", _START_INFO, info))
    data = (0x10, 0, 0xFFFFFFFF, _FLAT_DATA)
    state = PvhState(
        ram,
        {"rip": entry, "rbx": _START_INFO, "rflags": 2, "cr0": 0x11},
        {
            "cs": (0x8, 0, 0xFFFFFFFF, _FLAT_CODE),
            **dict.fromkeys(("ds", "es", "ss", "fs", "gs"), data),
            "tr": (0, 0, 0x67, _BUSY_TSS),
            "ldtr": (0, 0, 0, 0x82),
        },
        memory,
    )
    if start.deviation:
        deviate = (LIBERTIES | DEVIATIONS).get(start.deviation)
        if deviate is None:
            known = ", ".join((*DEVIATIONS, *LIBERTIES))
            raise TargetError(f"no deviation {start.deviation}", f"these are known: {known}")
        deviate(state)
    return state


# ---- what may be done wrong, or otherwise --------------------------------------------------------


def _register(name: str, change: Callable[[int], int]) -> Callable[[PvhState], None]:
    def deviate(state: PvhState) -> None:
        state.regs[name] = change(state.regs.get(name, 0))

    return deviate


def _segment(name: str, **changes: int) -> Callable[[PvhState], None]:
    def deviate(state: PvhState) -> None:
        fields = dict(zip(("sel", "base", "limit", "attr"), state.segs[name], strict=True))
        fields.update(changes)
        state.segs[name] = (fields["sel"], fields["base"], fields["limit"], fields["attr"])

    return deviate


def _memory(what: str, offset: int, form: str, value: int) -> Callable[[PvhState], None]:
    return lambda state: state.patch(what, offset, struct.pack(form, value))


#: Each does one thing wrong. A kernel may come as far as its first instruction all the same.
DEVIATIONS: dict[str, Callable[[PvhState], None]] = {
    "tr": _segment("tr", limit=0xFFFF),
    "tr_base": _segment("tr", base=0x1000),
    "pae": _register("cr4", lambda cr4: cr4 | 0x20),
    "wp": _register("cr0", lambda cr0: cr0 | 0x10000),
    "cs_limit": _segment("cs", limit=0x7FFFFFFF),
    "ds_base": _segment("ds", base=0x1000),
    "if": _register("rflags", lambda flags: flags | 0x200),
    "entry": _register("rip", lambda rip: rip + 4),
    "ebx": _register("rbx", lambda ebx: ebx + 0x1000),
    "magic": _memory("start_info", 0, "<I", 0x336EC579),
    "reserved": _memory("start_info", 52, "<I", 1),
    "modlist": _memory("start_info", 16, "<Q", 0),
    "module": _memory("modlist", 0, "<Q", 0),
    "cmdline": lambda state: state.patch("cmdline", 0, b"x" * 4096),
    "rsdp": _memory("start_info", 32, "<Q", _CMDLINE),
    "memmap": _memory("start_info", 40, "<Q", 0),
    "memmap_type": _memory("memmap", 24 + 16, "<I", 99),
    "memmap_reserved": _memory("memmap", 20, "<I", 1),
    "start_info_reserved": _memory("memmap", 16, "<I", _RESERVED),
}


def _leftovers(state: PvhState) -> None:
    """Values nobody may rely on in everything that the document leaves open."""
    names = ("rax", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "cr2")
    state.regs.update({name: 0x5EED0000 + 4 * number for number, name in enumerate(names)})
    state.regs.update({"cr3": 0x5000, "gdtr.limit": 0xFFFF, "idtr.limit": 0x3FF})
    state.regs["rflags"] |= 0xD5  # CF, PF, AF, ZF, SF
    for name in ("fs", "gs"):
        state.segs[name] = (0x28, 0x12345000, 0xFFF, 0x93)


#: What a loader may do otherwise than most, and conform.
LIBERTIES: dict[str, Callable[[PvhState], None]] = {
    "leftovers": _leftovers,
    "version_0": _memory("start_info", 4, "<I", 0),
    "version_2": _memory("start_info", 4, "<I", 2),
    "no_cmdline": _memory("start_info", 24, "<Q", 0),
    "no_memmap": lambda state: state.patch("start_info", 40, bytes(12)),
    "et_clear": _register("cr0", lambda cr0: cr0 & ~0x10),
}
