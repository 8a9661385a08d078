"""Two readings of the ABI side by side: the same calls from boot, until they answer differently.

Both begin at boot and take the same steps with the same answers; only the last step may tell them
apart. What the solver proposes the interpreter tries out, once with the answer that each side
gives: a program tells the two apart for certain if neither side allows the other's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import z3

from pvhspec.backends.difference.clauses import Item, Side, items_of
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.protocol import Seen
from pvhspec.backends.solver.combos import expressions
from pvhspec.backends.solver.ground import Frame, Unsupported, View
from pvhspec.backends.solver.obligation import Search
from pvhspec.backends.solver.reach import Chain, Execution, Move, Step, reads_of, relevant
from pvhspec.backends.solver.replay import settle
from pvhspec.backends.solver.rewrite import rename_states
from pvhspec.backends.solver.search import broken_by, seen
from pvhspec.backends.solver.sorts import Term
from pvhspec.backends.solver.step import Call, call, event
from pvhspec.backends.solver.views import After, AnyState, Boot
from pvhspec.ir.ir import Observation, Operation, State, Update

__all__ = ["Apart", "Focus", "Pair", "Way"]

_CONTEXT = ("caller", "current", "width", "cpl")
_OTHER = "other."  # before the names of the second side's states


@dataclass(frozen=True, slots=True)
class Apart:
    """Calls after which the sides answer differently. `first` and `second` are the same calls, the
    last with an answer of each side, or an event that one of them shows.

    `both`: neither allows what the other shows; else only that one may show what the other never
    does, and `by_second` says that it is the second that may. `only`: whether the answer is the
    only one that a side has, when all goes well.
    """

    first: Execution
    second: Execution
    both: bool
    by_second: bool = False
    only: tuple[bool, bool] = (True, True)

    @property
    def last(self) -> str:
        """The operation or block that the last step is of."""
        return self.first.moves[-1].item.id

    def swapped(self) -> Apart:
        """The same with the sides exchanged."""
        first, second = self.only
        return Apart(self.second, self.first, self.both, not self.by_second, (second, first))


@dataclass(frozen=True, slots=True)
class Focus:
    """What the last step is to be about: the answers differ at all, by one clause (`clause`), or
    after a step `changed` that changes more, or other things, on one side."""

    last: str
    clause: str | None = None
    changed: str | None = None


Way = Callable[["_Twin"], None]


class Pair:
    """Two sides, ready to be asked."""

    def __init__(self, a: Side, b: Side) -> None:
        self.a, self.b = a, b
        self.first, self.second = items_of(a), items_of(b)
        self._names = {name: f"{_OTHER}{name}" for name in b.spec.states}
        self.states: dict[str, State] = dict(a.spec.states)
        for state in b.spec.states.values():
            self.states[self._names[state.name]] = replace(
                state,
                name=self._names[state.name],
                init=None if state.init is None else rename_states(state.init, self._names),
                drift=None,
            )
        self.renamed = {i: _renamed(item, self._names) for i, item in self.second.items()}

    def partner(self, item: str) -> tuple[Item, Item, Item] | None:
        """An item by id as either side has it, and the second's with its own states. Where a side
        does not have a call it is what the side makes of such a number."""
        first, second = self.first.get(item), self.second.get(item)
        if first is None and isinstance(second, Operation):
            first = _unknown(self.first, second)
        if second is None and isinstance(first, Operation):
            second = _unknown(self.second, first)
        if first is None and isinstance(second, Observation):
            first = replace(second, requires=(), updates=())
        if second is None and isinstance(first, Observation):
            nothing = replace(first, requires=(), updates=())
            return first, nothing, _renamed(nothing, self._names)
        if first is None or second is None:
            return None
        return first, second, self.renamed[second.id]

    def never(self, focus: Focus, budget: float) -> bool:
        """Whether it is proved that in no state any answer differs in this."""
        items = self.partner(focus.last)
        if items is None:
            return False
        try:
            twin = _Twin(self, usual=False, anywhere=True)
            if not twin.differ(focus, items):
                return False
            answer, _ = Search(twin.ground, budget).run([])
        except Unsupported:
            return False
        return answer is False

    def apart(self, focus: Focus, depths: range, budget: float) -> Apart | str:
        """The shortest program that tells the sides apart in this; or why there is none."""
        end = time.monotonic() + budget
        trouble = "" if depths else "nothing was tried"
        for count in depths:
            left = end - time.monotonic()
            if left <= 0:
                return f"not decided in {budget:g} s"
            for usual in (True, False):
                try:
                    found = self._reach(focus, count, left, usual)
                except Unsupported as what:
                    return str(what)
                if isinstance(found, Apart):
                    return found
                trouble = found or trouble
        return trouble or f"not within {depths.stop - 1} calls before it"

    def _reach(self, focus: Focus, count: int, budget: float, usual: bool) -> Apart | str:
        items = self.partner(focus.last)
        if items is None:
            return "the event is of one side only"
        wanted = reads_of(iter((*expressions(items[0]), *expressions(items[1]))))
        steps: list[Step] = list(self.first.values())
        before = [
            s
            for s in relevant(self.a.spec, steps, wanted & self.a.spec.states.keys(), expressions)
            if s.id in self.second
        ]
        if count and not before:
            return ""
        twin = _Twin(self, usual=usual)
        for number in range(count):
            one = [self.first[focus.changed]] if focus.changed and number == count - 1 else before
            twin.both([s for s in one if s.id in self.second])
        if not twin.differ(focus, items):
            return ""
        found = twin.find(budget)
        if not isinstance(found, Execution):
            return found or ""
        return self._confirmed(found, items)

    def checked(self, found: Apart) -> Apart | None:
        """What was found of other sides, of these; None if they do not answer so."""
        items = self.partner(found.last)
        if items is None:
            return None
        one = self._against(self.a, self.first, items[0], found.first)
        two = self._against(self.b, self.second, items[1], found.second)
        denied = self._against(self.b, self.second, items[1], found.first)
        back = self._against(self.a, self.first, items[0], found.second)
        shown = found.second if found.by_second else found.first
        if isinstance(items[0], Operation):
            fits = not one and not two and (bool(back) if found.by_second else bool(denied))
            return replace(found, both=bool(denied and back)) if fits else None
        own, other = (self.b, self.a) if found.by_second else (self.a, self.b)
        mine, theirs = (items[1], items[0]) if found.by_second else (items[0], items[1])
        table, others = (self.second, self.first) if found.by_second else (self.first, self.second)
        fits = not self._against(own, table, mine, shown)
        return found if fits and self._against(other, others, theirs, shown) else None

    # ---- the interpreter's word ----------------------------------------------------------------

    def _confirmed(self, found: Execution, items: tuple[Item, Item, Item]) -> Apart | str:
        *before, last = found.moves
        named = next((i for i in items[:2] if not i.id.endswith(".other")), items[0])
        last = replace(last, item=named)
        other = _answered(last, dict(found.at))
        first = replace(found, moves=(*before, last), at=())
        second = replace(found, moves=(*before, other), at=())
        if self._against(self.a, self.first, items[0], first):
            return "the interpreter does not confirm it"
        if not self._against(self.b, self.second, items[1], first):
            return "the interpreter does not confirm that the answers differ"
        both = not self._against(self.b, self.second, items[1], second) and bool(
            self._against(self.a, self.first, items[0], second)
        )
        only = (self._only_one(self.a, self.first, items[0], first),
                self._only_one(self.b, self.second, items[1], second))  # fmt: skip
        return self._least(items, Apart(first, second, both, only=only))

    def _only_one(self, side: Side, own: dict[str, Item], last: Item, execution: Execution) -> bool:
        """Whether a call has one answer only, but for what may go wrong at any time."""
        if not isinstance(last, Operation):
            return True
        *before, move = execution.moves
        codes = {e.code for e in last.errors if e.when is not None} | {0}
        kept = tuple(x for x in move.inputs if not x[0].startswith("out.") and x[0] != "result")
        return not any(
            not self._against(
                side, own, last,
                replace(execution, moves=(*before, replace(move, code=code, inputs=kept))),
                bare=True,
            )
            for code in codes - {move.code or 0}
        )  # fmt: skip

    def _least(self, items: tuple[Item, Item, Item], found: Apart) -> Apart:
        """The same with what a toolstack has to set alone."""
        for cell in found.first.given:
            given = tuple(c for c in found.first.given if c is not cell)
            first, second = (replace(e, given=given) for e in (found.first, found.second))
            if (
                not self._against(self.a, self.first, items[0], first)
                and self._against(self.b, self.second, items[1], first)
                and (not found.both or not self._against(self.b, self.second, items[1], second))
                and (not found.both or self._against(self.a, self.first, items[0], second))
            ):
                found = replace(found, first=first, second=second)
        return found

    @staticmethod
    def _against(
        side: Side, own: dict[str, Item], last: Item, execution: Execution, bare: bool = False
    ) -> list[str]:
        """The clauses of a side that an execution violates. `bare`: of the last answer only the
        code is looked at."""
        machine = Machine(side.spec, *side.where)
        settle(side.spec, machine, (c for c in execution.given if c[0] in side.spec.states))
        broken: list[str] = []
        for number, move in enumerate(execution.moves):
            end = number == len(execution.moves) - 1
            item = last if end else own[move.item.id]
            inputs = move.inputs
            if isinstance(item, Operation) and move.item.id != item.id:
                inputs = _as_number(move, item)
            if isinstance(item, Operation) and (move.code or 0) != 0:
                inputs = tuple(x for x in inputs if not x[0].startswith("out."))
            step = replace(move, item=item, inputs=inputs)
            shown = seen(side.spec, step, number)
            if end and isinstance(item, Observation):
                shown = _only(shown, step)
            if end and bare:
                fields = {n: v for n, v in shown.fields.items() if not n.startswith("out.")}
                shown = replace(shown, fields=fields)
            broken += broken_by(list(machine.feed(shown)))
        return broken


def _only(shown: Seen, move: Move) -> Seen:
    """An event with nothing to be seen but what it is about."""
    told = {*_CONTEXT, *(name for name, _ in move.inputs)}
    fields = {name: value for name, value in shown.fields.items() if name in told}
    return replace(shown, fields=fields | {name: dict(table) for name, table in move.maps})


class _Twin(Chain):
    """A growing execution, as both sides go through it."""

    def __init__(self, pair: Pair, *, usual: bool, anywhere: bool = False) -> None:
        super().__init__(pair.states, usual=usual, alone=True)
        self._pair = pair
        if anywhere:
            self.view = AnyState(self.ground, "")
        self.other: View = _SameAtFirst(self.view, Boot(self.ground, usual), pair, anywhere)

    def both(self, items: list[Step]) -> None:
        """One more step, any of these, with the same answer on both sides."""
        self.extend(items)
        which, made = self._steps[-1]
        afters: list[After] = []
        for number, alternative in enumerate(made):
            item = self._pair.renamed[alternative.item.id]
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
        self.ground.constraints += [two.allowed, _settled(one), _settled(two)]
        self._plain(one.frame, named)
        ways = [one.code != two.code]
        succeeded = z3.And(one.code == 0, two.code == 0)
        ways += [z3.And(succeeded, w) for w in self._outs(first, second, one, two)]
        if focus.clause is not None:
            about = [due for made in (one, two) for e, due in made.due if e.clause == focus.clause]
            if about:
                self.ground.constraints.append(z3.Or(*about))
        denied = [
            ensured.test
            for ensured in second.ensures
            if focus.clause in (None, ensured.clause) and focus.changed is None
        ]
        if focus.clause in {e.clause for e in (*first.ensures, *second.ensures)}:
            ways = []
        inside = Frame(one.frame.prefix, self.other, one.frame.inputs, two.frame.vars)
        ways += [z3.And(succeeded, z3.Not(self.ground.expr(t, inside))) for t in denied]
        self.watched["code"] = two.code
        for name, term in two.frame.inputs.items():
            if name.startswith("out.") or name == "result":
                self.watched[name] = term
        self.ground.constraints.append(z3.Or(*ways))
        return bool(ways)

    def _linked(self, frame: Frame, named: Operation) -> Frame:
        """The same call on the second side: its arguments are those of the first, its answer is
        its own."""

        def rule(name: str, term: Term) -> None:
            if name.startswith("out.") or name == "result":
                return
            same = frame.inputs.get(name)
            if same is None:
                same = z3.Const(f"{frame.prefix}{name}", term.sort())
                frame.inputs[name] = same
                if frame.rule is not None:
                    frame.rule(name, same)
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
        names = {u.target for u in first.updates} & {u.target for u in second.updates}
        for name in sorted(n for n in names if n.startswith("out.")):
            filled = [
                z3.Or(*(self.ground.expr(u.guard, made.frame) for u in _of(name, op)))
                for op, made in ((first, one), (second, two))
            ]
            yield z3.And(*filled, one.frame.inputs[name] != two.frame.inputs[name])

    def _events(self, focus: Focus, first: Observation, second: Observation) -> bool:
        frame, _ = self.last_event(first)
        other = Frame(frame.prefix, self.other, frame.inputs, rule=frame.rule)
        event(self.ground, second, other)
        for required in first.requires:
            self.ground.assume(required.test, frame)
        chosen = [r for r in second.requires if focus.clause in (None, r.clause)]
        if not chosen:
            return False
        failing = [self.ground.expr(r.test, other) for r in chosen]
        self.ground.constraints.append(z3.Not(z3.And(*failing)))
        return True


class _SameAtFirst:
    """The second side's state at first: in all that a side does not say itself, the first's."""

    def __init__(self, first: View, boot: Boot, pair: Pair, anywhere: bool) -> None:
        self._first, self._boot, self._pair, self._all = first, boot, pair, anywhere

    def read(self, state: str, index: tuple[Term, ...]) -> Term:
        """The value of a cell."""
        decl = self._pair.states[state]
        name = state.removeprefix(_OTHER)
        if name in self._pair.a.spec.states and (self._all or decl.given or decl.init is None):
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


def _unknown(items: dict[str, Item], op: Operation) -> Operation | None:
    """What a side without this operation makes of its number."""
    calls = [i for i in items.values() if isinstance(i, Operation)]
    same = [i for i in calls if i.number == op.number and i.command is None]
    return next((i for i in [*same, *calls] if i in same or i.number is None), None)


def _as_number(move: Move, item: Operation) -> tuple[tuple[str, Any], ...]:
    """The arguments of a call as one whose command nobody has."""
    inputs = dict(move.inputs)
    if isinstance(move.item, Operation) and move.item.command is not None and item.params:
        inputs[item.params[0].name] = move.item.command
    return tuple(inputs.items())


def _answered(move: Move, answer: dict[str, Any]) -> Move:
    """The same call with another answer."""
    if "code" not in answer:
        return move
    kept = {n: v for n, v in move.inputs if not n.startswith("out.") and n != "result"}
    kept |= {n: v for n, v in answer.items() if n != "code"}
    return replace(move, inputs=tuple(kept.items()), code=answer["code"])


def _renamed(item: Item, names: dict[str, str]) -> Item:
    """An item over states of other names."""

    def update(u: Update) -> Update:
        return replace(
            u,
            target=names.get(u.target, u.target),
            indices=tuple(rename_states(i, names) for i in u.indices),
            guard=rename_states(u.guard, names),
            value=rename_states(u.value, names),
        )

    if isinstance(item, Observation):
        return replace(
            item,
            when=rename_states(item.when, names),
            requires=tuple(replace(r, test=rename_states(r.test, names)) for r in item.requires),
            updates=tuple(update(u) for u in item.updates),
        )
    return replace(
        item,
        errors=tuple(
            replace(e, when=None if e.when is None else rename_states(e.when, names))
            for e in item.errors
        ),
        choices=tuple(replace(c, when=rename_states(c.when, names)) for c in item.choices),
        result=None if item.result is None else rename_states(item.result, names),
        ensures=tuple(replace(e, test=rename_states(e.test, names)) for e in item.ensures),
        updates=tuple(update(u) for u in item.updates),
        always=tuple(update(u) for u in item.always),
    )
