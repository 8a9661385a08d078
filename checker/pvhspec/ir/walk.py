"""Walking through expressions: what is in them, and which variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

from pvhspec.ir.terms import (
    Cell,
    Const,
    Expr,
    GateTest,
    Input,
    Is,
    Load,
    Make,
    MapInput,
    Op,
    Payload,
    Quant,
    Var,
)

__all__ = ["bound_in", "children", "conjuncts", "free_vars", "has_quantifier", "vars_of"]

# Where expressions hold others; not those they bind.
_PARTS: dict[type, Callable[[Any], tuple[Expr, ...]]] = {
    **dict.fromkeys((Const, Input, Var, GateTest), lambda node: ()),
    **dict.fromkeys((MapInput, Cell), attrgetter("indices")),
    **dict.fromkeys((Op, Make), attrgetter("args")),
    **dict.fromkeys((Is, Payload), lambda node: (node.value,)),
    Load: lambda node: (node.address,),
    Quant: lambda node: (node.body,),
}


def children(node: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside one."""
    return _PARTS[type(node)](node)


def conjuncts(node: Expr) -> Iterator[Expr]:
    """The parts of a conjunction."""
    if isinstance(node, Op) and node.op == "and":
        for part in node.args:
            yield from conjuncts(part)
    else:
        yield node


def vars_of(node: Expr) -> set[Var]:
    """The variables an expression speaks of."""
    if isinstance(node, Var):
        return {node}
    return set().union(*(vars_of(c) for c in children(node)))


def free_vars(node: Expr) -> frozenset[Var]:
    """The variables of an expression that are bound outside it."""
    if isinstance(node, Var):
        return frozenset({node})
    inside = frozenset[Var]().union(*map(free_vars, children(node)))
    return inside.difference(node.vars) if isinstance(node, Quant) else inside


def has_quantifier(node: Expr) -> bool:
    """Whether there is a quantifier in an expression."""
    return isinstance(node, Quant) or any(map(has_quantifier, children(node)))


def bound_in(node: Expr) -> set[Var]:
    """The variables that quantifiers inside an expression bind."""
    own = set(node.vars) if isinstance(node, Quant) else set()
    return own.union(*(bound_in(c) for c in children(node)))
