"""Simultaneous updates: everything reads the state before, and is written after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pvhspec.backends.interpreter.path import Path
from pvhspec.ir.ir import Update

if TYPE_CHECKING:
    from pvhspec.backends.interpreter.evaluate import Compiler, Fn
    from pvhspec.backends.interpreter.quantify import Plan

__all__ = ["Writer"]


@dataclass(frozen=True, slots=True)
class _Made:
    """An update, compiled; a plan for each of its binders."""

    target: str
    clause: str
    plans: tuple[Plan, ...]
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
                    compiler.planner.plan(v, (u.guard,), u.binders[i + 1 :])
                    for i, v in enumerate(u.binders)
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
            _over(path, made, 0)


def _over(path: Path, made: _Made, depth: int) -> None:
    """Every value of the binders from `depth` on."""
    if depth == len(made.plans):
        if path.decide(made.guard(path)):
            index = tuple(path.resolve(i(path)) for i in made.indices)
            path.write(made.target, index, path.resolve(made.value(path)), made.clause)
        return
    plan = made.plans[depth]
    samples = plan.samples(path)
    for sample in samples.each():
        before = len(path.writes) + len(path.smears)
        path.vars[plan.variable.name] = sample
        _over(path, made, depth + 1)
        if len(path.writes) + len(path.smears) == before:
            continue
        # The guard holds alike for every value the sample stands for; what is written may differ.
        for other in samples.stretch(sample):
            if other != sample:
                path.vars[plan.variable.name] = other
                _over(path, made, depth + 1)
