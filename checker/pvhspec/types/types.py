"""The types of the language, and which of them go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "BOOL",
    "BitsType",
    "BoolType",
    "EnumType",
    "Type",
    "VariantInfo",
    "compatible",
    "is_finite",
    "shown",
]


@dataclass(frozen=True, slots=True)
class BoolType:
    """`bool`."""


@dataclass(frozen=True, slots=True)
class BitsType:
    """A bit-vector of `width` bits, unsigned.

    `name` is the name the author gave it; None for plain `u32`. `below` bounds what a quantifier
    and a `choose` range over. `fields` are the named bits of a `bits` type: (name, high, low).
    """

    width: int
    name: str | None = None
    below: int | None = None
    fields: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class VariantInfo:
    """One variant of an enum: its payload as (name, type) pairs."""

    name: str
    payload: tuple[tuple[str, Type], ...]


@dataclass(frozen=True, slots=True)
class EnumType:
    """An enum whose variants may carry payloads. A value is (variant number, payload…)."""

    name: str
    variants: tuple[VariantInfo, ...]

    def index(self, name: str) -> int:
        """The number of a variant; KeyError if there is none of that name."""
        for i, v in enumerate(self.variants):
            if v.name == name:
                return i
        raise KeyError(name)


Type: TypeAlias = BoolType | BitsType | EnumType

BOOL = BoolType()


def compatible(a: Type, b: Type) -> bool:
    """Whether values of the two types may be compared or assigned.

    A plain bit-vector goes with any of its width; two with different names do not: a port is not
    a vCPU, though both are 32 bits wide.
    """
    if isinstance(a, BitsType) and isinstance(b, BitsType):
        return a.width == b.width and (a.name is None or b.name is None or a.name == b.name)
    if isinstance(a, EnumType) and isinstance(b, EnumType):
        return a.name == b.name
    return type(a) is type(b)


def is_finite(t: Type) -> bool:
    """Whether a quantifier may range over it: a bounded type, 16 bits at most, or a bool."""
    if isinstance(t, BitsType):
        return t.below is not None or t.width <= 16
    return isinstance(t, BoolType)


def shown(t: Type) -> str:
    """The type as an author would write it."""
    match t:
        case BoolType():
            return "bool"
        case BitsType(width=w, name=n):
            return n or f"u{w}"
        case EnumType(name=n):
            return n
