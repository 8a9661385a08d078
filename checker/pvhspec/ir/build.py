"""Small constructors for expressions: they fold what is known, so that the IR stays small."""

from __future__ import annotations

from collections.abc import Iterable

from pvhspec.ir.ir import Const, Expr, GateTest, Is, Make, Op
from pvhspec.names.gates import Gate
from pvhspec.types.types import BOOL, BitsType, EnumType, Type

__all__ = [
    "FALSE",
    "TRUE",
    "all_of",
    "any_of",
    "bits",
    "eq",
    "gate_test",
    "implies",
    "ite",
    "negate",
    "number",
    "resize",
]

TRUE = Const(BOOL, True)
FALSE = Const(BOOL, False)


def number(type_: BitsType, value: int) -> Const:
    """A bit-vector constant, cut to its width."""
    return Const(type_, value & ((1 << type_.width) - 1))


def negate(a: Expr) -> Expr:
    """`not a`."""
    if isinstance(a, Const):
        return FALSE if a.value else TRUE
    if isinstance(a, Op) and a.op == "not":
        return a.args[0]
    return Op("not", (a,), BOOL)


def all_of(parts: Iterable[Expr]) -> Expr:
    """Conjunction."""
    kept: list[Expr] = []
    for p in parts:
        if p == FALSE:
            return FALSE
        if p != TRUE:
            kept.extend(p.args if isinstance(p, Op) and p.op == "and" else (p,))
    if not kept:
        return TRUE
    return kept[0] if len(kept) == 1 else Op("and", tuple(kept), BOOL)


def any_of(parts: Iterable[Expr]) -> Expr:
    """Disjunction."""
    kept: list[Expr] = []
    for p in parts:
        if p == TRUE:
            return TRUE
        if p != FALSE:
            kept.extend(p.args if isinstance(p, Op) and p.op == "or" else (p,))
    if not kept:
        return FALSE
    return kept[0] if len(kept) == 1 else Op("or", tuple(kept), BOOL)


def implies(a: Expr, b: Expr) -> Expr:
    """`a => b`."""
    if a == TRUE:
        return b
    if a == FALSE or b == TRUE:
        return TRUE
    return Op("implies", (a, b), BOOL)


def eq(a: Expr, b: Expr) -> Expr:
    """`a == b`; against a variant without payload it is a test of the variant."""
    if isinstance(a, Const) and isinstance(b, Const):
        return TRUE if a.value == b.value else FALSE
    for x, y in ((a, b), (b, a)):
        if isinstance(y, Make) and not y.args and isinstance(y.type, EnumType):
            return Is(x, y.variant, BOOL)
    return Op("eq", (a, b), BOOL)


def ite(test: Expr, yes: Expr, no: Expr, type_: Type) -> Expr:
    """`if test then yes else no`."""
    if isinstance(test, Const):
        return yes if test.value else no
    return Op("ite", (test, yes, no), type_)


def resize(a: Expr, to: BitsType) -> Expr:
    """`a` zero-extended or cut to the width of `to`, under its name."""
    if isinstance(a, Const) and isinstance(a.value, int):
        return number(to, a.value)
    if isinstance(a.type, BitsType) and a.type == to:
        return a
    return Op("resize", (a,), to)


def bits(op: str, a: Expr, b: Expr, type_: BitsType) -> Expr:
    """A bit-vector operator on two values of one width."""
    return Op(op, (a, b), type_)


def gate_test(gate: Gate) -> Expr:
    """Whether a gate is open."""
    return TRUE if gate.always else GateTest(gate, BOOL)
