"""A guest of an AMD processor, seen from outside: its VMCB, and its memory through the page tables.

All is read from the machine's own memory. Layouts: AMD64 Architecture Programmer's Manual, volume
2, appendix B (VMCB) and chapter 5 (page tables); nested tables have the host's long-mode format.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Guest", "Ram", "host_address"]

#: Bytes of the machine's physical memory: (address, length) -> bytes, fewer where there is none.
Ram = Callable[[int, int], bytes]

_PRESENT, _WRITABLE, _LARGE = 1, 2, 1 << 7
_ADDRESS = 0x000F_FFFF_FFFF_F000
_PAGE = 4096
_N_CR3 = 0x0B0
_SAVE = 0x400
#: Where segments are in the save area: selector, attributes, limit (32), base (64).
_SEGMENTS = {"es": 0x00, "cs": 0x10, "ss": 0x20, "ds": 0x30, "fs": 0x40, "gs": 0x50, "ldtr": 0x70,
             "tr": 0x90}  # fmt: skip
_TABLES = {"gdtr": 0x60, "idtr": 0x80}
_CPL, _EFER, _CR4, _CR3, _CR0, _RFLAGS, _RIP, _RSP, _RAX = (
    0xCB, 0xD0, 0x148, 0x150, 0x158, 0x170, 0x178, 0x1D8, 0x1F8,
)  # fmt: skip
_CR0_PG, _CR4_PSE, _CR4_PAE, _EFER_LMA, _ATTR_LONG = 1 << 31, 1 << 4, 1 << 5, 1 << 10, 1 << 9


@dataclass(frozen=True, slots=True)
class _Paging:
    """A page-table format: index bits of every level from the root, bytes of an entry."""

    levels: tuple[int, ...]
    entry: int
    large: tuple[int, ...]  #: levels, from the last one as 0, whose entries may map a page


_LONG = _Paging((9, 9, 9, 9), 8, (1, 2))
_PAE = _Paging((2, 9, 9), 8, (1,))
_TWO_LEVEL = _Paging((10, 10), 4, (1,))
_TWO_LEVEL_SMALL = _Paging((10, 10), 4, ())


def host_address(ram: Ram, cr3: int, linear: int) -> int | None:
    """The physical address of a linear one of the host, in long mode; None where none is mapped."""
    found = _walk(ram, cr3 & _ADDRESS, _LONG, linear)
    return None if found is None else found[0]


def _walk(read: Ram, root: int, form: _Paging, address: int) -> tuple[int, bool] | None:
    """(what the address is mapped to, whether all levels let it be written)."""
    shift = 12 + sum(form.levels)
    table, writable = root, True
    for place, bits in enumerate(form.levels):
        shift -= bits
        index = address >> shift & ((1 << bits) - 1)
        raw = read(table + index * form.entry, form.entry)
        if len(raw) < form.entry:
            return None
        word = int.from_bytes(raw, "little")
        if not word & _PRESENT:
            return None
        level = len(form.levels) - 1 - place
        if not (form is _PAE and place == 0):  # PDPTEs of PAE have no such bit
            writable = writable and bool(word & _WRITABLE)
        if level == 0 or (word & _LARGE and level in form.large):
            offset = (1 << shift) - 1
            return (word & _ADDRESS & ~offset) | (address & offset), writable
        table = word & _ADDRESS
    return None


class Guest:
    """One vCPU as its VMCB has it now, and the guest's memory as that vCPU sees it."""

    def __init__(self, ram: Ram, vmcb: int) -> None:
        self._ram = ram
        data = ram(vmcb, _PAGE)
        if len(data) < _PAGE:
            raise ValueError(f"no VMCB at {vmcb:#x}")
        self._data = data
        self._nested = self._word(_N_CR3, at=0) & _ADDRESS

    def _word(self, offset: int, size: int = 8, at: int = _SAVE) -> int:
        return int.from_bytes(self._data[at + offset : at + offset + size], "little")

    @property
    def cpl(self) -> int:
        """The privilege level, 0 to 3."""
        return self._data[_SAVE + _CPL]

    @property
    def width(self) -> int:
        """64 for code of a 64-bit segment in long mode, else 32."""
        attributes = self._word(_SEGMENTS["cs"] + 2, 2)
        return 64 if self._word(_EFER) & _EFER_LMA and attributes & _ATTR_LONG else 32

    def entry(self, registers: dict[str, int]) -> dict[str, Any]:
        """The `entry` event, view `hw`, where `registers` are those that a VMCB does not hold.

        CR0, CR4 and EFER are left out: Xen keeps bits of its own in them, which the guest does not
        see.
        """
        regs = {"eax": self._word(_RAX), **registers, "esp": self._word(_RSP),
                "eip": self._word(_RIP), "eflags": self._word(_RFLAGS)}  # fmt: skip
        segments = {}
        for name, at in _SEGMENTS.items():
            selector, attributes, limit, base = struct.unpack_from("<HHIQ", self._data, _SAVE + at)
            segments[name] = {"sel": hex(selector), "base": hex(base), "limit": hex(limit),
                              "attr": hex(attributes)}  # fmt: skip
        event: dict[str, Any] = {"kind": "entry", "view": "hw",
                                 "regs": {name: hex(value) for name, value in regs.items()},
                                 "segs": segments}  # fmt: skip
        for name, at in _TABLES.items():
            limit, base = struct.unpack_from("<IQ", self._data, _SAVE + at + 4)
            event[name] = {"base": hex(base), "limit": hex(limit)}
        return event

    # ---- memory --------------------------------------------------------------------------------

    def memory(self, address: int, length: int) -> bytes:
        """Guest-physical memory, up to the first byte that is not in the machine's memory."""
        return self._pages(address, length, self._from_physical)[0]

    def linear(self, address: int, length: int) -> tuple[bytes, bool]:
        """(memory at a linear address up to the first byte that is not there, writable)."""
        return self._pages(address, length, self._from_linear)

    def _pages(
        self, address: int, length: int, where: Callable[[int], tuple[int, bool] | None]
    ) -> tuple[bytes, bool]:
        result, writable = b"", True
        while len(result) < length:
            at = address + len(result)
            found = where(at)
            if found is None:
                break
            wanted = min(length - len(result), _PAGE - at % _PAGE)
            part = self._ram(found[0], wanted)
            result += part
            writable = writable and found[1]
            if len(part) < wanted:
                break
        return result, writable and bool(result)

    def _from_physical(self, address: int) -> tuple[int, bool] | None:
        return _walk(self._ram, self._nested, _LONG, address)

    def _from_linear(self, address: int) -> tuple[int, bool] | None:
        found = self._physical(address)
        if found is None:
            return None
        below = self._from_physical(found[0])
        return None if below is None else (below[0], below[1] and found[1])

    def _physical(self, address: int) -> tuple[int, bool] | None:
        """The guest's own tables: linear to guest-physical."""
        if not self._word(_CR0) & _CR0_PG:
            return address & 0xFFFF_FFFF, True
        cr3, cr4 = self._word(_CR3), self._word(_CR4)
        if self._word(_EFER) & _EFER_LMA:
            return _walk(self.memory, cr3 & _ADDRESS, _LONG, address)
        address &= 0xFFFF_FFFF
        if cr4 & _CR4_PAE:
            return _walk(self.memory, cr3 & 0xFFFF_FFE0, _PAE, address)
        form = _TWO_LEVEL if cr4 & _CR4_PSE else _TWO_LEVEL_SMALL
        return _walk(self.memory, cr3 & 0xFFFF_F000, form, address)
