"""A growing execution that two readings of the ABI go through side by side, for the solver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import z3

from pvhspec.backends.difference.clauses import Item
from pvhspec.backends.solver.ground import Frame, View
from pvhspec.backends.solver.obligation import Cells, cells_of
from pvhspec.backends.solver.reach import Chain, Found, Step, written
from pvhspec.backends.solver.sorts import Term
from pvhspec.backends.solver.step import Call, call, event
from pvhspec.backends.solver.views import After, AnyState, Boot
from pvhspec.ir.ir import MapInput, Observation, Operation, State, Update
from pvhspec.types.types import Type

__all__ = ["LOAD", "OTHER", "Focus", "Sides", "Twin"]

LOAD = "load."  # before the names of what was read of memory
OTHER = "other."  # before the names of the second side's states


@dataclass(frozen=True, slots=True)
class Focus:
    """What the last step is to be about: the answers differ at all, by one clause (`clause`), or
    after a step `changed` that changes more, or other things, on one side. `may`: the first may
    answer what the second never does, whatever else either may."""

    last: str
    clause: str | None = None
    changed: str | None = None
    may: bool = False


@dataclass(frozen=True, slots=True)
class Sides:
    """The states of both sides, all that can happen on the first, and on the second, over its own
    states."""

    states: dict[str, State]
    first: dict[str, Item]
    renamed: dict[str, Item]


class Twin(Chain):
    """A growing execution, as both sides go through it."""

    def __init__(self, sides: Sides, *, usual: bool, anywhere: bool = False) -> None:
        super().__init__(sides.states, usual=usual, alone=True)
        self._sides = sides
        self._any = AnyState(self.ground, "") if anywhere else None
        if self._any is not None:
            self.view = self._any
        self.other: View = _SameAtFirst(self.view, Boot(self.ground, usual), sides, anywhere)

    def both(self, items: list[Step]) -> None:
        """One more step, any of these, with the same answer on both sides."""
        self.extend(items)
        which, made = self._steps[-1]
        afters: list[After] = []
        for number, alternative in enumerate(made):
            item = self._sides.renamed[alternative.item.id]
            taken = which == number
            frame = Frame(
                alternative.frame.prefix, self.other, alternative.frame.inputs, scope=taken
            )
            if isinstance(item, Operation):
                again = call(self.ground, item, frame, lowest=True)
                fine = z3.And(again.allowed, again.code == 0)
                self.ground.constraints.append(z3.Implies(taken, fine))
                afters.append(again.after)
            else:
                afters.append(event(self.ground, item, frame))
        self.other = _Either(self.other, which, afters)

    def find(self, budget: float) -> Found:
        """An execution, with the memory that its last event is about."""
        for number, (_, address, parts) in enumerate(self.ground.loads):
            whole = parts[0] if len(parts) == 1 else z3.Concat(*parts)
            self.watched[f"{LOAD}{number}.{len(parts)}.at"] = address
            self.watched[f"{LOAD}{number}.{len(parts)}.is"] = whole
        return super().find(budget)

    def differ(self, focus: Focus, items: tuple[Item, Item, Item]) -> bool:
        """The last step, which the sides answer differently; False if they cannot."""
        first, _, second = items
        if isinstance(first, Operation) and isinstance(second, Operation):
            return self._calls(focus, first, second)
        if isinstance(first, Observation) and isinstance(second, Observation):
            return self._events(focus, first, second)
        return False

    def _calls(self, focus: Focus, first: Operation, second: Operation) -> bool:
        named = second if first.name.endswith(".other") else first
        one = self.last(first)
        two = call(self.ground, second, self._linked(one.frame, named), lowest=True)
        self.ground.constraints.append(two.allowed)
        self._plain(one.frame, named)
        self._watch(two)
        if focus.may:
            denied = z3.Not(z3.substitute(two.allowed, (two.code, one.code)))
            self.ground.constraints.append(denied)
            return True
        self.ground.constraints += [_settled(one), _settled(two)]
        ways = [one.code != two.code]
        succeeded = z3.And(one.code == 0, two.code == 0)
        ways += [z3.And(succeeded, w) for w in self._outs(first, second, one, two)]
        if focus.clause is not None:
            about = [due for made in (one, two) for e, due in made.due if e.clause == focus.clause]
            if about:
                self.ground.constraints.append(z3.Or(*about))
        failing = [
            ensured.test
            for ensured in second.ensures
            if focus.clause in (None, ensured.clause) and focus.changed is None
        ]
        if focus.clause in {e.clause for e in (*first.ensures, *second.ensures)}:
            ways = []
        inside = Frame(one.frame.prefix, self.other, one.frame.inputs, two.frame.vars)
        ways += [z3.And(succeeded, z3.Not(self.ground.expr(t, inside))) for t in failing]
        self.ground.constraints.append(z3.Or(*ways))
        return bool(ways)

    def _watch(self, made: Call) -> None:
        """What a call answers is to be told."""
        self.watched["code"] = made.code
        for name, term in made.frame.inputs.items():
            if name.startswith("out.") or name == "result":
                self.watched[name] = term

    def _given(self, model: Any) -> Cells:
        return (
            super()._given(model) if self._any is None else cells_of(self.ground, self._any, model)
        )

    def _linked(self, frame: Frame, named: Operation) -> Frame:
        """The same call on the second side: its arguments are those of the first, its answer is
        its own."""

        def rule(name: str, type_: Type, term: Term) -> None:
            if name.startswith("out.") or name == "result":
                return
            same = frame.inputs.get(name)
            if same is None:
                same = z3.Const(f"{frame.prefix}{name}", term.sort())
                frame.inputs[name] = same
                if frame.rule is not None:
                    frame.rule(name, type_, same)
            self.ground.constraints.append(term == same)

        return Frame(f"{frame.prefix}second.", self.other, {}, rule=rule)

    def _plain(self, frame: Frame, named: Operation) -> None:
        """A call as a program makes it."""
        if named.command is not None and named.params and named.params[0].name in frame.inputs:
            command = frame.inputs[named.params[0].name]
            self.ground.constraints.append(command == named.command)
        for name, allowed in (
            ("cpl", (0, 3)),
            ("width", (64, 32) if not self._steps[:-1] else (64,)),
        ):
            if name in frame.inputs:
                term = frame.inputs[name]
                self.ground.constraints.append(z3.Or(*(term == v for v in allowed)))

    def _outs(self, first: Operation, second: Operation, one: Call, two: Call) -> Iterator[Term]:
        """That a result, or a field that both fill in, differs."""
        if first.result is not None and second.result is not None:
            yield one.frame.inputs["result"] != two.frame.inputs["result"]
        names = written(first) & written(second)
        elements = {u.target for u in first.updates if u.indices}
        for name in sorted(n for n in names if n.startswith("out.")):
            if name in elements:
                yield from self._elements(name, one, two)
                continue
            filled = [
                z3.Or(*(self.ground.expr(u.guard, made.frame) for u in _of(name, op)))
                for op, made in ((first, one), (second, two))
            ]
            yield z3.And(*filled, one.frame.inputs[name] != two.frame.inputs[name])

    def _elements(self, name: str, one: Call, two: Call) -> Iterator[Term]:
        """That an element of an array differs which both fill in."""
        ground = self.ground
        for ours, theirs in product(_of(name, one.op), _of(name, two.op)):
            shown: list[Term] = []
            places: list[list[Term]] = []
            for update, made in ((ours, one), (theirs, two)):
                at = {v.name: ground.fresh(v.name, v.type) for v in update.binders}
                frame = made.frame.inside(at)
                field = MapInput(name, update.indices, update.value.type)
                shown.append(ground.expr(field, frame))
                places.append([ground.expr(i, frame) for i in update.indices])
                places[-1].append(ground.expr(update.guard, frame))
            *index, filled = zip(*places, strict=True)
            yield z3.And(*filled, *(a == b for a, b in index), shown[0] != shown[1])

    def _events(self, focus: Focus, first: Observation, second: Observation) -> bool:
        frame, _ = self.last_event(first)
        other = Frame(frame.prefix, self.other, frame.inputs, rule=frame.rule)
        event(self.ground, second, other)
        blocks = [i for i in self._sides.first.values() if isinstance(i, Observation)]
        for block in blocks:
            if block.event == first.event and block.requires:
                applies = self.ground.expr(block.when, frame)
                for required in block.requires:
                    self.ground.assume(required.test, frame, applies)
        chosen = [r for r in second.requires if focus.clause in (None, r.clause)]
        if not chosen:
            return False
        failing = [self.ground.expr(r.test, other) for r in chosen]
        self.ground.constraints.append(z3.Not(z3.And(*failing)))
        return True


class _SameAtFirst:
    """The second side's state at first: in all that a side does not say itself, the first's."""

    def __init__(self, first: View, boot: Boot, sides: Sides, anywhere: bool) -> None:
        self._first, self._boot, self._sides, self._all = first, boot, sides, anywhere

    def read(self, state: str, index: tuple[Term, ...]) -> Term:
        """The value of a cell."""
        decl = self._sides.states[state]
        name = state.removeprefix(OTHER)
        if name in self._sides.states and (self._all or decl.given or decl.init is None):
            return self._first.read(name, index)
        return self._boot.read(state, index)


class _Either:
    """The state after whichever step was taken."""

    def __init__(self, before: View, which: Term, afters: list[After]) -> None:
        self._before, self._which, self._afters = before, which, afters

    def read(self, state: str, index: tuple[Term, ...]) -> Term:
        """The value of a cell."""
        value = self._before.read(state, index)
        for number, after in enumerate(self._afters):
            if after.changes(state):
                value = z3.If(self._which == number, after.read(state, index), value)
        return value


def _settled(made: Call) -> Term:
    """That the answer is one the hypervisor has no choice but to give, when all goes well."""
    return z3.Or(made.code == 0, *(z3.And(made.code == e.code, due) for e, due in made.due))


def _of(name: str, op: Operation) -> list[Update]:
    return [u for u in op.updates if u.target == name]
