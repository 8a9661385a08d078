"""One call in a known state: may it return this, and what is so afterwards?

The interpreter answers the same question; `tests/agreement` holds the two to one answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import z3

from pvhspec.backends.solver.ground import Frame, Ground
from pvhspec.backends.solver.obligation import Search
from pvhspec.backends.solver.sorts import Term
from pvhspec.backends.solver.step import Call, call, special_operation
from pvhspec.backends.solver.views import Boot
from pvhspec.ir.ir import Operation, Spec, Version
from pvhspec.types.types import BitsType, Type

__all__ = ["Cell", "Known", "Question"]

Cell = tuple[str, tuple[Any, ...], Any]

_NEAR = 3  # numbers tried in quantifiers around every number that occurs


class Known:
    """The state at boot with some cells set."""

    def __init__(self, ground: Ground, cells: Iterable[Cell]) -> None:
        self._ground = ground
        self._boot = Boot(ground, usual=True)
        self._cells: dict[str, list[tuple[tuple[Term, ...], Term]]] = {}
        for state, index, value in cells:
            decl = ground.states[state]
            kinds = [v.type for v in decl.indices]
            terms = tuple(ground.sorts.value(k, i) for k, i in zip(kinds, index, strict=True))
            known = (terms, ground.sorts.value(decl.type, value))
            self._cells.setdefault(state, []).append(known)
            for kind, at in zip(kinds, index, strict=True):
                offer_near(ground, kind, at)

    def read(self, state: str, index: tuple[Term, ...]) -> Term:
        """The value of a cell."""
        value = self._boot.read(state, index)
        for at, known in self._cells.get(state, ()):
            here = z3.And(*(a == b for a, b in zip(index, at, strict=True)))
            value = z3.If(here, known, value)
        return value


def offer_near(ground: Ground, kind: object, value: int) -> None:
    """Let quantifiers be tried at a number and beside it."""
    if isinstance(kind, BitsType):
        for other in range(max(0, value - _NEAR), value + _NEAR + 1):
            if other < 1 << kind.width:
                ground.offer(kind, z3.BitVecVal(other, kind.width))


@dataclass(eq=False)
class Question:
    """A call of an operation in a state, for one release and mode."""

    spec: Spec
    operation: Operation
    where: tuple[Version, str]
    cells: tuple[Cell, ...]
    inputs: dict[str, Any]

    def legal(self, code: int, outs: dict[str, int] | None = None, budget: float = 20.0) -> bool:
        """Whether the call may return a code (0: success, with these out fields)."""
        ground, made = self._asked(code, outs or {})
        answer, _ = Search(ground, budget).run([])
        if answer is None:
            raise TimeoutError(f"{self.operation.name}: not decided in {budget:g} s")
        return answer and made is not None

    def forced(self, code: int, outs: dict[str, int], cell: Cell, budget: float = 20.0) -> bool:
        """Whether a cell must have a value after a call that may return this."""
        state, index, value = cell
        ground, made = self._asked(code, outs)
        if made is None:
            return True
        decl = self.spec.states[state]
        terms = tuple(
            ground.sorts.value(v.type, i) for v, i in zip(decl.indices, index, strict=True)
        )
        found = ground.cell(made.after, state, terms)
        ground.constraints.append(found != ground.sorts.value(decl.type, value))
        answer, _ = Search(ground, budget).run([])
        return answer is False

    def _asked(self, code: int, outs: dict[str, int]) -> tuple[Ground, Call | None]:
        ground = Ground(self.spec.states)
        special = special_operation(self.operation, *self.where)
        if special is None:
            ground.constraints.append(z3.BoolVal(False))
            return ground, None
        frame = Frame("in.", Known(ground, self.cells), {}, rule=self._rule(ground, outs))
        made = call(ground, special, frame, lowest=True)
        ground.constraints += [made.allowed, made.code == code]
        for state in self.spec.states.values():
            for var in state.indices:
                for value in self.inputs.values():
                    if isinstance(value, int) and not isinstance(value, bool):
                        offer_near(ground, var.type, value)
        return ground, made

    def _rule(self, ground: Ground, outs: dict[str, int]) -> Any:
        known = {**self.inputs, **{f"out.{n}": v for n, v in outs.items()}}

        def rule(name: str, _: Type, term: Term) -> None:
            if name in known:
                value = known[name]
                ground.constraints.append(term if value is True else term == value)

        return rule
