"""Every invariant against everything that happens: boot, every operation, events, drift."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from pvhspec.backends.solver.authority import documented
from pvhspec.backends.solver.claims import Aim, Kept, aim, claims, ended
from pvhspec.backends.solver.combos import Combo, alike, combos
from pvhspec.backends.solver.deeper import deepest
from pvhspec.backends.solver.from_boot import WHEN_OWED, Story, story
from pvhspec.backends.solver.obligation import (
    Outcome,
    at_boot,
    by_call,
    by_drift,
    by_event,
    by_payment,
)
from pvhspec.backends.solver.parallel import Job, run_all
from pvhspec.backends.solver.reach import written
from pvhspec.backends.solver.replay import Trial
from pvhspec.backends.solver.rewrite import gates_in, walk
from pvhspec.backends.solver.search import rank
from pvhspec.backends.solver.step import special_observation, special_operation
from pvhspec.ir import build
from pvhspec.ir.ir import Authority, Cell, Expr, Invariant, Observation, Operation, Spec, Version

__all__ = ["Proof", "Step", "prove", "steps_of"]

AT_BOOT = "at boot"
OUTSIDE = " from outside"

Touched = Callable[["Operation | Observation | str"], bool]
Aiming = Callable[[Invariant, Version, str], Aim]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an induction: what happens, where, and how that came out.

    `with_` are the invariants that had to hold before, beside the one in question, and `k` for how
    many steps they had to.
    """

    what: str
    operation: Operation | None
    group: tuple[Combo, ...]
    outcome: Outcome
    with_: tuple[str, ...]
    cached: bool
    seconds: float
    k: int = 1


@dataclass(slots=True)
class Proof:
    """An invariant, or what an obligation keeps, and its steps.

    `untouched`: how many steps change nothing that it speaks of. `ends`: the steps that may meet an
    obligation's `unless`. `vacuous`: why it speaks of nothing, where that was found.
    """

    invariant: Invariant
    steps: list[Step] = field(default_factory=list)
    untouched: int = 0
    trusted: tuple[str, ...] = ()
    hangs_on: tuple[str, ...] = ()
    story: Story | str = ""
    ends: tuple[str, ...] = ()
    vacuous: str = ""

    @property
    def inductive(self) -> bool:
        """Whether every step keeps it, as far as was decided."""
        return all(s.outcome.status != "refuted" for s in self.steps)

    @property
    def status(self) -> str:
        """`proved`; `vacuous`, if it holds because it speaks of nothing; `refuted` by an execution
        from boot; or `open`: a step was not decided, or breaks it in a state that no execution was
        found to reach."""
        if isinstance(self.story, Story):
            return "refuted"
        known = all(s.outcome.status == "proved" for s in self.steps)
        if not known or self.hangs_on:
            return "open"
        return "vacuous" if self.vacuous else "proved"


def prove(
    spec: Spec,
    names: Iterable[str] = (),
    *,
    authority: Authority = "implemented",
    budget: float = 10.0,
    from_boot: float = 0.0,
    jobs: int | None = None,
    cache: bool = True,
    done: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Proof]:
    """Prove the invariants named (all, if none is), by induction over every step.

    `budget` is for each step; `from_boot` for the way from boot to where one is broken.
    `authority` `documented`: by the documented clauses alone.
    """
    every = combos(spec)
    whole, spec = spec, documented(spec) if authority == "documented" else spec
    chosen = [i for i in claims(spec) if not names or i.name in names or i.clause in names]
    work: list[tuple[Proof, Job]] = []
    proofs: list[Proof] = []
    ends: list[tuple[Proof, Job]] = []
    for invariant in chosen:
        proof = Proof(invariant, trusted=_trusted(spec, invariant))
        proofs.append(proof)
        work += [(proof, job) for job in _steps(spec, proof, every, budget, whole=whole)]
        ends += [(proof, job) for job in _ends(spec, whole, invariant, every, budget)]
    results = run_all([job for _, job in (*work, *ends)], jobs, cache, done)
    for (proof, job), (result, _, _) in zip(ends, results[len(work) :], strict=True):
        if result[0].status == "refuted" and job.what not in proof.ends:
            proof.ends = (*proof.ends, job.what)
    for (proof, job), (result, cached, seconds) in zip(work, results[: len(work)], strict=True):
        outcome, with_ = result
        proof.steps.append(
            Step(job.what, job.operation, job.group, outcome, with_, cached, seconds)
        )
    _go_deeper(spec, proofs, budget, jobs, cache)
    for proof in proofs:
        if from_boot and not proof.inductive:
            proof.story = story(whole, proof.invariant, _guilty(spec, proof), from_boot)
    _rest_on(proofs, spec)
    return proofs


