"""Where the text has holes: arguments nothing is said of, text that never applies, clauses that
contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import z3

from pvhspec.backends.solver.authority import documented, is_free
from pvhspec.backends.solver.claims import claims
from pvhspec.backends.solver.combos import Combo, alike, combos, expressions, shown_combos
from pvhspec.backends.solver.ground import Frame, Ground, Unsupported
from pvhspec.backends.solver.obligation import Cells, Search, cells_of
from pvhspec.backends.solver.parallel import Job, run_all
from pvhspec.backends.solver.replay import Stuck, succeeds
from pvhspec.backends.solver.rewrite import decide_gates, gates_in, solve_equalities, walk
from pvhspec.backends.solver.sorts import Term, bound, in_range
from pvhspec.backends.solver.step import Call, call, special_operation
from pvhspec.backends.solver.structs import struct_gaps
from pvhspec.backends.solver.tell import call_shown, cell_shown
from pvhspec.backends.solver.vacuity import empty
from pvhspec.backends.solver.views import AnyState
from pvhspec.ir.ir import (
    Authority,
    Choice,
    Error,
    Expr,
    Input,
    Make,
    Op,
    Operation,
    Quant,
    Spec,
    Update,
    Var,
)
from pvhspec.types.types import BOOL, BitsType, EnumType, Type

__all__ = ["Finding", "complete"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something missing, dead or contradictory. `lines` tell how it comes about."""

    kind: str
    subject: str
    what: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found of one operation; `reached` are its errors that can be returned."""

    status: str
    findings: tuple[Finding, ...]
    reached: frozenset[str]
    shadowed: tuple[tuple[str, tuple[str, ...]], ...]


def complete(
    spec: Spec,
    names: Collection[str] = (),
    *,
    authority: Authority = "implemented",
    budget: float = 10.0,
    jobs: int | None = None,
    cache: bool = True,
    done: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Finding]:
    """Everything that is found, in every release and mode; of operations named, or of all.

    `authority` `documented`: what is promised by an implementation alone is left free.
    """
    every = combos(spec)
    promised = documented(spec) if authority == "documented" else spec
    of = {op.id: op for op in promised.operations}
    facts = tuple(
        i for i in spec.invariants
        if authority == "implemented" or spec.clauses[i.clause].authority == "documented"
    )  # fmt: skip
    chosen = [op for op in spec.operations if not names or op.name in names]
    work = [
        Job(
            op.name,
            op,
            (),
            ("complete", of[op.id], op, spec.states, facts, budget, every),
            lambda op=op: _of_operation(  # type: ignore[misc]
                replace(spec, invariants=facts), op, of[op.id], every, budget
            ),
        )
        for op in chosen
    ]
    results = [result for result, _, _ in run_all(work, jobs, cache, done)]
    found = [f for r in results for f in r.findings]
    found += _dead_errors(results)
    found += _dead_gates(spec, every)
    if not names:
        told = empty(spec, claims(spec), budget=budget, jobs=jobs, cache=cache)
        found += [Finding("vacuous", clause, why) for clause, why in told.items()]
    found += [Finding("struct", s, what) for s, what in struct_gaps(spec)]
    return found


def _dead_errors(results: list[_Found]) -> Iterator[Finding]:
    reached = frozenset().union(*(r.reached for r in results))
    shadows: dict[str, set[str]] = {}
    for result in results:
        for clause, by in result.shadowed:
            shadows.setdefault(clause, set()).update(by)
    for clause, others in shadows.items():
        if clause not in reached:
            after = ", ".join(sorted(others))
            what = f"never returned: always after {after}" if after else "never due"
            yield Finding("dead error", clause, what)


def _dead_gates(spec: Spec, every: tuple[Combo, ...]) -> Iterator[Finding]:
    for clause in spec.clauses.values():
        if not any(clause.gate.open(*c) for c in every):
            yield Finding("dead gate", clause.id, f"no release and mode is {clause.gate}")
    for op in spec.operations:
        here = [c for c in every if op.gate.open(*c)]
        for gate in sorted(gates_in(expressions(op)), key=str):
            if here and not any(gate.open(*c) for c in here):
                yield Finding("dead gate", op.id, f"nowhere it exists is {gate}")


# ---- one operation -----------------------------------------------------------------------------


class _Asked:
    """A call in any state that keeps the invariants."""

    def __init__(self, spec: Spec, op: Operation, where: Combo) -> None:
        self.ground = Ground(spec.states)
        self.view = AnyState(self.ground, "")
        self.call: Call = call(self.ground, op, Frame("in.", self.view, {}), lowest=False)
        for invariant in spec.invariants:
            body = solve_equalities(decide_gates(invariant.body, *where))
            self.ground.assume(body, Frame("", self.view, {}))

        self._search: Search | None = None

    def possible(self, budget: float, *terms: Term) -> bool | None:
        """Whether all of it can be so at once; each question anew."""
        return self.model(budget, *terms)[0]

    def model(self, budget: float, *terms: Term) -> tuple[bool | None, Any]:
        """The same, and how."""
        if self._search is None:
            self._search = Search(self.ground, budget)
        self._search.allow(budget)
        return self._search.run(list(terms))


def _of_operation(
    spec: Spec, op: Operation, promised: Operation, every: tuple[Combo, ...], budget: float
) -> _Found:
    """`promised`: as much of the operation as is to be held to."""
    findings: dict[tuple[str, str], Finding] = {}
    reached: set[str] = set()
    shadowed: dict[str, tuple[str, ...]] = {}
    status = "done"
    for group in alike(op, every):
        special = special_operation(promised, *group[0])
        assert special is not None
        special = replace(special, updates=tuple(u for u in special.updates if not is_free(u)))
        place = shown_combos(group, every)
        try:
            asked = _Asked(spec, special, group[0])
            for error, due in asked.call.due:
                if error.clause in reached:
                    continue
                if asked.possible(budget, due) is False:
                    shadowed[error.clause] = _shadow(asked, special, error, budget)
                else:
                    reached.add(error.clause)
            for found in (
                *_gaps(spec, op, special, group[0], place, budget),
                *_contradictions(spec, special, group[0], place, budget),
                *_outside(spec, op, special, group[0], place, budget),
            ):
                findings.setdefault((found.kind, found.subject), found)
        except Unsupported as why:
            status = "open"
            findings["open", op.id] = Finding("open", op.id, str(why))
    return _Found(status, tuple(findings.values()), frozenset(reached), tuple(shadowed.items()))


def _shadow(asked: _Asked, op: Operation, error: Error, budget: float) -> tuple[str, ...]:
    """The errors that always come before one that is never due; none if it has no case at all."""
    before = [
        e for e in op.errors
        if e.when is not None and e is not error
        and (error.after_success > e.after_success or e.rank < error.rank)
    ]  # fmt: skip

    def holds(e: Error) -> Term:
        assert e.when is not None
        return asked.ground.expr(e.when, asked.call.frame)

    for some in ((), *((e,) for e in before)):
        terms = [holds(error), *(z3.Not(holds(e)) for e in some)]
        if asked.possible(budget, *terms) is False:
            return tuple(e.clause for e in some)
    return tuple(e.clause for e in before)


def _gaps(
    spec: Spec, op: Operation, special: Operation, where: Combo, place: str, budget: float
) -> Iterator[Finding]:
    """No error is due, and yet there is nothing to choose or to show."""
    if not special.modelled:
        return
    for choice in special.choices:
        asked = _Asked(spec, special, where)
        ground, made = asked.ground, asked.call
        _offer_all(ground, choice.var)
        _offer_compared(ground, choice, made.frame)
        none = z3.Not(ground.expr(Quant("exists", (choice.var,), choice.when, BOOL), made.frame))
        late = [z3.Not(d) for e, d in made.due if e.after_success]
        ground.constraints += [z3.Not(made.refused), none, *late, made.code == _NO_CODE]
        answer, model = Search(ground, budget).run([])
        if answer is None:  # then an error that may always be returned is as good an answer
            never = list(_never_refused(special, asked))
            if not never or Search(ground, budget).run(never)[0] is not False:
                yield Finding("open", choice.clause, f"not decided in {budget:g} s")
        if not answer:
            continue
        inputs = {n: _plain(model, x) for n, x in made.frame.inputs.items()}
        stuck = Stuck(spec, op, where, inputs)
        cells = cells_of(ground, asked.view, model)
        if stuck.so(cells):
            lines = [cell_shown(spec, *c) for c in stuck.shrunk(cells)]
            lines.append(call_shown(spec, op, inputs, None))
            what = f"no error is due, and nothing is free to choose ({place})"
            yield Finding("gap", op.id, what, tuple(lines))
    for ensure in special.ensures:
        outs = {n.name for n in walk(ensure.test) if isinstance(n, Input) and "." in n.name}
        if not outs <= {u.target for u in special.updates}:
            continue
        asked = _Asked(spec, special, where)
        test = asked.ground.expr(ensure.test, asked.call.frame)
        made = asked.call
        ensured = [c for c in asked.ground.constraints if not _mentions(c, test)]
        asked.ground.constraints[:] = ensured
        if asked.possible(budget, made.effects, made.code == 0, made.allowed, z3.Not(test)):
            yield Finding("contradiction", ensure.clause, f"the effects do otherwise ({place})")


def _never_refused(op: Operation, asked: _Asked) -> Iterator[Term]:
    """That no error may be returned which is never due."""
    for error in op.errors:
        if error.when is None and not error.after_success:
            only = error.only
            yield (
                z3.BoolVal(False)
                if only is None
                else z3.Not(asked.ground.expr(only, asked.call.frame))
            )


_NO_CODE = 0xFFFF
_FEW = 64


def _offer_all(ground: Ground, var: Var) -> None:
    """Every value of a small type: that none is free can be said of each."""
    kind = var.type
    if isinstance(kind, BitsType) and kind.below is not None and kind.below <= _FEW:
        for value in range(kind.below):
            ground.offer(kind, z3.BitVecVal(value, kind.width))


def _offer_compared(ground: Ground, choice: Choice, frame: Frame) -> None:
    """What the choice is compared with: where only one value is free, it is one of those."""
    for node in walk(choice.when):
        if isinstance(node, Op) and len(node.args) == 2 and choice.var in node.args:
            other = node.args[node.args[0] == choice.var]
            if not any(isinstance(n, Var) for n in walk(other)):
                ground.offer(choice.var.type, ground.expr(other, frame))


def _plain(model: Any, term: Term) -> Any:
    value = model.eval(term, model_completion=True)
    return z3.is_true(value) if z3.is_bool(value) else value.as_long()


def _mentions(term: Term, part: Term) -> bool:
    return any(part.eq(child) for child in term.children())


def _contradictions(
    spec: Spec, op: Operation, where: Combo, place: str, budget: float
) -> Iterator[Finding]:
    """Two clauses that write one cell differently at once."""
    pairs = [
        (one, other)
        for one, other in combinations(op.updates, 2)
        if one.target == other.target and one.clause != other.clause and one.value != other.value
    ]
    if not pairs:
        return
    asked = _Asked(spec, op, where)
    ground, made = asked.ground, asked.call
    for one, other in pairs:
        a, b = (_written(ground, u, made.frame) for u in (one, other))
        same = [x == y for x, y in zip(a[1], b[1], strict=True)]
        terms = [made.effects, made.allowed, a[0], b[0], *same, a[2] != b[2]]
        answer, model = asked.model(budget, *terms)
        if answer:
            subject = f"{one.clause}, {other.clause}"
            what = f"both write {one.target}, and not the same; the later counts ({place})"
            inputs = {n: _plain(model, x) for n, x in made.frame.inputs.items()}
            cells = _needed(spec, op, where, inputs, cells_of(ground, asked.view, model))
            lines = [cell_shown(spec, *c) for c in cells]
            values = " and ".join(str(model.eval(w[2], model_completion=True)) for w in (a, b))
            lines.append(f"{call_shown(spec, op, inputs, 0)} writes {values}")
            yield Finding("contradiction", subject, what, tuple(lines))


def _written(ground: Ground, update: Update, frame: Frame) -> tuple[Term, list[Term], Term]:
    new = {v.name: ground.fresh(v.name, v.type) for v in update.binders}
    inner = frame.inside(new) if new else frame
    index = [ground.expr(i, inner) for i in update.indices]
    return ground.expr(update.guard, inner), index, ground.expr(update.value, inner)


def _outside(
    spec: Spec, op: Operation, special: Operation, where: Combo, place: str, budget: float
) -> Iterator[Finding]:
    """A call that succeeds, and by its arguments writes a cell that does not exist, or what is no
    value of one. What is computed from the state is left to invariants."""
    told: set[str] = set()
    for update in special.updates:
        state = spec.states.get(update.target)
        if state is None or update.clause in told:
            continue
        kinds = [*(v.type for v in state.indices), state.type]
        nodes = (*update.indices, update.value)
        given = [_given(n, k) for n, k in zip(nodes, kinds, strict=True)]
        if not any(given):
            continue
        asked = _Asked(spec, special, where)
        ground, made = asked.ground, asked.call
        guard, index, value = _written(ground, update, made.frame)
        within = [
            in_range(ground.sorts, kind, term)
            for arg, kind, term in zip(given, kinds, [*index, value], strict=True)
            if arg
        ]
        ground.constraints += [made.effects, made.allowed, made.code == 0, guard]
        ground.constraints.append(z3.Not(z3.And(*within)))
        answer, model = Search(ground, budget).run([])
        if answer is None:
            yield Finding("open", update.clause, f"not decided in {budget:g} s")
        if not answer:
            continue
        told.add(update.clause)
        inputs = {n: _plain(model, x) for n, x in made.frame.inputs.items()}
        cells = cells_of(ground, asked.view, model)
        lines = [cell_shown(spec, *c) for c in _needed(spec, op, where, inputs, cells)]
        lines.append(call_shown(spec, op, inputs, 0))
        at = ", ".join(str(_plain(model, i)) for i in index)
        what = f"it writes {update.target}[{at}], which is beyond a type's bound ({place})"
        yield Finding("out of range", update.clause, what, tuple(lines))


def _given(node: Expr, kind: Type) -> bool:
    """Whether it is an argument as the caller gives it, or holds one, of a type with a bound."""
    if isinstance(node, Make) and isinstance(kind, EnumType):
        payload = kind.variants[node.variant].payload
        return any(_given(a, k) for a, (_, k) in zip(node.args, payload, strict=True))
    while isinstance(node, Op) and node.op == "resize":
        node = node.args[0]
    return isinstance(node, Input) and bound(kind) is not None


def _needed(
    spec: Spec, op: Operation, where: Combo, inputs: dict[str, Any], cells: Cells
) -> list[tuple[str, tuple[Any, ...], Any]]:
    """The cells without which the interpreter does not let the call succeed."""
    left = list(cells)
    for cell in cells:
        fewer = [c for c in left if c is not cell]
        if succeeds(spec, op, inputs, fewer, where):
            left = fewer
    return left
