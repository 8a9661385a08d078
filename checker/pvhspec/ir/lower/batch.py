"""Hypercalls that are given several structures, and errors that a field of one delivers."""

from __future__ import annotations

from dataclasses import replace

from pvhspec.ir import build
from pvhspec.ir.ir import STATUS, Ensure, Error, Input, Operation, Update
from pvhspec.syntax import ast
from pvhspec.types.types import BitsType

__all__ = ["delivered", "pointer_of", "unless_empty"]


def pointer_of(call: ast.HypercallDecl) -> str | None:
    """The parameter that points to a structure: the last that is a pointer, or the last of all."""
    names = [p.name.text for p in call.params]
    pointers = [p.name.text for p in call.params if p.type.text == "pointer"]
    return (pointers or names)[-1] if names else None


def delivered(op: Operation) -> Operation:
    """Success says so in the status field, too."""
    if op.status is None or any(u.target == f"out.{op.status.name}" for u in op.updates):
        return op
    okay = build.number(op.status.type, 0)
    told = Update(op.success, f"out.{op.status.name}", (), (), build.TRUE, okay)
    return replace(op, updates=(*op.updates, told))


def unless_empty(op: Operation, count: Input) -> Operation:
    """Of a call with no structures only what is said of the whole call holds."""
    assert isinstance(count.type, BitsType)
    empty = build.eq(count, build.number(count.type, 0))
    some = build.negate(empty)

    def unless(updates: tuple[Update, ...]) -> tuple[Update, ...]:
        return tuple(replace(u, guard=build.all_of((some, u.guard))) for u in updates)

    def error(e: Error) -> Error:
        if e.code < STATUS:
            return e
        if e.when is None:
            return replace(e, only=build.all_of((some, e.only or build.TRUE)))
        return replace(e, when=build.all_of((some, e.when)))

    return replace(
        op,
        errors=tuple(error(e) for e in op.errors),
        choices=tuple(replace(c, when=build.any_of((empty, c.when))) for c in op.choices),
        ensures=tuple(Ensure(e.clause, build.any_of((empty, e.test))) for e in op.ensures),
        updates=unless(op.updates),
        always=unless(op.always),
    )