def _go_deeper(
    spec: Spec, proofs: list[Proof], budget: float, jobs: int | None, cache: bool
) -> None:
    """Prove by more steps at once what one step does not show."""
    plain = [p for p in proofs if not p.inductive and not isinstance(p.invariant, Kept)]
    left = [p for p in plain if not any(s.what == AT_BOOT for s in p.steps if _broken(s))]
    work = [_deeper(spec, p, budget) for p in left]
    for proof, (found, _, _) in zip(left, run_all(work, jobs, cache, _nobody), strict=True):
        if found.k is not None:
            others = tuple(i.name for i in spec.invariants if i is not proof.invariant)
            proof.steps = [
                replace(s, outcome=Outcome("proved"), with_=others, k=found.k) if _broken(s) else s
                for s in proof.steps
            ]


def _broken(step: Step) -> bool:
    return step.outcome.status == "refuted"


def _nobody(_done: int, _of: int) -> None:
    """Progress that is shown to nobody."""


@dataclass(frozen=True, slots=True)
class _Depth:
    """How many steps it takes; None: that many are not enough, or too many to look at."""

    k: int | None
    status: str


def _deeper(spec: Spec, proof: Proof, budget: float) -> Job:
    """Whether an invariant that one step does not keep is kept by several."""
    claim = proof.invariant
    guilty = tuple((_id(s), s.group) for s in proof.steps if _broken(s))
    whole = (spec.operations, spec.observations, spec.states, spec.invariants)

    def run() -> _Depth:
        k = deepest(spec, claim, guilty, budget)
        return _Depth(k, "open" if k is None else "proved")

    return Job(claim.name, None, (), ("k", claim, guilty, *whole, budget), run)


def _id(step: Step) -> str:
    """The id of what happens."""
    return step.operation.id if step.operation else step.what.removesuffix(OUTSIDE)


def _guilty(spec: Spec, proof: Proof) -> Iterator[tuple[str, Combo]]:
    """The steps that break an invariant, each in a release and mode where it does."""
    blocks = {b.id for b in spec.observations}
    for step in proof.steps:
        if step.outcome.status == "refuted":
            what = step.what if step.what.removesuffix(WHEN_OWED) in blocks else ""
            name = what if step.operation is None else step.operation.id
            yield name, min(step.group, key=rank)


def steps_of(
    spec: Spec, invariant: Invariant, touched: Touched, budget: float = 10.0
) -> Iterator[Step]:
    """The steps of an induction that are touched, each as soon as it is decided.

    `touched` is asked of operations, blocks, and of `""` for boot and changes from outside.
    """
    for job in _steps(spec, Proof(invariant), combos(spec), budget, touched):
        start = time.process_time()
        outcome, with_ = job.run()
        seconds = time.process_time() - start
        yield Step(job.what, job.operation, job.group, outcome, with_, False, seconds)


def _rest_on(proofs: list[Proof], spec: Spec) -> None:
    """A proof that used another invariant is worth as much as that one's."""
    failed = {p.invariant.name for p in proofs if not p.inductive}
    changed = True
    while changed:
        changed = False
        for proof in proofs:
            used = {w for s in proof.steps for w in s.with_}
            if used & failed and proof.invariant.name not in failed:
                proof.hangs_on = tuple(sorted(used & failed))
                failed.add(proof.invariant.name)
                changed = True


