"""Two readings of the ABI side by side: the same calls from boot, until they answer differently.

Both begin at boot and take the same steps with the same answers; only the last step may tell them
apart. What the solver proposes the interpreter tries out, once with the answer that each side
gives: a program tells the two apart for certain if neither side allows the other's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from pvhspec.backends.difference.clauses import Item, Side, items_of
from pvhspec.backends.difference.twin import LOAD, OTHER, Focus, Sides, Twin
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.memory import MemoryImage
from pvhspec.backends.protocol import Seen
from pvhspec.backends.solver.combos import expressions
from pvhspec.backends.solver.ground import Unsupported
from pvhspec.backends.solver.obligation import Search
from pvhspec.backends.solver.reach import Execution, Found, Move, Step, reads_of, relevant
from pvhspec.backends.solver.replay import settle
from pvhspec.backends.solver.rewrite import rename_states
from pvhspec.backends.solver.search import broken_by, seen
from pvhspec.ir.ir import Observation, Operation, State, Update

__all__ = ["Apart", "Pair"]

_CONTEXT = ("caller", "current", "width", "cpl")


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


class Pair:
    """Two sides, ready to be asked."""

    def __init__(self, a: Side, b: Side) -> None:
        self.a, self.b = a, b
        self.first, self.second = items_of(a), items_of(b)
        self._names = {name: f"{OTHER}{name}" for name in b.spec.states}
        states: dict[str, State] = dict(a.spec.states)
        for state in b.spec.states.values():
            states[self._names[state.name]] = replace(
                state,
                name=self._names[state.name],
                init=None if state.init is None else rename_states(state.init, self._names),
                drift=None,
            )
        renamed = {i: _renamed(item, self._names) for i, item in self.second.items()}
        self._sides = Sides(states, self.first, renamed)

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
        return first, second, self._sides.renamed[second.id]

    def never(self, focus: Focus, budget: float) -> bool:
        """Whether it is proved that in no state any answer differs in this."""
        items = self.partner(focus.last)
        if items is None:
            return False
        try:
            twin = Twin(self._sides, usual=False, anywhere=True)
            if not twin.differ(focus, items):
                return False
            answer, _ = Search(twin.ground, budget).run([])
        except Unsupported:
            return False
        return answer is False

    def apart(self, focus: Focus, depths: range, budget: float) -> Apart | str:
        """The shortest program that tells the sides apart in this; or why there is none."""
        end = time.process_time() + budget
        trouble = "" if depths else "nothing was tried"
        for count in depths:
            left = end - time.process_time()
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
        found = self.proposed(focus, count, budget, usual=usual)
        items = self.partner(focus.last)
        if not isinstance(found, Execution) or items is None:
            return found if isinstance(found, str) else ""
        return self._confirmed(found, items)

    def proposed(
        self, focus: Focus, count: int, budget: float, *, usual: bool, anywhere: bool = False
    ) -> Found:
        """What the solver says tells the sides apart after `count` steps, with the first side's
        answer; the second's is `at`. `anywhere`: from any state, which is `given`, not from boot.
        Raises Unsupported."""
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
            return None
        twin = Twin(self._sides, usual=usual, anywhere=anywhere)
        for number in range(count):
            one = [self.first[focus.changed]] if focus.changed and number == count - 1 else before
            twin.both([s for s in one if s.id in self.second])
        if not twin.differ(focus, items):
            return None
        return twin.find(budget)

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
        memory = tuple((name, value) for name, value in found.at if name.startswith(LOAD))
        first = replace(found, moves=(*before, last), at=memory)
        second = replace(found, moves=(*before, other), at=memory)
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
                shown = _only(shown, step, execution)
            if end and bare:
                fields = {n: v for n, v in shown.fields.items() if not n.startswith("out.")}
                shown = replace(shown, fields=fields)
            broken += broken_by(list(machine.feed(shown)))
        return broken


def _only(shown: Seen, move: Move, execution: Execution) -> Seen:
    """An event with nothing to be seen but what it is about, memory included."""
    told = {*_CONTEXT, *(name for name, _ in move.inputs)}
    fields = {name: value for name, value in shown.fields.items() if name in told}
    fields |= {name: dict(table) for name, table in move.maps}
    memory, read = MemoryImage(), dict(execution.at)
    for name, value in read.items():
        place, _, what = name.rpartition(".")
        if what == "is":
            size = int(place.rpartition(".")[2])
            memory.add(read[f"{place}.at"], value.to_bytes(size, "little"))
    return replace(shown, fields=fields | {"memory": memory})


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
    kept |= {n: v for n, v in answer.items() if n == "result" or n.startswith("out.")}
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
            replace(
                e,
                when=None if e.when is None else rename_states(e.when, names),
                only=None if e.only is None else rename_states(e.only, names),
            )
            for e in item.errors
        ),
        choices=tuple(replace(c, when=rename_states(c.when, names)) for c in item.choices),
        result=None if item.result is None else rename_states(item.result, names),
        ensures=tuple(replace(e, test=rename_states(e.test, names)) for e in item.ensures),
        updates=tuple(update(u) for u in item.updates),
        always=tuple(update(u) for u in item.always),
    )
