"""Executions from boot: a few steps, each any call that succeeds or a store of the guest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import z3

from pvhspec.backends.solver.ground import Frame, Ground, Unsupported, View
from pvhspec.backends.solver.obligation import Search
from pvhspec.backends.solver.rewrite import walk
from pvhspec.backends.solver.sorts import Term
from pvhspec.backends.solver.step import Call, call, event
from pvhspec.backends.solver.views import After, Boot
from pvhspec.ir.ir import Cell, Expr, Observation, Operation, Spec, State
from pvhspec.types.types import BitsType, Type

__all__ = ["SMALL", "Chain", "Execution", "Found", "Move", "reads_of", "relevant", "written"]

_FIRST = z3.BitVecVal(0, 8)
_FOR_WISHES = 10.0  # seconds; enough that what is told does not hang on how busy a machine is
_PLAIN = {"cpl": 0, "width": 64, "caller": 0, "current": 0}
SMALL = 16  # domains, ports, vCPUs, grants and words of all calls but the last are below it

Step = Operation | Observation


@dataclass(frozen=True, slots=True)
class Move:
    """A step of an execution: an operation and its code, or a block and no code."""

    item: Step
    inputs: tuple[tuple[str, Any], ...]
    maps: tuple[tuple[str, tuple[tuple[tuple[int, ...], Any], ...]], ...]
    code: int | None


@dataclass(frozen=True, slots=True)
class Execution:
    """`given`: cells a toolstack has set otherwise than usual. `at`: what was to be watched."""

    given: tuple[tuple[str, tuple[Any, ...], Any], ...]
    moves: tuple[Move, ...]
    at: tuple[tuple[str, Any], ...] = ()


Found = Execution | str | None  # an execution; why it is open; or there is none


def reads_of(nodes: Iterator[Expr]) -> set[str]:
    """The states that expressions read."""
    return {n.state for node in nodes for n in walk(node) if isinstance(n, Cell)}


def written(item: Step) -> set[str]:
    """The states and out fields that a step may write."""
    always = item.always if isinstance(item, Operation) else ()
    return {u.target for u in (*item.updates, *always)}


def relevant(
    spec: Spec, items: list[Step], wanted: set[str], expressions: Callable[[Any], Iterator[Expr]]
) -> list[Step]:
    """The steps that may have a bearing on the states wanted."""
    states = set(wanted)
    chosen: list[Step] = []
    changed = True
    while changed:
        changed = False
        for state in tuple(states):
            drift = spec.states[state].drift
            if drift is not None:
                states |= reads_of(iter((drift,)))
        for item in items:
            if item in chosen or not written(item) & states:
                continue
            chosen.append(item)
            states |= reads_of(expressions(item))
            changed = True
    return chosen


def by_step(
    items: list[Step],
    wanted: set[str],
    expressions: Callable[[Any], Iterator[Expr]],
    count: int,
) -> list[list[Step]]:
    """For each of `count` steps those that it may be where no step can be left out: the last one
    writes a state that is wanted, each before it one of those or one that a later step reads."""
    chosen: list[list[Step]] = []
    states = set(wanted)
    for _ in range(count):
        chosen.append([i for i in items if written(i) & states])
        for item in chosen[-1]:
            states |= reads_of(expressions(item))
    return chosen[::-1]


@dataclass(eq=False)
class _Alternative:
    item: Step
    frame: Frame
    call: Call | None
    after: After


class _Joined:
    """The state after whichever alternative was taken."""

    def __init__(self, ground: Ground, before: View, which: Term, made: list[_Alternative]) -> None:
        self._ground, self._before, self._which, self._made = ground, before, which, made
        self._read: dict[tuple[str, tuple[int, ...]], tuple[tuple[Term, ...], Term]] = {}

    def read(self, state: str, index: tuple[Term, ...]) -> Term:
        """The value of a cell."""
        key = (state, tuple(i.get_id() for i in index))
        if key not in self._read:
            value = self._before.read(state, index)
            for number, alternative in enumerate(self._made):
                if alternative.after.changes(state):
                    taken = alternative.after.read(state, index)
                    value = z3.If(self._which == number, taken, value)
            self._read[key] = (index, value)
        return self._read[key][1]


class Chain:
    """A growing execution. `alone`: one 64-bit caller, domain 0, that can be run on a real Xen."""

    def __init__(self, states: dict[str, State], *, usual: bool, alone: bool) -> None:
        self.ground = Ground(states)
        self.boot = Boot(self.ground, usual)
        self.view: View = self.boot
        self.watched: dict[str, Term] = {}  # what an execution is to tell the values of
        self._alone = alone
        self._steps: list[tuple[Term, list[_Alternative]]] = []
        kinds = {v.type for s in states.values() for v in s.indices}
        self._index_types = {k for k in kinds if isinstance(k, BitsType) and k.name is not None}

    def extend(self, items: list[Step]) -> None:
        """One more step, any of these."""
        number = len(self._steps)
        which = z3.BitVec(f"which{number}", 8)
        made: list[_Alternative] = []
        for at, item in enumerate(items):
            prefix = f"s{number}.{at}."
            made.append(self._alternative(item, prefix, which == at))
        self.ground.constraints.append(z3.ULT(which, len(items)))
        self.view = _Joined(self.ground, self.view, which, made)
        self._steps.append((which, made))

    def _alternative(self, item: Step, prefix: str, taken: Term) -> _Alternative:
        frame = self._frame(prefix, taken)
        if isinstance(item, Operation):
            made = call(self.ground, item, frame, lowest=True)
            fine = z3.And(made.allowed, made.code == 0)
            self.ground.constraints.append(z3.Implies(taken, fine))
            return _Alternative(item, made.frame, made, made.after)
        return _Alternative(item, frame, None, event(self.ground, item, frame))

    def last(self, item: Operation) -> Call:
        """One more step, this operation, with any result that is allowed."""
        made = call(self.ground, item, self._frame(f"s{len(self._steps)}.0.", None), lowest=True)
        self.ground.constraints.append(made.allowed)
        self._steps.append((_FIRST, [_Alternative(item, made.frame, made, made.after)]))
        return made

    def last_event(self, item: Observation) -> tuple[Frame, After]:
        """One more step, an event this block applies to."""
        frame = self._frame(f"s{len(self._steps)}.0.", None)
        after = event(self.ground, item, frame)
        self._steps.append((_FIRST, [_Alternative(item, frame, None, after)]))
        return frame, after

    def _frame(self, prefix: str, taken: Term | None) -> Frame:
        usual: dict[str, int] = {} if taken is None else {"cpl": 0}
        if self._alone:
            usual |= {"caller": 0, "current": 0}
            if taken is not None:
                usual["width"] = 64

        def rule(name: str, type_: Type, term: Term) -> None:
            if name in usual:
                self.ground.constraints.append(term == usual[name])
            elif taken is not None and type_ in self._index_types:
                self.ground.constraints.append(z3.ULT(term, SMALL))

        return Frame(prefix, self.view, {}, scope=taken, rule=rule)

    # ---- looking for one -----------------------------------------------------------------------

    def find(self, budget: float) -> Found:
        """An execution with all that was asked of it, the last step easy to read."""
        self._offer_small()
        search = Search(self.ground, budget)
        found, model = search.run([])
        if found is None:
            return search.why
        if not found:
            return None
        now = [model]
        search.shorten(_FOR_WISHES)
        with suppress(Unsupported):  # it only does not get any easier to read
            self._better(search, now)
        return self._execution(now[0])

    def _better(self, search: Search, now: list[Any]) -> None:
        """Grant as many wishes as can be had; `now` holds the model, each time the better one."""
        kept: list[Term] = []
        for wishes in self._wishes(now):
            for wish in wishes:
                granted: bool | None = z3.is_true(now[0].eval(wish, model_completion=True))
                if not granted:
                    granted, other = search.run([*kept, wish])
                    if granted is None:
                        return
                    if granted:
                        now[0] = other
                if granted:
                    kept.append(wish)
                    break

    def _wishes(self, now: list[Any]) -> Iterator[tuple[Term, ...]]:
        """What would make it easier to read, of each the first that can be had; `now` holds the
        model that is to be bettered."""
        for term in self.watched.values():
            if z3.is_bv(term):
                yield _small(term)
        # The last step first: it is what was asked for. Of the others what is not used is free.
        for which, made in reversed(self._steps):
            number = now[0].eval(which, model_completion=True).as_long()
            if len(made) > 1:
                yield (which == number,)
            for name, term in made[number].frame.inputs.items():
                if z3.is_bool(term):
                    yield (term,)
                elif name == "cpl":
                    yield term == 0, term == 3  # user mode, and not the rings that nobody uses
                elif name in _PLAIN:
                    yield (term == _PLAIN[name],)
                elif not name.startswith("out.") and name != "result":
                    yield _small(term)

    def _offer_small(self) -> None:
        """Small numbers for the quantifiers: an implementation takes the lowest that is free."""
        for state in self.ground.states.values():
            for var in state.indices:
                if isinstance(var.type, BitsType) and var.type.width > 8:
                    for value in range(len(self._steps) + 2):
                        self.ground.offer(var.type, z3.BitVecVal(value, var.type.width))

    def _execution(self, model: Any) -> Execution:
        moves = []
        for which, made in self._steps:
            number = model.eval(which, model_completion=True).as_long()
            moves.append(self._move(made[number], model))
        at = tuple((name, _plain(model, term)) for name, term in self.watched.items())
        return Execution(self._given(model), tuple(moves), at)

    def _given(self, model: Any) -> tuple[tuple[str, tuple[Any, ...], Any], ...]:
        found = {}
        for (state, _), (index, term) in self.boot.cells.items():
            decl = self.ground.states[state]
            key = (state, tuple(_plain(model, i) for i in index))
            value = self.ground.sorts.known(decl.type, model.eval(term, model_completion=True))
            found[key] = value
        return tuple((s, i, v) for (s, i), v in found.items())

    def _move(self, made: _Alternative, model: Any) -> Move:
        idle = self._not_filled_in(made, model)
        inputs = {n: _plain(model, t) for n, t in made.frame.inputs.items() if n not in idle}
        maps: dict[str, dict[tuple[int, ...], Any]] = {}
        for (prefix, name, _), (index, term) in self.ground.map_reads.items():
            if prefix == made.frame.prefix:
                at = tuple(_plain(model, i) for i in index)
                maps.setdefault(name, {})[at] = _plain(model, term)
        code = None if made.call is None else _plain(model, made.call.code)
        return Move(
            made.item,
            tuple(inputs.items()),
            tuple((n, tuple(m.items())) for n, m in maps.items()),
            code,
        )

    def _not_filled_in(self, made: _Alternative, model: Any) -> set[str]:
        """Fields that the call leaves as they are: whatever the model has there means nothing."""
        if made.call is None:
            return set()
        idle: set[str] = set()
        done: set[str] = set()
        for update in made.call.op.updates:
            if update.target.startswith("out."):
                guard = self.ground.expr(update.guard, made.call.frame)
                (done if _plain(model, guard) else idle).add(update.target)
        return idle - done


def _small(term: Term) -> tuple[Term, ...]:
    """The smaller the better: what is told must not hang on which model Z3 finds first."""
    limits = (4, 65)  # the first port that Xen keeps no record of is 64
    return term == 0, term == 1, *(z3.ULT(term, n) for n in limits if n < 1 << term.size())


def _plain(model: Any, term: Term) -> Any:
    value = model.eval(term, model_completion=True)
    return z3.is_true(value) if z3.is_bool(value) else value.as_long()
