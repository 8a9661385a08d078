"""What a PVH loader reads from an ELF file, 32 or 64 bits wide: segments and Xen's notes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["PvhImage", "read_image"]

_PT_LOAD, _PT_NOTE = 1, 4
_NOTE_PHYS32_ENTRY, _NOTE_PHYS32_RELOC = 18, 19
_XEN = b"Xen\0"


@dataclass(frozen=True, slots=True)
class PvhImage:
    """The entry point (guest-physical), bytes of its note's value, whether there is a
    PHYS32_RELOC note, and (guest-physical address, bytes in memory) of every segment."""

    entry: int
    note_size: int
    relocatable: bool
    segments: tuple[tuple[int, int], ...]

    def event(self) -> dict[str, Any]:
        """The `image` event of traces/format.md, without `seq`."""
        return {
            "kind": "image",
            "entry": hex(self.entry),
            "note_size": self.note_size,
            "relocatable": self.relocatable,
            "segments": [[hex(address), size] for address, size in self.segments],
        }


def read_image(data: bytes) -> PvhImage | None:
    """The image in an ELF file; None where it has no PVH entry. Raises struct.error, IndexError
    where it is cut."""
    segments: list[tuple[int, int]] = []
    notes: dict[int, bytes] = {}
    for kind, offset, address, size, memory in _headers(data):
        if kind == _PT_LOAD:
            segments.append((address, memory))
        elif kind == _PT_NOTE:
            notes.update(_notes(data[offset : offset + size]))
    entry = notes.get(_NOTE_PHYS32_ENTRY)
    if entry is None:
        return None
    relocatable = _NOTE_PHYS32_RELOC in notes
    return PvhImage(int.from_bytes(entry, "little"), len(entry), relocatable, tuple(segments))


def _headers(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """(type, offset, physical address, bytes in the file, bytes in memory) of every segment."""
    wide = data[4] == 2
    (at,) = struct.unpack_from("<Q" if wide else "<I", data, 32 if wide else 28)
    size, count = struct.unpack_from("<HH", data, 54 if wide else 42)
    for place in range(at, at + size * count, size):
        if wide:
            kind, _, offset, _, address, file, memory = struct.unpack_from("<IIQQQQQ", data, place)
        else:
            kind, offset, _, address, file, memory = struct.unpack_from("<6I", data, place)
        yield kind, offset, address, file, memory


def _notes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, value) of Xen's notes."""
    at = 0
    while at + 12 <= len(data):
        name_size, size, kind = struct.unpack_from("<3I", data, at)
        name_at = at + 12
        value_at = name_at + (name_size + 3 & -4)
        if data[name_at : name_at + name_size] == _XEN:
            yield kind, data[value_at : value_at + size]
        at = value_at + (size + 3 & -4)
