"""What has to be shown of a claim: that boot has it, and that every step keeps it.

A question is named by the text of what it is about and a place, a release and mode: what the text
comes to there is only made out once the question is really asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from pvhspec.backends.solver.claims import Aim, Kept, aim, ended
from pvhspec.backends.solver.combos import Combo, alike, callable_in
from pvhspec.backends.solver.from_boot import WHEN_OWED
from pvhspec.backends.solver.obligation import (
    Outcome,
    at_boot,
    by_call,
    by_drift,
    by_event,
    by_payment,
)
from pvhspec.backends.solver.parallel import Job
from pvhspec.backends.solver.reach import written
from pvhspec.backends.solver.replay import Trial
from pvhspec.backends.solver.rewrite import gates_in, walk
from pvhspec.backends.solver.search import rank
from pvhspec.backends.solver.step import special_observation, special_operation
from pvhspec.ir import build
from pvhspec.ir.ir import Cell, Expr, Invariant, Observation, Operation, Spec, State

__all__ = ["AT_BOOT", "OUTSIDE", "Steps", "Touched", "spoken_of"]

AT_BOOT = "at boot"
OUTSIDE = " from outside"

Touched = Callable[["Operation | Observation | str"], bool]
_Answer = tuple[Outcome, tuple[str, ...]]
_Mover = State | Operation | Observation


def spoken_of(claim: Invariant) -> set[str]:
    """The states that a claim speaks of."""
    nodes = (claim.body, claim.given) if isinstance(claim, Kept) else (claim.body,)
    return {n.state for node in nodes for n in walk(node) if isinstance(n, Cell)}


class Steps:
    """Everything that may break a claim, as questions of `budget` seconds each.

    `every`: the places to ask about. `whole`: the specification the interpreter is given, where
    that is another. `touched` is asked of operations, blocks, and of `""` for boot and changes
    from outside: what is not touched is left out.
    """

    def __init__(
        self,
        spec: Spec,
        every: tuple[Combo, ...],
        budget: float,
        whole: Spec | None = None,
        touched: Touched = lambda _: True,
    ) -> None:
        self.spec, self.budget, self.whole = spec, budget, whole or spec
        self._every, self._touched = every, touched
        self._bodies: dict[Combo, dict[str, Expr]] = {}

    def bodies(self, where: Combo) -> dict[str, Expr]:
        """All invariants, as they are in one place."""
        if where not in self._bodies:
            self._bodies[where] = {i.name: aim(i, *where).goal for i in self.spec.invariants}
        return self._bodies[where]

    def of(self, claim: Invariant) -> Iterator[Job]:
        """Whether each keeps it."""
        for group in self._groups(claim, self._every):
            if self._touched("") and not isinstance(claim, Kept):
                yield _Question(self, claim, group).boot()
            yield from self._moves(claim, group, "kept")
            if isinstance(claim, Kept):
                then = claim.obligation.then.event
                for block in filter(self._touched, self.spec.observations):
                    if block.event == then and block.requires:
                        for part in alike(block, group):
                            yield _Question(self, claim, part).payment(block)

    def untouched(self, claim: Invariant) -> int:
        """How many change nothing that it speaks of."""
        idle = len(list(self._movers())) - len(list(self._movers(claim)))
        return idle * len(list(self._groups(claim, self._every)))

    def ends(self, claim: Invariant) -> Iterator[Job]:
        """Whether each may meet an obligation's `unless`, in any place where there is a guest."""
        if not isinstance(claim, Kept) or claim.obligation.unless == build.FALSE:
            return
        places = callable_in(self.spec, self._every)
        for group in self._groups(claim, places):
            parts: dict[str, list[Job]] = {}
            for job in self._moves(claim, group, "ended"):
                parts.setdefault(job.what, []).append(job)
            yield from map(_any_broken, parts.values())

    def _groups(self, claim: Invariant, every: Iterable[Combo]) -> Iterator[tuple[Combo, ...]]:
        """Places between which no gate of the claim tells apart, if there is anything to keep."""
        gates = sorted(gates_in(iter((claim.body,))), key=str)
        groups: dict[tuple[bool, ...], list[Combo]] = {}
        for place in every:
            groups.setdefault(tuple(g.open(*place) for g in gates), []).append(place)
        for group in groups.values():
            if aim(claim, *group[0]).given != build.FALSE:  # something is owed
                yield tuple(group)

    def _movers(self, claim: Invariant | None = None) -> Iterator[_Mover]:
        """What changes anything, or what changes something that a claim speaks of."""
        reads = None if claim is None else spoken_of(claim)
        for state in self.spec.states.values() if self._touched("") else ():
            seen = state.drift is not None and state.drift_kind != "change unseen"
            if seen and (reads is None or state.name in reads):  # else it is no step of the world
                yield state
        items: tuple[Operation | Observation, ...]
        items = (*self.spec.operations, *self.spec.observations)
        for item in items:
            if self._touched(item) and (reads is None or reads & written(item)):
                yield item

    def _moves(
        self, claim: Invariant, group: tuple[Combo, ...], how: Literal["kept", "ended"]
    ) -> Iterator[Job]:
        for mover in self._movers(claim):
            if isinstance(mover, State):
                yield _Question(self, claim, group, how).drift(mover)
                continue
            for part in alike(mover, group):
                question = _Question(self, claim, part, how)
                if isinstance(mover, Operation):
                    yield question.call(mover)
                else:
                    yield question.event(mover)


