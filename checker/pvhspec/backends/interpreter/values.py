"""Values that may be unknown.

A known value is a bool, an int or a tuple (variant number, payload…). An unknown one is a `Sym`;
a truth that hangs on unknown values is a `Formula`, decided only when something depends on it.
In the store, which outlives an event, an unknown value is `ANY`, and one of several is `OneOf`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from pvhspec.types.types import BoolType, EnumType, Type

__all__ = [
    "ANY",
    "Formula",
    "OneOf",
    "Sym",
    "conj",
    "disj",
    "equal",
    "invert",
    "is_known",
    "is_large",
]


class Sym:
    """A value that nobody has seen. `what` says whose it is, for the reader of a verdict."""

    __slots__ = ("parts", "type", "what")

    def __init__(self, type_: Type, what: str) -> None:
        self.type = type_
        self.what = what
        self.parts: dict[tuple[int, int], Sym] = {}

    def part(self, variant: int, index: int) -> Sym:
        """Item `index` of the payload, should the value be of `variant`."""
        key = (variant, index)
        if key not in self.parts:
            assert isinstance(self.type, EnumType)
            info = self.type.variants[variant]
            name, kind = info.payload[index]
            self.parts[key] = Sym(kind, f"{name} of {self.what}")
        return self.parts[key]

    def as_variant(self, variant: int) -> tuple[Any, ...]:
        """The value, should it be of `variant`."""
        assert isinstance(self.type, EnumType)
        payload = self.type.variants[variant].payload
        return (variant, *(self.part(variant, i) for i in range(len(payload))))

    def __repr__(self) -> str:
        return f"?{self.what}"


@dataclass(frozen=True, slots=True)
class Formula:
    """A truth that is not decided: `eq` (two values), `is` (a Sym and a variant), `sym` (a Sym of
    type bool), `order` (two values, and whether they may be equal: the same answer whenever it is
    asked), `not`, `and`, `or`, or `open` (nothing is known of it)."""

    op: Literal["eq", "is", "sym", "order", "not", "and", "or", "open"]
    args: tuple[Any, ...]


class _Any:
    """Any value of the type."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "any"

    def __reduce__(self) -> str:
        return "ANY"


ANY: Final = _Any()


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few values."""

    values: frozenset[Any]


def is_large(truth: Any) -> bool:
    """Whether too much hangs on unknown values to look at every possibility."""
    left = 24

    def count(f: Any) -> None:
        nonlocal left
        left -= 1
        if left > 0 and isinstance(f, Formula):
            if f.op in ("and", "or", "not"):
                for part in f.args:
                    count(part)
            elif f.op == "open" and not f.args:
                left = 0

    count(truth)
    return left <= 0


def is_known(value: Any) -> bool:
    """Whether no part of a value is unknown."""
    kind = type(value)
    if kind is int or kind is bool:
        return True
    if kind is tuple:
        return all(map(is_known, value))
    return False


def equal(a: Any, b: Any) -> bool | Formula:
    """`a == b`, as far as it is known."""
    if isinstance(a, Sym) or isinstance(b, Sym):
        return True if a is b else Formula("eq", (a, b))
    if isinstance(a, tuple) and isinstance(b, tuple):
        if a[0] != b[0]:
            return False
        return conj([equal(x, y) for x, y in zip(a[1:], b[1:], strict=True)])
    if isinstance(a, Formula) or isinstance(b, Formula):
        if isinstance(b, bool):
            a, b = b, a
        if isinstance(a, bool):
            return b if a else invert(b)
        return Formula("open", (a, b))
    return bool(a == b)


def conj(parts: list[Any]) -> bool | Formula:
    """Conjunction of truths; a Sym of type bool counts as one."""
    open_: list[Any] = []
    for p in parts:
        if p is False:
            return False
        if p is not True:
            open_.append(_formula(p))
    if not open_:
        return True
    return open_[0] if len(open_) == 1 else Formula("and", tuple(open_))


def disj(parts: list[Any]) -> bool | Formula:
    """Disjunction of truths."""
    open_: list[Any] = []
    for p in parts:
        if p is True:
            return True
        if p is not False:
            open_.append(_formula(p))
    if not open_:
        return False
    return open_[0] if len(open_) == 1 else Formula("or", tuple(open_))


def invert(a: Any) -> bool | Formula:
    """Negation."""
    if a is True:
        return False
    if a is False:
        return True
    f = _formula(a)
    return f.args[0] if f.op == "not" else Formula("not", (f,))


def _formula(value: Any) -> Formula:
    if isinstance(value, Formula):
        return value
    assert isinstance(value, Sym)
    assert isinstance(value.type, BoolType)
    return Formula("sym", (value,))
