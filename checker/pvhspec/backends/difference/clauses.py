"""Clause by clause, what two readings of the ABI mean.

Each clause comes to parts: an error with its code, condition and place among the others, an update,
a test. Compared is the representation after all names are resolved and all gates decided, so that
layout, comments, names of variables and the place in a file do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal, Protocol, TypeVar

from pvhspec.backends.solver.rewrite import decide_gates
from pvhspec.backends.solver.step import special_observation, special_operation
from pvhspec.ir import build
from pvhspec.ir.ir import (
    Clause,
    Expr,
    Observation,
    Operation,
    Spec,
    State,
    Var,
    Version,
)
from pvhspec.types.types import BitsType, BoolType, EnumType

__all__ = [
    "Difference",
    "Part",
    "Side",
    "differences",
    "items_of",
    "mentioned",
    "state_clause",
    "with_clause",
]

Item = Operation | Observation


class _OfClause(Protocol):
    @property
    def clause(self) -> str: ...


_P = TypeVar("_P", bound=_OfClause)
Kind = Literal["added", "removed", "meaning", "prose"]


@dataclass(frozen=True, slots=True)
class Side:
    """A reading: a specification for one release and mode. `name` is what the user called it."""

    name: str
    spec: Spec
    where: tuple[Version, str]


@dataclass(frozen=True, slots=True)
class Part:
    """What a clause comes to in one place. `what` has no names but those of the specification;
    `tests` are its expressions, in an order that the kind fixes."""

    kind: str
    item: str
    what: tuple[object, ...]
    tests: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A clause that differs. `aspects` say what of it, in words; `before` and `after` are what it
    comes to on either side."""

    clause: str
    kind: Kind
    aspects: tuple[str, ...]
    before: tuple[Part, ...]
    after: tuple[Part, ...]


def state_clause(state: State) -> str:
    """The name a state goes by, which is no clause but has a meaning of its own."""
    return f"{state.module}.{state.name}"


# ---- what a side comes to ----------------------------------------------------------------------


def items_of(side: Side) -> dict[str, Item]:
    """Everything that can happen, by id. A hypercall that a release does not have is there, too,
    with the errors that it comes to."""
    found: dict[str, Item] = {}
    for op in side.spec.operations:
        special = special_operation(op, *side.where)
        if special is not None:
            found[op.id] = special
    for block in side.spec.observations:
        other = special_observation(block, *side.where)
        if other is not None:
            found[block.id] = other
    return found


def mentioned(item: Item) -> set[str]:
    """The clauses of an operation or block."""
    return {clause for clause, _ in _parts_of_item(item)}


def _parts(side: Side) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    spec = side.spec
    for item in items_of(side).values():
        for clause, part in _parts_of_item(item):
            found.setdefault(clause, []).append(part)
    for call in spec.hypercalls.values():
        if call.gate.open(*side.where):
            found.setdefault(call.clause, []).append(Part("table", call.name, (call.number,)))
    for state in spec.states.values():
        tests = tuple(decide_gates(e, *side.where) for e in (state.init, state.drift) if e)
        kinds = tuple(str(v.type) for v in state.indices)
        drift = state.drift_kind if state.drift is not None else ""
        shape = (str(state.type), kinds, state.given, state.init is None, drift)
        found[state_clause(state)] = [Part("state", state.name, shape, (*state.indices, *tests))]
    for invariant in spec.invariants:
        if spec.clauses[invariant.clause].gate.open(*side.where):
            body = decide_gates(invariant.body, *side.where)
            found.setdefault(invariant.clause, []).append(Part("invariant", "", (), (body,)))
    for owed in spec.obligations:
        if spec.clauses[owed.clause].gate.open(*side.where):
            tests = (owed.when, owed.then.test, owed.before.test, owed.unless)
            decided = tuple(decide_gates(t, *side.where) for t in tests)
            part = Part("obligation", "", (owed.then.event, owed.before.event), decided)
            found.setdefault(owed.clause, []).append(part)
    return found


