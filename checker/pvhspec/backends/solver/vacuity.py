"""What holds only because it speaks of nothing: its premise is never the case."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from pvhspec.backends.solver.claims import Kept
from pvhspec.backends.solver.goals import premise
from pvhspec.backends.solver.prove import Proof, prove
from pvhspec.backends.solver.witness import witnesses
from pvhspec.ir import build
from pvhspec.ir.ir import Expr, Invariant, Quant, Spec
from pvhspec.types.types import BOOL

__all__ = ["empty", "mark"]


def mark(
    spec: Spec,
    proofs: Iterable[Proof],
    *,
    budget: float = 10.0,
    jobs: int | None = None,
    cache: bool = True,
    done: Callable[[int, int], None] = lambda _done, _of: None,
) -> None:
    """Note with each proof whether it is of anything."""
    looked = list(proofs)
    claims = [p.invariant for p in looked]
    found = empty(spec, claims, budget=budget, jobs=jobs, cache=cache, done=done)
    for proof in looked:
        proof.vacuous = found.get(proof.invariant.clause, "")
        claim = proof.invariant
        ends = not isinstance(claim, Kept) or proof.ends or claim.obligation.unless == build.FALSE
        if not ends and not proof.vacuous:
            proof.vacuous = "its `unless` never comes"


def empty(
    spec: Spec,
    claims: Iterable[Invariant],
    *,
    budget: float = 10.0,
    jobs: int | None = None,
    cache: bool = True,
    done: Callable[[int, int], None] = lambda _done, _of: None,
) -> dict[str, str]:
    """The clauses of claims whose premise is never the case, and why.

    Either no state that keeps the invariants has it, or none that is come to: that it never is the
    case is then an invariant itself.
    """
    by_clause = {c.clause: c for c in claims}
    found: dict[str, str] = {}
    told = witnesses(spec, by_clause, budget=budget, jobs=jobs, cache=cache, done=done)
    for witness in told:
        claim = by_clause[witness.clause]
        if witness.status == "never":
            found[claim.clause] = "the invariants rule out what it speaks of"
        elif witness.status == "open" and _never(spec, claim, budget, jobs, cache):
            found[claim.clause] = "what it speaks of is never the case, from boot on"
    return found


def _never(spec: Spec, claim: Invariant, budget: float, jobs: int | None, cache: bool) -> bool:
    """Whether it can be proved that a premise never is the case, where the invariants hold."""
    never = Invariant(claim.clause, f"{claim.name}.never", _denied(claim), ())
    more = replace(spec, invariants=(*spec.invariants, never))
    (proof,) = prove(more, [never.name], budget=budget, jobs=jobs, cache=cache)
    return proof.status == "proved"


def _denied(claim: Invariant) -> Expr:
    """That a claim's premise is not the case, for any values."""
    if isinstance(claim, Kept):
        assert isinstance(claim.body, Quant)
        variables, body = claim.body.vars, claim.given
    else:
        variables, body = premise(claim.body)
    denied = build.negate(body)
    return Quant("forall", variables, denied, BOOL) if variables else denied
