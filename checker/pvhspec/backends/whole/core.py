"""The events that are at odds: as few as say by themselves that nothing conforms.

An event that is taken away keeps its place but not what came of it, as if its result had not been
seen, so that the rest only ever allows more. What is left is minimal: with what came of any one of
them hidden, too, an execution can be found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pvhspec.backends.protocol import Seen
from pvhspec.backends.whole.record import Recorder
from pvhspec.backends.whole.search import Answer, search
from pvhspec.backends.whole.weak import Weak

__all__ = ["Core", "Fresh", "contradiction", "hidden", "record", "retraced"]

_FEW = 200  # events that are gone through in every way for each event of the core
_DONE = ("store", "lost")  # what is no answer of the hypervisor's

Fresh = Callable[[], Recorder]


@dataclass(frozen=True, slots=True)
class Core:
    """Events by number. `minimal` False: of some it was not found out whether they are needed."""

    events: tuple[int, ...]
    minimal: bool


def record(machine: Recorder, events: Sequence[Seen], every_event: bool) -> Recorder:
    """Go through events, up to a violation. `every_event` False: any may be missing."""
    for seen in events:
        if seen.kind == "lost" or not every_event:
            machine.forget()
        for _ in machine.feed(seen):
            pass
        if machine.violated is not None:
            break
    machine.finish()
    return machine


def contradiction(fresh: Fresh, events: Sequence[Seen], every_event: bool, budget: float) -> Core:
    """The core of events that contradict each other, of which the last is one."""
    return _Shrinker(fresh, events, every_event, time.monotonic() + budget).run()


def hidden(seen: Seen) -> Seen | None:
    """An event with nothing known of what came of it; None if nothing is left of it."""
    call = seen.call
    if call is None:
        return seen if seen.kind in _DONE else None
    fields = {
        name: value
        for name, value in seen.fields.items()
        if name not in ("ret", "clobbered", "writable") and not name.startswith("out.")
    }
    less = replace(call, ret=None, before=None, after=None, strayed=())
    return replace(seen, fields=fields, call=less)


class _Shrinker:
    def __init__(self, fresh: Fresh, events: Sequence[Seen], every_event: bool, end: float) -> None:
        self._fresh = fresh
        self._events = events
        self._every = every_event
        self._end = end
        self._before = [Weak()]  # what may have happened before each event
        self._weak: list[Weak] = []
        machine = fresh()
        for seen in events:
            self._weak.append(machine.weak(seen))
            before = Weak(list(self._before[-1].smears), set(self._before[-1].lost))
            before.add(self._weak[-1])
            self._before.append(before)

    def run(self) -> Core:
        start = self._latest_start()
        window = range(start, len(self._events) - 1)
        able = [i for i in window if self._events[i].kind not in _DONE]
        last = len(self._events) - 1
        needed = [*self._needed(start, [last], able, False), last]
        return Core(*self._tried(start, sorted(needed)))

    def _tried(self, start: int, needed: list[int]) -> tuple[tuple[int, ...], bool]:
        """Each once more, with all others gone through in each way they may have gone; and
        whether it was found out of each that it is needed."""
        decided = True
        start = 0 if len(self._events) <= _FEW else start
        for one in needed[:-1]:
            fewer = [i for i in needed if i != one]
            answer = self._exactly(start, {*fewer})
            if answer == "none":
                needed = fewer
            decided &= answer != "open"
        return tuple(self._events[i].seq for i in needed), decided

    def _exactly(self, start: int, seen: set[int]) -> str:
        left = self._end - time.monotonic()
        if left <= 0 or len(self._events) - start > _FEW:
            return "open"
        machine = self._fresh()
        if start:
            machine.weaken(self._before[start], long=True)
        for i in range(start, len(self._events)):
            event = self._events[i] if i in seen else hidden(self._events[i])
            if event is not None:
                record(machine, [event], self._every)
            if machine.violated is not None:
                return "none"
        machine.finish()
        return retraced(machine, left).status

    def _latest_start(self) -> int:
        """The first event of which more need be known than that it happened: it can be found fast,
        for of all before it nothing has to be gone through."""
        last = len(self._events) - 1
        size, too_late = 1, len(self._events)
        while last + 1 - size > 0 and not self._contradict(last + 1 - size, None):
            too_late, size = last + 1 - size, 2 * size
        start = max(0, last + 1 - size)
        while start + 1 < too_late:
            middle = (start + too_late) // 2
            if self._contradict(middle, None):
                start = middle
            else:
                too_late = middle
        return start

    def _needed(self, start: int, sure: list[int], able: list[int], more: bool) -> list[int]:
        """Which of `able` have to be seen, beside those that are (QuickXplain)."""
        if more and self._contradict(start, {*sure}):
            return []
        if len(able) <= 1:
            if not able or (not more and self._contradict(start, {*sure})):
                return []
            return able
        half = len(able) // 2
        early, late = able[:half], able[half:]
        of_late = self._needed(start, [*sure, *early], late, True)
        of_early = self._needed(start, [*sure, *of_late], early, bool(of_late))
        return [*of_early, *of_late]

    def _contradict(self, start: int, seen: set[int] | None) -> bool:
        """Whether the events from `start` on do, with only the results of some to be seen, and
        whatever those before have made of all that they may change."""
        left = self._end - time.monotonic()
        if left <= 0:
            return False
        machine = self._fresh()
        if start:
            machine.weaken(self._before[start], long=True)
        for i in range(start, len(self._events)):
            event = self._events[i]
            if seen is None or i in seen or event.kind in _DONE:
                record(machine, [event], self._every)
            elif event.call is not None:
                machine.weaken(self._weak[i])
            if machine.violated is not None:
                return True
        machine.finish()
        answer = retraced(machine, left)
        return answer.status == "none"


def retraced(machine: Recorder, budget: float) -> Answer:
    """Look for an execution that shows all that a machine has recorded."""
    machine.store.restore(machine.start)
    return search(machine.steps, machine.store, budget)
