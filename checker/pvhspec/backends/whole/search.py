"""An execution that shows all of a trace, or that there is none.

Depth first, with one choice at a time; where nothing is left, back to the last choice that has a
bearing on it, not merely to the last. For that, each cell whose content hangs on choices knows on
which: a set of positions, as the bits of a number.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pvhspec.backends.interpreter.operation import Outcome
from pvhspec.backends.interpreter.path import Path
from pvhspec.backends.interpreter.store import Cell, Saved, Store
from pvhspec.backends.protocol import Finding, Seen
from pvhspec.backends.whole.record import Forgotten, Part, Step, kept, why
from pvhspec.backends.whole.weak import Weak

__all__ = ["Answer", "search"]

Way = tuple[Path, "int | None"]  # and the result of the call, where it is one

_MASK = (1 << 64) - 1


@dataclass(slots=True)
class Answer:
    """`found`: an execution that shows it all. `none`: there is none; `at` is the event that no
    execution gets past, and `finding` what it fails at in the last that was tried. `open`: it was
    not decided, for `why`."""

    status: Literal["found", "none", "open"]
    at: Seen | None = None
    finding: Finding | None = None
    why: str = ""


@dataclass(slots=True)
class _Choice:
    """A part that may go several ways: the next to try, the state before it, on what the ways
    themselves hang, and on what those hang that were tried in vain."""

    position: int
    ways: list[Way]
    before: tuple[Saved, _Reasons]
    reasons: int
    tried: int = 1
    conflict: int = 0


@dataclass(slots=True)
class _Reasons:
    """The choices that the content of cells, and of whole states, hangs on."""

    cells: dict[Cell, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)

    def copy(self) -> _Reasons:
        return _Reasons(dict(self.cells), dict(self.states))

    def of(self, cell: Cell) -> int:
        return self.cells.get(cell, 0) | self.states.get(cell[0], 0)


def search(steps: list[Step], store: Store, budget: float) -> Answer:
    """Look for an execution. `store` is the state at the start, `steps` a record of the trace in
    which no event alone is a violation."""
    last = max((i for i, s in enumerate(steps) if isinstance(s, Part) and s.fails), default=-1)
    return _Search(steps[: last + 1], store, time.monotonic() + budget).run()


class _Search:
    def __init__(self, steps: list[Step], store: Store, end: float) -> None:
        self._steps = steps
        self._store = store
        self._end = end
        self._reasons = _Reasons()
        self._choices: list[_Choice] = []
        self._exact = True
        self._result: tuple[Seen, int] | None = None
        self._farthest = (-1, Answer("none"))

    def run(self) -> Answer:
        at = 0
        while at < len(self._steps):
            if time.monotonic() > self._end:
                return Answer("open", why="not decided in the time given")
            conflict = self._step(at)
            if conflict is None:
                at += 1
                continue
            back = self._back(conflict)
            if back is None:
                return self._farthest[1]
            at = back
        if not self._exact:
            return Answer("open", why="too many possibilities to follow them all")
        return Answer("found")

    # ---- forward -------------------------------------------------------------------------------

    def _step(self, at: int) -> int | None:
        """Go on by one part; the choices it fails because of, None if it does not fail."""
        step = self._steps[at]
        if isinstance(step, Forgotten):
            for state in step.states:
                self._store.lose(state)
            return None
        if isinstance(step, Weak):
            self._store.blur([step])
            return None
        if step.plain is not None:
            self._store.merge([step.plain], step.seen.seq)
            for cell in step.plain:
                self._reasons.cells.pop(cell, None)
            return None
        return self._open_step(at, step)

    def _open_step(self, at: int, part: Part) -> int | None:
        found = part.look(self._store, self._fields(part.seen))
        if found.overflow:
            self._exact = False
            if part.lost is not None:
                self._store.blur([part.lost])
            reasons = self._all()
            for cell in part.touched:
                self._reasons.cells[cell] = reasons
            lost = part.lost or Weak()
            for state in (*lost.lost, *(s for s, _, _ in lost.smears)):
                self._reasons.states[state] = reasons
            return None
        paths = [*(p for p, _ in found.ways), *(p for p, _ in found.failed)]
        reasons = self._all() if part.vague else 0
        for cell in part.open.union(*(p.cells for p in paths)):
            reasons |= self._reasons.of(cell)
        ways = _distinct(kept(found))
        if not ways:
            if at > self._farthest[0]:
                self._farthest = at, Answer("none", part.seen, why(found, part.clause))
            return reasons
        if len(ways) > 1:
            before = self._store.saved(), self._reasons.copy()
            self._choices.append(_Choice(at, ways, before, reasons))
            reasons |= 1 << at
        self._take(part, ways[0], reasons)
        return None

    def _fields(self, seen: Seen) -> Mapping[str, Any]:
        """What the event showed; a result that it did not is the one chosen for its call."""
        if self._result is None or self._result[0] is not seen:
            return seen.fields
        return {**seen.fields, "ret": self._result[1]}

    def _take(self, part: Part, way: Way, reasons: int) -> None:
        path, result = way
        if not path.settled:
            self._exact = False
        call = part.seen.call
        if call is not None and call.ret is None and part.clause is None and result is not None:
            self._result = part.seen, result & _MASK
        outcome = path.outcome()
        self._store.merge([outcome], part.seen.seq)
        self._store.blur([path])
        self._touch(part, list(outcome), reasons)
        for state in (*path.lost, *(s for s, _, _ in path.smears)):
            self._reasons.states[state] = self._reasons.states.get(state, 0) | reasons

    def _touch(self, part: Part, cells: list[Cell], reasons: int) -> None:
        """What the part may have changed hangs on these choices; what is settled on none."""
        known = self._reasons.cells
        for cell in (*part.touched, *cells):
            known[cell] = known.get(cell, 0) | reasons
        for cell in part.settled:
            known.pop(cell, None)
        for state in part.blurred:
            self._reasons.states[state] = self._reasons.states.get(state, 0) | reasons

    def _all(self) -> int:
        made = 0
        for choice in self._choices:
            made |= 1 << choice.position
        return made

    # ---- back ----------------------------------------------------------------------------------

    def _back(self, conflict: int) -> int | None:
        """Take the next way at the last choice that has a bearing; where to go on from there."""
        while conflict:
            position = conflict.bit_length() - 1
            while self._choices[-1].position != position:
                self._choices.pop()
            choice = self._choices[-1]
            choice.conflict |= conflict & ~(1 << position)
            if choice.tried < len(choice.ways):
                saved, reasons = choice.before
                self._store.restore(saved)
                self._reasons = reasons.copy()
                part = self._steps[position]
                assert isinstance(part, Part)
                way = choice.ways[choice.tried]
                choice.tried += 1
                self._take(part, way, choice.reasons | 1 << position)
                return position + 1
            conflict = choice.conflict | choice.reasons
            self._choices.pop()
        return None


def _distinct(found: list[tuple[Path, Any]]) -> list[Way]:
    """Ways that lead to different states, or show something else."""
    ways: dict[Any, Way] = {}
    for path, answer in found:
        result = answer.result if isinstance(answer, Outcome) else None
        cells = frozenset((cell, value) for cell, (value, _) in path.outcome().items())
        smears = tuple((s, i, repr(v)) for s, i, v in path.smears)
        ways.setdefault((result, cells, smears, frozenset(path.lost)), (path, result))
    return list(ways.values())
