"""Answers about the state: how it comes about, or why it never does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from pvhspec.backends.solver.combos import Combo, combos, expressions, shown_combos
from pvhspec.backends.solver.goals import Goal, Where, specials
from pvhspec.backends.solver.ground import Frame, Unsupported
from pvhspec.backends.solver.prove import Proof, prove
from pvhspec.backends.solver.query import Answer, Options, places, state_after
from pvhspec.backends.solver.reach import Chain, Execution, Step, reads_of, relevant, written
from pvhspec.backends.solver.replay import holds
from pvhspec.backends.solver.rewrite import decide_gates, gates_in, solve_equalities, substitute
from pvhspec.backends.solver.search import Sought, broken_by, played, rank, shortest
from pvhspec.backends.solver.sorts import Term
from pvhspec.backends.solver.step import special_operation
from pvhspec.backends.solver.tell import broken_shown
from pvhspec.backends.solver.tracked import Tracked, TrackedCall
from pvhspec.ir import build
from pvhspec.ir.ir import Const, Expr, Gate, Invariant, Op, Operation, Quant, Spec, Var
from pvhspec.ir.questions import Always, Place, Reach
from pvhspec.types.types import BOOL

__all__ = ["always", "reachable"]

_MOST_PLACES = 2  # releases and modes that are searched, the nearest to a real run first
_NEAR, _SHORT = 2, 4.0  # steps, and seconds, that are searched before a proof is tried
_STEPS = 10  # a step of an induction gets this part of the time
_FOR_CLAUSES = 3.0  # seconds to find the clauses of one call
_CLAUSE = "query"


def always(spec: Spec, question: Always, options: Options) -> Answer:
    """A stated property: it holds in every state that can be reached, or one breaks it."""
    variables: tuple[Var, ...] = ()
    body = question.test
    while isinstance(body, Quant) and body.kind == "forall":
        variables, body = (*variables, *body.vars), body.body
    lines: tuple[str, ...] = ()
    premise = body.args[0] if isinstance(body, Op) and body.op == "implies" else None
    if premise is not None and _never(spec, variables, premise, question.place, options):
        lines = ("it speaks of nothing: what it asks for first never holds",)
    broken = Reach(variables, build.negate(body), question.place)
    found = reachable(spec, broken, options)
    told = {"yes": "no", "no": "yes"}.get(found.status, found.status)
    return replace(found, status=told, lines=(*lines, *found.lines))  # type: ignore[arg-type]


def reachable(spec: Spec, question: Reach, options: Options) -> Answer:
    """A state with this is reached by these calls; or clauses and invariants forbid it."""
    every = places(spec, question.place)
    if not every:
        return Answer("no", "", why="no release and mode is asked about")
    end = time.process_time() + options.budget
    holds_in = shown_combos(every, combos(spec))
    try:
        forbidding = _forbidden(spec, question, every, options.budget)
    except Unsupported as what:
        return Answer("open", "", holds_in=holds_in, why=str(what))
    if forbidding is not None:
        return _by_invariants(spec, forbidding, holds_in, options)
    # First what is near; then a proof that there is none; what is far takes longest.
    near = min(_NEAR, options.depth)
    found = _search(spec, question, every, range(near + 1), min(end, time.process_time() + _SHORT))
    if isinstance(found, str):
        proved = _induction(spec, question, every, found, options)
        if proved.status == "no":
            return proved
        found = _search(spec, question, every, range(options.depth + 1), end)
        if isinstance(found, str):
            return replace(proved, why=found)
    where, execution = found
    state = state_after(spec, execution, where, reads_of(iter((question.test,))))
    return Answer("yes", "", (), holds_in, where, execution, state)


# ---- what no state that keeps the invariants allows --------------------------------------------


def _groups(nodes: Iterable[Expr], every: tuple[Combo, ...]) -> Iterator[tuple[Combo, ...]]:
    """Releases and modes between which no gate of these expressions tells apart."""
    gates = sorted(gates_in(iter(nodes)), key=str)
    found: dict[tuple[bool, ...], list[Combo]] = {}
    for combo in every:
        found.setdefault(tuple(g.open(*combo) for g in gates), []).append(combo)
    yield from (tuple(g) for g in found.values())


def _asked(tracked: Tracked, variables: tuple[Var, ...], test: Expr, where: Where) -> list[Term]:
    new = {v.name: tracked.ground.fresh(v.name, v.type) for v in variables}
    frame = Frame("", tracked.view, {}, new)
    return [tracked.ground.expr(decide_gates(test, *where), frame)]


def _forbidden(
    spec: Spec, question: Reach, every: tuple[Combo, ...], budget: float
) -> tuple[str, ...] | None:
    """The invariants that no such state keeps; None where there may be one."""
    bodies = [i.body for i in spec.invariants]
    found: dict[str, None] = {}
    for group in _groups([question.test, *bodies], every):
        tracked = Tracked(spec, group[0])
        wanted = _asked(tracked, question.vars, question.test, group[0])
        if tracked.possible(min(budget, 5.0), wanted)[0] is not False:
            return None
        found.update(dict.fromkeys(tracked.forbidding(wanted)))
    return tuple(found)


def _never(
    spec: Spec, variables: tuple[Var, ...], test: Expr, place: Place, options: Options
) -> bool:
    every = places(spec, place)
    question = Reach(variables, test, place)
    try:
        return bool(every) and _forbidden(spec, question, every, options.budget) is not None
    except Unsupported:
        return False


def _by_invariants(spec: Spec, clauses: tuple[str, ...], holds_in: str, options: Options) -> Answer:
    """It is forbidden, so far as the invariants that forbid it are true."""
    names = [i.name for i in spec.invariants if i.clause in clauses]
    proofs = _prove(spec, names, options) if names else []
    wrong = [p.invariant.clause for p in proofs if p.status != "proved"]
    if wrong:
        why = f"it hangs on {', '.join(wrong)}, which is not proved"
        return Answer("open", "", clauses, holds_in, why=why)
    return Answer("no", "", clauses, holds_in)


def _prove(spec: Spec, names: list[str], options: Options) -> list[Proof]:
    return prove(
        spec,
        names,
        budget=options.budget / _STEPS,
        jobs=options.jobs,
        cache=options.cache,
        done=options.done,
    )


# ---- executions --------------------------------------------------------------------------------


def _search(
    spec: Spec, question: Reach, every: tuple[Combo, ...], depths: range, end: float
) -> tuple[Where, Execution] | str:
    goal = Goal(None, partial(_ask, question), (question.test,))
    trouble = "not decided in the time given"
    nearest = _nearest(spec, question, every)
    for number, where in enumerate(nearest):
        left = (end - time.process_time()) / (len(nearest) - number)
        if left <= 0:
            break
        way = Sought(goal, partial(_against, spec, question, where))
        found = shortest(spec, [way], specials(spec, where), where, depths, left)
        if not isinstance(found, str):
            return where, found[1]
        trouble = found
    return trouble


def _nearest(spec: Spec, question: Reach, every: tuple[Combo, ...]) -> list[Combo]:
    """The places nearest to a real run, of those between which what has a bearing differs."""
    items: list[Step] = [*spec.operations, *spec.observations]
    bearing = relevant(spec, items, reads_of(iter((question.test,))), expressions)
    gates = {i.gate for i in bearing} | gates_in(iter([e for i in bearing for e in expressions(i)]))
    ordered = sorted(gates, key=str)
    best: dict[tuple[bool, ...], Combo] = {}
    for combo in sorted(every, key=rank):
        best.setdefault(tuple(g.open(*combo) for g in ordered), combo)
    return list(best.values())[:_MOST_PLACES]


def _ask(question: Reach, chain: Chain) -> None:
    new = {v.name: chain.ground.fresh(v.name, v.type) for v in question.vars}
    chain.watched.update(new)
    frame = Frame("state.", chain.view, {}, new)
    chain.ground.constraints.append(chain.ground.expr(question.test, frame))


def _against(spec: Spec, question: Reach, where: Where, execution: Execution) -> str:
    machine: Any = None
    for number, (machine, told) in enumerate(played(spec, execution, where)):  # noqa: B007
        broken = broken_by(told)
        if broken:
            return f"step {number} violates {broken[0]}"
    at = dict(execution.at)
    values: dict[str, Expr] = {v.name: Const(v.type, at[v.name]) for v in question.vars}
    instance = substitute(question.test, values)
    return "" if holds(spec, machine.store, instance, *where) is True else "it does not hold then"


# ---- induction ---------------------------------------------------------------------------------


def _induction(
    spec: Spec, question: Reach, every: tuple[Combo, ...], trouble: str, options: Options
) -> Answer:
    """It holds at boot that there is none, and no step makes one."""
    holds_in = shown_combos(every, combos(spec))
    negated = build.negate(question.test)
    body = Quant("forall", question.vars, negated, BOOL) if question.vars else negated
    place = question.place
    gate = place.gate
    if place.on is not None:
        gate = gate.also(Gate(since=place.on, until=place.on))
    whole = build.implies(build.gate_test(gate), body)
    goal = Invariant(_CLAUSE, _CLAUSE, whole, ())
    more = replace(spec, invariants=(*spec.invariants, goal))
    (proof,) = _prove(more, [_CLAUSE], options)
    if proof.status == "proved":
        used = {w for s in proof.steps for w in s.with_}
        resting = _by_invariants(
            spec, tuple(i.clause for i in spec.invariants if i.name in used), holds_in, options
        )
        if resting.status != "no":
            return resting
        facts = {i.clause: i.body for i in spec.invariants if i.name in used}
        found = _clauses(spec, question, body, every, facts)
        clauses = dict.fromkeys((*found, *resting.clauses))
        lines = (f"not at boot, and no step makes it so ({len(proof.steps) - 1} looked at)",)
        return Answer("no", "", tuple(clauses), holds_in, lines=lines)
    broken = next((s for s in proof.steps if s.outcome.broken is not None), None)
    lines_: tuple[str, ...] = ()
    if broken is not None and broken.outcome.broken is not None:
        told = tuple(broken_shown(spec, broken, broken.outcome.broken))
        lines_ = (f"{broken.what} would make it so, from a state that may be out of reach:", *told)
    return Answer("open", "", (), holds_in, lines=lines_, why=trouble)


def _clauses(
    spec: Spec, question: Reach, body: Expr, every: tuple[Combo, ...], facts: dict[str, Expr]
) -> Iterator[str]:
    """The clauses without which some call would make it so."""
    where = min(every, key=rank)
    items = specials(spec, where)
    reads = reads_of(iter((question.test,)))
    for op in relevant(spec, items, reads, expressions):
        if not isinstance(op, Operation):
            continue
        if not reads & written(op):
            continue
        special = special_operation(op, *where)
        if special is None:
            continue
        try:
            tracked = TrackedCall(spec, special, where, facts)
            tracked.ground.assume(
                solve_equalities(decide_gates(body, *where)), Frame("", tracked.view, {})
            )
            new = {v.name: tracked.ground.fresh(v.name, v.type) for v in question.vars}
            after = Frame("", tracked.call.after, {}, new)
            wanted = [tracked.call.allowed]
            wanted.append(tracked.ground.expr(decide_gates(question.test, *where), after))
            if tracked.possible(_FOR_CLAUSES, wanted)[0] is False:
                yield from tracked.forbidding(wanted)
        except Unsupported:
            continue
