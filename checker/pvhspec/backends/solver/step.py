"""One step of an execution as a relation: what may be returned, and the state afterwards.

The meaning is that of `interpreter/operation.py`, clause by clause.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby

import z3

from pvhspec.backends.solver.ground import Frame, Ground
from pvhspec.backends.solver.rewrite import decide_gates, solve_equalities, substitute
from pvhspec.backends.solver.sorts import Term
from pvhspec.backends.solver.views import After, Write
from pvhspec.ir import build
from pvhspec.ir.ir import (
    OWN_RANK,
    STATUS,
    Choice,
    Error,
    Expr,
    Gate,
    MapInput,
    Observation,
    Op,
    Operation,
    Quant,
    Update,
    Var,
    Version,
)
from pvhspec.types.types import BOOL, BitsType

__all__ = ["Call", "call", "event", "special_observation", "special_operation"]


# ---- one release and mode ----------------------------------------------------------------------


def special_operation(op: Operation, version: Version, mode: str) -> Operation | None:
    """The operation as it is for one release and mode: no gate is left. None: there is none."""
    if not op.gate.open(version, mode):
        return None

    def of(node: Expr) -> Expr:
        return solve_equalities(decide_gates(node, version, mode))

    errors = tuple(
        replace(
            e,
            gate=Gate(),
            when=None if e.when is None else of(e.when),
            only=None if e.only is None else of(e.only),
        )
        for e in op.errors
        if e.gate.open(version, mode)
    )
    return replace(
        op,
        gate=Gate(),
        errors=tuple(e for e in errors if build.FALSE not in (e.when, e.only)),
        choices=tuple(replace(c, when=of(c.when)) for c in op.choices),
        result=None if op.result is None else of(op.result),
        ensures=tuple(replace(e, test=of(e.test)) for e in op.ensures),
        updates=_updates(op.updates, version, mode),
        told=_updates(op.told, version, mode),
        always=_updates(op.always, version, mode),
    )


def special_observation(block: Observation, version: Version, mode: str) -> Observation | None:
    """The block as it is for one release and mode. None: it does not apply."""
    when = solve_equalities(decide_gates(block.when, version, mode))
    if not block.gate.open(version, mode) or when == build.FALSE:
        return None
    requires = tuple(
        replace(r, test=solve_equalities(decide_gates(r.test, version, mode)))
        for r in block.requires
    )
    return replace(
        block,
        gate=Gate(),
        when=when,
        requires=requires,
        updates=_updates(block.updates, version, mode),
    )


def _updates(updates: tuple[Update, ...], version: Version, mode: str) -> tuple[Update, ...]:
    made = (
        replace(
            u,
            guard=solve_equalities(decide_gates(u.guard, version, mode)),
            value=decide_gates(u.value, version, mode),
            indices=tuple(decide_gates(i, version, mode) for i in u.indices),
        )
        for u in updates
    )
    return tuple(u for u in made if u.guard != build.FALSE)


# ---- a hypercall -------------------------------------------------------------------------------


@dataclass(eq=False)
class Call:
    """A call: `code` is 0 or the error; `allowed` says that it may be returned.

    `due` is when each error with a condition is the one to be returned; `refused`, when one that
    comes before success is; `reached`, when none that the operation inherits is.
    """

    op: Operation
    frame: Frame
    code: Term
    due: list[tuple[Error, Term]]
    refused: Term
    reached: Term
    effects: Term
    allowed: Term
    after: After
    lowest: list[Term]


def call(ground: Ground, op: Operation, frame: Frame, *, lowest: bool) -> Call:
    """A call of an operation (made special) in the state of the frame.

    `lowest`: choices that promise it take the lowest.
    """
    before, prefix = frame.view, frame.prefix
    early, late, refused = _due(ground, op, frame)
    code = z3.BitVec(f"{prefix}code", 16)

    def may(error: Error) -> Term:
        return z3.BoolVal(True) if error.only is None else ground.expr(error.only, before_frame)

    before_frame = frame
    anytime = [e for e in op.errors if e.when is None and not e.after_success]
    after_all = [e for e in op.errors if e.when is None and e.after_success]
    allowed = z3.Or(
        z3.And(code == 0, z3.Not(refused), *(z3.Not(d) for _, d in late)),
        *(z3.And(code == e.code, d) for e, d in (*early, *late)),
        *(z3.And(code == e.code, _none_before(early, e.rank), may(e)) for e in anytime),
        *(z3.And(code == e.code, z3.Not(refused), may(e)) for e in after_all),
        *([] if op.modelled else [z3.And(code != 0, _none_before(early, OWN_RANK))]),
    )
    done = z3.Or(
        code == 0,
        *(z3.And(code == e.code, d) for e, d in late),
        *(code == e.code for e in after_all),
    )
    effects = z3.And(z3.Not(refused), done) if op.modelled else z3.BoolVal(False)
    reached = _none_before(early, OWN_RANK)
    takes_lowest: list[Term] = []
    for choice in op.choices:
        frame = _choose(ground, choice, frame, effects)
        if choice.lowest is not None:
            takes_lowest.append(_lowest(ground, choice, frame, effects))
    if lowest:
        ground.constraints += takes_lowest
    _shown(ground, op, frame, z3.And(effects, code == 0), reached)
    states = [u for u in op.updates if not u.target.startswith("out.")]
    writes = [Write(u, frame, effects) for u in states]
    writes += [Write(u, frame, reached) for u in op.always]
    return Call(
        op,
        frame,
        code,
        [*early, *late],
        refused,
        reached,
        effects,
        allowed,
        After(ground, before, writes),
        takes_lowest,
    )


_Due = list[tuple[Error, Term]]


def _due(ground: Ground, op: Operation, frame: Frame) -> tuple[_Due, _Due, Term]:
    """When each error is the one to be answered: those that come first, by rank, and those after
    success, where none of the others is; and when there is one before success at all."""
    early: _Due = []
    before: list[Term] = []
    tested = [(e, e.when) for e in op.errors if e.when is not None]
    ranked = sorted((x for x in tested if not x[0].after_success), key=lambda x: x[0].rank)
    for _, group in groupby(ranked, key=lambda x: x[0].rank):
        rank = [(e, ground.expr(when, frame)) for e, when in group]
        none_before = z3.Not(z3.Or(*before))
        early += [(e, z3.And(none_before, when) if before else when) for e, when in rank]
        before += [when for _, when in rank]
    # What an out field would deliver, an error that comes after all hides.
    none = z3.Not(z3.Or(*(due for e, due in early if e.code < STATUS)))
    late = [(e, z3.And(none, ground.expr(when, frame))) for e, when in tested if e.after_success]
    if late:
        shown = z3.Not(z3.Or(*(due for _, due in late)))
        early = [(e, z3.And(due, shown) if e.code >= STATUS else due) for e, due in early]
    return early, late, z3.Or(*before)


def _none_before(early: _Due, rank: int) -> Term:
    """No error of a lower rank is due."""
    before = [due for e, due in early if e.rank < rank]
    return z3.Not(z3.Or(*before)) if before else z3.BoolVal(True)


def _choose(ground: Ground, choice: Choice, frame: Frame, effects: Term) -> Frame:
    var = choice.var
    frame = frame.inside({var.name: ground.fresh(f"{frame.prefix}{var.name}", var.type)})
    ground.assume(choice.when, frame, effects)
    return frame


def _lowest(ground: Ground, choice: Choice, frame: Frame, effects: Term) -> Term:
    """A truth that says that the lowest value is taken."""
    var, truth = choice.var, z3.Bool(f"{frame.prefix}lowest")
    other = Var(f"{var.name}.other", var.type)
    spare = substitute(choice.when, {var.name: other})
    least = build.implies(spare, Op("ule", (var, other), BOOL))
    ground.assume(Quant("forall", (other,), least, BOOL), frame, z3.And(truth, effects))
    return truth


def _shown(ground: Ground, op: Operation, frame: Frame, success: Term, reached: Term) -> None:
    """What the caller sees: result and out fields after success, and what it is told always."""
    if op.result is not None:
        result = ground.input("result", BitsType(64), frame)
        ground.constraints.append(z3.Implies(success, result == ground.expr(op.result, frame)))
    outs: dict[str, list[tuple[Update, Term]]] = {}
    written = [u for u in op.updates if u.target.startswith("out.")]
    for update in written:
        if update.indices:
            there = MapInput(update.target, update.indices, update.value.type)
            so = build.implies(update.guard, build.eq(there, update.value))
            ground.assume(Quant("forall", update.binders, so, BOOL), frame, success)
    shown = [(u, success) for u in written if not u.indices]
    for update, when in (*((u, reached) for u in op.told), *shown):
        outs.setdefault(update.target, []).append((update, when))
    for target, updates in outs.items():
        seen = ground.input(target, updates[0][0].value.type, frame)
        later = z3.BoolVal(False)
        for update, when in reversed(updates):
            guard = z3.And(when, ground.expr(update.guard, frame))
            here = z3.And(guard, z3.Not(later))
            ground.constraints.append(z3.Implies(here, seen == ground.expr(update.value, frame)))
            later = z3.Or(later, guard)
    for ensure in op.ensures:
        ground.assume(ensure.test, frame, success)


# ---- other events ------------------------------------------------------------------------------


def event(ground: Ground, block: Observation, frame: Frame) -> After:
    """An event of another kind, to which a block (made special) applies."""
    when = z3.BoolVal(True) if frame.scope is None else frame.scope
    ground.constraints.append(z3.Implies(when, ground.expr(block.when, frame)))
    writes = [Write(u, frame, when) for u in block.updates]
    return After(ground, frame.view, writes)
