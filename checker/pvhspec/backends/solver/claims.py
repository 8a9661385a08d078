"""What is proved: an invariant, or the safety part of an obligation.

What is owed must be paid some time, which no induction shows. What one does show is that a debt is
never lost: a step after which it is no longer owed either paid it or met `unless`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pvhspec.backends.solver.rewrite import decide_gates, inputs_as_variables, solve_equalities
from pvhspec.ir import build
from pvhspec.ir.ir import Expr, Invariant, Moment, Obligation, Quant, Spec, Var, Version
from pvhspec.types.types import BOOL

__all__ = ["Aim", "Kept", "aim", "claims", "ended", "kept"]


@dataclass(frozen=True, slots=True)
class Kept(Invariant):
    """That what is owed stays owed: where `given` held before a step, the body holds after it,
    for the same values, unless the step is what was owed."""

    given: Expr
    obligation: Obligation


@dataclass(frozen=True, slots=True)
class Aim:
    """What a step has to keep, in one release and mode: where `given` held before (None: always),
    `goal` holds afterwards, for the same values, unless the step is `paid`."""

    goal: Expr
    given: Expr | None = None
    paid: Moment | None = None


def claims(spec: Spec) -> tuple[Invariant, ...]:
    """Everything there is to prove."""
    return (*spec.invariants, *map(kept, spec.obligations))


def kept(obligation: Obligation) -> Kept:
    """The safety part of an obligation, the caller being whoever it is that is owed."""
    vars_: dict[str, Var] = {v.name: v for v in obligation.vars}
    when = inputs_as_variables(obligation.when, vars_)
    unless = inputs_as_variables(obligation.unless, vars_)
    body = Quant("forall", tuple(vars_.values()), build.any_of([when, unless]), BOOL)
    given = build.all_of([when, build.negate(unless)])
    return Kept(obligation.clause, obligation.name, body, (), given, obligation)


def aim(claim: Invariant, version: Version, mode: str) -> Aim:
    """What a claim says for one release and mode."""
    body = decide_gates(claim.body, version, mode)
    if isinstance(claim, Kept):
        given = decide_gates(claim.given, version, mode)
        then = claim.obligation.then
        paid = Moment(then.event, decide_gates(then.test, version, mode))
        return Aim(body, given, paid)
    return Aim(solve_equalities(body))


def ended(claim: Kept, version: Version, mode: str) -> Aim:
    """That `unless` does not come: a step that breaks this lets go of what is owed."""
    own = aim(claim, version, mode)
    assert isinstance(claim.body, Quant)
    vars_ = {v.name: v for v in claim.obligation.vars}
    unless = inputs_as_variables(claim.obligation.unless, vars_)
    never = build.negate(decide_gates(unless, version, mode))
    return Aim(Quant("forall", claim.body.vars, never, BOOL), own.given, own.paid)
