"""The shortest execution from boot that does what is sought, tried out by the interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.protocol import Judgement, Seen, Verdict
from pvhspec.backends.solver.combos import expressions
from pvhspec.backends.solver.goals import Goal, Where
from pvhspec.backends.solver.ground import Unsupported
from pvhspec.backends.solver.reach import Chain, Execution, Move, Step, by_step, reads_of
from pvhspec.backends.solver.replay import seen_call, settle
from pvhspec.ir.ir import Operation, Spec
from pvhspec.types.types import BoolType

__all__ = ["Sought", "broken_by", "played", "rank", "run_moves", "seen", "shortest"]

_AT_HAND = ((4, 14), (4, 17), (4, 20))


@dataclass(frozen=True, slots=True)
class Sought:
    """A way in which it may come about. `against`: what the interpreter has against an execution
    that is said to be one; empty if it agrees."""

    goal: Goal
    against: Callable[[Execution], str]


def rank(where: Where) -> tuple[object, ...]:
    """How far a release and mode is from what can be tried out at once."""
    version, mode = where
    return mode != "pvh_dom0", version not in _AT_HAND, mode != "pvh_domu", version, mode


def shortest(
    spec: Spec, ways: list[Sought], items: list[Step], where: Where, depths: range, budget: float
) -> tuple[Sought, Execution] | str:
    """The shortest of all ways, and of those the first; or why there is none.

    `depths` are numbers of steps before what the goal itself is.
    What a toolstack has to set, and who else has to call, is left out where it can be.
    """
    end = time.process_time() + budget
    trouble = f"not reached within {depths.stop - 1} steps of boot"
    for count in depths:
        for usual, alone in ((True, True), (True, False), (False, False)):
            for way in ways:
                left = end - time.process_time()
                if left <= 0:
                    return f"not decided in {budget:.0f} s"
                found = _reach(spec, way.goal, items, count, left, usual=usual, alone=alone)
                if isinstance(found, str):
                    trouble = found
                elif found is not None:
                    against = way.against(found)
                    if not against:
                        return way, _shrunk(way, found)
                    trouble = f"the interpreter does not confirm it: {against}"
    return trouble


def _reach(
    spec: Spec,
    goal: Goal,
    items: list[Step],
    count: int,
    budget: float,
    *,
    usual: bool,
    alone: bool,
) -> Execution | str | None:
    """An execution of `count` steps and the goal's own."""
    try:
        before = by_step(items, reads_of(iter(goal.reads)), expressions, count)
        chain = Chain(spec.states, usual=usual, alone=alone)
        if not all(before):
            return None
        for choices in before:
            chain.extend(choices)
        goal.ask(chain)
        return chain.find(budget)
    except Unsupported as what:
        return str(what)


def _shrunk(way: Sought, execution: Execution) -> Execution:
    """The same with what a toolstack has to set alone."""
    cells = list(execution.given)
    for cell in execution.given:
        fewer = replace(execution, given=tuple(c for c in cells if c is not cell))
        if not way.against(fewer):
            cells.remove(cell)
    return replace(execution, given=tuple(cells))


# ---- the interpreter's word --------------------------------------------------------------------


class _Table(dict[tuple[int, ...], Any]):
    """A map field of an event: what it does not list is false or 0."""

    def get(self, index: Any, default: Any = None) -> Any:
        return super().get(index, False)


def seen(spec: Spec, move: Move, seq: int = 0) -> Seen:
    """A step as the interpreter takes it."""
    if isinstance(move.item, Operation):
        op = next(o for o in spec.operations if o.id == move.item.id)
        arrays = {name: dict(table) for name, table in move.maps}
        return seen_call(spec, op, {**dict(move.inputs), **arrays}, move.code or 0, seq)
    fields: dict[str, Any] = {"caller": 0, "current": 0, "width": 64, "cpl": 0}
    for name, kinds, type_ in spec.events[move.item.event].fields:
        fields[name] = _Table() if kinds else False if isinstance(type_, BoolType) else 0
    fields.update(move.inputs)
    fields.update((name, _Table(table)) for name, table in move.maps)
    return Seen(move.item.event, seq, None, fields)


def played(
    spec: Spec, execution: Execution, where: Where
) -> Iterator[tuple[Machine, list[Judgement]]]:
    """The interpreter at boot, and then after each step, with what it says of that."""
    machine = Machine(spec, *where)
    settle(spec, machine, execution.given)
    yield machine, []
    for number, move in enumerate(execution.moves):
        yield machine, list(machine.feed(seen(spec, move, number)))


def run_moves(spec: Spec, execution: Execution, where: Where) -> list[list[Judgement]]:
    """What the interpreter says of each step."""
    return [told for _, told in played(spec, execution, where)][1:]


def broken_by(told: list[Judgement]) -> list[str]:
    """The clauses that a step violates."""
    return [j.clause for j in told if j.verdict is Verdict.VIOLATES]