def _parts_of_item(item: Item) -> Iterator[tuple[str, Part]]:
    if isinstance(item, Observation):
        for required in item.requires:
            if required.test != build.TRUE:
                yield required.clause, Part("require", item.id, (), (item.when, required.test))
        for clause, names in item.undefined:
            yield clause, Part("undefined", item.id, names, (item.when,))
        yield from _updates(item.id, "update", item.updates)
        return
    slots = tuple((s.name, s.offset, s.size, s.written, s.read) for s in item.slots)
    takes = (item.number, item.command, tuple(p.name for p in item.params), item.struct_size)
    result = () if item.result is None else (item.result,)
    yield (
        item.success,
        Part(
            "success", item.id, (*takes, slots, item.arrays, item.modelled, item.disturbs), result
        ),
    )
    for error in item.errors:
        first = tuple(sorted(e.clause for e in item.errors if e.rank < error.rank))
        what = (error.code, error.after_success, error.when is None, first)
        tests = tuple(t for t in (error.when, error.only) if t is not None)
        yield error.clause, Part("error", item.id, what, tests)
    for choice in item.choices:
        yield choice.clause, Part("choice", item.id, (str(choice.var.type),), (choice.when,))
        if choice.lowest is not None:
            yield choice.lowest, Part("lowest", item.id, ())
    for ensured in item.ensures:
        if ensured.test != build.TRUE:
            yield ensured.clause, Part("ensure", item.id, (), (ensured.test,))
    yield from _updates(item.id, "update", item.updates)
    yield from _updates(item.id, "always", item.always)


def _updates(item: str, kind: str, updates: Iterable[Any]) -> Iterator[tuple[str, Part]]:
    for u in updates:
        tests = (*u.binders, *u.indices, u.guard, u.value)
        yield u.clause, Part(kind, item, (u.target, len(u.binders)), tests)


# ---- one difference by itself ------------------------------------------------------------------


def with_clause(a: Side, b: Side, clause: str) -> Side | None:
    """The first side with one clause as the second has it; None where that is more than a clause:
    an operation or a state of one side only."""
    first, second = items_of(a), items_of(b)
    both = first.keys() & second.keys()
    for items in (first, second):
        if any(clause in mentioned(i) for name, i in items.items() if name not in both):
            return None
    made = {
        name: _with(item, second[name], clause) if name in both else item
        for name, item in first.items()
    }
    states = dict(a.spec.states)
    for state in b.spec.states.values():
        if state_clause(state) == clause:
            if state.name not in states:
                return None
            states[state.name] = state
    told = {c: b.spec.clauses[c] for c in (clause,) if c in b.spec.clauses}
    spec = replace(
        a.spec,
        operations=tuple(i for i in made.values() if isinstance(i, Operation)),
        observations=tuple(i for i in made.values() if isinstance(i, Observation)),
        states=states,
        clauses=a.spec.clauses | told,
    )
    return Side(b.name, spec, a.where)


def _with(item: Item, other: Item, clause: str) -> Item:
    if isinstance(item, Observation) and isinstance(other, Observation):
        return replace(
            item,
            requires=_merged(item.requires, other.requires, clause),
            updates=_merged(item.updates, other.updates, clause),
        )
    assert isinstance(item, Operation)
    assert isinstance(other, Operation)
    whole = other if item.success == clause else item
    return replace(
        item,
        errors=_merged(item.errors, other.errors, clause),
        choices=_merged(item.choices, other.choices, clause),
        ensures=_merged(item.ensures, other.ensures, clause),
        updates=_merged(item.updates, other.updates, clause),
        always=_merged(item.always, other.always, clause),
        result=whole.result,
        slots=whole.slots,
        arrays=whole.arrays,
        struct_size=whole.struct_size,
        modelled=whole.modelled,
        disturbs=whole.disturbs,
    )


def _merged(own: tuple[_P, ...], other: tuple[_P, ...], clause: str) -> tuple[_P, ...]:
    """The first's parts, but those of a clause as the second has them, in their place."""
    taken = [p for p in other if p.clause == clause]
    at = next((i for i, p in enumerate(own) if p.clause == clause), None)
    rest = [p for p in own if p.clause != clause]
    if at is None:
        after = {p.clause for p in other[: other.index(taken[0])]} if taken else set()
        at = max((i + 1 for i, p in enumerate(rest) if p.clause in after), default=0)
    return (*rest[:at], *taken, *rest[at:])


# ---- comparing ---------------------------------------------------------------------------------


