"""What hypercalls are made of beside their clauses: several structures, a status, names."""

from __future__ import annotations

from dataclasses import replace

from pvhspec.ir import build
from pvhspec.ir.ir import STATUS, Ensure, Error, Expr, Input, Operation, Update
from pvhspec.ir.lower.env import ArrayView, Env, StructView
from pvhspec.ir.lower.exprs import expression
from pvhspec.names.symbols import Scope
from pvhspec.syntax import ast
from pvhspec.types.declare import TypeTable
from pvhspec.types.types import BOOL, BitsType

__all__ = ["bind_let", "delivered", "mentions", "of_none", "pointer_of", "unless_empty"]


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
        told=unless(op.told),
    )


def of_none(
    call: ast.HypercallDecl, each: str | None, types: TypeTable, scope: Scope
) -> dict[str, Expr]:
    """Memory that holds no structure at all is as good as any."""
    for param in call.params:
        if param.name.text == each:
            kind = types.of(param.type, scope)
            assert isinstance(kind, BitsType)
            none = build.eq(Input(param.name.text, kind), build.number(kind, 0))
            names = ("readable", "writable")
            return {name: build.any_of((none, Input(name, BOOL))) for name in names}
    return {}


def mentions(item: ast.CallItem, name: str) -> bool:
    """Whether an error's condition names something."""
    match item:
        case ast.ErrorClause(test=test):
            return test is not None and name in repr(test)
        case ast.InOrder(errors=errors):
            return any(mentions(e, name) for e in errors)
    return False


def bind_let(node: ast.Let, env: Env) -> Env:
    """`let`: a value, or a view of guest memory."""
    match node.kind:
        case "value":
            return env.bind({node.name.text: expression(node.value, env)})
        case "struct" | "array":
            assert node.struct is not None
            struct = env.context.types.struct(node.struct, env.scope)
            module = env.scope.lookup(node.struct.text, node.struct.span).module
            home = env.context.scopes[module]
            value = expression(node.value, env, BitsType(64))
            if isinstance(value.type, BitsType):
                value = build.resize(value, BitsType(64))
            view = StructView if node.kind == "struct" else ArrayView
            return env.bind({node.name.text: view(struct, value, home)})
