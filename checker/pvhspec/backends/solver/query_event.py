"""Answers about events: what the clauses make of them, and what they leave open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import z3

from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.solver.combos import Combo, combos, expressions, shown_combos
from pvhspec.backends.solver.goals import Where
from pvhspec.backends.solver.ground import Frame, Unsupported
from pvhspec.backends.solver.obligation import Search, cells_of
from pvhspec.backends.solver.query import Answer, Options, Status, places
from pvhspec.backends.solver.reach import Execution, Move, reads_of
from pvhspec.backends.solver.replay import settle
from pvhspec.backends.solver.rewrite import decide_gates, gates_in, walk
from pvhspec.backends.solver.search import broken_by, rank, seen
from pvhspec.backends.solver.sorts import Term
from pvhspec.backends.solver.step import special_observation
from pvhspec.backends.solver.tracked import Tracked
from pvhspec.ir import build
from pvhspec.ir.ir import Expr, Input, Load, MapInput, Observation, Spec
from pvhspec.ir.questions import AtEvent, Rules
from pvhspec.ir.show import show_expr
from pvhspec.types.types import BitsType, BoolType, Type

__all__ = ["at_event", "rules"]

_FEW = 5.0  # seconds for what hangs on one event alone


class _Event(Tracked):
    """An event that every clause about its kind allows, in any state."""

    def __init__(self, spec: Spec, event: str, where: Where) -> None:
        super().__init__(spec, where)
        self.spec, self.event, self.where = spec, event, where
        self.frame = Frame("in.", self.view, {})
        for block in _blocks(spec, event, where):
            applies = self.ground.expr(block.when, self.frame)
            for require in block.requires:
                truth = self.truth(require.clause)
                self.ground.assume(require.test, self.frame, z3.And(truth, applies))

    def term(self, node: Expr) -> Term:
        """An expression about the event."""
        return self.ground.expr(decide_gates(node, *self.where), self.frame)

    def readable(self, model: Any, terms: list[Term]) -> Any:
        """A model with values that are there, and small ones, where it can be had."""
        kinds = {n: t for n, i, t in self.spec.events[self.event].fields if not i}
        kinds |= self.spec.contexts
        kept = list(terms)
        for name, term in self.frame.inputs.items():
            for wish in _wishes(self.spec, term, kinds.get(name)):
                possible, better = self.possible(_FEW, [*kept, wish])
                if possible:
                    kept, model = [*kept, wish], better
        return model

    def shown(self, model: Any, states: set[str]) -> tuple[Execution, bool]:
        """The event of a model with the cells of these states, and whether the interpreter allows
        it, too."""
        maps: dict[str, dict[tuple[int, ...], Any]] = {}
        for (prefix, name, _), (index, term) in self.ground.map_reads.items():
            if prefix == self.frame.prefix:
                at = tuple(_plain(model, i) for i in index)
                maps.setdefault(name, {})[at] = _plain(model, term)
        inputs = tuple((n, _plain(model, t)) for n, t in self.frame.inputs.items())
        tables = tuple((n, tuple(m.items())) for n, m in maps.items())
        block = next(b for b in self.spec.observations if b.event == self.event)
        move = Move(block, inputs, tables, None)
        cells = cells_of(self.ground, self.view, model)
        machine = Machine(self.spec, *self.where)
        settle(self.spec, machine, cells)
        allowed = not broken_by(list(machine.feed(seen(self.spec, move))))
        return Execution(tuple(c for c in cells if c[0] in states), (move,)), allowed


def _wishes(spec: Spec, term: Term, kind: Type | None) -> Iterator[Term]:
    if not z3.is_bv(term):
        return
    members = spec.enums.get(kind.name or "", {}) if isinstance(kind, BitsType) else {}
    if members:
        yield z3.Or(*(term == value for value in members.values()))
    if isinstance(kind, BitsType) and kind.below is not None:
        yield z3.ULT(term, kind.below)
    yield term == 0
    yield term == 1


def _plain(model: Any, term: Term) -> Any:
    value = model.eval(term, model_completion=True)
    return z3.is_true(value) if z3.is_bool(value) else value.as_long()


def _blocks(spec: Spec, event: str, where: Where) -> Iterator[Observation]:
    for block in spec.observations:
        if block.event == event:
            special = special_observation(block, *where)
            if special is not None:
                yield special


def _groups(
    spec: Spec, event: str, nodes: Iterable[Expr], every: tuple[Combo, ...]
) -> list[tuple[Combo, ...]]:
    """Releases and modes in which the event is spoken of, those alike together."""
    blocks = [b for b in spec.observations if b.event == event]
    gates = set(gates_in(iter([*nodes, *(e for b in blocks for e in expressions(b))])))
    ordered = sorted(gates | {b.gate for b in blocks}, key=str)
    found: dict[tuple[bool, ...], list[Combo]] = {}
    for combo in every:
        if any(True for _ in _blocks(spec, event, combo)):
            found.setdefault(tuple(g.open(*combo) for g in ordered), []).append(combo)
    return [tuple(g) for g in found.values()]


def at_event(spec: Spec, question: AtEvent, options: Options) -> Answer:
    """Whether the clauses let it be of an event; or demand it."""
    wanted = build.negate(question.test) if question.must else question.test
    nodes = (question.test, question.when)
    groups = _groups(spec, question.event, nodes, places(spec, question.place))
    if not groups:
        why = f"nothing is said of {question.event} in any release and mode that is asked about"
        return Answer("told", question.event, why=why)
    seen_in: list[tuple[Combo, ...]] = []
    status: Status
    forbidding: dict[str, None] = {}
    answer: Answer | None = None
    idle = True
    for group in groups:
        where = min(group, key=rank)
        event = _Event(spec, question.event, where)
        try:
            terms = [event.term(question.when), event.term(wanted)]
            possible, model = event.possible(min(_FEW, options.budget), terms)
            if possible is False:
                forbidding.update(dict.fromkeys(event.forbidding(terms)))
                idle = idle and event.possible(_FEW, terms[:1])[0] is False
                continue
            if possible is None:
                return Answer("open", question.event, why="not decided in the time given")
            if any(isinstance(n, Load) for node in (*nodes,) for n in walk(node)):
                return Answer("open", question.event, why="it hangs on memory")
            seen_in.append(group)
            if answer is None:
                model = event.readable(model, terms)
                execution, allowed = event.shown(model, reads_of(iter(nodes)))
                if not allowed:
                    return Answer("open", question.event, why="the interpreter does not confirm it")
                about = [*nodes, *_applying(spec, question, where)]
                execution = replace(execution, moves=(_about(execution.moves[0], about),))
                answer = Answer("yes", question.event, (), "", where, execution)
        except Unsupported as what:
            return Answer("open", question.event, why=str(what))
    every = combos(spec)
    if answer is not None:
        whole = tuple(c for g in seen_in for c in g)
        status = "no" if question.must else "yes"
        return replace(answer, status=status, holds_in=shown_combos(whole, every))
    whole = tuple(c for g in groups for c in g)
    lines = ("it speaks of no event: its condition never holds",) if idle else ()
    status = "yes" if question.must else "no"
    return Answer(
        status, question.event, tuple(forbidding), shown_combos(whole, every), lines=lines
    )


def _applying(spec: Spec, question: AtEvent, where: Where) -> Iterator[Expr]:
    """When the clauses apply that speak of the same fields."""
    named = {n.name for n in walk(question.test) if isinstance(n, Input | MapInput)}
    for block in _blocks(spec, question.event, where):
        if any(_mentions(r.test, field) for r in block.requires for field in named):
            yield block.when


def _about(move: Move, nodes: Iterable[Expr]) -> Move:
    """The event with those fields alone that the question is about."""
    named = {n.name for node in nodes for n in walk(node) if isinstance(n, Input | MapInput)}
    inputs = tuple((n, v) for n, v in move.inputs if n in named)
    return replace(move, inputs=inputs, maps=tuple((n, m) for n, m in move.maps if n in named))


# ---- what is said of a field -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Said:
    clause: str
    block: Observation
    test: Expr
    where: Where


def rules(spec: Spec, question: Rules, options: Options) -> Answer:
    """The clauses about a field, when each applies, and what it allows alone."""
    every = places(spec, question.place)
    groups = _groups(spec, question.event, (question.when,), every)
    said: dict[tuple[str, Expr, Expr], tuple[_Said, list[Combo]]] = {}
    left: dict[str, list[Combo]] = {}
    for group in groups:
        for block in _blocks(spec, question.event, group[0]):
            for require in block.requires:
                if _mentions(require.test, question.field):
                    one = _Said(require.clause, block, require.test, group[0])
                    key = (require.clause, require.test, block.when)
                    said.setdefault(key, (one, []))[1].extend(group)
            for clause, fields in block.undefined:
                if question.field in fields:
                    left.setdefault(clause, []).extend(group)
    kind = next(
        (t, bool(i)) for n, i, t in spec.events[question.event].fields if n == question.field
    )
    parts = []
    for one, where in said.values():
        lines = [f"says     {show_expr(one.test)}"]
        if one.block.when != build.TRUE:
            lines.append(f"when     {show_expr(one.block.when)}")
        allowed = "" if kind[1] else _allowed(spec, question, one, kind[0])
        if allowed:
            lines.append(f"allows   {allowed}")
        holds_in = shown_combos(tuple(where), combos(spec))
        parts.append(Answer("told", one.clause, (one.clause,), holds_in, lines=tuple(lines)))
    for clause, where in left.items():
        holds_in = shown_combos(tuple(where), combos(spec))
        parts.append(Answer("told", clause, (clause,), holds_in, lines=("allows   any value",)))
    why = "" if parts else "no clause speaks of it: whatever is seen is not judged"
    subject = f"{question.field} at {question.event}"
    return Answer("told", subject, why=why, parts=tuple(parts))


def _mentions(node: Expr, field: str) -> bool:
    return any(isinstance(n, Input | MapInput) and n.name == field for n in walk(node))


def _allowed(spec: Spec, question: Rules, one: _Said, kind: Type) -> str:
    """The values a clause allows where it applies: bits that are forced, and those that are not."""
    event = Tracked(spec, one.where, facts={})
    frame = Frame("in.", event.view, {})
    try:
        for node in (one.block.when, one.test, decide_gates(question.when, *one.where)):
            event.ground.constraints.append(event.ground.expr(node, frame))
        value = event.ground.input(question.field, kind, frame)
    except Unsupported:
        return ""
    search = Search(event.ground, _FEW)
    if search.run([])[0] is not True:
        return "nothing: it never applies" if search.run([])[0] is False else ""
    if isinstance(kind, BoolType):
        free = [str(v).lower() for v in (False, True) if search.run([value == v])[0]]
        return " or ".join(free)
    if not isinstance(kind, BitsType):
        return ""
    bits: list[int | None] = []
    for bit in range(kind.width):
        here = z3.Extract(bit, bit, value)
        can = [search.run([here == v])[0] is not False for v in (0, 1)]
        bits.append(None if all(can) else int(can[1]))
    return _bits_shown(kind, bits)


def _bits_shown(kind: BitsType, bits: list[int | None]) -> str:
    if all(b is not None for b in bits):
        return f"{sum((b or 0) << i for i, b in enumerate(bits)):#x} and nothing else"
    if all(b is None for b in bits):
        return ""  # more than bits can tell; the formula says it
    told: list[str] = []
    named: set[int] = set()
    for name, high, low in kind.fields:
        part = bits[low : high + 1]
        named |= set(range(low, high + 1))
        known = [b for b in part if b is not None]
        if not known:
            continue
        if len(known) == len(part):
            told.append(f"{name} = {sum(b << i for i, b in enumerate(known))}")
        else:
            named -= set(range(low, high + 1))
    for value in (1, 0):
        rest = [i for i, b in enumerate(bits) if b is value and i not in named]
        if rest:
            told.append(f"bits {_ranges(rest)} = {value}")
    free = [*(n for n, h, lo in kind.fields if bits[lo : h + 1] == [None] * (h + 1 - lo))]
    free += [
        _ranges(r) for r in [[i for i, b in enumerate(bits) if b is None and i not in named]] if r
    ]
    others = ", ".join(free) if len(free) < 4 else "all others"
    return ", ".join(told) + (f"; any {others}" if free else "")


def _ranges(numbers: list[int]) -> str:
    """`0, 3..5`."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and runs[-1][1] == n - 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ", ".join(str(a) if a == b else f"{b}..{a}" for a, b in reversed(runs))
