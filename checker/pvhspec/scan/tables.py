"""The schema as the tables that compiled code looks fields up in, and what their positions mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pvhspec.traces.columns import COLUMNS, KIND_CODES, column_of
from pvhspec.traces.schema import (
    COMMON,
    Bytes,
    Choice,
    Flag,
    Int,
    Items,
    Rows,
    Text,
)
from pvhspec.traces.schema import KINDS as _KINDS
from pvhspec.traces.tabulate import LISTS as _LISTS
from pvhspec.traces.tabulate import TEXTS as _TEXTS
from pvhspec.traces.tabulate import WORDS as _WORDS

__all__ = ["constants", "tables"]

# What came of a call of `scan`.
DONE, FULL, UNSURE = 0, 1, 2

# Positions in `state`: what functions hand back, and how far `scan` is.
VALUE, BELOW, NAME_FOUND, POSITION, AT, STOP, ROW, LINE = range(8)
STATE = 8

# Positions in `shape`: the size of the block.
ROWS, ROOM, ITEMS, TEXTS, LISTS, WORDS = range(6)

# Kinds of values; up to LAST_NUMBER they are numbers.
NOTHING, NUMBER, SEQ, WIDTH, SIGNED = range(5)
LAST_NUMBER = SIGNED
FLAG, CHOICE, TEXT, MEMORY, ARGUMENTS, PAIRS, STRINGS, NESTED = range(5, 13)

# A field of a kind: what it is, its column, its bit, the highest value or the first of its words,
# and how many words there are.
FIELD = 5
WHAT, SLOT, BIT, LIMIT, MORE = range(5)

# A name: its bytes as two words, which bits of them count, its length.
NAME = 5
LOW, HIGH, MASK_LOW, MASK_HIGH, LENGTH = range(5)
LONGEST = 16  # bytes of a name that two words hold; lines with longer ones are the reader's

_names = list(
    dict.fromkeys(
        ["kind", *(f.name for f in COMMON), *(f.name for k in _KINDS.values() for f in k.fields)]
    )
)
_names = [name for name in _names if len(name) <= LONGEST]
NAMES = len(_names)
KINDS = len(_KINDS)
KIND_NAME = 0
KIND_SLOT, SEQ_SLOT = _WORDS.index("kind"), _WORDS.index("seq")
HYPERCALL = KIND_CODES["hypercall"]

_choices: list[tuple[str, int]] = [(name, code) for name, code in KIND_CODES.items()]
_fields: npt.NDArray[np.int64] = np.zeros(KINDS * (NAMES + 1) * FIELD, np.int64)
_required: npt.NDArray[np.int64] = np.zeros(KINDS, np.int64)


def _fill() -> None:
    for kind in _KINDS.values():
        code = KIND_CODES[kind.name]
        own = {f.name for f in kind.fields}
        fields = [*kind.fields, *(f for f in COMMON if f.name not in own)]
        _put(code, "kind", NESTED, 0, 0)
        for number, field in enumerate(fields):
            column = column_of(kind.name, field.name)
            bit = 1 << number
            if field.required:
                _required[code] |= bit
            match field.type:
                case Int(bits, signed, _, values):
                    what = SEQ if field.name == "seq" else SIGNED if signed else NUMBER
                    high = -1 if bits == 64 else (1 << bits) - 1
                    if signed and (field.name, bits) != ("ret", 64):
                        what = NESTED  # the reader's affair, as all that has no code here
                    if values:
                        high = max(values)
                        if values != tuple(range(len(values))):
                            what = WIDTH if values == (32, 64) else NESTED
                    _put(code, field.name, what, _WORDS.index(column), bit, high)
                case Flag():
                    _put(code, field.name, FLAG, _WORDS.index(column), bit)
                case Choice(words):
                    slot, first = _WORDS.index(column), len(_choices)
                    _choices.extend((w, COLUMNS[column].words.index(w)) for w in words)
                    _put(code, field.name, CHOICE, slot, bit, first, len(words))
                case Text():
                    _put(code, field.name, TEXT, _TEXTS.index(column), bit)
                case Bytes():
                    _put(code, field.name, MEMORY, _TEXTS.index(column), bit)
                case Items(_, at_most) if at_most is not None:
                    what = ARGUMENTS if at_most == 6 else NESTED
                    _put(code, field.name, what, _WORDS.index(column), bit)
                case Items():
                    _put(code, field.name, STRINGS, _LISTS.index(column), bit)
                case Rows() if column in _LISTS:
                    _put(code, field.name, PAIRS, _LISTS.index(column), bit)
                case _:
                    _put(code, field.name, NESTED, 0, bit)


def _put(
    code: int, name: str, what: int, slot: int, bit: int, limit: int = 0, more: int = 0
) -> None:
    if name not in _names:
        return
    at = (code * (NAMES + 1) + _names.index(name)) * FIELD
    _fields[at : at + FIELD] = (what, slot, bit, limit, more)


_fill()
CODES = len(_choices)
WORD = max(len(word) for word, _ in _choices)  # bytes that a word has in the table


def constants() -> dict[str, int]:
    """The numbers that the kernel uses by name."""
    return {name: value for name, value in globals().items() if name.isupper() and name[0] != "_"}


def tables() -> dict[str, npt.NDArray[Any]]:
    """The tables, by the names that the kernel gives them."""
    hexes = np.full(256, 255, np.uint8)
    for digit in range(16):
        hexes[ord(f"{digit:x}")] = hexes[ord(f"{digit:X}")] = digit
    names = np.zeros((NAMES + 1, NAME), np.uint64)
    for number, name in enumerate(_names):
        raw = name.encode().ljust(16, b"\0")
        mask = (b"\xff" * len(name)).ljust(16, b"\0")
        names[number] = [
            *(int.from_bytes(part[n : n + 8], "little") for part in (raw, mask) for n in (0, 8)),
            len(name),
        ]
    names[NAMES, LOW] = 1  # what is not known is never expected
    choices = np.zeros((len(_choices), WORD), np.uint8)
    for number, (word, _) in enumerate(_choices):
        choices[number, : len(word)] = list(word.encode())
    lengths = [len(word) for word, _ in _choices] + [code for _, code in _choices]
    return {
        "hexes": hexes,
        "names": names.reshape(-1).view(np.int64),
        "fields": _fields,
        "choices": choices.reshape(-1),
        "lengths": np.array(lengths, np.int64),
        "kinds": _required,
        "follows": np.full(KINDS * (NAMES + 1), KIND_NAME, np.int64),
    }
