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
    steps: Sequence[Step], name: str, run: Runner, pool: Pool, until: float
) -> Shrunk | None:
    """Shorten a program that shows `name`, a clause or a way to end; None where it does not do so
    again. `until` is when to stop, by the monotonic clock."""
    return _Shrinker(name, run, pool, until).all(tuple(steps))


class _Shrinker:
    def __init__(self, name: str, run: Runner, pool: Pool, until: float) -> None:
        self.name, self.run, self.pool, self.until = name, run, pool, until
        self.boots = 0
        self.best: tuple[Steps, Boot] | None = None
        self.tried: set[Steps] = set()

    @property
    def late(self) -> bool:
        return time.monotonic() > self.until

    def all(self, steps: Steps) -> Shrunk | None:
        tails = [steps[-n:] for n in _powers(len(steps))]
        head = _setting(steps)
        if not self.first([head + t for t in tails] + [steps], even_late=True):
            return None
        minimal = self.drop()
        if minimal:
            self.simplify()
        assert self.best is not None
        return Shrunk(*self.best, self.boots, minimal)

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
        return True

    def drop(self) -> bool:
        """Leave out ever smaller stretches of steps; whether each that is left was tried."""
        assert self.best is not None
        size = max(1, len(self.best[0]) // 2)
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

    def simplify(self) -> None:
        """Plainer steps in place of those that are left."""
        assert self.best is not None
        at = 0
        while at < len(self.best[0]) and not self.late:
            steps = self.best[0]
            plainer = [(*steps[:at], p, *steps[at + 1 :]) for p in _plainer(steps[at])]
            if not plainer or not self.first(plainer):
                at += 1


def _powers(most: int) -> list[int]:
    found, n = [], 1
    while n < most:
        found.append(n)
        n *= 4
    return found


def _setting(steps: Steps) -> Steps:
    """The steps at the start without which nothing can be seen: shared_info is put into place."""
    for at, step in enumerate(steps[:4]):
        if isinstance(step, st.UseSharedInfo):
            return steps[: at + 1]
    return ()


def _cut(steps: Steps, boot: Boot, name: str) -> Steps:
    """Without what comes after the step that showed it."""
    at = next((b.step for b in boot.broken if b.clause == name), boot.last_step)
    return steps if at is None else steps[: at + 1]


def _plainer(step: Step) -> list[Step]:
    if isinstance(step, st.Shared) and step.vcpus > 1:
        return [replace(step, vcpus=1)]
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
