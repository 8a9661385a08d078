"""Programs for the probe guest: their steps, their binary form, and what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pvhspec.targets.steps import (
    AREA_SIZE, BUFFER_SPACE, SLOTS, Area, Buf, Buffer, Cpuid, Hang, Hypercall, Note, Operand,
    Patch, Program, Read, ReadMsr, ReadOnly, Save, Shared, Slot, StartInfo, Step, Store,
    Unreadable, UseHypercallPage, UseSharedInfo, UseVcpuInfo, Window, Write, WriteMsr,
)  # fmt: skip

__all__ = [
    "AREA_SIZE", "BUFFER_SPACE", "SLOTS", "Area", "Buf", "Buffer", "Cpuid", "Hang", "Hypercall",
    "Note", "Operand", "Patch", "Program", "Read", "ReadMsr", "ReadOnly", "Save", "Shared", "Slot",
    "StartInfo", "Step", "Store", "Unreadable", "UseHypercallPage", "UseSharedInfo", "UseVcpuInfo",
    "Window", "Write", "WriteMsr", "decode", "encode",
]  # fmt: skip


def encode(program: Program) -> bytes:
    """The program as the probe reads it. Raises ValueError where a step cannot be expressed."""
    raise NotImplementedError


def decode(raw: bytes | Iterable[bytes], program: Program) -> Iterator[dict[str, Any]]:
    """Events, as traces/format.md has them, from what the probe wrote; stops where it was cut."""
    raise NotImplementedError
