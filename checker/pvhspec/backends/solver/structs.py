"""Structures of the ABI: bytes nobody has named, and bytes two fields share without saying so."""

from __future__ import annotations

from collections.abc import Iterator

from pvhspec.ir.ir import Spec, Struct

__all__ = ["struct_gaps"]

_WIDTHS = ("64-bit", "32-bit")


def struct_gaps(spec: Spec) -> Iterator[tuple[str, str]]:
    """(structure, what is wrong). Padding has a name, too: without one, a field of the wrong width
    would look like one that the next is aligned after."""
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
    for field in fields:
        start, size = field.offset[width], field.size[width]
        if start + size > struct.size[width]:
            yield f"{field.name} ends at {start + size}, after the end of the structure"
        if start > end:
            yield f"bytes {end} to {start - 1} before {field.name} have no name"
        end = max(end, start + size)
    if end < struct.size[width]:
        yield f"bytes {end} to {struct.size[width] - 1} at the end have no name"
