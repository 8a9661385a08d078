"""Clauses that a guest cannot come to, and why.

Much of the text is about what a lone initial domain never meets: another domain, a port that is
Xen's own. That is no gap in a run. What is fixed for the guest, because nothing it can do changes
it, is written into the specification as it is; where the solver then finds no state at all from
which a clause can matter, the clause is out of reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from itertools import chain
from typing import Any

from pvhspec.backends.interpreter.operation import shows
from pvhspec.backends.machine.careful import ENDS
from pvhspec.ir import build
from pvhspec.ir.ir import Cell, Const, Expr, Input, Observation, Operation, Spec, State, Version
from pvhspec.targets.decoding import RECORDED
from pvhspec.types.types import BitsType, BoolType

__all__ = ["out_of_reach"]

_BUDGET = 3.0  # seconds for one clause
_EXISTS = "domain_exists"
_END, _ENDED = "shut_down", "the guest would be shut down"
_UNSAID = "no answer says what was chosen"
_OFTEN = 3  # calls answered alike, from which on it is taken to be always so
_ALONE = {"caller": 0}  # the guest is the initial domain

Given = Mapping[str, Mapping[str, Any]]


def out_of_reach(
    spec: Spec,
    clauses: Iterable[str],
    version: Version,
    mode: str,
    given: Given,
    exercised: Iterable[str] = (),
    vendor: int | None = None,
) -> dict[str, str]:
    """Those of the clauses that the guest cannot come to, each with the reason in words. `given` is
    what the header of its traces says, `vendor` the processor's, and from what was `exercised`,
    and how often, facts of the machine are learned. Without the solver, fewer are known."""
    wanted, often = list(clauses), Counter(exercised)
    told = chain(_by_nature(spec), _behind_an_error(spec, often, version, mode))
    found = {c: reason for c, reason in told if c in wanted}
    try:
        from pvhspec.backends.solver.witness import witnesses
    except ImportError:
        return found
    fixed = _fixed(spec, version, mode)
    surroundings = _ALONE if vendor is None else {**_ALONE, "vendor": vendor}

    def never(asked: Iterable[str], table: Given) -> list[str]:
        narrow = _with(spec, fixed, table, surroundings)
        came = witnesses(narrow, asked, where=(version, mode), depth=0, budget=_BUDGET)
        return [one.clause for one in came if one.status == "never"]

    def left() -> list[str]:
        return [c for c in wanted if c not in found]

    found.update({c: _reason(spec, c, fixed) for c in never(left(), given)})
    for fact in _facts(spec, fixed, given):
        about = [c for c in left() if fact in _reads(spec, c)]
        shown = [c for c in often if fact in _reads(spec, c)] if about else []
        key = "0" if spec.states[fact].indices else ""
        for value in (True, False):
            if shown and never(shown, {**given, fact: {key: not value}}):  # then it is not so
                how = "holds" if value else "does not hold"
                came = never(about, {**given, fact: {key: value}})
                found.update({c: f"{fact} {how} on this machine" for c in came})
                break
    return found


def _by_nature(spec: Spec) -> Iterator[tuple[str, str]]:
    """What no call could show, whatever state the guest is in."""
    for op in spec.operations:
        if op.struct is None:  # it has none that could change
            yield op.frame, "the call takes no structure"
        for update in op.updates:
            if update.target == _END:
                yield update.clause, _ENDED
                if update.guard == Const(BoolType(), True):
                    yield op.success, _ENDED
        if op.name in ENDS:
            yield op.frame, _ENDED
        for choice in op.choices:
            if shows(op, choice.var) is None:
                yield from ((c, _UNSAID) for c in (choice.clause, choice.lowest) if c)
    for seen in spec.observations:
        if seen.event not in RECORDED:
            reason = f"the probe records no {seen.event}"
            yield from ((r.clause, reason) for r in seen.requires)
            yield from ((u.clause, reason) for u in seen.updates)


def _behind_an_error(
    spec: Spec, often: Counter[str], version: Version, mode: str
) -> Iterator[tuple[str, str]]:
    """What comes after an error that this Xen has answered every call with that came so far: how it
    was built or started, which no call changes."""
    for op in spec.operations:
        for error in op.errors:
            always = error.when is None and error.only is None and error.gate.open(version, mode)
            if not always or often[error.clause] < _OFTEN:
                continue
            after = [e.clause for e in op.errors if e.rank >= error.rank and e is not error]
            after += [op.success, *(e.clause for e in op.ensures), *(u.clause for u in op.updates)]
            if not any(often[c] for c in after):
                leaf = error.clause.rpartition(".")[2]
                yield from ((c, f"this Xen answers {error.name}, {leaf}") for c in after)


def _facts(spec: Spec, fixed: set[str], given: Given) -> list[str]:
    """Single facts of the machine or the guest, true or false, of which the header says nothing."""

    def single(state: State) -> bool:
        kinds = [getattr(v.type, "name", None) for v in state.indices]
        return isinstance(state.type, BoolType) and kinds in ([], ["DomId"])

    return sorted(name for name in fixed if single(spec.states[name]) and name not in given)


def _fixed(spec: Spec, version: Version, mode: str) -> set[str]:
    """States that nothing the guest does is known to change."""
    changed: set[str] = set()
    items: tuple[Operation | Observation, ...] = (*spec.operations, *spec.observations)
    for item in items:
        if item.gate.open(version, mode):
            always = item.always if isinstance(item, Operation) else ()
            changed |= {u.target for u in (*item.updates, *always)}
    return {n for n, s in spec.states.items() if n not in changed and s.drift is None}


def _with(
    spec: Spec, fixed: set[str], given: Given, surroundings: Mapping[str, int]
) -> Spec:  # fmt: skip
    """The specification with every cell that is fixed replaced by its value, and what is always so
    around an event."""

    exists = spec.states.get(_EXISTS) if _EXISTS in fixed else None

    def change(node: Any) -> Any:
        if isinstance(node, Cell):
            return cell(
                spec.states[node.state], replace(node, indices=_changed(node.indices, change))
            )
        if isinstance(node, Input) and node.name in surroundings:
            if isinstance(node.type, BitsType):
                return build.number(node.type, surroundings[node.name])
            return Const(node.type, surroundings[node.name])
        return None

    def cell(state: State, node: Cell) -> Expr:
        if state.name in fixed:
            return _value(state, node.indices, given.get(state.name)) or node
        if exists is None or state.init is None or not state.indices:
            return node
        if state.indices[0].type != exists.indices[0].type:
            return node
        there = _value(
            exists, node.indices[:1], given.get(_EXISTS)
        )  # a domain that is not has none
        return (
            node if there is None else build.ite(there, node, _at(state, node.indices), state.type)
        )

    return replace(
        spec,
        operations=tuple(_changed(o, change) for o in spec.operations),
        observations=tuple(_changed(o, change) for o in spec.observations),
        invariants=tuple(_changed(i, change) for i in spec.invariants),
    )


def _value(state: State, indices: tuple[Expr, ...], table: Mapping[str, Any] | None) -> Expr | None:
    """What a fixed cell holds; None where that is not known."""
    if table is None:
        return None if state.given or state.init is None else _at(state, indices)
    rest = table.get("*", table.get(""))
    if rest is None and state.init is not None:
        value = _at(state, indices)
    elif isinstance(rest, bool | int):
        value = Const(state.type, rest)
    else:
        return None
    for key, held in table.items():
        if key in ("*", ""):
            continue
        numbers = zip(indices, state.indices, key.split(","), strict=True)
        here = build.all_of(
            build.eq(i, build.number(v.type, int(k)))
            for i, v, k in numbers
            if isinstance(v.type, BitsType)
        )
        value = build.ite(here, Const(state.type, held), value, state.type)
    return value


def _at(state: State, indices: tuple[Expr, ...]) -> Expr:
    from pvhspec.backends.solver.rewrite import substitute

    assert state.init is not None
    return substitute(state.init, {v.name: i for v, i in zip(state.indices, indices, strict=True)})


def _changed(node: Any, change: Callable[[Any], Any]) -> Any:
    """Any part of the representation with the expressions in it changed."""
    new = change(node)
    if new is not None:
        return new
    if isinstance(node, tuple):
        return tuple(_changed(part, change) for part in node)
    if (
        not is_dataclass(node)
        or isinstance(node, type)
        or not type(node).__module__.startswith("pvhspec.ir.")
    ):
        return node
    parts = {f.name: getattr(node, f.name) for f in fields(node)}
    made = {name: _changed(part, change) for name, part in parts.items()}
    same = all(made[name] is parts[name] or made[name] == parts[name] for name in parts)
    return node if same else replace(node, **made)


def _reason(spec: Spec, clause: str, fixed: set[str]) -> str:
    """Why nothing a lone guest does comes to a clause, in words."""
    names = sorted(_reads(spec, clause, own=True) & fixed)
    if names:
        return f"nothing changes {', '.join(names)}"
    if any(op.success == clause for op in spec.operations):
        return "there is always an error"
    return "nothing the guest can do brings it about"


def _reads(spec: Spec, clause: str, own: bool = False) -> set[str]:
    """The states that a clause of an operation is about; not `own`: that the operation reads."""
    found: set[str] = set()
    for op in spec.operations:
        every = (*op.updates, *op.always)
        clauses = {e.clause for e in op.errors} | {u.clause for u in every} | {op.success}
        if clause in clauses:
            mine: list[Any] = [e.when or e.only for e in op.errors if not own or e.clause == clause]
            mine += [u for u in every if not own or u.clause == clause]
            found.update(_cells(mine))
    return found


def _cells(node: Any) -> Iterator[str]:
    if isinstance(node, Cell):
        yield node.state
    if isinstance(node, tuple | list):
        for part in node:
            yield from _cells(part)
    elif is_dataclass(node) and not isinstance(node, type):
        for f in fields(node):
            yield from _cells(getattr(node, f.name))
