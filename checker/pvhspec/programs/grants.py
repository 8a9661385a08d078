"""Short forms for what programs about grants do: mapping the table, writing entries, reading them.

The probe has no steps of its own for this. An entry is a buffer that a hypercall without an effect
is given at that place, and what is read there says by its label what it is.
"""

from __future__ import annotations

from pvhspec.programs.errors import BAD_NUMBER, BAD_STEP, Bad
from pvhspec.programs.shared import Words
from pvhspec.programs.tokens import Cursor
from pvhspec.programs.values import Names, number, operand
from pvhspec.targets.decoding import GRANT_LABEL
from pvhspec.targets.steps import (
    AREA_SIZE,
    Area,
    Buf,
    Buffer,
    Hypercall,
    Operand,
    Patch,
    Read,
    Step,
)

__all__ = ["look", "map_table", "read", "store", "write_entry"]

_MEMORY_OP, _ADD_TO_PHYSMAP, _XEN_VERSION = 12, 7, 17
_SELF, _SPACE, _STATUS = 0x7FF0, 1, 1 << 31
_PAGE = 4096
_SIZES = {1: 8, 2: 16}


def map_table(at: Cursor, names: Names, words: Words) -> list[Step]:
    """`map grants at OFFSET` `version N` `status OFFSET`: XENMEM_add_to_physmap of the table's
    first frame, and of the first with status words, into the area."""
    place = at.now.place
    words.grants, words.grant_version, words.grant_status = 0, 1, None
    while word := at.accept("at", "version", "status"):
        value = number(at, names)
        if word.text == "version":
            if value not in _SIZES:
                raise Bad(BAD_NUMBER, word.place, "a grant table has version 1 or 2")
            words.grant_version = value
        elif value % _PAGE or not 0 <= value < AREA_SIZE:
            raise Bad(BAD_NUMBER, word.place, f"a page of the area: a multiple of 4096 below "
                      f"{AREA_SIZE:#x}")  # fmt: skip
        elif word.text == "at":
            words.grants = value
        else:
            words.grant_status = value
    if words.grant_status is not None and words.grant_version == 1:
        raise Bad(BAD_STEP, place, "version 1 has no status words")
    steps: list[Step] = [_physmap(0, words.grants, words.probe)]
    if words.grant_status is not None:
        steps.append(_physmap(_STATUS, words.grant_status, words.probe))
    return steps


def _physmap(index: int, offset: int, width: int) -> Step:
    size = width // 8
    data = _SELF.to_bytes(2, "little") + bytes(2) + _SPACE.to_bytes(4, "little")
    data += index.to_bytes(size, "little") + bytes(size)
    frame = Patch(8 + size, size, Area(offset, 12))
    return Hypercall(_MEMORY_OP, (_ADD_TO_PHYSMAP, Buf(0)), (Buffer(data, (frame,)),))


def write_entry(at: Cursor, names: Names, words: Words) -> list[Step]:
    """`grant REF to DOMAIN flags FLAGS frame FRAME low NUMBER`."""
    ref = number(at, names)
    given: dict[str, Operand] = {"to": 0, "flags": 0, "frame": 0, "low": 0}
    while word := at.accept(*given):
        given[word.text] = operand(at, names)
    return store(words, ref, given["to"], given["flags"], given["frame"], given["low"])


def store(
    words: Words,
    ref: int,
    domain: Operand,
    flags: Operand,
    frame: Operand,
    low: Operand = 0,
) -> list[Step]:
    """The steps that write an entry, and tell of it."""
    offset = _entry(words, ref)
    patches: tuple[Patch, ...] = (Patch(0, 2, flags), Patch(2, 2, domain))
    if words.grant_version == 1:
        patches += (Patch(4, 4, frame),)
    else:
        patches += (Patch(4, 4, low), Patch(8, 8, frame))
    size = _SIZES[words.grant_version]
    buffer = Buffer(bytes(size), patches, guard=0, at=offset)
    return [
        Hypercall(_XEN_VERSION, (0, 0), (buffer,)),
        _read(words, ref, stored=True),
    ]


def look(at: Cursor, names: Names, words: Words) -> list[Step]:
    """`look at grants FIRST..LAST`."""
    first = number(at, names)
    last = number(at, names) if at.accept("..") else first
    if not 0 <= first <= last < first + _PAGE:
        raise Bad(BAD_NUMBER, at.now.place, "no such range of entries")
    return [step for ref in range(first, last + 1) for step in read(words, ref)]


def read(words: Words, ref: int) -> list[Step]:
    """The steps that look at an entry, and its status word where it has one."""
    steps = [_read(words, ref, stored=False)]
    if words.grant_status is not None:
        steps.append(Read(Area(words.grant_status + 2 * ref), 2, f"{GRANT_LABEL}status {ref}"))
    return steps


def _read(words: Words, ref: int, *, stored: bool) -> Step:
    what = "stored" if stored else "read"
    size = _SIZES[words.grant_version]
    return Read(Area(_entry(words, ref)), size, f"{GRANT_LABEL}{what} {ref}")


def _entry(words: Words, ref: int) -> int:
    return words.grants + ref % (_PAGE // _SIZES[words.grant_version]) * _SIZES[words.grant_version]