def differences(a: Side, b: Side) -> list[Difference]:
    """The clauses that differ, in the order of the text."""
    before, after = _parts(a), _parts(b)
    # What an operation inherits is no difference of its own where the whole operation is new.
    alone = items_of(a).keys() ^ items_of(b).keys()
    found: list[Difference] = []
    for clause in dict.fromkeys((*before, *after)):
        old, new = tuple(before.get(clause, ())), tuple(after.get(clause, ()))
        if not old or not new:
            kind: Kind = "removed" if old else "added"
            found.append(Difference(clause, kind, (), old, new))
            continue
        old, new = (tuple(p for p in side if p.item not in alone) for side in (old, new))
        if not old or not new:
            continue
        common = _in_both(old, new, before.keys() & after.keys())
        aspects = tuple(_aspects(*common))
        if aspects:
            found.append(Difference(clause, "meaning", aspects, old, new))
        else:
            told = tuple(_told(a.spec.clauses.get(clause), b.spec.clauses.get(clause)))
            if told:
                found.append(Difference(clause, "prose", told, old, new))
    return found


def _in_both(
    old: tuple[Part, ...], new: tuple[Part, ...], both: Iterable[str]
) -> tuple[list[Part], list[Part]]:
    """The parts with only clauses that both sides have among those that come before an error: that
    another error is new is the other's difference."""
    known = set(both)

    def less(part: Part) -> Part:
        if part.kind != "error":
            return part
        *rest, first = part.what
        assert isinstance(first, tuple)
        kept = tuple(c for c in first if c in known)
        return Part(part.kind, part.item, (*rest, kept), part.tests)

    return [less(p) for p in old], [less(p) for p in new]


def _aspects(old: list[Part], new: list[Part]) -> Iterator[str]:
    if len(old) != len(new):
        yield f"{len(old)} places, then {len(new)}" if old[0].kind != "update" else "its effects"
        return
    found: dict[str, None] = {}
    for x, y in zip(old, new, strict=True):
        if (x.kind, x.item) != (y.kind, y.item):
            found["what it is a part of"] = None
        elif x.what != y.what:
            found.update(dict.fromkeys(_what_differs(x, y)))
        elif form(x.tests) != form(y.tests):
            found[_TEST.get(x.kind, "its condition")] = None
    yield from found


_TEST = {
    "update": "its effect", "always": "its effect", "success": "its result",
    "ensure": "what it says of the results", "require": "what it requires",
    "invariant": "what it says", "state": "its value at boot, or how it changes from outside",
}  # fmt: skip
_WHAT = {
    "error": ("its code", "whether it comes after success", "whether it may come at any time",
              "which errors come before it"),
    "state": ("its type", "its indices", "whether the header says it", "its value at boot",
              "how it changes from outside"),
    "success": ("its hypercall", "its command", "its parameters", "the size of its structure",
                "its structure", "whether it is modelled", "what it disturbs"),
    "table": ("its number",),
    "undefined": ("its fields",),
}  # fmt: skip


def _what_differs(x: Part, y: Part) -> Iterator[str]:
    names = _WHAT.get(x.kind, ())
    for at, (before, after) in enumerate(zip(x.what, y.what, strict=False)):
        if before != after:
            yield names[at] if at < len(names) else "what it writes"
    if len(x.what) != len(y.what):
        yield "its fields"


def _told(old: Clause | None, new: Clause | None) -> Iterator[str]:
    """What differs of what is only said."""
    if old is None or new is None:
        return
    if old.prose != new.prose:
        yield "its words"
    if old.authority != new.authority:
        yield f"its authority: {old.authority}, then {new.authority}"
    if old.citations != new.citations:
        yield "its citations"


def form(node: Any, names: dict[str, int] | None = None) -> Any:
    """A representation in which variables go by the order in which they come up."""
    known: dict[str, int] = {} if names is None else names
    if isinstance(node, Var):
        return "var", known.setdefault(node.name, len(known)), form(node.type, known)
    if isinstance(node, BitsType | BoolType | EnumType):
        return str(node)
    if isinstance(node, tuple):
        return tuple(form(part, known) for part in node)
    if is_dataclass(node):
        parts = [form(getattr(node, f.name), known) for f in fields(node)]
        return type(node).__name__, *parts
    return node