def _reads(claim: Invariant) -> set[str]:
    nodes = (claim.body, claim.given) if isinstance(claim, Kept) else (claim.body,)
    return {n.state for node in nodes for n in walk(node) if isinstance(n, Cell)}


def _trusted(spec: Spec, invariant: Invariant) -> tuple[str, ...]:
    """Operations that may change a state of the invariant in ways the text does not tell."""
    reads = _reads(invariant)
    return tuple(
        op.name for op in spec.operations if "*" in op.disturbs or reads & set(op.disturbs)
    )


def _steps(
    spec: Spec,
    proof: Proof,
    every: tuple[Combo, ...],
    budget: float,
    touched: Touched = lambda _: True,
    whole: Spec | None = None,
) -> Iterator[Job]:
    claim = proof.invariant
    for group in _groups_of(claim, every):
        facts = _Facts(spec, claim, group[0], aim)
        if facts.idle:
            continue  # nothing is owed
        if touched("") and not isinstance(claim, Kept):
            yield facts.boot(group, budget)
        yield from _moves(spec, claim, group, budget, aim, touched, proof, whole)
        if isinstance(claim, Kept):
            then = claim.obligation.then.event
            for block in (b for b in spec.observations if b.event == then and touched(b)):
                for part in alike(block, group) if block.requires else ():
                    yield _Facts(spec, claim, part[0], aim).payment(block, part, budget)


def _ends(
    spec: Spec, whole: Spec, claim: Invariant, every: tuple[Combo, ...], budget: float
) -> Iterator[Job]:
    """Whether each step may meet an obligation's `unless`."""
    if isinstance(claim, Kept) and claim.obligation.unless != build.FALSE:
        for group in _groups_of(claim, every):
            if not _Facts(spec, claim, group[0], aim).idle:
                yield from _moves(spec, claim, group, budget, _ended, whole=whole)


def _ended(claim: Invariant, version: Version, mode: str) -> Aim:
    assert isinstance(claim, Kept)
    return ended(claim, version, mode)


def _moves(
    spec: Spec,
    claim: Invariant,
    group: tuple[Combo, ...],
    budget: float,
    of: Aiming,
    touched: Touched = lambda _: True,
    proof: Proof | None = None,
    whole: Spec | None = None,
) -> Iterator[Job]:
    """Everything that may change what a claim speaks of: drift, calls and other events."""
    reads = _reads(claim)
    idle = 0
    for state in spec.states.values() if touched("") else ():
        if state.drift is None or state.drift_kind == "change unseen":
            continue  # no step of the world
        if state.name in reads:
            yield _Facts(spec, claim, group[0], of).drift(state.name, group, budget)
        else:
            idle += 1
    for op in (o for o in spec.operations if touched(o)):
        if not reads & written(op):
            idle += 1
            continue
        for part in alike(op, group):
            yield _Facts(spec, claim, part[0], of).call(op, part, budget, whole)
    for block in (b for b in spec.observations if touched(b)):
        if not reads & written(block):
            idle += 1
            continue
        for part in alike(block, group):
            yield _Facts(spec, claim, part[0], of).event(block, part, budget)
    if proof is not None:
        proof.untouched += idle


def _groups_of(invariant: Invariant, every: tuple[Combo, ...]) -> Iterator[tuple[Combo, ...]]:
    gates = sorted(gates_in(iter((invariant.body,))), key=str)
    groups: dict[tuple[bool, ...], list[Combo]] = {}
    for version, mode in every:
        groups.setdefault(tuple(g.open(version, mode) for g in gates), []).append((version, mode))
    yield from (tuple(g) for g in groups.values())


