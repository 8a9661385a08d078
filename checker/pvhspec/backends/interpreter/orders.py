"""Calls that several vCPUs made at the same time: is there an order of them that conforms?

The interpreter judges one order; here are the orders that the calls' ends and begins allow. All
that conform are gone on with side by side, each with its own state, until a later event tells them
apart: what was seen conforms while one is left. So nothing is held against a hypervisor that some
order explains, and nothing is let pass that none does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.interpreter.machine import Carried, Machine
from pvhspec.backends.protocol import Judgement, Seen, Verdict

__all__ = ["Orders"]

_MOST_STEPS = 600  # calls judged in the search of one group
_MOST_LEFT = 8  # orders that are gone on with
_ASSUMED = ("the order of calls at the same time",)


@dataclass(slots=True)
class _Way:
    """Some of the calls in one order: the state after them, and what was said of them."""

    machine: Machine
    said: list[Judgement] = field(default_factory=list)
    taken: tuple[int, ...] = ()  # events, in this order


class Orders:
    """A machine that takes calls at the same time in every order. Fed like the machine itself;
    what is said of such calls comes with the next other event, or at `finish`. `most_steps` is how
    many calls are judged in the search of one group, `most_left` how many orders are gone on with
    side by side; of more, only what they have in common is known."""

    def __init__(
        self, machine: Machine, most_steps: int = _MOST_STEPS, most_left: int = _MOST_LEFT
    ) -> None:
        self._left = [machine]
        self._most_steps, self._most_left = most_steps, most_left
        self._waiting: list[Seen] = []
        self._forgotten = False

    def feed(self, seen: Seen) -> Iterator[Judgement]:
        """Judge one event, or keep it until all are there that may overlap with it."""
        if seen.span is not None:
            self._waiting.append(seen)
            return
        yield from self.finish()
        yield from self._step(seen)

    def finish(self) -> Iterator[Judgement]:
        """What is to be said of the calls that wait for others."""
        waiting, self._waiting = self._waiting, []
        for group in _groups(waiting):
            if len(group) == 1:
                yield from self._step(group[0])
            else:
                yield from self._race(group)
        if self._forgotten:
            self._forgotten = False
            self.forget()

    def forget(self) -> None:
        """Events may be missing here."""
        if self._waiting:
            self._forgotten = True
            return
        del self._left[1:]
        self._left[0].forget()

    def carried(self) -> Carried:
        """What is left where events are missing, once no call waits for others."""
        return self._left[0].carried()

    def carry(self, carried: Carried) -> None:
        """Begin with what an execution before this one has left."""
        self._left[0].carry(carried)

    def open_debts(self) -> list[tuple[str, int]]:
        """Obligations that are open at the end, whatever the order was."""
        first, *others = [machine.open_debts() for machine in self._left]
        return [debt for debt in first if all(debt in other for other in others)]

    def fork(self, compiled: Compiled) -> Orders:
        """Another that is like this one so far, and goes on where other rules hold."""
        other = Orders(self._left[0], self._most_steps, self._most_left)
        other._left = [machine.fork(compiled) for machine in self._left]
        other._waiting, other._forgotten = list(self._waiting), self._forgotten
        return other

    def is_as(self, other: Orders) -> bool:
        """Whether no call waits for others, and the same will be said of whatever comes."""
        return (
            not self._waiting
            and not other._waiting
            and len(self._left) == len(other._left)
            and all(a.is_as(b) for a, b in zip(self._left, other._left, strict=True))
        )

    # ---- one event -------------------------------------------------------------------------

    def _step(self, seen: Seen) -> Iterator[Judgement]:
        if len(self._left) == 1:
            yield from self._left[0].feed(seen)
            return
        ways = [_Way(machine, list(machine.feed(seen))) for machine in self._left]
        holding = [way for way in ways if not _broken(way.said)]
        yield from self._take(holding or ways[:1])

    def _take(self, ways: list[_Way]) -> Iterator[Judgement]:
        """Go on with these; what they agree on."""
        yield from _agreed([way.said for way in ways])
        different: list[Machine] = []
        for way in ways:
            if not any(way.machine.is_as(other) for other in different):
                different.append(way.machine)
        while len(different) > self._most_left:
            different[0].join(different.pop())
        self._left = different

    # ---- a group -----------------------------------------------------------------------------

    def _race(self, group: list[Seen]) -> Iterator[Judgement]:
        search = _Search(group, self._most_steps)
        for machine in self._left:
            search.from_here(_Way(machine.fork()), 0)
        if search.over and not search.found:
            yield from self._given_up(group)
        elif search.found:
            yield from self._take(search.found)
            if search.over:  # an order that was not looked at may be what happened
                self._left[0].forget()
                del self._left[1:]
        else:
            assert search.furthest is not None
            yield from _refuted(search.furthest, group)
            self._left = [search.furthest.machine]
            self._left[0].forget()

    def _given_up(self, group: list[Seen]) -> Iterator[Judgement]:
        for seen in group:
            if seen.call is not None:
                clause = seen.call.operation.success
                assumed = (f"one of the orders of {len(group)} calls at the same time conforms",)
                yield Judgement(clause, Verdict.UNSEEN, seen.seq, seen.origin, assumed=assumed)
        del self._left[1:]
        self._left[0].forget()


class _Search:
    """All orders of a group that its calls' ends and begins allow, in which nothing is violated.

    Two orders of the same calls that come to the same state are one from there on."""

    def __init__(self, group: list[Seen], most_steps: int) -> None:
        self._group = group
        self._all = (1 << len(group)) - 1
        self._before = [_before(seen, group) for seen in group]
        self._met: dict[int, list[Machine]] = {}
        self._left = most_steps
        self.over = False  # not all orders were looked at
        self.found: list[_Way] = []
        self.furthest: _Way | None = None

    def from_here(self, way: _Way, done: int) -> None:
        """Go on with every call that may be the next."""
        met = self._met.setdefault(done, [])
        if any(way.machine.is_as(other) for other in met):
            return
        met.append(way.machine)
        if done == self._all:
            self.found.append(way)
            return
        for at, seen in enumerate(self._group):
            if done >> at & 1 or self._before[at] & ~done:
                continue
            if not self._left:
                self.over = True
                return
            self._left -= 1
            machine = way.machine.fork()
            said = list(machine.feed(seen))
            after = _Way(machine, [*way.said, *said], (*way.taken, seen.seq))
            if not _broken(said):
                self.from_here(after, done | 1 << at)
            elif self.furthest is None or len(after.taken) > len(self.furthest.taken):
                self.furthest = after


def _groups(waiting: list[Seen]) -> Iterator[list[Seen]]:
    """Calls that overlap, or overlap with ones that do, and so on."""
    group: list[Seen] = []
    until = 0
    for seen in sorted(waiting, key=_span):
        begin, end = _span(seen)
        if group and begin > until:
            yield group
            group, until = [], 0
        group.append(seen)
        until = max(until, end)
    if group:
        yield group


def _span(seen: Seen) -> tuple[int, int]:
    assert seen.span is not None
    return seen.span


def _before(seen: Seen, group: list[Seen]) -> int:
    """The calls, as a mask, that were over before this one began."""
    mask = 0
    for at, other in enumerate(group):
        if _span(other)[1] < _span(seen)[0]:
            mask |= 1 << at
    return mask


def _broken(said: Iterable[Judgement]) -> bool:
    return any(j.verdict is Verdict.VIOLATES for j in said)


def _refuted(furthest: _Way, group: list[Seen]) -> Iterator[Judgement]:
    """What is told where no order conforms: the one that came furthest, and where it ended."""
    events = ", ".join(str(seen.seq) for seen in group)
    came = ", ".join(map(str, furthest.taken))
    told = f"in every order of the calls at the same time ({events}); furthest came {came}"
    for j in furthest.said:
        if j.verdict is Verdict.VIOLATES and j.finding is not None:
            yield replace(j, finding=replace(j.finding, seen=f"{j.finding.seen}, {told}"))
        else:
            yield j


def _agreed(all_said: list[list[Judgement]]) -> Iterator[Judgement]:
    """What every order says; what only some say cannot be seen."""
    if len(all_said) == 1:
        yield from all_said[0]
        return
    sure = [
        {(j.seq, j.clause) for j in said if j.verdict is not Verdict.UNSEEN} for said in all_said
    ]
    given: set[tuple[int, str]] = set()
    for said in all_said:
        for j in said:
            key = (j.seq, j.clause)
            if key in given:
                continue
            given.add(key)
            if j.verdict is Verdict.CONFORMS and not all(key in some for some in sure):
                yield replace(j, verdict=Verdict.UNSEEN, assumed=_ASSUMED)
            else:
                yield j
