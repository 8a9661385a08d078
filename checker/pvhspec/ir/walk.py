"""Walking through expressions: what is in them, and which variables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args

from pvhspec.ir.terms import Expr, Op, Quant, Var

__all__ = ["bound_in", "children", "conjuncts", "free_vars", "has_quantifier", "vars_of"]

_EXPRESSIONS = get_args(Expr)
# The fields in which expressions hold others; not those they bind.
_PARTS = {k: tuple(f.name for f in fields(k) if f.name != "vars") for k in _EXPRESSIONS}


def children(node: Expr) -> Iterator[Any]:
    """The expressions directly inside one."""
    for name in _PARTS[type(node)]:
        value = getattr(node, name)
        if isinstance(value, tuple):
            yield from (v for v in value if isinstance(v, _EXPRESSIONS))
        elif isinstance(value, _EXPRESSIONS):
            yield value


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
