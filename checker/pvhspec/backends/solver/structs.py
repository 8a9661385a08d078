"""Structures of the ABI: bytes nobody has named. That fields lie over each other is told before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pvhspec.ir.ir import Spec, Struct

__all__ = ["struct_gaps"]

_WIDTHS = ("64-bit", "32-bit")


def struct_gaps(spec: Spec) -> Iterator[tuple[str, str]]:
    """(structure, what is wrong). Padding has a name, too: without one, a field of the wrong width
    would look like one that the next is aligned after. What only the 64-bit layout has to fill up
    a word has none: a width that is wrong is wrong in both."""
    for struct in spec.structs.values():
        told: set[str] = set()
        wide, narrow = (list(_of(struct, width)) for width in range(2))
        same = struct.size[0] == struct.size[1]
        fills = {g.before for g in wide if g.fills_word} - {g.before for g in narrow}
        for gaps, name in zip((wide, narrow), _WIDTHS, strict=True):
            for gap in gaps:
                if gap.what not in told and not (gaps is wide and gap.before in fills):
                    told.add(gap.what)
                    yield struct.name, gap.what if same else f"{gap.what}, {name}"


@dataclass(frozen=True, slots=True)
class _Gap:
    """Bytes without a name, before a field or (empty) at the end."""

    start: int
    end: int
    before: str

    @property
    def fills_word(self) -> bool:
        """Whether it is the upper half of a 64-bit word."""
        return self.end - self.start == 4 and self.end % 8 == 0

    @property
    def what(self) -> str:
        """The gap in words."""
        where = f"before {self.before}" if self.before else "at the end"
        return f"bytes {self.start} to {self.end - 1} {where} have no name"


def _of(struct: Struct, width: int) -> Iterator[_Gap]:
    end = 0
    for field in sorted(struct.fields, key=lambda f: (f.offset[width], f.size[width])):
        start, size = field.offset[width], field.size[width]
        if start > end:
            yield _Gap(end, start, field.name)
        end = max(end, start + size)
    if end < struct.size[width]:
        yield _Gap(end, struct.size[width], "")