def _any_broken(parts: list[Job]) -> Job:
    """Whether any of several like questions finds what it looks for; the rest are not asked."""
    parts = sorted(parts, key=lambda job: min(map(rank, job.group)))

    def run() -> _Answer:
        open_ = None
        for job in parts:
            outcome, with_ = job.run()
            if outcome.status == "refuted":
                return outcome, with_
            open_ = outcome if outcome.status == "open" else open_
        return open_ or Outcome("proved"), ()

    group = tuple(place for job in parts for place in job.group)
    keys = tuple(part for job in parts for part in job.key)
    return Job(parts[0].what, parts[0].operation, group, keys, run)


class _Question:
    """A claim and all invariants, in places that are alike; asked about the nearest of them."""

    def __init__(
        self,
        steps: Steps,
        claim: Invariant,
        group: tuple[Combo, ...],
        how: Literal["kept", "ended"] = "kept",
    ) -> None:
        self.steps, self.group, self.where = steps, group, min(group, key=rank)
        self.states, self.budget = steps.spec.states, steps.budget
        self.bodies = steps.bodies(self.where)
        kept = isinstance(claim, Kept)
        if isinstance(claim, Kept) and how == "ended":
            self.aim = ended(claim, *self.where)
        else:
            self.aim = aim(claim, *self.where)
        self.told = how == "kept"  # how a step does what it does not keep
        self.name = claim.clause if kept else claim.name
        self.first = () if kept else (claim.name, *claim.using)

    def boot(self) -> Job:
        """The state at boot."""
        key = (AT_BOOT, self.aim, self.states, self.budget)

        def run() -> _Answer:
            return at_boot(self.states, self.aim.goal, self.budget), ()

        return Job(AT_BOOT, None, self.group, key, run)

    def payment(self, block: Observation) -> Job:
        """The event that is owed, which nothing may forbid."""
        return self._of_block(block, block.id + WHEN_OWED, by_payment)

    def event(self, block: Observation) -> Job:
        """An event of another kind."""
        return self._of_block(block, block.id, by_event)

    def _of_block(
        self,
        block: Observation,
        what: str,
        by: Callable[[dict[str, State], Observation, list[Expr], Aim, float], Outcome],
    ) -> Job:
        def decide(known: list[Expr]) -> Outcome:
            special = special_observation(block, *self.where)
            if special is None:
                return Outcome("proved")
            return by(self.states, special, known, self.aim, self.budget)

        return self._tried(what, None, self._plain(decide), block)

    def drift(self, state: State) -> Job:
        """A change from outside."""

        def decide(known: list[Expr]) -> Outcome:
            return by_drift(self.states, state, known, self.aim, self.budget)

        return self._tried(state.name + OUTSIDE, None, self._plain(decide))

    def call(self, op: Operation) -> Job:
        """A hypercall."""
        whole, own = self.steps.whole, self.steps.spec
        told = next(o for o in whole.operations if o.id == op.id)

        def step(names: list[str]) -> tuple[Outcome, list[str]]:
            special = special_operation(op, *self.where)
            assert special is not None
            known = [self.bodies[n] for n in names]
            outcome = by_call(self.states, special, known, self.aim, self.budget, plain=self.told)
            others = [n for n in self.bodies if n not in names]
            if outcome.broken is None:
                return outcome, others if outcome.status == "open" else []
            trial = Trial(whole, told, self.bodies, self.aim, self.where)
            missing = trial.missing(outcome.broken)
            if missing and not set(missing) & set(names):
                return outcome, missing
            against = trial.against(outcome.broken)
            if not against:
                broken = trial.shrunk(outcome.broken) if self.told else outcome.broken
                return Outcome("refuted", broken), []
            if whole is not own:
                why = f"the documented clauses alone do not rule it out; with all: {against}"
                return Outcome("open", why=why), others
            return Outcome("open", why=f"the interpreter does not confirm it: {against}"), others

        return self._tried(op.name, op, step, op, *(() if whole is own else (told,)))

    def _plain(
        self, decide: Callable[[list[Expr]], Outcome]
    ) -> Callable[[list[str]], tuple[Outcome, list[str]]]:
        """A step that wants all invariants where some do not suffice."""

        def step(names: list[str]) -> tuple[Outcome, list[str]]:
            outcome = decide([self.bodies[n] for n in names])
            others = [n for n in self.bodies if n not in names]
            return outcome, [] if outcome.status == "proved" else others

        return step

    def _tried(
        self,
        what: str,
        op: Operation | None,
        step: Callable[[list[str]], tuple[Outcome, list[str]]],
        *parts: object,
    ) -> Job:
        """First with the invariant alone, then with those beside it that are found missing."""

        def run() -> _Answer:
            names = list(self.first)
            while True:
                outcome, missing = step(names)
                if not missing:
                    return outcome, tuple(n for n in names if n != self.name)
                names += missing

        key = (what, self.aim, self.bodies, self.states, self.budget, self.where, *parts)
        return Job(what, op, self.group, key, run)
