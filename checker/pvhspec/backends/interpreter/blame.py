"""Whose doing a violation may be, where it shows only in a later look at the state.

A shared word or a port's status that is not as it should be is seen by a look at it; what went
wrong is the step before. If a clause wrote the cell since it was last seen to be right, it is that
clause; else it is the last call since then, which should have left the cell alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from pvhspec.backends.interpreter.observation import Requirement
from pvhspec.backends.interpreter.path import Path
from pvhspec.backends.interpreter.store import Store
from pvhspec.backends.protocol import Finding
from pvhspec.ir.ir import Cell, Expr, Operation, Var
from pvhspec.ir.walk import children

__all__ = ["Blame", "related"]

_MOST = 256  # calls that are remembered


def related(finding: Finding, clauses: tuple[str, ...]) -> Finding:
    """A finding that names these clauses, too, before others that it names."""
    others = (c for c in finding.related if c not in clauses)
    return replace(finding, related=(*(c for c in clauses if c != finding.clause), *others))


class Blame:
    """Remembers what was done, and when each requirement was last seen to hold."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        self._calls: deque[tuple[int, Operation, bool]] = deque(maxlen=_MOST)

    def fork(self) -> Blame:
        """The same, to go on by itself."""
        other = Blame()
        other._held, other._calls = dict(self._held), self._calls.copy()
        return other

    def after(self, earlier: Blame) -> Blame:
        """The same, had it begun with what another remembers."""
        other = earlier.fork()
        other._held |= self._held
        other._calls += self._calls
        return other

    def called(self, seq: int, op: Operation, succeeded: bool) -> None:
        """A call returned."""
        self._calls.append((seq, op, succeeded))

    def held(self, clause: str, seq: int) -> None:
        """A requirement was seen to hold in all it says."""
        self._held[clause] = seq

    def of_look(self, requirement: Requirement, path: Path, store: Store) -> tuple[str, ...]:
        """The clause to look at, for a requirement that does not hold."""
        states = _looked_at(requirement.text)
        since = self._held.get(requirement.clause, -1)
        written = _last_written(path, store, states)
        if written is not None and written[0] > since:
            return (written[1],)
        if not states or not self._calls or self._calls[-1][0] <= since:
            return ()
        _, op, succeeded = self._calls[-1]
        return (op.success if succeeded else op.frame,)

    def of_answer(self, op: Operation, path: Path, store: Store) -> tuple[str, ...]:
        """The same for a call that told of the state what is not so."""
        written = _last_written(path, store, None)
        if written is None or written[1].startswith(op.id):
            return ()
        return (written[1],)


def _last_written(path: Path, store: Store, states: Any) -> tuple[int, str] | None:
    """Event and clause of the last write to a cell that a run read."""
    found = [
        store.writers[cell]
        for cell in path.reads
        if cell in store.writers and (states is None or cell[0] in states)
    ]
    return max(found, default=None)


def _looked_at(test: Expr) -> frozenset[str]:
    """The states whose cells a requirement looks at one by one."""
    own: set[str] = set()
    if isinstance(test, Cell) and any(isinstance(index, Var) for index in test.indices):
        own.add(test.state)
    return frozenset(own.union(*(_looked_at(child) for child in children(test))))
