"""The state an execution begins in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from pvhspec.backends.interpreter.drift import Drifts
from pvhspec.backends.interpreter.evaluate import Compiler
from pvhspec.backends.interpreter.path import Path
from pvhspec.backends.interpreter.store import Drift, Store
from pvhspec.backends.interpreter.values import ANY
from pvhspec.ir.ir import Spec, State
from pvhspec.ir.walk import vars_of
from pvhspec.types.types import BoolType, EnumType

__all__ = ["initial_store"]

Table = dict[str, Any]
Initial: TypeAlias = Callable[[tuple[Any, ...]], Any]


def initial_store(
    spec: Spec,
    compiler: Compiler,
    given: dict[str, Table] | None,
    from_boot: bool,
    all_domains: bool = True,
) -> Store:
    """Every state as it is before the first event."""
    drifts = {
        s.name: compiler.once(_drift, s)
        for s in spec.states.values()
        if s.drift is not None and not (all_domains and s.drift_kind == "change unseen")
    }
    initial = {
        s.name: _initial(s, compiler, None if given is None else given.get(s.name), given is None)
        for s in spec.states.values()
    }
    drifting = _drifting(spec, tuple(drifts), compiler)
    store = Store(spec.states, initial, drifts, drifting.reads, drifting.settle)
    if not from_boot:
        for name, state in spec.states.items():
            if not state.given:
                store.lose(name)
    return store


def _drifting(spec: Spec, names: tuple[str, ...], compiler: Compiler) -> Drifts:
    """What may drift, made ready once: all executions of one specification share it."""
    if names not in compiler.drifts:
        compiler.drifts[names] = Drifts({name: spec.states[name] for name in names}, compiler)
    found: Drifts = compiler.drifts[names]
    return found


def _drift(state: State, compiler: Compiler) -> Drift:
    assert state.drift is not None
    spoken_of = vars_of(state.drift)
    return Drift(
        state.drift_kind == "rise",
        compiler.expr(state.drift),
        tuple(v.name for v in state.indices),
        tuple(i for i, v in enumerate(state.indices) if v in spoken_of),
    )


def _initial(state: State, compiler: Compiler, table: Table | None, example: bool) -> Initial:
    if table is not None:
        return lambda index: _from_table(state, table, index)
    if state.init is None or (state.given and not example):
        return lambda index: ANY
    return compiler.once(_computed, state)


def _computed(state: State, compiler: Compiler) -> Initial:
    """The initial value by the specification; it depends on the index alone."""
    assert state.init is not None
    constant = compiler.constant(state.init)
    if constant is not None:
        return lambda index: constant
    names = [v.name for v in state.indices]
    run = compiler.expr(state.init)
    known: dict[tuple[Any, ...], Any] = {}
    nowhere = Store({}, {}, {})

    def value(index: tuple[Any, ...]) -> Any:
        if index not in known:
            path = Path(nowhere, {}, [])
            path.vars = dict(zip(names, index, strict=True))
            known[index] = run(path)
        return known[index]

    return value


def _from_table(state: State, table: Table, index: tuple[Any, ...]) -> Any:
    """What the trace's header says: `"0,1"` names a cell, `"*"` all others."""
    value = table.get(",".join(map(str, index)), table.get("*"))
    if value is None:
        return ANY
    if isinstance(state.type, BoolType):
        return bool(value)
    if isinstance(state.type, EnumType):  # a variant without a payload, by its name
        names = [v.name for v in state.type.variants if not v.payload]
        return (state.type.index(value),) if value in names else ANY
    return int(value, 0) if isinstance(value, str) else value
