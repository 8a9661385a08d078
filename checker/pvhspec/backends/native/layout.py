"""Where the cells of the states lie: one block of memory that native code and Python both see.

A cell is one number: the value above three flags; of a value that is too wide for that the flags
alone, and the value stands elsewhere. A state indexed by domains first has its cells
in slots, one for each domain that was met; cells outside the window of an index, and values that
are one of several, are kept by Python, and native code leaves them alone.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from pvhspec.ir.ir import Spec, State
from pvhspec.types.types import BitsType, BoolType, EnumType, Type

__all__ = [
    "FLAGS", "MOST_NOTED", "NOTED", "OTHER", "TOUCHED", "UNKNOWN", "WIDEST", "Header", "Layout",
    "Table", "bits_of", "pack", "payload_at", "unpack",
]  # fmt: skip

UNKNOWN, TOUCHED, OTHER = 1, 2, 4  # OTHER: of several values, or the like: Python knows
FLAGS = 3
WINDOW = 4096
WIDEST = 192  # bits of a value
SLOTS = 127
MOST_NOTED = 1 << 13  # writes `for all` values that one event may make
MOST_SINGLE = 1 << 10  # and others
NOTED = 64  # bytes of one: the value, up to four indices, what writes it, the clause
_VARIANT_BITS = 8


@dataclass(frozen=True, slots=True)
class Table:
    """The cells of one state. `dims`: how many of each index, but for the domain's, are kept;
    `place` is the number of its counter of changes."""

    name: str
    number: int
    slotted: bool
    dims: tuple[int, ...]
    width: int  # bits of a value
    size: int  # bytes of a cell
    cells: int
    wide: int | None  # where values stand that are too wide for a cell
    writers: int
    high: int  # where the highest touched place of the window is noted, plus 1

    @property
    def count(self) -> int:
        """Cells in a slot."""
        n = 1
        for d in self.dims:
            n *= d
        return n


@dataclass(frozen=True, slots=True)
class Header:
    """Offsets of what comes before the cells."""

    blame: int  # last call: event, operation, whether it succeeded
    owed: int  # whether to look, for which caller not, how many are open
    told: int  # how many outcomes came up first, then which
    counts: int
    held: int
    changes: int
    constants: int  # pairs of value and whether it is known
    slots: int  # 65,536 bytes: the slot of a domain, 0 for none
    end: int


class Layout:
    """Offsets for one specification and so many outcomes that are counted. `told`: states of which
    the trace itself tells the initial values."""

    def __init__(self, spec: Spec, outcomes: int, constants: int, told: Set[str]) -> None:
        at = 0

        def take(size: int) -> int:
            nonlocal at
            start, at = at, at + (size + 15) // 16 * 16
            return start

        self.header = Header(
            take(24), take(24), take(8 + 4 * outcomes), take(8 * outcomes),
            take(8 * len(spec.clauses)),
            take(8 * len(spec.states)), take(16 * max(constants, 1)), take(1 << 16), 0,
        )  # fmt: skip
        self.vague = take(len(spec.states))  # by state: whether untouched cells are not initial
        self.noted = take(NOTED * (MOST_NOTED + MOST_SINGLE))
        self.missing = take(8)  # a domain without a slot that was asked for, plus 1
        self.tables: dict[str, Table] = {}
        shapes = {
            s.name: shape
            for s in spec.states.values()
            if (shape := _shape(s)) is not None and (s.given or s.name not in told)
        }
        numbers = {name: n for n, name in enumerate(spec.states)}
        for name, (slotted, dims, width) in shapes.items():
            if not slotted:
                self._place(name, numbers[name], False, dims, width, take)
        at = (at + 4095) // 4096 * 4096
        self.slots_at = at
        at = 0
        for name, (slotted, dims, width) in shapes.items():
            if slotted:
                self._place(name, numbers[name], True, dims, width, take)
        self.slot_bytes = (at + 4095) // 4096 * 4096
        self.bytes = self.slots_at + (SLOTS + 1) * self.slot_bytes

    def _place(
        self, name: str, number: int, slotted: bool, dims: tuple[int, ...], width: int, take: Any
    ) -> None:
        need = width + FLAGS
        size = next((s for s in (1, 2, 4, 8) if need <= 8 * s), None)
        count = 1
        for d in dims:
            count *= d
        self.tables[name] = Table(
            name, number, slotted, dims, width, size or 1, take((size or 1) * count),
            take(WIDEST // 8 * count) if size is None else None, take(8 * count), take(8),
        )  # fmt: skip


def _shape(state: State) -> tuple[bool, tuple[int, ...], int] | None:
    width = bits_of(state.type)
    if width is None:
        return None
    types = [v.type for v in state.indices]
    slotted = bool(types) and _is_domain(types[0])
    dims: list[int] = []
    count = 1
    for t in types[1:] if slotted else types:
        if _is_domain(t):
            return None
        if isinstance(t, BitsType):
            size = t.below if t.below is not None else 1 << t.width
        else:
            size = 2
        dims.append(min(size, WINDOW))
        count *= dims[-1]
    return (slotted, tuple(dims), width) if count <= 1 << 16 else None


def _is_domain(t: Type) -> bool:
    return isinstance(t, BitsType) and t.width == 16 and t.below is None


# ---- values as numbers -------------------------------------------------------------------------


def bits_of(type_: Type) -> int | None:
    """How many bits a value takes; None where it is too wide."""
    match type_:
        case BoolType():
            return 1
        case BitsType(width=width):
            return width
        case EnumType(variants=variants):
            widest = 0
            for variant in variants:
                parts = [bits_of(t) for _, t in variant.payload]
                if None in parts:
                    return None
                widest = max(widest, sum(p for p in parts if p is not None))
            return widest + _VARIANT_BITS if widest + _VARIANT_BITS <= WIDEST else None


def payload_at(type_: EnumType, variant: int, index: int) -> int:
    """The lowest bit of a part of the payload."""
    payload = type_.variants[variant].payload
    return _VARIANT_BITS + sum(bits_of(t) or 0 for _, t in payload[:index])


def pack(value: Any, type_: Type) -> int:
    """A known value as a number."""
    if isinstance(type_, EnumType):
        number = int(value[0])
        for i, (_, t) in enumerate(type_.variants[value[0]].payload):
            number |= pack(value[i + 1], t) << payload_at(type_, value[0], i)
        return number
    return int(value)


def unpack(number: int, type_: Type) -> Any:
    """The value a number stands for."""
    if isinstance(type_, BoolType):
        return bool(number)
    if isinstance(type_, EnumType):
        variant = number & ((1 << _VARIANT_BITS) - 1)
        parts = []
        for i, (_, t) in enumerate(type_.variants[variant].payload):
            part = number >> payload_at(type_, variant, i) & ((1 << (bits_of(t) or 0)) - 1)
            parts.append(unpack(part, t))
        return (variant, *parts)
    return number
