"""A call in any state, with every clause under a truth of its own: what cannot be is traced back to
the clauses that forbid it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import z3

from pvhspec.backends.solver.goals import Where
from pvhspec.backends.solver.ground import Frame, Ground
from pvhspec.backends.solver.obligation import Search
from pvhspec.backends.solver.rewrite import decide_gates, solve_equalities
from pvhspec.backends.solver.sorts import Term
from pvhspec.backends.solver.step import Call, call
from pvhspec.backends.solver.views import AnyState
from pvhspec.ir import build
from pvhspec.ir.ir import Error, Expr, Input, Operation, Spec
from pvhspec.types.types import BOOL

__all__ = ["Tracked", "TrackedCall"]

_FOR_LESS = 3.0  # seconds to make a list of clauses shorter


class Tracked:
    """Any state at all, which keeps the invariants (or these facts) while their truths are
    assumed."""

    def __init__(self, spec: Spec, where: Where, facts: dict[str, Expr] | None = None) -> None:
        self.ground = Ground(spec.states)
        self.view = AnyState(self.ground, "")
        self.truths: dict[str, Term] = {}
        self._search: Search | None = None
        self._time = 0.0
        if facts is None:
            facts = {i.clause: i.body for i in spec.invariants}
        for clause, body in facts.items():
            said = solve_equalities(decide_gates(body, *where))
            self.ground.assume(said, Frame("", self.view, {}), self.truth(clause), fact=True)

    def truth(self, clause: str) -> Term:
        """What stands for a clause: it is assumed, or not."""
        return self.truths.setdefault(clause, z3.Bool(f"clause {clause}"))

    def possible(self, budget: float, terms: Iterable[Term] = ()) -> tuple[bool | None, Any]:
        """Whether all of it can be so at once, with every clause; and a model."""
        self._time = budget
        return self._run(budget, [*self.truths.values(), *terms])

    def _run(self, budget: float, wishes: list[Term]) -> tuple[bool | None, Any]:
        if self._search is None:
            self._search = Search(self.ground, budget)
        self._search.allow(budget)
        return self._search.run(wishes)

    def forbidding(self, terms: Iterable[Term] = ()) -> tuple[str, ...]:
        """After `possible` has said no: clauses that forbid it, none of which could be spared."""
        assert self._search is not None
        fixed, end = list(terms), time.process_time() + _FOR_LESS
        core = {t.get_id() for t in self._search.core()}
        kept = {n: t for n, t in self.truths.items() if t.get_id() in core}
        for name in tuple(kept):
            left = end - time.process_time()
            if left <= 0:
                break
            fewer = {n: t for n, t in kept.items() if n != name}
            if self._run(left, [*fewer.values(), *fixed])[0] is False:
                kept = fewer
        return tuple(kept)


class TrackedCall(Tracked):
    """And a call of an operation (made special) in that state."""

    def __init__(
        self, spec: Spec, op: Operation, where: Where, facts: dict[str, Expr] | None = None
    ) -> None:
        super().__init__(spec, where, facts)
        errors = tuple(
            e if e.when is None else replace(e, when=_said("due", e.clause)) for e in op.errors
        )
        loose = replace(
            op,
            errors=errors,
            choices=tuple(
                replace(c, when=build.implies(_said("kept", c.clause), c.when)) for c in op.choices
            ),
            updates=tuple(
                replace(u, guard=build.all_of((_said("kept", u.clause), u.guard)))
                if u.target.startswith("out.")
                else u
                for u in op.updates
            ),
        )
        frame = Frame("in.", self.view, {})
        self.call: Call = call(self.ground, loose, frame, lowest=False)
        frame = self.call.frame
        for error in op.errors:
            if error.when is not None:
                said = self.ground.input(_said("due", error.clause).name, BOOL, frame)
                meant = self.ground.expr(error.when, frame)
                self._given(error.clause, said == meant)
        for name, term in frame.inputs.items():
            if name.startswith("kept "):
                self._given(name.removeprefix("kept "), term)
        for choice, lowest in zip(
            (c for c in op.choices if c.lowest is not None), self.call.lowest, strict=True
        ):
            assert choice.lowest is not None
            self._given(choice.lowest, lowest)

    def _given(self, clause: str, what: Term) -> None:
        self.ground.constraints.append(z3.Implies(self.truth(clause), what))

    def returned(self, code: int) -> list[Term]:
        """That this code is returned."""
        return [self.call.allowed, self.call.code == code]

    def by(self, error: Error) -> list[Term]:
        """That an error is returned, and that this clause is what lets it be."""
        due = next((d for e, d in self.call.due if e.clause == error.clause), None)
        return [*self.returned(error.code), *([] if due is None else [due])]

    def so(self, condition: Expr, where: Where) -> list[Term]:
        """That a condition holds of the call and of the state before it."""
        special = decide_gates(condition, *where)
        return [self.ground.expr(special, self.call.frame)]


def _said(what: str, clause: str) -> Input:
    return Input(f"{what} {clause}", BOOL)
