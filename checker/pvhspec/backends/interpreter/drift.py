"""What the world outside may have changed while it could.

A cell that drifts is read as whatever it may have become. Once the condition of a drift is over,
what it did before stays: so just before a step changes what a condition reads, the cells that may
have drifted until then are marked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pvhspec.backends.interpreter.evaluate import Compiler, Fn
from pvhspec.backends.interpreter.path import Path, explore
from pvhspec.backends.interpreter.quantify import Plan
from pvhspec.backends.interpreter.store import Cell, Store
from pvhspec.backends.interpreter.values import ANY
from pvhspec.ir import ir
from pvhspec.ir.walk import children, vars_of

__all__ = ["Drifts"]

Index = tuple[Any, ...]


class Drifts:
    """The drifting states of a specification."""

    def __init__(self, states: dict[str, ir.State], compiler: Compiler) -> None:
        self._kinds = [_Kind(s, s.drift, compiler) for s in states.values() if s.drift is not None]
        self.reads = frozenset(name for kind in self._kinds for name in kind.reads)

    def settle(self, store: Store, changed: list[Cell]) -> None:
        """Mark what may have drifted until now, where a condition reads a cell that changes.

        An index None stands for all.
        """
        for kind in self._kinds:
            for cell in changed:
                for fixed in dict.fromkeys(kind.about(cell)):
                    kind.mark(store, fixed, cell)


class _Kind:
    def __init__(self, state: ir.State, drift: ir.Expr, compiler: Compiler) -> None:
        self._state = state
        self._names = tuple(v.name for v in state.indices)
        spoken_of = vars_of(drift)
        self._uses = [i for i, v in enumerate(state.indices) if v in spoken_of]
        self._parts = [_Part(part, compiler) for part in _alternatives(drift)]
        self._becomes = True if state.drift_kind == "rise" else ANY
        self._plans = [
            compiler.planner.plan(v, (drift,), state.indices[i + 1 :])
            for i, v in enumerate(state.indices)
        ]
        self.reads: dict[str, list[tuple[int | None, ...]]] = {}
        for cell in _cells(drift):
            places = tuple(
                state.indices.index(i) if isinstance(i, ir.Var) and i in state.indices else None
                for i in cell.indices
            )
            self.reads.setdefault(cell.state, []).append(places)

    def about(self, cell: Cell) -> Iterator[Index]:
        """The indices, as far as they are fixed, whose condition reads a cell."""
        state, index = cell
        for places in self.reads.get(state, ()):
            fixed: dict[int, Any] = {}
            for place, value in zip(places, index, strict=True):
                if place is not None and value is not None:
                    fixed[place] = value
            yield tuple(fixed.get(i) for i in range(len(self._names)))

    def mark(self, store: Store, fixed: Index, changed: Cell) -> None:
        """Mark the cells of these indices that may have drifted because of a cell that changes."""
        tests = [found for part in self._parts for found in part.about(changed)]
        possible: dict[Index, bool] = {}  # by what the condition speaks of
        for index, pattern in list(self._instances(Path(store, {}, []), fixed, self._plans)):
            value = store.read(self._state.name, index)
            if value is ANY or value is self._becomes:
                continue
            about = tuple([index[i] for i in self._uses])
            if about not in possible:
                names = dict(zip(self._names, index, strict=True))
                possible[about] = any(
                    _may_hold(store, test, names | bound) for test, bound in tests
                )
            if not possible[about]:
                continue
            if None in pattern:
                store.smear(self._state.name, pattern, self._becomes)
            else:
                store.blend(self._state.name, index, self._becomes)

    def _instances(
        self, scratch: Path, fixed: Index, plans: list[Plan], at: int = 0
    ) -> Iterator[tuple[Index, Index]]:
        """Indices to look at, and for each the pattern of those it stands for."""
        if at == len(plans):
            yield (), ()
            return
        plan = plans[at]
        samples = plan.samples(scratch)
        whole = plan.all or not (samples.blind or scratch.arity)
        for value in samples.each() if fixed[at] is None else (fixed[at],):
            scratch.vars[plan.variable.name] = value
            alone = fixed[at] is not None or (whole and not samples.stands_for_more(value))
            for index, pattern in self._instances(scratch, fixed, plans, at + 1):
                yield (value, *index), (value if alone else None, *pattern)


class _Part:
    """One of the alternatives of a condition. Of an `exists`, only what a changed cell takes part
    in is looked at: for all other values it holds as before."""

    def __init__(self, node: ir.Expr, compiler: Compiler) -> None:
        self._whole = compiler.expr(node)
        self._inside = self._whole
        self._bound: frozenset[str] = frozenset()
        if isinstance(node, ir.Quant) and node.kind == "exists":
            self._inside = compiler.expr(node.body)
            self._bound = frozenset(v.name for v in node.vars)
        self._cells = list(_cells(node))

    def about(self, changed: Cell) -> Iterator[tuple[Fn, dict[str, Any]]]:
        """The tests a cell takes part in, with the bound variables its index decides."""
        state, index = changed
        for cell in self._cells:
            if cell.state != state:
                continue
            bound = {
                i.name: value
                for i, value in zip(cell.indices, index, strict=True)
                if isinstance(i, ir.Var) and i.name in self._bound and value is not None
            }
            if bound.keys() == self._bound:
                yield self._inside, bound
            else:
                yield self._whole, {}


def _alternatives(node: ir.Expr) -> tuple[ir.Expr, ...]:
    return node.args if isinstance(node, ir.Op) and node.op == "or" else (node,)


def _may_hold(store: Store, test: Fn, names: dict[str, Any]) -> bool:
    simple = Path(store, {}, [])
    simple.vars = dict(names)
    truth = test(simple)
    if (truth is True or truth is False) and not simple.arity:
        return truth

    def step(path: Path) -> bool:
        path.vars = dict(names)
        return path.decide(test(path))

    found = explore(store, {}, step, until=True)
    return found.overflow or any(holds for _, holds in found.ways)


def _cells(node: ir.Expr) -> Iterator[ir.Cell]:
    if isinstance(node, ir.Cell):
        yield node
    for child in children(node):
        yield from _cells(child)
