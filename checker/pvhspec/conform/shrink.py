"""The shortest program that still shows what a long one showed.

Every candidate is run on a fresh boot, a few at a time. What is left is minimal in one sense:
without any one of its steps the finding is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pvhspec.conform.boots import Boot
from pvhspec.conform.pool import Pool
from pvhspec.targets import steps as st
from pvhspec.targets.steps import Step

__all__ = ["Shrunk", "shrink"]

_SHORT, _MORE = 16, 60.0  # steps of a program that is given so many seconds more

Steps = tuple[Step, ...]
Runner = Callable[[Steps], Boot]


@dataclass(slots=True)
class Shrunk:
    """What is left; `minimal` where every step is known to be needed, `boots` how many it took."""

    steps: Steps
    boot: Boot
    boots: int
    minimal: bool


def shrink(
    steps: Sequence[Step],
    name: str,
    run: Runner,
    pool: Pool,
    until: float,
    because: Sequence[int] = (),
    better: Callable[[Shrunk], None] = lambda shrunk: None,
) -> Shrunk | None:
    """Shorten a program that shows `name`, a clause or a way to end; None where it does not do so
    again. `until` is when to stop, by the monotonic clock; a program that has become short by then
    is brought to its end all the same. `because` are steps that are likely to be needed; `better`
    is told of every program that is shorter than the last."""
    return _Shrinker(name, run, pool, until, better).all(tuple(steps), because)


class _Shrinker:
    def __init__(
        self, name: str, run: Runner, pool: Pool, until: float, better: Callable[[Shrunk], None]
    ) -> None:
        self.name, self.run, self.pool, self.until = name, run, pool, until
        self.better = better
        self.boots = 0
        self.best: tuple[Steps, Boot] | None = None
        self.tried: set[Steps] = set()

    @property
    def late(self) -> bool:
        short = self.best is not None and len(self.best[0]) <= _SHORT
        return time.monotonic() > self.until + (_MORE if short else 0.0)

    def all(self, steps: Steps, because: Sequence[int]) -> Shrunk | None:
        head = _setting(steps)
        likely = tuple(steps[i] for i in because if len(head) <= i < len(steps) - 1)
        guesses = [head + likely[-n:] + steps[-1:] for n in (2, 8, len(likely)) if likely]
        tails = [head + steps[-n:] for n in _powers(len(steps))]
        if not self.first([*guesses, *tails, steps], even_late=True):
            return None
        self.first([tuple(_direct(step) for step in self.best[0])] if self.best else [])
        minimal = self.drop()
        while minimal and self.simplify():  # a plainer step may need less before it
            minimal = self.drop()
        return self.told(minimal)

    def told(self, minimal: bool) -> Shrunk:
        """The best so far, for whoever wants to know."""
        assert self.best is not None
        shrunk = Shrunk(*self.best, self.boots, minimal)
        self.better(shrunk)
        return shrunk

    def first(self, candidates: Sequence[Steps], even_late: bool = False) -> bool:
        """Take the first candidate that shows it, if one does."""
        waiting = [(i, c) for i, c in enumerate(candidates) if c not in self.tried]
        showing: dict[int, Boot] = {}
        pending: set[int] = set()
        while waiting or pending:
            while waiting and self.pool.room and not showing and (even_late or not self.late):
                at, steps = waiting.pop(0)
                pending.add(at)
                self.tried.add(steps)
                self.boots += 1
                self.pool.start(at, lambda steps=steps: self.run(steps))  # type: ignore[misc]
            if not pending:
                break
            for at, boot in self.pool.next():
                pending.discard(at)
                if isinstance(boot, Boot) and self.name in boot.names:
                    showing[at] = boot
        if not showing:
            return False
        at = min(showing)
        self.best = (_cut(candidates[at], showing[at], self.name), showing[at])
        self.told(minimal=False)
        return True

    def drop(self) -> bool:
        """Leave out ever smaller stretches of steps; whether each that is left was tried."""
        assert self.best is not None
        length = len(self.best[0])
        size = length // 2 if length > _SHORT else 1
        while not self.late:
            steps = self.best[0]
            spans = [(a, min(a + size, len(steps))) for a in range(0, len(steps), size)]
            rest = [steps[:a] + steps[b:] for a, b in reversed(spans) if b - a < len(steps)]
            if self.first(rest):
                size = max(1, min(size, len(self.best[0]) // 2))
            elif self.late:
                return False
            elif size == 1:
                return True
            else:
                size //= 2
        return False

    def simplify(self) -> bool:
        """Plainer steps in place of those that are left; whether there were any."""
        assert self.best is not None
        at, before = 0, self.best[0]
        while at < len(self.best[0]) and not self.late:
            steps = self.best[0]
            plainer = [(*steps[:at], p, *steps[at + 1 :]) for p in _plainer(steps[at])]
            if not plainer or not self.first(plainer):
                at += 1
        return self.best[0] != before


def _powers(most: int) -> list[int]:
    found, n = [], 1
    while n < most:
        found.append(n)
        n *= 4
    return found


def _setting(steps: Steps) -> Steps:
    """The steps at the start without which nothing can be seen: shared_info is put into place, and
    the hypercall page."""
    places = (st.UseSharedInfo, st.WriteMsr, st.Read, st.UseHypercallPage)
    end = 1
    while end < len(steps) and isinstance(steps[end], places):
        end += 1
    return steps[:end] if end > 1 else ()


def _cut(steps: Steps, boot: Boot, name: str) -> Steps:
    """Without what comes after the step that showed it."""
    last = None if boot.last_step is None else boot.last_step + 1  # it may have shown nothing
    at = next((b.step for b in boot.broken if b.clause == name), last)
    return steps if at is None else steps[: at + 1]


def _direct(step: Step) -> Step:
    return replace(step, via="direct") if isinstance(step, st.Hypercall) else step


def _one_less(calls: tuple[st.Hypercall, ...]) -> list[tuple[st.Hypercall, ...]]:
    return [calls[:at] + calls[at + 1 :] for at in range(len(calls))]


def _plainer(step: Step) -> list[Step]:
    if isinstance(step, st.Shared) and step.vcpus > 1:
        return [replace(step, vcpus=1)]
    if isinstance(step, st.Race):
        return [
            *(replace(step, first=calls) for calls in _one_less(step.first)),
            *(replace(step, second=calls) for calls in _one_less(step.second)),
        ]
    if not isinstance(step, st.Hypercall):
        return []
    found: list[Step] = []
    if step.saves:
        found.append(replace(step, saves=()))
    if step.via == "page":
        found.append(replace(step, via="direct"))
    for buffer in step.buffers:
        for patch in buffer.patches:
            if isinstance(patch.value, st.Slot):
                others = tuple(p for p in buffer.patches if p is not patch)
                for value in (1, 2, 3):
                    data = bytearray(buffer.data)
                    data[patch.offset : patch.offset + patch.size] = value.to_bytes(
                        patch.size, "little"
                    )
                    made = replace(buffer, data=bytes(data), patches=others)
                    found.append(replace(step, buffers=(made,)))
    return found
