"""One thing to prove: that a step keeps an invariant; or a state and a call that break it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import z3

from pvhspec.backends.solver.claims import Aim
from pvhspec.backends.solver.ground import Frame, Ground, Unsupported, View
from pvhspec.backends.solver.rewrite import OWED
from pvhspec.backends.solver.sorts import Term
from pvhspec.backends.solver.step import Call, call, event
from pvhspec.backends.solver.views import After, AnyState, Boot
from pvhspec.ir.ir import Expr, Observation, Operation, Quant, State

__all__ = [
    "Broken",
    "Cells",
    "Drifted",
    "Outcome",
    "Search",
    "at_boot",
    "by_call",
    "by_drift",
    "by_event",
    "by_payment",
    "cells_of",
    "easy",
    "solve",
    "unpayable",
]

_ROUNDS = 60
_FOR_WISHES = 1.5  # seconds to make an example easier to read

Cells = tuple[tuple[str, tuple[Any, ...], Any], ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """How a step breaks an invariant: the cells before, the event's fields, the cells after."""

    before: Cells
    inputs: tuple[tuple[str, Any], ...]
    code: int | None
    after: Cells
    at: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`open`: not decided; `why` says how that came."""

    status: Literal["proved", "refuted", "open"]
    broken: Broken | None = None
    why: str = ""


def at_boot(states: dict[str, State], goal: Expr, budget: float) -> Outcome:
    """Whether it holds at boot, whatever the toolstack has set."""
    ground = Ground(states)
    boot = Boot(ground, usual=False)
    at = ground.deny(goal, Frame("", boot, {}))
    return solve(ground, budget, lambda model: _broken(ground, model, None, {}, boot, boot, at))


def by_call(
    states: dict[str, State],
    op: Operation,
    known: list[Expr],
    aim: Aim,
    budget: float,
    *,
    plain: bool = True,
) -> Outcome:
    """Whether a call keeps it, where `known` held before. `plain`: one that does not is to be
    easy to read."""
    ground = Ground(states)
    before = AnyState(ground, "")
    try:
        made = call(ground, op, Frame("in.", before, {}), lowest=False)
        ground.constraints.append(made.allowed)
        at = _lost(ground, aim, before, made.after)
        for fact in known:
            ground.assume(fact, Frame("", before, {}))
        return solve(
            ground,
            budget,
            lambda m: _broken(ground, m, made, made.frame.inputs, before, made.after, at),
            lambda: (
                easy(made, (z3.ULT(t, 16) for t in at.values() if z3.is_bv(t))) if plain else ()
            ),
        )
    except Unsupported as what:
        return Outcome("open", why=str(what))


def _lost(ground: Ground, aim: Aim, before: View, after: View) -> dict[str, Term]:
    """Assert that a step does not keep what it has to; the values for which it does not."""
    at = ground.deny(aim.goal, Frame("", after, {}))
    if aim.given is not None:
        ground.constraints.append(ground.expr(aim.given, Frame("", before, {}, at)))
    return at


def unpayable(ground: Ground, block: Observation, aim: Aim, frame: Frame) -> dict[str, Term]:
    """Assert that an event pays what is owed, and that the block forbids it; who is owed what."""
    assert isinstance(aim.goal, Quant)
    assert aim.given is not None
    assert aim.paid is not None
    at = {v.name: ground.fresh(v.name, v.type) for v in aim.goal.vars}
    for variable in aim.goal.vars:  # who is owed is whose event it is
        name = variable.name.removesuffix(OWED)
        if name != variable.name:
            own = ground.input(name, variable.type, frame)
            ground.constraints.append(at[variable.name] == own)
    for wanted in (aim.given, aim.paid.test):
        ground.constraints.append(ground.expr(wanted, frame.inside(at)))
    fine = [ground.expr(r.test, frame) for r in block.requires]
    ground.constraints.append(z3.Not(z3.And(*fine)))
    return at


def by_payment(
    states: dict[str, State], block: Observation, known: list[Expr], aim: Aim, budget: float
) -> Outcome:
    """Whether a block lets the event come that is owed, whenever it is."""
    return _by_block(
        states, block, known, budget, lambda ground, frame, _: unpayable(ground, block, aim, frame)
    )


def by_event(
    states: dict[str, State], block: Observation, known: list[Expr], aim: Aim, budget: float
) -> Outcome:
    """Whether an event of another kind keeps it."""

    def lost(ground: Ground, frame: Frame, after: View) -> dict[str, Term]:
        at = _lost(ground, aim, frame.view, after)
        if aim.paid is not None and aim.paid.event == block.event:
            ground.constraints.append(z3.Not(ground.expr(aim.paid.test, frame.inside(at))))
        return at

    return _by_block(states, block, known, budget, lost)


def _by_block(
    states: dict[str, State],
    block: Observation,
    known: list[Expr],
    budget: float,
    break_it: Callable[[Ground, Frame, View], dict[str, Term]],
) -> Outcome:
    """Whether an event of a block can come in a way that `break_it` describes."""
    ground = Ground(states)
    before = AnyState(ground, "")
    try:
        frame = Frame("in.", before, {})
        after = event(ground, block, frame)
        at = break_it(ground, frame, after)
        for fact in known:
            ground.assume(fact, Frame("", before, {}))
        return solve(
            ground, budget, lambda m: _broken(ground, m, None, frame.inputs, before, after, at)
        )
    except Unsupported as what:
        return Outcome("open", why=str(what))


class Drifted:
    """The state after the world outside has changed one cell."""

    def __init__(self, ground: Ground, before: View, state: State) -> None:
        self._before, self._state = before, state
        self._index = tuple(ground.fresh(v.name, v.type) for v in state.indices)
        self._value = ground.fresh(f"{state.name}.after", state.type)
        assert state.drift is not None
        names = {v.name: t for v, t in zip(state.indices, self._index, strict=True)}
        ground.assume(state.drift, Frame("", before, {}, names))
        if state.drift_kind == "rise":
            ground.constraints.append(self._value)
        self.changed: Term = before.read(state.name, self._index) != self._value

    def read(self, state: str, index: tuple[Term, ...]) -> Term:
        """The value of a cell."""
        value = self._before.read(state, index)
        if state != self._state.name:
            return value
        here = z3.And(*(a == b for a, b in zip(index, self._index, strict=True)))
        return z3.If(here, self._value, value)


def by_drift(
    states: dict[str, State], state: State, known: list[Expr], aim: Aim, budget: float
) -> Outcome:
    """Whether a change from outside keeps it."""
    ground = Ground(states)
    before = AnyState(ground, "")
    after = Drifted(ground, before, state)
    at = _lost(ground, aim, before, after)
    for fact in known:
        ground.assume(fact, Frame("", before, {}))
    return solve(ground, budget, lambda m: _broken(ground, m, None, {}, before, after, at))


def solve(
    ground: Ground,
    budget: float,
    explain: Callable[[Any], Broken],
    wishes: Callable[[], Iterable[Term]] = tuple,
    rounds: int = _ROUNDS,
) -> Outcome:
    """Rounds of instances until there is no model, or nothing is left to add.

    `wishes` make an example easier to read; one that cannot be had is dropped.
    """
    search = Search(ground, budget, rounds)
    answer, model = search.run([])
    if answer is not True:
        return Outcome("proved") if answer is False else Outcome("open", why=search.why)
    kept: list[Term] = []
    search.shorten(_FOR_WISHES)
    for wish in wishes():
        answer, other = search.run([*kept, wish])
        if answer is None:
            break
        if answer:
            kept, model = [*kept, wish], other
    return Outcome("refuted", explain(model))


def _to_wait(seconds: float) -> int:
    """How many milliseconds pass on a machine as busy as this one for so many of a core."""
    return max(1, int(seconds * 1000 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))))


class Search:
    """A solver that adds instances until its model needs no more. Its time is this process's on a
    core: what is decided is not to hang on what else a machine does."""

    def __init__(self, ground: Ground, budget: float, rounds: int = _ROUNDS) -> None:
        self.why = ""
        self._ground = ground
        self._solver = z3.Solver()
        self._end = time.process_time() + budget
        self._budget, self._rounds = budget, rounds
        self._given = 0

    def allow(self, seconds: float) -> None:
        """This much more time, from now."""
        self._end = time.process_time() + seconds

    def shorten(self, seconds: float) -> None:
        """From now on no more than this."""
        self._end = min(self._end, time.process_time() + seconds)

    def core(self) -> list[Term]:
        """Of the wishes of the last run, which had no model, some that have none together."""
        return list(self._solver.unsat_core())

    def run(self, wishes: list[Term]) -> tuple[bool | None, Any]:
        """Whether there is a model, and it."""
        ground, solver = self._ground, self._solver
        for _ in range(self._rounds):
            left = self._end - time.process_time()
            if left <= 0:
                break
            solver.set("timeout", _to_wait(left))
            solver.add(*ground.constraints[self._given :])
            self._given = len(ground.constraints)
            answer = solver.check(*wishes)
            if answer == z3.unsat:
                return False, None
            if answer != z3.sat:
                if "interrupt" in solver.reason_unknown():
                    raise KeyboardInterrupt  # Z3 takes Ctrl-C for itself
                if solver.reason_unknown() in ("timeout", "canceled"):
                    continue  # if that was all its time
                break
            model = solver.model()
            if not ground.instantiate(model) and self._given == len(ground.constraints):
                return True, model
        self.why = f"not decided in {self._budget:g} s"
        return None, None


def easy(made: Call, extra: Iterable[Term] = ()) -> Iterator[Term]:
    """What makes a call easy to read: it succeeds, from ring 0, with small numbers."""
    yield from made.lowest
    yield made.code == 0
    for name, term in made.frame.inputs.items():
        if z3.is_bool(term):
            yield term
        elif name == "cpl":
            yield term == 0
        elif name == "width":
            yield term == 64
        elif not name.startswith("out.") and name != "result":
            yield z3.ULT(term, 4)
    yield from extra


def _broken(
    ground: Ground,
    model: Any,
    made: Call | None,
    inputs: dict[str, Term],
    before: AnyState | Boot,
    after: Any,
    at: dict[str, Term],
) -> Broken:
    def value(term: Term) -> Any:
        return model.eval(term, model_completion=True)

    def known(term: Term) -> Any:
        return _plain(value(term))

    later: dict[tuple[str, tuple[Any, ...]], Any] = {}
    if isinstance(after, After):
        for state, index, term in after.seen():
            key = (state, tuple(known(i) for i in index))
            later[key] = ground.sorts.known(ground.states[state].type, value(term))
    code = None if made is None else known(made.code)
    return Broken(
        cells_of(ground, before, model),
        tuple((name, known(term)) for name, term in inputs.items()),
        code,
        tuple((s, i, v) for (s, i), v in later.items()),
        tuple((name, known(term)) for name, term in at.items()),
    )


def cells_of(ground: Ground, view: AnyState | Boot, model: Any) -> Cells:
    """The cells of a state that were read, as a model has them."""
    found: dict[tuple[str, tuple[Any, ...]], Any] = {}
    for (state, _), (index, term) in view.cells.items():
        at = tuple(_plain(model.eval(i, model_completion=True)) for i in index)
        value = model.eval(term, model_completion=True)
        found[state, at] = ground.sorts.known(ground.states[state].type, value)
    return tuple((s, i, v) for (s, i), v in found.items())


def _plain(term: Term) -> Any:
    """A number or truth of a model."""
    return z3.is_true(term) if z3.is_bool(term) else term.as_long()
