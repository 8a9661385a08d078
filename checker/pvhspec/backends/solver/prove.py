"""Every invariant against everything that happens: boot, every operation, events, drift."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from pvhspec.backends.solver.authority import documented
from pvhspec.backends.solver.claims import Kept, claims
from pvhspec.backends.solver.combos import Combo, combos
from pvhspec.backends.solver.deeper import deepest
from pvhspec.backends.solver.from_boot import WHEN_OWED, Story, story
from pvhspec.backends.solver.obligation import Outcome
from pvhspec.backends.solver.parallel import Job, run_all
from pvhspec.backends.solver.search import rank
from pvhspec.backends.solver.steps import AT_BOOT, OUTSIDE, Steps, Touched, spoken_of
from pvhspec.ir.ir import Authority, Invariant, Operation, Spec

__all__ = ["Proof", "Step", "prove", "steps_of"]


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
    steps = Steps(spec, every, budget, whole)
    chosen = [i for i in claims(spec) if not names or i.name in names or i.clause in names]
    work: list[tuple[Proof, Job]] = []
    proofs: list[Proof] = []
    ends: list[tuple[Proof, Job]] = []
    for invariant in chosen:
        trusted = _trusted(spec, invariant)
        proof = Proof(invariant, untouched=steps.untouched(invariant), trusted=trusted)
        proofs.append(proof)
        work += [(proof, job) for job in steps.of(invariant)]
        ends += [(proof, job) for job in steps.ends(invariant)]
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
    for job in Steps(spec, combos(spec), budget, touched=touched).of(invariant):
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


def _trusted(spec: Spec, invariant: Invariant) -> tuple[str, ...]:
    """Operations that may change a state of the invariant in ways the text does not tell."""
    reads = spoken_of(invariant)
    return tuple(
        op.name for op in spec.operations if "*" in op.disturbs or reads & set(op.disturbs)
    )
