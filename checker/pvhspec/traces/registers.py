"""Registers as QEMU prints them, in `-d cpu` logs and in the monitor's `info registers`."""

from __future__ import annotations

import re
from typing import Any

from pvhspec.traces.schema import KINDS, Record

__all__ = ["packed_attributes", "registers_of"]

_REGISTER = re.compile(r"\b([A-Z][A-Z0-9]{1,3}) ?=([0-9a-f]{8,16})\b")
_SEGMENT = re.compile(
    r"^(ES|CS|SS|DS|FS|GS|LDT|TR) *=([0-9a-f]{4}) ([0-9a-f]{8,16}) ([0-9a-f]{8}) ([0-9a-f]{8})",
    re.MULTILINE,
)
_TABLE = re.compile(r"^(GDT|IDT)= +([0-9a-f]{8,16}) ([0-9a-f]{8})", re.MULTILINE)
_NAMES = {"efl": "eflags", "rfl": "rflags", "ldt": "ldtr", "gdt": "gdtr", "idt": "idtr"}
_KNOWN = frozenset(
    register.name
    for field in KINDS["entry"].fields
    if field.name == "regs" and isinstance(field.type, Record)
    for register in field.type.fields
)


def registers_of(text: str) -> dict[str, Any]:
    """`regs`, `segs`, `gdtr` and `idtr` of an `entry` or `state`, as far as they are printed."""
    segments = {
        _name(seg): {
            "sel": int(selector, 16),
            "base": int(base, 16),
            "limit": int(limit, 16),
            "attr": packed_attributes(int(flags, 16)),
        }
        for seg, selector, base, limit, flags in _SEGMENT.findall(text)
    }
    tables = {
        _name(table): {"base": int(base, 16), "limit": int(limit, 16)}
        for table, base, limit in _TABLE.findall(text)
    }
    found = {_name(word): int(value, 16) for word, value in _REGISTER.findall(text)}
    registers = {name: value for name, value in found.items() if name in _KNOWN}
    return {"regs": registers, "segs": segments, **tables}


def packed_attributes(flags: int) -> int:
    """From a descriptor's second word (type, S, DPL, P in bits 8-15, AVL, L, D/B, G in 20-23)."""
    return flags >> 8 & 0xFF | flags >> 12 & 0xF00


def _name(word: str) -> str:
    return _NAMES.get(word.lower(), word.lower())
