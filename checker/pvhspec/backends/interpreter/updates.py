"""Simultaneous updates: everything reads the state before, and is written after."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pvhspec.backends.interpreter.path import Path
from pvhspec.ir.ir import Const, State, Update
from pvhspec.ir.walk import conjuncts, vars_of

if TYPE_CHECKING:
    from pvhspec.backends.interpreter.evaluate import Compiler, Fn
    from pvhspec.backends.interpreter.quantify import Plan

__all__ = ["Writer"]

_MOST_CELLS = 1 << 13  # cells one update may write one by one


@dataclass(frozen=True, slots=True)
class _Made:
    """An update, compiled; a plan for each of its binders. `puts_back`, by binder: its place in the
    index, where cells are given what they began with."""

    target: str
    clause: str
    plans: tuple[Plan, ...]
    puts_back: tuple[int | None, ...]
    first: tuple[Fn, ...]  # what of the guard hangs on no binder
    guard: Fn
    indices: tuple[Fn, ...]
    value: Fn


class Writer:
    """Runs updates of states in the order they are written: the last write of a cell counts."""

    def __init__(self, updates: Iterable[Update], compiler: Compiler) -> None:
        self._updates = [
            _Made(
                u.target,
                u.clause,
                tuple(
                    compiler.planner.plan(v, (u.guard,), u.binders[i + 1 :], "exists")
                    for i, v in enumerate(u.binders)
                ),
                tuple(_put_back(u, compiler.planner.states[u.target])),
                tuple(
                    compiler.expr(part)
                    for part in (conjuncts(u.guard) if u.binders else ())
                    if not vars_of(part) & set(u.binders)
                ),
                compiler.expr(u.guard),
                tuple(compiler.expr(i) for i in u.indices),
                compiler.expr(u.value),
            )
            for u in updates
        ]

    def run(self, path: Path) -> None:
        """Write what the updates say."""
        for made in self._updates:
            if any(path.resolve(test(path)) is False for test in made.first):
                continue
            _over(path, made, 0, False, [_MOST_CELLS])


def _put_back(update: Update, state: State) -> Iterator[int | None]:
    """For each binder its place in the index, if the cells are given what they began with."""
    alike = isinstance(update.value, Const) and update.value == state.init and not state.given
    for variable in update.binders:
        found = alike and variable in update.indices
        yield update.indices.index(variable) if found else None


def _over(path: Path, made: _Made, depth: int, stands_for_more: bool, left: list[int]) -> bool:
    """Every value of the binders from `depth` on; whether anything was written.

    `stands_for_more`: an outer value stands for others, too. Where it is unknown whether those are
    written, or they are too many, nothing is known of the target any more.
    """
    if depth == len(made.plans):
        doubts = path.doubts
        truth = path.resolve(made.guard(path))
        if stands_for_more and (path.doubts > doubts or not isinstance(truth, bool)):
            path.lost.add(made.target)
            return False
        if not path.decide(truth):
            return False
        left[0] -= 1
        index = tuple(path.resolve(i(path)) for i in made.indices)
        path.write(made.target, index, path.resolve(made.value(path)), made.clause)
        return True
    plan = made.plans[depth]
    samples = plan.samples(path)
    wrote = False
    for sample in samples.each():
        if left[0] < 0:
            path.lost.add(made.target)
            return wrote
        path.vars[plan.variable.name] = sample
        more = samples.stands_for_more(sample)
        if not _over(path, made, depth + 1, stands_for_more or more, left):
            continue
        wrote = True
        if not more:
            continue
        # The guard holds alike for every value the sample stands for; what is written may differ.
        for other in samples.stretch(sample, _only(path, made, depth)):
            if other != sample and left[0] >= 0:
                path.vars[plan.variable.name] = other
                _over(path, made, depth + 1, stands_for_more, left)
    return wrote


def _only(path: Path, made: _Made, depth: int) -> Collection[int] | None:
    """The values of a binder for which a write can make a difference, if not all: a cell that was
    never touched is not put back to what it began with."""
    place = made.puts_back[depth]
    if place is None or path.store.is_vague(made.target):
        return None
    return path.touched(made.target, place)
