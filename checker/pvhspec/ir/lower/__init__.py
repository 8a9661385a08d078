"""From modules to IR: names are resolved and types checked on the way."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pvhspec.diagnostics import Diagnostic, code
from pvhspec.ir.ir import (
    Cell,
    EventKind,
    Example,
    Expr,
    GateTest,
    Input,
    Invariant,
    Load,
    MapInput,
    Obligation,
    Observation,
    Spec,
    State,
)
from pvhspec.ir.lower.calls import Calls
from pvhspec.ir.lower.clauses import Clauses, Owner
from pvhspec.ir.lower.env import Binding, Context, Env
from pvhspec.ir.lower.examples import check_example, lower_example
from pvhspec.ir.lower.exprs import fit, truth
from pvhspec.ir.lower.observe import Observer, event_fields
from pvhspec.names.load import Sources, load
from pvhspec.names.report import Reporter, Stop, closest
from pvhspec.names.symbols import Scope, Symbols, collect
from pvhspec.names.unused import check_used
from pvhspec.syntax import ast
from pvhspec.types.declare import TypeTable

__all__ = ["compile_folder", "lower"]

NO_INVARIANT = code("PVH362", "A proof leans on what is no invariant.")
NOT_FIXED = code("PVH334", "How a state begins or drifts depends on what it must not.")


def compile_folder(folder: Path) -> tuple[Spec | None, list[Diagnostic]]:
    """Read, check and lower a specification folder; with errors, None and all of them."""
    sources, errors = load(folder)
    if sources is None or any(e.severity == "error" for e in errors):
        return None, errors
    spec, found = lower(sources)
    errors += found
    return (None if any(e.severity == "error" for e in errors) else spec), errors


def lower(sources: Sources) -> tuple[Spec, list[Diagnostic]]:
    """Lower parsed modules. The Spec is whole only if there are no errors."""
    report = Reporter(sources.texts)
    symbols = collect(sources, report)
    scopes = {m.name.text: Scope(symbols, m, report) for m in sources.modules}
    context = Context(scopes, TypeTable(symbols, scopes))
    lowering = _Lowering(sources, symbols, context)
    for module in sources.modules:
        lowering.declare(module)
    for module in sources.modules:
        lowering.clauses_of(module)
    return lowering.finish(), report.errors


class _Lowering:
    """One run over all modules: first what names stand for, then the clauses."""

    def __init__(self, sources: Sources, symbols: Symbols, context: Context) -> None:
        self._context = context
        self._clauses = Clauses()
        self._spec = Spec(sources.manifest.name.text)
        self._spec.modes = dict(symbols.modes)
        self._spec.groups = dict(symbols.groups)
        self._spec.releases = symbols.releases
        self._spec.sources = dict(symbols.pinned)
        self._calls = Calls(context, self._clauses)
        self._events: dict[str, EventKind] = {}
        self._observer = Observer(context, self._clauses, self._events)
        self._observations: list[Observation] = []
        self._invariants: list[Invariant] = []
        self._obligations: list[Obligation] = []
        self._using: list[tuple[ast.Name, Scope]] = []
        self._examples: list[tuple[ast.ExampleDecl, Scope]] = []

    # ---- what names stand for ------------------------------------------------------------------

    def declare(self, module: ast.Module) -> None:
        """Types, structures, constants, events and states of a module."""
        scope = self._context.scopes[module.name.text]
        for item in module.items:
            try:
                self._declare(item, scope)
            except Stop:
                continue

    def _declare(self, item: ast.Item, scope: Scope) -> None:
        types, spec = self._context.types, self._spec
        match item:
            case ast.TypeDecl(name=name) | ast.BitsDecl(name=name):
                types.of(name, scope)
            case ast.EnumDecl(name=name, variants=variants):
                types.of(name, scope)
                spec.enums[name.text] = {
                    v.name.text: i if v.value is None else v.value for i, v in enumerate(variants)
                }
            case ast.StructDecl(name=name):
                spec.structs[name.text] = types.struct(name, scope).laid_out()
            case ast.ConstDecl(value=value, type=type_):
                fit(value, self._env(scope), types.of(type_, scope))
            case ast.ContextDecl(name=name, type=type_):
                spec.contexts[name.text] = types.of(type_, scope)
            case ast.EventDecl(name=name):
                self._events[name.text] = event_fields(item, self._context, scope)
            case _:
                return
        tail = getattr(item, "tail", None)
        if tail is not None:
            scope.check_cites(tail.cites)

    def _env(self, scope: Scope, new: dict[str, Binding] | None = None) -> Env:
        return Env(self._context, scope, new or {}, [])

    # ---- clauses -------------------------------------------------------------------------------

    def clauses_of(self, module: ast.Module) -> None:
        """States, definitions and everything that makes clauses."""
        scope = self._context.scopes[module.name.text]
        for item in module.items:
            name = getattr(item, "name", None)
            self._context.enter("" if name is None else name.text)
            try:
                self._item(item, scope)
            except Stop:
                continue

    def _owner(self, item: ast.Item, name: str, scope: Scope) -> Owner:
        tail = getattr(item, "tail", ast.Tail())
        scope.check_cites(tail.cites)
        id_ = f"{scope.module.name.text}.{name}"
        return Owner(id_, scope, scope.gate(tail.gates), tail.cites)

    def _item(self, item: ast.Item, scope: Scope) -> None:
        match item:
            case ast.StateDecl():
                self._spec.states[item.name.text] = self._state(item, scope)
            case ast.DefDecl():
                self._definition(item, scope)
            case ast.EveryDecl():
                self._calls.every(item, self._owner(item, "every", scope))
            case ast.HypercallDecl(name=name):
                self._calls.hypercall(item, self._owner(item, name.text, scope))
            case ast.OperationDecl(name=name, items=items):
                check_used(items, scope)
                self._calls.operation(item, self._owner(item, name.text, scope))
            case ast.OnDecl(name=name, items=on_items):
                check_used(on_items, scope)
                owner = self._owner(item, name.text, scope)
                self._observations.append(self._observer.on(item, owner))
            case ast.InvariantDecl(name=name):
                owner = self._owner(item, name.text, scope)
                self._invariants.append(self._observer.invariant(item, owner))
                self._using += [(name, scope) for name in item.using]
            case ast.ObligationDecl(name=name):
                owner = self._owner(item, name.text, scope)
                self._obligations.append(self._observer.obligation(item, owner))
            case ast.ExampleDecl():
                self._examples.append((item, scope))
            case _:
                pass

    def _state(self, item: ast.StateDecl, scope: Scope) -> State:
        types = self._context.types
        variables = tuple(
            self._context.variable(p.name.text, types.of(p.type, scope)) for p in item.params
        )
        names: dict[str, Binding] = {
            p.name.text: v for p, v in zip(item.params, variables, strict=True)
        }
        env = self._env(scope, names)
        kind = types.of(item.type, scope)
        init = None if item.init.value is None else fit(item.init.value, env, kind)
        drift: Expr | None = None if item.drift is None else truth(item.drift.test, env)
        how = "rise" if item.drift is None else item.drift.kind
        given = item.init.kind == "given"
        scope.check_cites(item.tail.cites)
        if init is not None and _reads(init, (Cell, Input, MapInput, Load, GateTest)):
            why = "how a state begins depends on its indices alone, in every release and mode"
            scope.error(NOT_FIXED, item.init.span, why, "if the trace says it: given (…)")
        if (
            drift is not None
            and item.drift is not None
            and _reads(drift, (Input, MapInput, Load, GateTest))
        ):
            why = "how a state drifts depends on states alone, not on an event, release or mode"
            scope.error(NOT_FIXED, item.drift.span, why)
        return State(
            item.name.text, variables, kind, init, given, drift, how, item.prose,
            scope.module.name.text,
        )  # fmt: skip

    def _definition(self, item: ast.DefDecl, scope: Scope) -> None:
        """Check a definition where it stands, not only where it is used."""
        types = self._context.types
        names: dict[str, Binding] = {
            p.name.text: self._context.variable(p.name.text, types.of(p.type, scope))
            for p in item.params
        }
        env = self._env(scope, names)
        scope.check_cites(item.tail.cites)
        if item.result is None:
            truth(item.body, env)
        else:
            fit(item.body, env, types.of(item.result, scope))

    def finish(self) -> Spec:
        """Make the operations and the examples, which need everything else."""
        spec = self._spec
        spec.operations = self._calls.make()
        spec.hypercalls = dict(sorted(self._calls.table.items()))
        spec.events = self._events
        spec.observations = tuple(self._observations)
        spec.invariants = tuple(self._invariants)
        spec.obligations = tuple(self._obligations)
        spec.clauses = self._clauses.by_id
        for what, scope in self._using:
            known = [i.name for i in spec.invariants]
            if what.text not in known:
                why, remedy = f"no invariant is called {what.text}", closest(what.text, known)
                scope.error(NO_INVARIANT, what.span, why, remedy)
        operations = {o.name: o for o in spec.operations}
        examples: list[Example] = []
        for decl, scope in self._examples:
            try:
                made = lower_example(decl, self._context, scope, operations, self._events)
                check_example(decl, made, scope, operations, spec.clauses)
                examples.append(made)
            except Stop:
                continue
        spec.examples = tuple(examples)
        return spec


def _reads(node: Any, kinds: tuple[type, ...]) -> bool:
    """Whether an expression speaks of something of these kinds."""
    if isinstance(node, kinds):
        return True
    if isinstance(node, tuple):
        return any(_reads(each, kinds) for each in node)
    return is_dataclass(node) and any(_reads(getattr(node, f.name), kinds) for f in fields(node))
