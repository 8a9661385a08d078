"""An invariant that a step breaks: the shortest way there from boot, as calls one could make.

That a step breaks it in some state says nothing of whether that state is ever reached. Only with an
execution that the interpreter confirms is an invariant called refuted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pvhspec.backends.solver.combos import Combo, expressions
from pvhspec.backends.solver.goals import Goal, Where, specials
from pvhspec.backends.solver.ground import Frame
from pvhspec.backends.solver.reach import Chain, Execution, Step
from pvhspec.backends.solver.replay import holds
from pvhspec.backends.solver.rewrite import decide_gates, solve_equalities, substitute
from pvhspec.backends.solver.search import Sought, broken_by, played, rank, shortest
from pvhspec.ir.ir import Const, Expr, Invariant, Operation, Quant, Spec

__all__ = ["DEPTH", "Story", "story"]

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
        goal = solve_equalities(decide_gates(invariant.body, *where))
        items = specials(spec, where)
        last = [i for i in items if i.id == name]
        ways = [
            Sought(
                Goal(item, partial(_ask, goal, item), (goal, *expressions(item))),
                partial(_against, spec, goal, where),
            )
            for item in last
        ] or [
            Sought(
                Goal(None, partial(_ask, goal, None), (goal,)), partial(_against, spec, goal, where)
            )
        ]
        found = shortest(spec, ways, items, where, range(DEPTH + 1), budget)
        if not isinstance(found, str):
            return Story(where, found[1])
        trouble = found
    return trouble


def _ask(goal: Expr, item: Step | None, chain: Chain) -> None:
    after: Any = chain.view
    if isinstance(item, Operation):
        after = chain.last(item).after
    elif item is not None:
        _, after = chain.last_event(item)
    chain.watched.update(chain.ground.deny(goal, Frame("state.", after, {})))


def _against(spec: Spec, goal: Expr, where: Where, execution: Execution) -> str:
    machine: Any = None
    for number, (machine, told) in enumerate(played(spec, execution, where)):  # noqa: B007
        if broken := broken_by(told):
            return f"step {number} violates {broken[0]}"
    at, body = dict(execution.at), goal
    while isinstance(body, Quant) and body.kind == "forall":
        values: dict[str, Expr] = {v.name: Const(v.type, at[v.name]) for v in body.vars}
        body = substitute(body.body, values)
    return "" if holds(spec, machine.store, body, *where) is False else "it holds all the same"
