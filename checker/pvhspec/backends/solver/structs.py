"""Structures of the ABI: bytes nobody has named, and bytes two fields share without saying so."""

from __future__ import annotations

from collections.abc import Iterator

from pvhspec.ir.ir import Spec, Struct

__all__ = ["struct_gaps"]

_WIDTHS = ("64-bit", "32-bit")


def struct_gaps(spec: Spec) -> Iterator[tuple[str, str]]:
    """(structure, what is wrong). Bytes before a field that only align it are no hole."""
    for struct in spec.structs.values():
        told: set[str] = set()
        for width, name in enumerate(_WIDTHS):
            for what in _of(struct, width):
                if what not in told:
                    told.add(what)
                    same = struct.size[0] == struct.size[1]
                    yield struct.name, what if same else f"{what}, {name}"


def _of(struct: Struct, width: int) -> Iterator[str]:
    fields = sorted(struct.fields, key=lambda f: (f.offset[width], f.size[width]))
    end = 0
    reach = 0
    for field in fields:
        start, size = field.offset[width], field.size[width]
        each = size // max(field.count, 1)
        if start + size > struct.size[width]:
            yield f"{field.name} ends at {start + size}, after the end of the structure"
        if start > end and not (each in (2, 4, 8) and start % each == 0 and start - end < each):
            yield f"bytes {end} to {start - 1} before {field.name} have no name"
        end = max(end, start + size)
        reach = max(reach, min(each, 8))
    left = struct.size[width] - end
    if left >= max(reach, 1):
        yield f"bytes {end} to {struct.size[width] - 1} at the end have no name"
