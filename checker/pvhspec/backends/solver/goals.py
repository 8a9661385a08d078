"""What it means for a clause to matter: the steps it can show in, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import z3

from pvhspec.backends.solver.combos import expressions
from pvhspec.backends.solver.ground import Frame, Ground
from pvhspec.backends.solver.reach import Chain, Step
from pvhspec.backends.solver.rewrite import decide_gates, solve_equalities
from pvhspec.backends.solver.sorts import Term
from pvhspec.backends.solver.step import Call, special_observation, special_operation
from pvhspec.ir.ir import Error, Expr, Observation, Op, Operation, Quant, Spec, Update, Var
from pvhspec.types.types import BOOL

__all__ = ["Goal", "Where", "changes", "goals", "premise", "specials"]

ENOSYS = 38  # what a number that is not in the table returns

Where = tuple[tuple[int, ...], str]


@dataclass(frozen=True, slots=True)
class Goal:
    """A last step, and what has to hold of it. `item` None: what has to hold of the state.

    `violable`: it is an event that the clause forbids.
    """

    item: Step | None
    ask: Callable[[Chain], None]
    reads: tuple[Expr, ...]
    violable: bool = False


def specials(spec: Spec, where: Where) -> list[Step]:
    """Everything that can happen in one release and mode."""
    found: list[Step] = []
    for op in spec.operations:
        special = special_operation(op, *where)
        if special is not None:
            found.append(special)
    for block in spec.observations:
        other = special_observation(block, *where)
        if other is not None:
            found.append(other)
    return found


def goals(spec: Spec, clause: str, items: list[Step], where: Where) -> Iterator[Goal]:
    """The ways in which a clause can matter, the plainest first."""
    for item in items:
        if isinstance(item, Operation):
            yield from _of_operation(clause, item)
        else:
            yield from _of_observation(clause, item)
    for invariant in spec.invariants:
        if invariant.clause == clause:
            yield _of_state(_some(*premise(solve_equalities(invariant.body))))
    for obligation in spec.obligations:
        if obligation.clause == clause:
            when = solve_equalities(decide_gates(obligation.when, *where))
            yield _of_state(_some(obligation.vars, when))
    for op in items:
        called = isinstance(op, Operation) and clause in _tables(spec, op)
        if called and isinstance(op, Operation):
            yield _of_call(op, lambda _, made: made.code != ENOSYS)


def _tables(spec: Spec, op: Operation) -> set[str]:
    """The clause by which the operation's number is in the table."""
    return {h.clause for h in spec.hypercalls.values() if h.name == op.hypercall}


def _of_call(op: Operation, ask: Callable[[Ground, Call], Term]) -> Goal:
    def run(chain: Chain) -> None:
        made = chain.last(op)
        chain.ground.constraints.append(ask(chain.ground, made))

    return Goal(op, run, tuple(expressions(op)))


def _of_operation(clause: str, op: Operation) -> Iterator[Goal]:
    def goal(ask: Callable[[Ground, Call], Term]) -> Goal:
        return _of_call(op, ask)

    for error in op.errors:
        if error.clause == clause:
            yield goal(_returned(error))
    whole = {op.success, op.frame, *(c.clause for c in op.choices)}
    whole |= {c.lowest for c in op.choices if c.lowest} | {e.clause for e in op.ensures}
    if clause in whole:
        yield goal(lambda _, made: made.code == 0)
    updates = [u for u in op.updates if u.clause == clause]
    if updates:
        yield goal(
            lambda ground, made: z3.And(
                made.code == 0, z3.Or(*(changes(ground, u, made.frame) for u in updates))
            )
        )
    always = [u for u in op.always if u.clause == clause]
    if always:
        yield goal(
            lambda ground, made: z3.And(
                made.reached, z3.Or(*(changes(ground, u, made.frame) for u in always))
            )
        )


def _returned(error: Error) -> Callable[[Ground, Call], Term]:
    """The error is returned, and by this clause."""

    def ask(_: Ground, made: Call) -> Term:
        due = next((d for e, d in made.due if e.clause == error.clause), None)
        if due is None:
            return z3.And(made.code == error.code, z3.Not(made.refused))
        others = [d for e, d in made.due if e.clause != error.clause]
        return z3.And(made.code == error.code, due, z3.Not(z3.Or(*others)))

    return ask


def changes(ground: Ground, update: Update, frame: Frame) -> Term:
    """An update happens and makes a difference."""
    new = {v.name: ground.fresh(v.name, v.type) for v in update.binders}
    inner = frame.inside(new) if new else frame
    guard = ground.expr(update.guard, inner)
    if update.target.startswith("out."):
        return guard
    index = tuple(ground.expr(i, inner) for i in update.indices)
    old = ground.cell(frame.view, update.target, index)
    return z3.And(guard, old != ground.expr(update.value, inner))


def _of_observation(clause: str, block: Observation) -> Iterator[Goal]:
    reads = tuple(expressions(block))
    for requirement in block.requires:
        if requirement.clause == clause:
            test = requirement.test

            def forbidden(chain: Chain, test: Expr = test) -> None:
                frame, _ = chain.last_event(block)
                chain.ground.deny(test, frame)

            yield Goal(block, forbidden, reads, violable=True)
    if clause in {c for c, _ in block.undefined}:

        def applies(chain: Chain) -> None:
            chain.last_event(block)

        yield Goal(block, applies, reads)
    updates = [u for u in block.updates if u.clause == clause]
    if updates:

        def changed(chain: Chain) -> None:
            frame, _ = chain.last_event(block)
            ground = chain.ground
            ground.constraints.append(z3.Or(*(changes(ground, u, frame) for u in updates)))

        yield Goal(block, changed, reads)


def premise(body: Expr) -> tuple[tuple[Var, ...], Expr]:
    """What an invariant speaks of: variables, and what has to hold of them."""
    variables: tuple[Var, ...] = ()
    while isinstance(body, Quant) and body.kind == "forall":
        variables += body.vars
        body = body.body
    if isinstance(body, Op) and body.op == "implies":
        body = body.args[0]
    return variables, body


def _some(variables: tuple[Var, ...], body: Expr) -> Expr:
    return Quant("exists", variables, body, BOOL) if variables else body


def _of_state(wanted: Expr) -> Goal:
    def ask(chain: Chain) -> None:
        frame = Frame("state.", chain.view, {})
        chain.ground.constraints.append(chain.ground.expr(wanted, frame))

    return Goal(None, ask, (wanted,))
