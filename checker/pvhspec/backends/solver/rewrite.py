"""Expressions made smaller before Z3 sees them: gates decided, idle variables gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import assert_never

from pvhspec.ir import build
from pvhspec.ir.ir import (
    Cell,
    Const,
    Expr,
    Gate,
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
    Version,
)
from pvhspec.types.types import BOOL, BitsType

__all__ = [
    "OWED",
    "children",
    "decide_gates",
    "gates_in",
    "inputs_as_variables",
    "rename_states",
    "solve_equalities",
    "substitute",
    "walk",
]


OWED = ".owed"  # ends the name of a variable that stands for a field of the event


def children(node: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside one."""
    match node:
        case Const() | Input() | Var() | GateTest():
            return ()
        case MapInput(indices=parts) | Cell(indices=parts):
            return parts
        case Op(args=parts) | Make(args=parts):
            return parts
        case Load(address=part):
            return (part,)
        case Is(value=part) | Payload(value=part):
            return (part,)
        case Quant(body=part):
            return (part,)
        case _:
            assert_never(node)


def walk(node: Expr) -> Iterator[Expr]:
    """An expression and all inside it."""
    yield node
    for child in children(node):
        yield from walk(child)


def _again(node: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The node over changed children, folded where the children have become known."""
    match node:
        case Const() | Input() | Var() | GateTest():
            return node
        case MapInput(indices=parts) | Cell(indices=parts):
            new = tuple(change(p) for p in parts)
            return node if new == parts else replace(node, indices=new)
        case Op(args=parts):
            return _fold(node, tuple(change(p) for p in parts))
        case Make(args=parts):
            new = tuple(change(p) for p in parts)
            return node if new == parts else replace(node, args=new)
        case Load(address=part):
            return replace(node, address=change(part))
        case Is(value=part):
            value = change(part)
            if isinstance(value, Make):
                return build.TRUE if value.variant == node.variant else build.FALSE
            return replace(node, value=value)
        case Payload(value=part):
            value = change(part)
            if isinstance(value, Make) and value.variant == node.variant:
                return value.args[node.index]
            return replace(node, value=value)
        case Quant(body=part):
            body = change(part)
            return body if isinstance(body, Const) else replace(node, body=body)
        case _:
            assert_never(node)


def _fold(node: Op, args: tuple[Expr, ...]) -> Expr:
    match node.op:
        case "not":
            return build.negate(args[0])
        case "and":
            return build.all_of(args)
        case "or":
            return build.any_of(args)
        case "implies":
            return build.implies(*args)
        case "ite":
            return build.ite(args[0], args[1], args[2], node.type)
        case _:
            return node if args == node.args else replace(node, args=args)


def decide_gates(node: Expr, version: Version, mode: str) -> Expr:
    """The expression as it is for one release and mode."""
    if isinstance(node, GateTest):
        return build.TRUE if node.gate.open(version, mode) else build.FALSE
    return _again(node, lambda n: decide_gates(n, version, mode))


def gates_in(nodes: Iterator[Expr]) -> frozenset[Gate]:
    """Every gate that is asked about."""
    return frozenset(n.gate for node in nodes for n in walk(node) if isinstance(n, GateTest))


def substitute(node: Expr, values: dict[str, Expr]) -> Expr:
    """Variables replaced; names of variables are unique in a specification."""
    if isinstance(node, Var):
        return values.get(node.name, node)
    return _again(node, lambda n: substitute(n, values))


def inputs_as_variables(node: Expr, made: dict[str, Var]) -> Expr:
    """The expression with a variable for each of the event's fields; they are added to `made`."""
    if isinstance(node, Input):
        return made.setdefault(node.name, Var(node.name + OWED, node.type))
    return _again(node, lambda n: inputs_as_variables(n, made))


def rename_states(node: Expr, names: dict[str, str]) -> Expr:
    """The expression over states of other names."""
    if isinstance(node, Cell):
        indices = tuple(rename_states(i, names) for i in node.indices)
        return replace(node, state=names.get(node.state, node.state), indices=indices)
    return _again(node, lambda n: rename_states(n, names))


def solve_equalities(node: Expr) -> Expr:
    """`forall x | y == make(x) => …` speaks of one x only: the variable goes.

    Fewer variables are fewer instances, and often what is left can be proved for every value.
    """
    node = _again(node, solve_equalities)
    while isinstance(node, Quant):
        found = _solution(node)
        if found is None:
            return node
        node = found
    return node


def _solution(node: Quant) -> Expr | None:
    body = node.body
    if node.kind == "forall":
        if not (isinstance(body, Op) and body.op == "implies"):
            return None
        hypothesis = body.args[0]
    else:
        hypothesis = body
    parts = (
        hypothesis.args if isinstance(hypothesis, Op) and hypothesis.op == "and" else (hypothesis,)
    )
    names = {v.name for v in node.vars}
    for i, part in enumerate(parts):
        solved = _solve(part, names)
        if solved is None:
            continue
        values, instead = solved
        within = [_within(values[v.name], v.type) for v in node.vars if v.name in values]
        rest = [substitute(p, values) for j, p in enumerate(parts) if j != i]
        new: Expr = build.all_of([*(substitute(p, values) for p in instead), *within, *rest])
        if node.kind == "forall":
            assert isinstance(body, Op)
            new = build.implies(new, substitute(body.args[1], values))
        left = tuple(v for v in node.vars if v.name not in values)
        return replace(node, vars=left, body=new) if left else new
    return None


def _solve(part: Expr, names: set[str]) -> tuple[dict[str, Expr], list[Expr]] | None:
    """What an equation says a variable is, and what is left of the equation."""
    if not (isinstance(part, Op) and part.op == "eq"):
        return None
    for x, y in (part.args, part.args[::-1]):
        free = {n.name for n in walk(x) if isinstance(n, Var)}
        if isinstance(y, Var) and y.name in names and y.name not in free:
            return {y.name: x}, []
        if isinstance(y, Make) and y.args and not isinstance(x, Make):
            values: dict[str, Expr] = {}
            left: list[Expr] = [Is(x, y.variant, BOOL)]
            for i, arg in enumerate(y.args):
                item = Payload(x, y.variant, i, arg.type)
                new = isinstance(arg, Var) and arg.name in names and arg.name not in free
                if isinstance(arg, Var) and new and arg.name not in values:
                    values[arg.name] = item
                else:
                    left.append(build.eq(item, arg))
            if values:
                return values, left
    return None


def _within(value: Expr, type_: object) -> Expr:
    if not (isinstance(type_, BitsType) and isinstance(value.type, BitsType)):
        return build.TRUE
    if type_.below is None or type_.below >= 1 << value.type.width:
        return build.TRUE
    return Op("ult", (value, build.number(value.type, type_.below)), BOOL)