class _Facts:
    """A claim and all invariants, for one release and mode."""

    def __init__(self, spec: Spec, claim: Invariant, where: Combo, of: Aiming) -> None:
        self.spec, self.where = spec, where
        self.bodies = {i.name: aim(i, *where).goal for i in spec.invariants}
        self.aim = of(claim, *where)
        self.told = of is aim  # how a step does what it does not keep
        kept = isinstance(claim, Kept)
        self.name = claim.clause if kept else claim.name
        self.first = () if kept else (claim.name, *claim.using)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to keep in this release and mode."""
        return self.aim.given == build.FALSE

    def boot(self, group: tuple[Combo, ...], budget: float) -> Job:
        """The state at boot."""
        key = (AT_BOOT, self.aim, self.spec.states, budget)

        def run() -> tuple[Outcome, tuple[str, ...]]:
            return at_boot(self.spec.states, self.aim.goal, budget), ()

        return Job(AT_BOOT, None, group, key, run)

    def payment(self, block: Observation, group: tuple[Combo, ...], budget: float) -> Job:
        """The event that is owed, which nothing may forbid."""
        special = special_observation(block, *self.where)
        states, what = self.spec.states, block.id + WHEN_OWED
        if special is None:
            return Job(what, None, group, ("closed",), lambda: (Outcome("proved"), ()))
        step = self._plain(lambda known: by_payment(states, special, known, self.aim, budget))
        return self._tried(what, None, group, budget, step, special)

    def drift(self, state: str, group: tuple[Combo, ...], budget: float) -> Job:
        """A change from outside."""
        decl, states = self.spec.states[state], self.spec.states
        what = state + OUTSIDE
        return self._tried(
            what,
            None,
            group,
            budget,
            self._plain(lambda known: by_drift(states, decl, known, self.aim, budget)),
        )

    def event(self, block: Observation, group: tuple[Combo, ...], budget: float) -> Job:
        """An event of another kind."""
        special = special_observation(block, *self.where)
        states = self.spec.states
        if special is None:
            return Job(block.id, None, group, ("closed",), lambda: (Outcome("proved"), ()))
        return self._tried(
            block.id,
            None,
            group,
            budget,
            self._plain(lambda known: by_event(states, special, known, self.aim, budget)),
            special,
        )

    def call(
        self, op: Operation, group: tuple[Combo, ...], budget: float, whole: Spec | None
    ) -> Job:
        """A hypercall. `whole`: the specification the interpreter is given, if it is another."""
        own = self.spec if whole is None else whole
        told = next(o for o in own.operations if o.id == op.id)
        special = special_operation(op, *self.where)
        assert special is not None

        def step(names: list[str]) -> tuple[Outcome, list[str]]:
            known = [self.bodies[n] for n in names]
            outcome = by_call(self.spec.states, special, known, self.aim, budget, plain=self.told)
            others = [n for n in self.bodies if n not in names]
            if outcome.broken is None:
                return outcome, others if outcome.status == "open" else []
            trial = Trial(own, told, self.bodies, self.aim, self.where)
            missing = trial.missing(outcome.broken)
            if missing and not set(missing) & set(names):
                return outcome, missing
            against = trial.against(outcome.broken)
            if not against:
                broken = trial.shrunk(outcome.broken) if self.told else outcome.broken
                return Outcome("refuted", broken), []
            if own is not self.spec:
                why = f"the documented clauses alone do not rule it out; with all: {against}"
                return Outcome("open", why=why), others
            return Outcome("open", why=f"the interpreter does not confirm it: {against}"), others

        return self._tried(op.name, op, group, budget, step, special)

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
        group: tuple[Combo, ...],
        budget: float,
        step: Callable[[list[str]], tuple[Outcome, list[str]]],
        *parts: object,
    ) -> Job:
        """First with the invariant alone, then with those beside it that are found missing."""

        def run() -> tuple[Outcome, tuple[str, ...]]:
            names = list(self.first)
            while True:
                outcome, missing = step(names)
                if not missing:
                    return outcome, tuple(n for n in names if n != self.name)
                names += missing

        key = (what, self.aim, self.bodies, self.spec.states, budget, *parts)
        return Job(what, op, group, key, run)
