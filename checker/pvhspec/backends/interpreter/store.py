"""The state between events: total maps, sparse, each cell known, one of a few, or unknown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pvhspec.backends.interpreter.values import ANY, OneOf
from pvhspec.ir.ir import State

__all__ = ["Cell", "Drift", "Kept", "Store"]

Cell: TypeAlias = tuple[str, tuple[Any, ...]]
Smears: TypeAlias = dict[str, list[tuple[tuple[Any, ...], Any]]]
Saved: TypeAlias = tuple[dict[str, dict[tuple[Any, ...], Any]], Smears, set[str]]
Kept: TypeAlias = tuple[
    dict[str, dict[tuple[Any, ...], Any]], Smears, set[str], dict[Cell, tuple[int, str]]
]

_MOST_VALUES = 8  # a cell that may have more values is unknown


@dataclass(frozen=True, slots=True)
class Drift:
    """How and when the world outside may change the cells of a state.

    `names` are the variables its condition knows the indices by, `uses` the places of those it
    speaks of: cells that differ elsewhere only, drift together.
    """

    rises: bool
    test: Callable[[Any], Any]
    names: tuple[str, ...]
    uses: tuple[int, ...]


class Blurred(Protocol):
    """One way a step may have gone: writes whose index is unknown, and states lost."""

    smears: list[tuple[str, tuple[Any, ...], Any]]
    lost: set[str]


class _Touched(dict[tuple[Any, ...], Any]):
    """The cells of a state that were touched; `places` has, for each place of an index, the values
    that stand there and how often."""

    __slots__ = ("places",)

    def __init__(self, places: int, cells: Mapping[tuple[Any, ...], Any] | None = None) -> None:
        super().__init__()
        self.places: tuple[dict[Any, int], ...] = tuple({} for _ in range(places))
        for index, value in (cells or {}).items():
            self[index] = value

    def __setitem__(self, index: tuple[Any, ...], value: Any) -> None:
        if index not in self:
            for counts, i in zip(self.places, index, strict=True):
                counts[i] = counts.get(i, 0) + 1
        super().__setitem__(index, value)

    def __delitem__(self, index: tuple[Any, ...]) -> None:
        super().__delitem__(index)
        for counts, i in zip(self.places, index, strict=True):
            counts[i] -= 1
            if not counts[i]:
                del counts[i]

    def clear(self) -> None:
        super().clear()
        for counts in self.places:
            counts.clear()


class Store:
    """Cells by state and index. A cell that was never touched has its initial value, unless a
    write with an unknown index may have hit it."""

    def __init__(
        self,
        states: dict[str, State],
        initial: dict[str, Callable[[tuple[Any, ...]], Any]],
        drifts: Mapping[str, Drift],
        drift_reads: frozenset[str] = frozenset(),
        settle: Callable[[Store, list[Cell]], None] = lambda store, changed: None,
    ) -> None:
        self._states = states
        self._initial = initial
        self._drifts = drifts
        self._drift_reads = drift_reads
        self._settle = settle
        self._cells = {name: _Touched(len(state.indices)) for name, state in states.items()}
        self._smears: Smears = {}
        self._lost: set[str] = set()
        self.changes = dict.fromkeys(states, 0)  # how often a state has changed
        self._drifts_now: dict[Cell, bool] = {}
        self.writers: dict[Cell, tuple[int, str]] = {}

    def read(self, state: str, index: tuple[Any, ...]) -> Any:
        """What is known of a cell."""
        cells = self._cells[state]
        if index in cells:
            return cells[index]
        if state in self._lost:
            return ANY
        value = self._initial[state](index)
        for pattern, other in self._smears.get(state, ()):
            if _matches(pattern, index):
                value = _join(value, other)
        return value

    def keys(self, state: str) -> Iterable[tuple[Any, ...]]:
        """The indices of the cells that were touched."""
        return self._cells[state].keys()

    def touched(self, state: str, place: int) -> Collection[Any]:
        """What stands at a place of the indices of the cells that were touched."""
        return self._cells[state].places[place].keys()

    def smears(self, state: str) -> Iterable[tuple[Any, ...]]:
        """The patterns of the cells that a write may have hit; None matches every index."""
        return (pattern for pattern, _ in self._smears.get(state, ()))

    def drift(self, state: str) -> Drift | None:
        """How and when the world outside may change a cell."""
        return self._drifts.get(state)

    def drifts_now(self, drifting: Cell) -> bool | None:
        """Whether cells drift in the present state, if that was found out already."""
        return self._drifts_now.get(drifting)

    def note_drift(self, drifting: Cell, drifts: bool) -> None:
        """Remember whether cells drift, until the state changes."""
        self._drifts_now[drifting] = drifts

    def write(self, state: str, index: tuple[Any, ...], value: Any) -> None:
        """Set a cell."""
        self._changed(state)
        self._cells[state][index] = value

    def smear(self, state: str, pattern: tuple[Any, ...], value: Any) -> None:
        """One cell that matches a pattern (None matches all) got a value, nobody saw which."""
        self._changed(state)
        for index, old in self._cells[state].items():
            if _matches(pattern, index):
                self._cells[state][index] = _join(old, value)
        self._smears.setdefault(state, []).append((pattern, value))

    def blend(self, state: str, index: tuple[Any, ...], value: Any) -> None:
        """A cell has its value still, or this one."""
        self.write(state, index, _join(self.read(state, index), value))

    def blur(self, ways: Iterable[Blurred]) -> None:
        """Take over what several ways a step may have gone wrote without saying where."""
        ways = list(ways)
        vague = [(s, pattern) for way in ways for s, pattern, _ in way.smears]
        vague += [(s, (None,) * len(self._states[s].indices)) for way in ways for s in way.lost]
        self._before_change(vague)
        for way in ways:
            for state, pattern, value in way.smears:
                self.smear(state, pattern, value)
            for state in way.lost:
                self.lose(state)

    def lose(self, state: str) -> None:
        """Nothing is known of a state any more."""
        self._changed(state)
        for index in self._cells[state]:
            self.writers.pop((state, index), None)
        self._cells[state].clear()
        self._smears.pop(state, None)
        self._lost.add(state)

    def unwrite(self) -> None:
        """Nobody knows any more who wrote a cell, but of states that are given."""
        for cell in [cell for cell in self.writers if not self._states[cell[0]].given]:
            del self.writers[cell]

    def kept(self, states: Collection[str]) -> Kept:
        """All that is known of these states, and who wrote it; nothing where that is as it was."""
        cells, smears, lost = self.saved()
        writers = {cell: by for cell, by in self.writers.items() if cell[0] in states}
        return (
            {state: found for state, found in cells.items() if found and state in states},
            {state: found for state, found in smears.items() if state in states},
            lost.intersection(states),
            writers,
        )

    def keep(self, kept: Kept) -> None:
        """Know that of those states, before anything has happened."""
        cells, smears, lost, writers = kept
        for state, found in cells.items():
            self._cells[state] = _Touched(len(self._states[state].indices), found)
        self._smears |= {state: list(found) for state, found in smears.items()}
        self._lost |= lost
        self.writers |= writers
        for state in {*cells, *smears, *lost}:
            self._changed(state)

    def saved(self) -> Saved:
        """All that is known, to come back to."""
        cells = {state: dict(cells) for state, cells in self._cells.items()}
        return cells, {s: list(found) for s, found in self._smears.items()}, set(self._lost)

    def restore(self, saved: Saved) -> None:
        """Know again what was known then, and no more."""
        cells, smears, lost = saved
        self._cells = {s: _Touched(len(self._states[s].indices), c) for s, c in cells.items()}
        self._smears = {s: list(found) for s, found in smears.items()}
        self._lost = set(lost)
        for state in self._states:
            self._changed(state)

    def fork(self) -> Store:
        """Another state that is like this one so far."""
        other = copy(self)
        other.changes, other._drifts_now = dict(self.changes), {}
        other.writers = copy(self.writers)
        other.restore(self.saved())
        return other

    def join(self, other: Store) -> None:
        """Know only what the other knows, too: every cell has its value here, or the one there."""
        for state, cells in self._cells.items():
            self._changed(state)
            there = other._cells[state]
            for index in {**cells, **there}:
                cells[index] = _join(self.read(state, index), other.read(state, index))
            for vague in other._smears.get(state, ()):
                if vague not in self._smears.get(state, ()):
                    self._smears.setdefault(state, []).append(vague)
        self._lost |= other._lost

    def is_vague(self, state: str) -> bool:
        """Whether something is not known of cells that were not touched."""
        return state in self._lost or state in self._smears

    def _changed(self, state: str) -> None:
        """Forget which cells drift, if that hangs on this state."""
        self.changes[state] += 1
        if state in self._drift_reads:
            self._drifts_now.clear()

    def _before_change(self, cells: list[Cell]) -> None:
        """What may have drifted until now stays so, though it may drift no more."""
        read = [cell for cell in cells if cell[0] in self._drift_reads]
        if read:
            self._settle(self, read)

    def merge(self, outcomes: list[dict[Cell, tuple[Any, str | None]]], seq: int) -> None:
        """Take over what several ways a step may have gone have in common."""
        written = (
            key
            for outcome in outcomes
            for key, (value, clause) in outcome.items()
            if clause is not None and value != self.read(*key)
        )
        self._before_change(list(dict.fromkeys(written)))
        touched: dict[Cell, None] = {}
        for outcome in outcomes:
            touched.update(dict.fromkeys(outcome))
        for key in touched:
            state, index = key
            values: list[Any] = []
            writer: str | None = None
            for outcome in outcomes:
                value, clause = outcome.get(key, (None, None))
                values.append(value if key in outcome else self.read(state, index))
                writer = writer or clause
            merged = values[0]
            for value in values[1:]:
                merged = _join(merged, value)
            known = index in self._cells[state]
            if merged == self.read(state, index):
                if not known:
                    continue  # nothing new: the cell stays untouched
            else:
                self._changed(state)
                self._cells[state][index] = merged
            if self._as_untouched(state, index, merged):
                del self._cells[state][index]
            if writer is not None:
                self.writers[key] = (seq, writer)

    def _as_untouched(self, state: str, index: tuple[Any, ...], value: Any) -> bool:
        """Whether a cell that is kept holds what it would if it had never been touched."""
        if state in self._smears or state in self._lost or self._states[state].given:
            return False
        return index in self._cells[state] and bool(value == self._initial[state](index))


def _matches(pattern: tuple[Any, ...], index: tuple[Any, ...]) -> bool:
    return all(p is None or p == i for p, i in zip(pattern, index, strict=True))


def _join(a: Any, b: Any) -> Any:
    if a is ANY or b is ANY:
        return ANY
    values = (a.values if isinstance(a, OneOf) else {a}) | (
        b.values if isinstance(b, OneOf) else {b}
    )
    if len(values) == 1:
        return a
    return OneOf(frozenset(values)) if len(values) <= _MOST_VALUES else ANY
