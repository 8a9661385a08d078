"""The interpreter, with a record of all that hung on something unknown.

A part of a step that met nothing unknown goes the same way whatever the rest was: it is kept as
what it changed. Only the others have to be gone through again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pvhspec.backends.interpreter.explain import shown_value
from pvhspec.backends.interpreter.machine import Look, Machine
from pvhspec.backends.interpreter.operation import Outcome as StepOutcome
from pvhspec.backends.interpreter.operation import Stepper
from pvhspec.backends.interpreter.path import MAX_PATHS, Explored, Path, explore
from pvhspec.backends.interpreter.store import Cell
from pvhspec.backends.interpreter.values import is_known
from pvhspec.backends.protocol import Call, Fact, Finding, Seen
from pvhspec.backends.whole.weak import Weak, Weakener
from pvhspec.ir.ir import Operation

__all__ = ["Forgotten", "Outcome", "Part", "Recorder", "Step", "kept"]

_MOST_JUDGED = 8 * MAX_PATHS  # ways of a call that are looked at without what they change

Outcome = dict[Cell, tuple[Any, str | None]]


@dataclass(slots=True)
class Part:
    """A part of a step: a call, a requirement for one value, or what an event changes.

    `plain`: what it changed, where it met nothing unknown. `open`: the cells it read of which not
    everything was known. `vague`: it may hang on more than those. `fails`: it can go wrong.
    `touched`: cells it changes in some way; `settled`: those of them that are known after it,
    however it went; `blurred`: states it changes without saying where. `lost`: what is
    no more known after it, if it has too many ways to follow.
    """

    seen: Seen
    clause: str | None
    look: Look
    plain: Outcome | None
    open: frozenset[Cell] = frozenset()
    vague: bool = False
    fails: bool = False
    settled: tuple[Cell, ...] = ()
    touched: tuple[Cell, ...] = ()
    blurred: tuple[str, ...] = ()
    lost: Weak | None = field(default_factory=Weak)


@dataclass(slots=True)
class Forgotten:
    """States of which nothing is known from here on: records were lost, or a call disturbs them."""

    states: tuple[str, ...]


Step = Part | Forgotten | Weak


class Recorder(Machine):
    """A machine that keeps a record. What follows a violation is not recorded."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.steps: list[Step] = []
        self.needed: list[tuple[int, Fact]] = []
        self.violated: Finding | None = None
        self.violated_at: Seen | None = None
        self.start = self.store.saved()
        self._weakener = Weakener(
            self.spec, self._compiled.compiler, options.get("all_domains", True)
        )
        self._latest: Part | None = None
        self.patience = math.inf  # seconds left to look again at calls with too many ways

    def finish(self) -> None:
        """The last event has been fed."""
        self._settle()

    def weak(self, seen: Seen) -> Weak:
        """What may be otherwise after an event, whatever came of it. Events are to be given in
        order, from the start."""
        if seen.kind == "lost":
            lost = {n for n, state in self.spec.states.items() if not state.given}
            self._weakener.lose(lost)
            return Weak(lost=lost)
        found = Weak()
        for watcher in self._compiled.watchers(seen.kind):
            found.add(self._weakener.of(watcher.block.updates, seen.fields))
        if seen.call is not None:
            op = seen.call.operation
            found.add(self._weakener.of((*op.updates, *op.always), seen.fields))
            found.lost |= {*(self.spec.states if "*" in op.disturbs else op.disturbs)}
            self._weakener.lose(found.lost)
        return found

    def weaken(self, weak: Weak, *, long: bool = False) -> None:
        """An event of which only this is known; `long`: there may have been many."""
        self._settle()
        if long:
            weak.add(self._weakener.drifted())
        if weak.smears or weak.lost:
            self.steps.append(weak)
            self.store.blur([weak])

    # ---- what the interpreter tells ------------------------------------------------------------

    def _looked(self, seen: Seen, clause: str | None, look: Look, found: Explored) -> None:
        self._settle()
        if self.violated is not None:
            return
        ways = [path for path, _ in kept(found)]
        if not ways and not found.overflow:
            self.violated, self.violated_at = why(found, clause), seen
        if found.certain and len(ways) == 1 and not ways[0].open_cells:
            plain = ways[0].outcome()
            if plain and not ways[0].smears and not ways[0].lost:
                self.steps.append(Part(seen, clause, look, plain))
                return
            if not plain and not ways[0].smears and not ways[0].lost:
                return
        self._note(Part(seen, clause, look, None), found, ways)

    def _lost(self, states: Iterable[str]) -> None:
        states = tuple(states)
        if self._latest is not None and self._latest.lost is None:
            self._latest.lost = Weak(lost=set(states))
            self._latest = None
        elif self.violated is None:
            self._settle()
            self.steps.append(Forgotten(states))
        super()._lost(states)

    def _overflowed(self, seen: Seen, call: Call, found: Explored) -> Explored:
        """What the ways have in common before the call may still be told, or that there is none."""
        if self.violated is not None or self.patience <= 0:
            return found
        start = time.monotonic()
        stepper = self._compiled.stepper(call.operation)

        def run(path: Path) -> StepOutcome:
            return stepper.step(path, call, changes=False)

        found = explore(self.store, seen.fields, run, _MOST_JUDGED)
        if found.ways and not found.overflow:
            self._settle()
            self.store.merge([p.outcome() for p, _ in found.ways], seen.seq)
            found.overflow = True
        self.patience -= time.monotonic() - start
        return found

    def _left_open(self, stepper: Stepper, seen: Seen, call: Call) -> None:
        self._lose(call.operation, seen)

    def _lose(self, op: Operation, seen: Seen) -> None:
        """Less is forgotten than what the operation may have changed: what it may have made of
        it is known."""
        weak = self._weakener.of((*op.updates, *op.always), seen.fields)
        if self._latest is not None and self._latest.lost is None:
            self._latest.lost, self._latest = weak, None
        else:
            self._settle()
            self.steps.append(weak)
        self.store.blur([weak])

    def _note(self, part: Part, found: Explored, ways: list[Path]) -> None:
        paths = [*(p for p, _ in found.ways), *(p for p, _ in found.failed)]
        part.open = frozenset(cell for p in paths for cell in p.open_cells)
        read = {state for p in paths for state, _ in p.cells}
        part.vague = found.overflow or any(p.smears or p.lost for p in paths)
        part.vague |= any(self.store.is_vague(s) for s in read)
        part.fails = found.overflow or len(ways) < len(paths)
        if found.overflow:
            part.lost = None  # told next
        self.steps.append(part)
        part.touched = tuple(dict.fromkeys(cell for p in ways for cell in p.outcome()))
        blurred = {s for p in ways for s in (*p.lost, *(state for state, _, _ in p.smears))}
        part.blurred = tuple(blurred)
        self._latest = part
        if len(ways) == 1 and len(paths) > 1:
            self._need(part.seen.seq, ways[0])

    def _need(self, seq: int, way: Path) -> None:
        """There was one way only: what it took for granted of the state has to be so."""
        for state, index in way.open_cells:
            value = way.resolve(way.cells[state, index])
            before = self.store.read(state, index)
            if is_known(value) and not is_known(before):
                shown = shown_value(value, self.spec.states[state].type)
                name = f"{state}[{', '.join(map(str, index))}]" if index else state
                maker = self.store.writers.get((state, index), ())
                self.needed.append((seq, Fact(name, shown, *maker)))

    def _settle(self) -> None:
        """Which cells are known now, whatever way the last part went."""
        if self._latest is None:
            return
        part, self._latest = self._latest, None
        part.settled = tuple(cell for cell in part.touched if is_known(self.store.read(*cell)))


def kept(found: Explored) -> list[tuple[Path, Any]]:
    """The ways that are allowed: of a call with its outcome."""
    return [(path, answer) for path, answer in found.ways if answer is not False]


def why(found: Explored, clause: str | None) -> Finding:
    """What the first way that is not allowed fails at."""
    if found.failed:
        reason = found.failed[0][1]
        assert isinstance(reason, Finding)
        return reason
    assert clause is not None
    return Finding(clause, "what the event shows", "see the clause")
