"""An invariant that a step breaks: the shortest way there from boot, as calls one could make.

That a step breaks it in some state says nothing of whether that state is ever reached. Only with an
execution that the interpreter confirms is an invariant called refuted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pvhspec.backends.solver.claims import Aim, aim
from pvhspec.backends.solver.combos import Combo, expressions
from pvhspec.backends.solver.goals import Goal, Where, specials
from pvhspec.backends.solver.ground import Frame
from pvhspec.backends.solver.obligation import unpayable
from pvhspec.backends.solver.reach import Chain, Execution, Step
from pvhspec.backends.solver.replay import holds, instance
from pvhspec.backends.solver.search import Sought, broken_by, played, rank, shortest
from pvhspec.ir.ir import Expr, Invariant, Observation, Operation, Spec

__all__ = ["DEPTH", "WHEN_OWED", "Story", "story"]

WHEN_OWED = ", when it is owed,"  # ends the name of a block that forbids what is owed
DEPTH = 3  # calls before the one that breaks it


@dataclass(frozen=True, slots=True)
class Story:
    """Where it happens, the calls, and the values the invariant fails for."""

    where: Where
    execution: Execution


def story(
    spec: Spec, invariant: Invariant, guilty: Iterable[tuple[str, Combo]], budget: float
) -> Story | str:
    """The shortest execution that ends in a state without the invariant; or how far was looked.

    `guilty` are the steps that break it, by id of what happens (empty: at boot), and a release and
    mode of each.
    """
    trouble = "no step breaks it"
    for name, where in sorted(guilty, key=lambda g: rank(g[1])):
        goal = aim(invariant, *where)
        items = specials(spec, where)
        last = [i for i in items if i.id == name.removesuffix(WHEN_OWED)]
        pays = name.endswith(WHEN_OWED)
        ways = [
            Sought(
                Goal(
                    item,
                    partial(_ask_payment if pays else _ask, goal, item),
                    (*_reads(goal), *expressions(item)),
                ),
                partial(_against, spec, goal, where, item if pays else None),
            )
            for item in last
        ] or [
            Sought(
                Goal(None, partial(_ask, goal, None), _reads(goal)),
                partial(_against, spec, goal, where, None),
            )
        ]
        found = shortest(spec, ways, items, where, range(DEPTH + 1), budget)
        if not isinstance(found, str):
            return Story(where, found[1])
        trouble = found
    return trouble


def _reads(goal: Aim) -> tuple[Expr, ...]:
    return (goal.goal,) if goal.given is None else (goal.goal, goal.given)


def _ask(goal: Aim, item: Step | None, chain: Chain) -> None:
    after: Any = chain.view
    if isinstance(item, Operation):
        after = chain.last(item).after
    elif item is not None:
        _, after = chain.last_event(item)
    at = chain.ground.deny(goal.goal, Frame("state.", after, {}))
    if goal.given is not None:
        given = chain.ground.expr(goal.given, Frame("state.", chain.view, {}, at))
        chain.ground.constraints.append(given)
    chain.watched.update(at)


def _ask_payment(goal: Aim, item: Step | None, chain: Chain) -> None:
    assert isinstance(item, Observation)
    frame, _ = chain.last_event(item)
    chain.watched.update(unpayable(chain.ground, item, goal, frame))


def _against(
    spec: Spec, goal: Aim, where: Where, forbids: Step | None, execution: Execution
) -> str:
    """What the interpreter has against it. `forbids`: the block that forbids the last step."""
    last = len(execution.moves)
    machine: Any = None
    broken: list[str] = []
    for number, (machine, told) in enumerate(played(spec, execution, where)):
        broken = broken_by(told)
        if broken and (forbids is None or number < last):
            return f"step {number} violates {broken[0]}"
        if goal.given is not None and number == last - 1:
            owed = instance(goal.given, execution.at, goal)
            if holds(spec, machine.store, owed, *where) is not True:
                return "nothing is owed before the last step"
    if isinstance(forbids, Observation):
        return "" if {r.clause for r in forbids.requires} & set(broken) else "it is not forbidden"
    body = instance(goal.goal, execution.at, goal)
    return "" if holds(spec, machine.store, body, *where) is False else "it holds all the same"
