"""What the solver found, tried out by the interpreter: nothing is told that it does not confirm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pvhspec.backends.interpreter.evaluate import Compiler
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.interpreter.path import explore
from pvhspec.backends.interpreter.store import Store
from pvhspec.backends.protocol import Call, Seen, Verdict
from pvhspec.backends.solver.claims import Aim
from pvhspec.backends.solver.combos import Combo
from pvhspec.backends.solver.obligation import Broken, Cells
from pvhspec.backends.solver.rewrite import substitute
from pvhspec.ir.ir import (
    STATUS,
    Const,
    Expr,
    Operation,
    Quant,
    Spec,
    Version,
    status_value,
)
from pvhspec.types.types import BoolType

__all__ = ["Stuck", "Trial", "holds", "instance", "seen_call", "settle", "succeeds"]


def seen_call(spec: Spec, op: Operation, inputs: dict[str, Any], code: int, seq: int = 0) -> Seen:
    """A call as the interpreter takes it; what a model leaves open is 0."""
    fields: dict[str, Any] = {
        "caller": 0, "current": 0, "width": 64, "cpl": 0, "readable": True, "writable": True,
    }  # fmt: skip
    for param in op.params:
        fields[param.name] = int(param.name == op.each)
    for slot in op.slots:
        if slot.read:
            fields[slot.name] = 0
        elif slot.written and f"out.{slot.name}" not in inputs and code == 0:
            fields[f"out.{slot.name}"] = 0
    fields.update(inputs)
    result = fields.pop("result", 0)
    if op.status is not None and code >= STATUS:
        fields[f"out.{op.status.name}"] = status_value(code, op.status.type.width)
        code = result = 0
    return Seen("hypercall", seq, None, fields, Call(op, -code if code else result, None, None))


def settle(spec: Spec, machine: Machine, cells: Any) -> None:
    """Put cells into a state; what drifts is told no further."""
    for state, index, value in cells:
        decl = spec.states[state]
        machine.store.write(state, index, bool(value) if isinstance(decl.type, BoolType) else value)


def holds(spec: Spec, store: Store, node: Expr, version: Version, mode: str) -> bool | None:
    """Whether an expression holds in a state; None where that is not known: a `forall` that is
    false for no cell that was set may yet be open for cells that stand for many."""
    test = Compiler(spec.states, version, mode).expr(node)
    found = explore(store, {}, lambda p: p.decide(test(p)))
    answers = {answer for _, answer in found.ways}
    return answers.pop() if len(answers) == 1 and not found.overflow else None


def succeeds(
    spec: Spec, op: Operation, inputs: dict[str, Any], cells: Iterable[Any], where: Combo
) -> bool:
    """Whether the interpreter lets a call succeed in a state."""
    machine = Machine(spec, *where)
    settle(spec, machine, tuple(cells))
    told = machine.feed(seen_call(spec, op, inputs, 0))
    return not any(j.verdict is Verdict.VIOLATES for j in told)


@dataclass(frozen=True, slots=True)
class Trial:
    """A call that is said to break `aim`, where every one of `known` holds before it."""

    spec: Spec
    op: Operation
    known: dict[str, Expr]
    aim: Aim
    where: Combo

    def missing(self, broken: Broken) -> list[str]:
        """The invariants that do not hold before the call."""
        machine = Machine(self.spec, *self.where)
        settle(self.spec, machine, broken.before)
        return [
            name
            for name, fact in self.known.items()
            if holds(self.spec, machine.store, fact, *self.where) is False
        ]

    def against(self, broken: Broken) -> str:
        """What the interpreter has against it; empty if it agrees."""
        spec = self.spec
        machine = Machine(spec, *self.where)
        settle(spec, machine, broken.before)
        for name, fact in self.known.items():
            if holds(spec, machine.store, fact, *self.where) is False:
                return f"{name} does not hold before the call"
        if self.aim.given is not None:
            owed = instance(self.aim.given, broken.at, self.aim)
            if holds(spec, machine.store, owed, *self.where) is False:
                return "nothing is owed before the call"
        seen = seen_call(spec, self.op, dict(broken.inputs), broken.code or 0)
        free = {c.lowest for c in self.op.choices}  # an invariant holds whatever is chosen
        found = [j.clause for j in machine.feed(seen) if j.verdict is Verdict.VIOLATES]
        wrong = [c for c in found if c not in free]
        if wrong:
            return f"the call violates {', '.join(wrong)}"
        if (
            holds(spec, machine.store, instance(self.aim.goal, broken.at, self.aim), *self.where)
            is not False
        ):
            return "it holds after the call"
        return ""

    def shrunk(self, broken: Broken) -> Broken:
        """The same with the cells alone that it needs, the others being as at boot."""
        cells = list(broken.before)
        count = -1
        while count != len(cells):
            count = len(cells)
            for cell in tuple(cells):
                fewer = tuple(c for c in cells if c is not cell)
                if not self.against(replace(broken, before=fewer)):
                    cells.remove(cell)
        machine = Machine(self.spec, *self.where)
        settle(self.spec, machine, cells)
        seen = seen_call(self.spec, self.op, dict(broken.inputs), broken.code or 0)
        before = {(s, i): machine.store.read(s, i) for s, i, _ in broken.after}
        list(machine.feed(seen))
        after = tuple((s, i, machine.store.read(s, i)) for s, i, _ in broken.after)
        shown = {(s, i): v for s, i, v in cells} | before
        return replace(broken, before=tuple((s, i, v) for (s, i), v in shown.items()), after=after)


@dataclass(frozen=True, slots=True)
class Stuck:
    """A call of which it is said that nothing may be returned but what may be at any time."""

    spec: Spec
    op: Operation
    where: Combo
    inputs: dict[str, Any]

    def so(self, cells: Cells) -> bool:
        """Whether the interpreter agrees."""
        codes = {e.code for e in self.op.errors if e.gate.open(*self.where) and e.when is not None}
        anytime = {e.code for e in self.op.errors if e.when is None}
        return all(self._refuses(cells, code) for code in {0, *codes} - anytime)

    def _refuses(self, cells: Cells, code: int) -> bool:
        machine = Machine(self.spec, *self.where)
        settle(self.spec, machine, cells)
        seen = seen_call(self.spec, self.op, self.inputs, code)
        for name in [n for n in seen.fields if n.startswith("out.")]:
            del seen.fields[name]
        if code == 0 and seen.call is not None and not isinstance(self.op.result, Const):
            seen.call = replace(seen.call, ret=None)  # whatever number success returns
        return any(j.verdict is Verdict.VIOLATES for j in machine.feed(seen))

    def shrunk(self, cells: Cells) -> Cells:
        """The cells alone that it needs."""
        left = list(cells)
        for cell in cells:
            fewer = tuple(c for c in left if c is not cell)
            if self.so(fewer):
                left.remove(cell)
        return tuple(left)


def instance(node: Expr, values: Iterable[tuple[str, Any]], aim: Aim) -> Expr:
    """An aim's goal, or what was given, for the values that the goal is said to fail for."""
    at, goal, known = dict(values), aim.goal, dict[str, Expr]()
    is_goal = node is goal
    while isinstance(goal, Quant) and goal.kind == "forall":
        if not all(v.name in at for v in goal.vars):
            break
        known |= {v.name: Const(v.type, at[v.name]) for v in goal.vars}
        goal = goal.body
    return substitute(goal if is_goal else node, known)
