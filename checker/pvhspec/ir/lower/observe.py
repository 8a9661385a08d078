"""What is observed: `on` blocks, invariants and obligations."""

from __future__ import annotations

from dataclasses import dataclass

from pvhspec.diagnostics import code
from pvhspec.ir import build
from pvhspec.ir.ir import (
    EventKind,
    Expr,
    Input,
    Invariant,
    Moment,
    Obligation,
    Observation,
    Requirement,
    Update,
)
from pvhspec.ir.lower.call_parts import bind_let
from pvhspec.ir.lower.clauses import Clauses, Owner
from pvhspec.ir.lower.effects import Effects, lower_effects
from pvhspec.ir.lower.env import Binding, Context, Env, MapField
from pvhspec.ir.lower.exprs import facts, truth
from pvhspec.names.report import Stop, closest
from pvhspec.names.symbols import Scope
from pvhspec.syntax import ast
from pvhspec.types.types import Type

__all__ = ["Observer", "event_fields"]

NO_EVENT = code("PVH360", "No event has this name.")
NO_EVENT_FIELD = code("PVH361", "The event has no such field.")


def event_fields(decl: ast.EventDecl, context: Context, scope: Scope) -> EventKind:
    """The fields of an event kind with their types."""
    fields = tuple(
        (
            f.name.text,
            tuple(context.types.of(p.type, scope) for p in f.params),
            context.types.of(f.type, scope),
        )
        for f in decl.fields
    )
    return EventKind(decl.name.text, fields)


@dataclass(slots=True)
class Observer:
    """Lowers declarations about events."""

    context: Context
    clauses: Clauses
    events: dict[str, EventKind]

    def fields(self, name: ast.Name, scope: Scope) -> dict[str, Binding]:
        """The names an event brings into view."""
        symbol = scope.lookup(name.text, name.span)
        kind = self.events.get(symbol.name)
        if kind is None:
            why = f"{name.text} is not an event"
            raise scope.stop(NO_EVENT, name.span, why, closest(name.text, self.events))
        return {
            field: MapField(field, index, type_) if index else Input(field, type_)
            for field, index, type_ in kind.fields
        }

    def on(self, decl: ast.OnDecl, owner: Owner) -> Observation:
        """An `on` block."""
        scope = owner.scope
        env = Env(self.context, scope, self.fields(decl.event, scope), [])
        when: Expr = build.gate_test(owner.gate)
        if decl.test is not None:
            test, env = facts(decl.test, env)
            when = build.all_of((when, test))
        requires: list[Requirement] = []
        undefined: list[tuple[str, tuple[str, ...]]] = []
        updates: list[Update] = []
        for item in decl.items:
            try:
                match item:
                    case ast.Let():
                        env = bind_let(item, env)
                    case ast.Require():
                        requires.append(self._require(item, env, owner))
                    case ast.Undefined():
                        undefined.append(self._undefined(item, env, owner))
                    case _:
                        updates += self._effects(item, env, owner).updates
            except Stop:
                continue
        effects = f"{owner.id}.effects"
        if not any(update.clause == effects for update in updates):
            self.clauses.by_id.pop(effects, None)  # all of them stand in clauses of their own
        return Observation(
            owner.id, decl.event.text, owner.gate, when, tuple(requires), tuple(undefined),
            tuple(updates),
        )  # fmt: skip

    def _require(self, node: ast.Require, env: Env, owner: Owner) -> Requirement:
        clause = self.clauses.add(owner, node.name, "require", node.prose, node.tail, node.span)
        absent: list[Expr] = []
        test = truth(node.test, Env(env.context, env.scope, env.locals, absent))
        gate = build.gate_test(owner.scope.gate(node.tail.gates))
        there = build.all_of((gate, *(build.negate(a) for a in dict.fromkeys(absent))))
        return Requirement(clause, build.implies(there, test))

    def _undefined(
        self, node: ast.Undefined, env: Env, owner: Owner
    ) -> tuple[str, tuple[str, ...]]:
        for name in node.fields:
            if name.text not in env.locals:
                why = f"the event has no field {name.text}"
                remedy = closest(name.text, env.locals)
                owner.scope.error(NO_EVENT_FIELD, name.span, why, remedy)
        tail = ast.Tail((), node.cites)
        clause = self.clauses.add(owner, "undefined", "undefined", node.prose, tail, node.span)
        return clause, tuple(n.text for n in node.fields)

    def _effects(self, item: ast.Statement, env: Env, owner: Owner) -> Effects:
        clause = self.clauses.add(
            owner, "effects", "effect", None, ast.Tail(), item.span, implicit=True
        )

        def register(name: ast.Name, prose: str | None, tail: ast.Tail, kind: str) -> str:
            return self.clauses.add(owner, name, "effect", prose, tail, name.span)

        return lower_effects((item,), env, clause, {}, register)

    # ---- what always holds --------------------------------------------------------------------

    def invariant(self, decl: ast.InvariantDecl, owner: Owner) -> Invariant:
        """An invariant; it speaks of the state only."""
        clause = self.clauses.add(owner, "", "invariant", decl.prose, decl.tail, decl.span)
        body = truth(decl.body, Env(self.context, owner.scope, {}, []))
        body = build.implies(build.gate_test(owner.gate), body)
        return Invariant(clause, decl.name.text, body, tuple(n.text for n in decl.using))

    def obligation(self, decl: ast.ObligationDecl, owner: Owner) -> Obligation:
        """An obligation."""
        clause = self.clauses.add(owner, "", "obligation", decl.prose, decl.tail, decl.span)
        new: dict[str, Binding] = {}
        variables = []
        for p in decl.params:
            kind: Type = self.context.types.of(p.type, owner.scope)
            variable = self.context.variable(p.name.text, kind)
            variables.append(variable)
            new[p.name.text] = variable
        env = Env(self.context, owner.scope, new, [])
        when = build.all_of((build.gate_test(owner.gate), truth(decl.test, env)))
        unless = build.FALSE if decl.unless is None else truth(decl.unless, env)
        then, before = self._moment(decl.then, env), self._moment(decl.before, env)
        return Obligation(clause, decl.name.text, tuple(variables), when, then, before, unless)

    def _moment(self, node: ast.Moment, env: Env) -> Moment:
        inner = env.bind(self.fields(node.event, env.scope))
        test = build.TRUE if node.test is None else truth(node.test, inner)
        return Moment(node.event.text, test)
