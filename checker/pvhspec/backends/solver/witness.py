"""The shortest execution from boot in which a clause matters, confirmed by the interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pvhspec.backends.solver.claims import claims
from pvhspec.backends.solver.combos import alike, combos
from pvhspec.backends.solver.goals import Goal, Where, goals, specials
from pvhspec.backends.solver.ground import Frame, Ground, Unsupported
from pvhspec.backends.solver.obligation import Search
from pvhspec.backends.solver.parallel import Job, run_all
from pvhspec.backends.solver.reach import Chain, Execution, Step, reads_of, written
from pvhspec.backends.solver.rewrite import decide_gates, solve_equalities
from pvhspec.backends.solver.search import Sought, broken_by, rank, run_moves, shortest
from pvhspec.backends.solver.views import AnyState
from pvhspec.ir.ir import Observation, Operation, Spec, State

__all__ = ["Witness", "run_moves", "witness", "witnesses"]

DEPTH = 4
_MOST_PLACES = 12

Status = Literal["found", "never", "open"]


@dataclass(frozen=True, slots=True)
class Witness:
    """`never`: no state that keeps the invariants lets it happen, in any release and mode.

    `why` says, of what is open, how far was looked.
    """

    clause: str
    status: Status
    where: Where | None = None
    execution: Execution | None = None
    violable: bool = False
    why: str = ""


def witness(
    spec: Spec, clause: str, where: Where | None = None, depth: int = DEPTH, budget: float = 20.0
) -> Witness:
    """The shortest execution in which a clause matters, in a release and mode or in any."""
    last = Witness(clause, "never")
    for place in [where] if where is not None else _places(spec, clause):
        items = specials(spec, place)
        found = _at(spec, clause, items, place, depth, budget)
        if found.status == "found":
            return found
        if found.status == "open":
            last = found
    return last


def _places(spec: Spec, clause: str) -> Iterator[Where]:
    """Releases and modes in which the steps that a clause is about differ; real ones first."""
    every = [c for c in combos(spec) if spec.clauses[clause].gate.open(*c)]
    groups: list[tuple[Where, ...]] = []
    claimed = reads_of(c.body for c in claims(spec) if c.clause == clause)
    items: tuple[Step, ...] = (*spec.operations, *spec.observations)
    for item in items:
        if clause in _mentioned(item) or claimed & written(item):
            groups += alike(item, every)
    best = dict.fromkeys(min(g, key=rank) for g in groups or ([tuple(every)] if every else []))
    yield from sorted(best, key=rank)[:_MOST_PLACES]


def _mentioned(item: Operation | Observation) -> set[str]:
    """The clauses of an operation or block."""
    if isinstance(item, Observation):
        told = {r.clause for r in item.requires} | {c for c, _ in item.undefined}
        return told | {u.clause for u in item.updates}
    own = {e.clause for e in item.errors} | {e.clause for e in item.ensures}
    own |= {u.clause for u in (*item.updates, *item.always)} | {item.success, item.frame}
    own |= {c.clause for c in item.choices}
    return own | {c.lowest for c in item.choices if c.lowest}


def _at(
    spec: Spec, clause: str, items: list[Step], where: Where, depth: int, budget: float
) -> Witness:
    end = time.process_time() + budget
    possible = [
        g for g in goals(spec, clause, items, where) if _possible(spec, g, where, end) is not False
    ]
    if not possible:
        return Witness(clause, "never", where)
    ways = [Sought(g, partial(confirm, spec, clause, g, where)) for g in possible]
    found = shortest(spec, ways, items, where, range(depth + 1), end - time.process_time())
    if isinstance(found, str):
        return Witness(clause, "open", where, why=found)
    way, execution = found
    return Witness(clause, "found", where, execution, way.goal.violable)


class _Anywhere(Chain):
    """An execution that begins in any state at all."""

    def __init__(self, states: dict[str, State]) -> None:
        super().__init__(states, usual=False, alone=False)
        self.view = AnyState(self.ground, "")


def _possible(spec: Spec, goal: Goal, where: Where, end: float) -> bool | None:
    """Whether some state that keeps the invariants lets it happen; None: not decided."""
    chain = _Anywhere(spec.states)
    try:
        goal.ask(chain)
        _keep_invariants(spec, chain.ground, chain.view, where)
        answer, _ = Search(chain.ground, min(3.0, end - time.process_time())).run([])
    except Unsupported:
        return None
    return answer


def _keep_invariants(spec: Spec, ground: Ground, view: Any, where: Where) -> None:
    for invariant in spec.invariants:
        body = solve_equalities(decide_gates(invariant.body, *where))
        ground.assume(body, Frame("", view, {}))


# ---- the interpreter's word --------------------------------------------------------------------


def confirm(spec: Spec, clause: str, goal: Goal, where: Where, execution: Execution) -> str:
    """What the interpreter has against an execution; empty if it agrees."""
    told = run_moves(spec, execution, where)
    for number, judgements in enumerate(told):
        broken = broken_by(judgements)
        wanted = goal.violable and number == len(told) - 1
        if wanted and clause in broken:
            continue
        if wanted:
            return f"{clause} is not violated"
        if broken:
            return f"step {number + 1} violates {broken[0]}"
    kind = spec.clauses[clause].kind
    if goal.violable or goal.item is None or kind in ("effect", "frame", "table", "choice"):
        return ""
    if not any(j.clause == clause for j in told[-1]):
        return f"{clause} is not spoken of"
    return ""


# ---- all of them -------------------------------------------------------------------------------


def witnesses(
    spec: Spec,
    clauses: Iterable[str],
    *,
    where: Where | None = None,
    depth: int = DEPTH,
    budget: float = 20.0,
    jobs: int | None = None,
    cache: bool = True,
    done: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Witness]:
    """A witness for each clause."""
    whole = (
        spec.operations, spec.observations, spec.states, spec.invariants, spec.events,
        {name: clause.kind for name, clause in spec.clauses.items()},
    )  # fmt: skip
    work = [
        Job(
            clause,
            None,
            (),
            (*whole, clause, where, depth, budget),
            lambda clause=clause: witness(spec, clause, where, depth, budget),  # type: ignore[misc]
        )
        for clause in clauses
    ]
    return [result for result, _, _ in run_all(work, jobs, cache, done)]
