"""Two traces of one run side by side: which of their events are the same one.

Hypercalls, CPUID, MSRs and entries are seen by many; two of them are the same if nothing that both
say of what was asked differs. Each trace is read once, and of each a stretch is looked at ahead, so
that what only one of them saw is found out without holding either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from pvhspec.traces.event import Event

__all__ = ["SHARED", "Pair", "aligned"]

_AHEAD = 2048  # events that can be shared, of each trace
_MOST_ALIKE = 64  # of one number that are tried
_MOST = 1 << 15  # events of any kind, of each trace

#: What two traces may share: kinds, and fields in which the same event cannot differ.
SHARED = {
    "hypercall": ("nr",),
    "cpuid": ("leaf", "subleaf"),
    "msr": ("op", "index"),
    "entry": (),
}
_MUST = {"hypercall": "nr", "cpuid": "leaf", "msr": "index"}  # without which nothing is told


class Pair(NamedTuple):
    """An event of the first trace, of the second, or of both."""

    first: Event | None
    second: Event | None


class _Side:
    """One trace: what was looked at ahead."""

    def __init__(self, events: Iterable[Event], kinds: Collection[str]) -> None:
        self._events = iter(events)
        self._kinds = kinds
        self.ahead: deque[Event] = deque()
        self.anchors: deque[int] = deque()  # which of them can be shared, counted from the start
        self.passed = 0

    def fill(self) -> None:
        while len(self.anchors) < _AHEAD and len(self.ahead) < _MOST:
            event = next(self._events, None)
            if event is None:
                return
            if event.kind in self._kinds and event.get(_MUST.get(event.kind, "view")) is not None:
                self.anchors.append(self.passed + len(self.ahead))
            self.ahead.append(event)

    def anchor(self, index: int) -> Event:
        return self.ahead[self.anchors[index] - self.passed]

    def until(self, index: int) -> Iterator[Event]:
        """Give away everything before this event that can be shared."""
        last = self.anchors[index] if index < len(self.anchors) else self.passed + len(self.ahead)
        while self.passed < last:
            yield self.take()

    def take(self) -> Event:
        """Give away the next."""
        if self.anchors and self.anchors[0] == self.passed:
            self.anchors.popleft()
        self.passed += 1
        return self.ahead.popleft()


def aligned(
    first: Iterable[Event], second: Iterable[Event], kinds: Collection[str]
) -> Iterator[Pair]:
    """All events of both, those of the first before those of the second where neither trace says
    what came before what. `kinds` are those of `SHARED` that both traces have."""
    one, two = _Side(first, kinds), _Side(second, kinds)
    while True:
        one.fill()
        two.fill()
        if not one.ahead and not two.ahead:
            return
        if not one.anchors or not two.anchors:
            # Nothing more is shared in what can be seen: the longer a stretch, the sooner it goes.
            for event in one.until(0):
                yield Pair(event, None)
            for event in two.until(0):
                yield Pair(None, event)
            if one.anchors and not two.anchors:
                yield Pair(one.take(), None)
            elif two.anchors and not one.anchors:
                yield Pair(None, two.take())
            continue
        mine, other = _nearest(one, two)
        for event in one.until(mine):
            yield Pair(event, None)
        for event in two.until(other):
            yield Pair(None, event)
        a, b = one.take(), two.take()
        if mine == other == 0 and not _same(a, b):
            yield Pair(a, None)
            yield Pair(None, b)
        else:
            yield Pair(a, b)


def _nearest(one: _Side, two: _Side) -> tuple[int, int]:
    """The next two that are the same, with the least passed over; (0, 0) where there are none."""
    if _same(one.anchor(0), two.anchor(0)):
        return 0, 0
    alike: dict[object, list[int]] = {}
    for index in range(len(two.anchors)):
        alike.setdefault(_what(two.anchor(index)), []).append(index)
    least, found = len(one.anchors) + len(two.anchors), (0, 0)
    for here in range(len(one.anchors)):
        if here >= least:
            break
        event = one.anchor(here)
        for there in alike.get(_what(event), ())[:_MOST_ALIKE]:
            if here + there >= least:
                break
            if _same(event, two.anchor(there)):
                least, found = here + there, (here, there)
    return found


def _what(event: Event) -> object:
    return event.kind, event.get(_MUST.get(event.kind, "kind"))


def _same(a: Event, b: Event) -> bool:
    if a.kind != b.kind or _differ(a.vcpu, b.vcpu) or _differ(a.dom, b.dom):
        return False
    if any(_differ(a.get(name), b.get(name)) for name in SHARED[a.kind]):
        return False
    args = zip(a.get("args") or (), b.get("args") or (), strict=False)
    return not any(_differ(x, y) for x, y in args)


def _differ(x: object, y: object) -> bool:
    return x is not None and y is not None and x != y
