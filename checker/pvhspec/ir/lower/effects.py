"""Statements: from text to simultaneous updates, each with its guard and its clause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from pvhspec.diagnostics import code
from pvhspec.ir import build
from pvhspec.ir.ir import Ensure, Expr, Update, Var
from pvhspec.ir.lower.env import Binding, Env, MapField
from pvhspec.ir.lower.exprs import cell, expression, facts, fit, indices, truth
from pvhspec.ir.lower.patterns import pattern
from pvhspec.names.report import Stop
from pvhspec.names.symbols import Symbol
from pvhspec.syntax import ast
from pvhspec.types.types import EnumType, Type, shown

__all__ = ["Effects", "lower_effects"]

NOT_A_PLACE = code("PVH330", "What is assigned is neither an out field nor a cell of a state.")
NOT_AN_EFFECT = code("PVH331", "No effect has this name.")
ARMS = code("PVH332", "A match leaves a variant without an arm, or gives it two.")
RECURSIVE_EFFECT = code("PVH333", "An effect uses itself.")

# Registers a clause: its name, prose and tail in, its id out.
Register = Callable[[ast.Name, str | None, ast.Tail, str], str]


@dataclass(slots=True)
class Effects:
    """What a block of statements comes to."""

    updates: list[Update] = field(default_factory=list)
    ensures: list[Ensure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Block:
    """Where a statement stands: under which clause, guard and binders."""

    clause: str
    guard: Expr
    binders: tuple[Var, ...]
    outs: dict[str, Type | MapField]
    register: Register
    stack: tuple[str, ...] = ()

    def under(self, guard: Expr) -> _Block:
        """Inside a condition."""
        both = build.all_of((self.guard, guard))
        return _Block(self.clause, both, self.binders, self.outs, self.register, self.stack)

    def named(self, clause: str) -> _Block:
        """Inside a clause of its own."""
        return _Block(clause, self.guard, self.binders, self.outs, self.register, self.stack)

    def calling(self, name: str) -> _Block:
        """Inside an effect."""
        stack = (*self.stack, name)
        return _Block(self.clause, self.guard, self.binders, self.outs, self.register, stack)

    def over(self, binders: tuple[Var, ...]) -> _Block:
        """Inside `for all`."""
        wider = (*self.binders, *binders)
        return _Block(self.clause, self.guard, wider, self.outs, self.register, self.stack)


def lower_effects(
    body: tuple[ast.Statement, ...],
    env: Env,
    clause: str,
    outs: Mapping[str, Type | MapField],
    register: Register,
) -> Effects:
    """Lower a block. `outs` are the fields it may assign; `register` makes clause ids."""
    found = Effects()
    _block(body, env, _Block(clause, build.TRUE, (), dict(outs), register), found)
    return found


def _block(body: tuple[ast.Statement, ...], env: Env, at: _Block, out: Effects) -> None:
    for statement in body:
        try:
            _statement(statement, env, at, out)
        except Stop:
            continue


def _statement(node: ast.Statement, env: Env, at: _Block, out: Effects) -> None:
    match node:
        case ast.Assign():
            out.updates.append(_assign(node, env, at))
        case ast.CallEffect():
            _call(node, env, at, out)
        case ast.If(test=test, yes=yes, no=no):
            condition, inner = facts(test, env)
            _block(yes, inner, at.under(condition), out)
            if no is not None:
                _block(no, env, at.under(build.negate(condition)), out)
        case ast.Match():
            _match(node, env, at, out)
        case ast.ForAll(params=params, test=test, body=body):
            variables: dict[str, Binding] = {}
            binders = []
            for p in params:
                kind = env.context.types.of(p.type, env.scope)
                variable = env.context.variable(p.name.text, kind)
                variables[p.name.text] = variable
                binders.append(variable)
            condition, inner = facts(test, env.bind(variables))
            _block(body, inner, at.over(tuple(binders)).under(condition), out)
        case ast.ClauseBlock(name=name, prose=prose, tail=tail, body=body):
            _block(body, env, at.named(at.register(name, prose, tail, "effect")), out)
        case ast.Ensure(name=name, prose=prose, test=test, tail=tail):
            clause = at.register(name, prose, tail, "require")
            out.ensures.append(Ensure(clause, build.implies(at.guard, truth(test, env))))
        case _:
            assert_never(node)


def _assign(node: ast.Assign, env: Env, at: _Block) -> Update:
    place, scope = node.place, env.scope
    name = place.name.text
    known = at.outs.get(name)
    if isinstance(known, MapField):
        where = indices(name, place.args, known.indices, ast.Ref(place.span, name), env)
        value = fit(node.value, env, known.type)
        return Update(at.clause, known.name, at.binders, where, at.guard, value)
    if known is not None and not place.args:
        value = fit(node.value, env, known)
        return Update(at.clause, f"out.{name}", at.binders, (), at.guard, value)
    if name in env.locals:
        why = f"{name} is not assigned: it is neither an out field nor a state"
        raise scope.stop(NOT_A_PLACE, place.span, why, f"if it is a field: out {name}")
    symbol = scope.lookup(name, place.name.span, tuple(at.outs))
    if not isinstance(symbol.decl, ast.StateDecl):
        why = f"{name} is neither an out field nor a state"
        raise scope.stop(NOT_A_PLACE, place.span, why, _instead(symbol))
    target = cell(symbol, place.args, ast.Ref(place.span, name), env)
    value = fit(node.value, env, target.type)
    return Update(at.clause, name, at.binders, target.indices, at.guard, value)


def _instead(symbol: Symbol) -> str | None:
    match symbol.decl:
        case ast.ConstDecl():
            return "a constant never changes: make it a state"
        case ast.MacroDecl():
            return f"an effect is called: {symbol.name}(…)"
        case ast.ContextDecl():
            return "a context is part of an event: nobody sets it"
    return None


def _call(node: ast.CallEffect, env: Env, at: _Block, out: Effects) -> None:
    scope, name = env.scope, node.name.text
    symbol = scope.lookup(name, node.name.span)
    if not isinstance(symbol.decl, ast.MacroDecl):
        remedy = f"a state is assigned: {name}[…] := …"
        if not isinstance(symbol.decl, ast.StateDecl):
            remedy = (
                "only an effect is called by itself; a predicate or function is part of a value"
            )
        raise scope.stop(NOT_AN_EFFECT, node.name.span, f"{name} is not an effect", remedy)
    if name in at.stack:
        raise scope.stop(RECURSIVE_EFFECT, node.span, f"{name} uses itself")
    decl = symbol.decl
    home = env.context.scopes[symbol.module]
    kinds = tuple(env.context.types.of(p.type, home) for p in decl.params)
    args = indices(name, node.args, kinds, ast.Ref(node.span, name), env)
    inner = env.inside(home, {p.name.text: a for p, a in zip(decl.params, args, strict=True)})
    _block(decl.body, inner, at.calling(name), out)


def _match(node: ast.Match, env: Env, at: _Block, out: Effects) -> None:
    scope = env.scope
    value = expression(node.value, env)
    if not isinstance(value.type, EnumType):
        why = f"{shown(value.type)} has no variants"
        raise scope.stop(ARMS, node.value.span, why, "use: if … { … } else { … }")
    missing = [v.name for v in value.type.variants]
    for arm in node.arms:
        try:
            test, new = pattern(value, arm.pattern, env)
        except Stop:
            continue
        name = arm.pattern.name.text
        if name not in missing:
            scope.error(ARMS, arm.pattern.span, f"{name} has an arm already", "make them one")
            continue
        missing.remove(name)
        _block(arm.body, env.bind(new), at.under(test), out)
    if missing:
        why = f"no arm for {', '.join(missing)}"
        remedy = f"every variant has its arm, even an empty one: {missing[0]} -> {{}}"
        scope.error(ARMS, node.span, why, remedy)
