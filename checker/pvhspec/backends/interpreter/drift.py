"""What the world outside may have changed while it could.

A cell that drifts is read as whatever it may have become. Once the condition of a drift is over,
what it did before stays: so just before a step changes what a condition reads, the cells that may
have drifted until then are marked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pvhspec.backends.interpreter.evaluate import Compiler
from pvhspec.backends.interpreter.path import Path, explore
from pvhspec.backends.interpreter.quantify import Plan, children
from pvhspec.backends.interpreter.store import Cell, Store
from pvhspec.backends.interpreter.values import ANY
from pvhspec.ir import ir

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
            for fixed in dict.fromkeys(f for cell in changed for f in kind.about(cell)):
                kind.mark(store, fixed)


class _Kind:
    def __init__(self, state: ir.State, drift: ir.Expr, compiler: Compiler) -> None:
        self._state = state
        self._names = tuple(v.name for v in state.indices)
        self._test = compiler.expr(drift)
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

    def mark(self, store: Store, fixed: Index) -> None:
        """Mark the cells of these indices that may have drifted."""
        for index, pattern in list(self._instances(Path(store, {}, []), fixed, self._plans)):
            value = store.read(self._state.name, index)
            if value is ANY or value is self._becomes or not self._possible(store, index):
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

    def _possible(self, store: Store, index: Index) -> bool:
        def step(path: Path) -> bool:
            path.vars = dict(zip(self._names, index, strict=True))
            return path.decide(self._test(path))

        found = explore(store, {}, step, until=True)
        return found.overflow or any(holds for _, holds in found.ways)


def _cells(node: ir.Expr) -> Iterator[ir.Cell]:
    if isinstance(node, ir.Cell):
        yield node
    for child in children(node):
        yield from _cells(child)
