"""The releases and modes a clause has to be asked about, those alike taken together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pvhspec.backends.solver.rewrite import gates_in
from pvhspec.ir.build import FALSE
from pvhspec.ir.ir import Expr, Gate, GateTest, Observation, Operation, Spec, Version

__all__ = ["Combo", "alike", "callable_in", "combos", "expressions", "shown_combos"]

Combo = tuple[Version, str]


def combos(spec: Spec) -> tuple[Combo, ...]:
    """Every release and mode, and the point releases just before and at a gate's edge."""
    versions = dict.fromkeys(spec.releases)
    for gate in _all_gates(spec):
        if gate.since is not None and len(gate.since) > 2:
            *front, last = gate.since
            versions[gate.since] = None
            if last > 0:
                versions[(*front, last - 1)] = None
        if gate.until is not None and len(gate.until) > 2:
            *front, last = gate.until
            versions.update(dict.fromkeys(((*front, last), (*front, last + 1))))
    return tuple((v, m) for v in sorted(versions) for m in spec.modes)


def callable_in(spec: Spec, all_: Iterable[Combo]) -> tuple[Combo, ...]:
    """Those in which a guest may make a hypercall at all: no clause rules out every one, as where
    a release has no such mode."""
    never = [
        block.when.gate
        for block in spec.observations
        if block.event == "hypercall" and isinstance(block.when, GateTest)
        if any(r.test == FALSE for r in block.requires)
    ]
    return tuple(place for place in all_ if not any(gate.open(*place) for gate in never))


def _all_gates(spec: Spec) -> Iterator[Gate]:
    for clause in spec.clauses.values():
        yield clause.gate
    items: tuple[Operation | Observation, ...] = (*spec.operations, *spec.observations)
    for item in items:
        yield item.gate
        yield from gates_in(expressions(item))


def expressions(item: Operation | Observation) -> Iterator[Expr]:
    """Every expression of an operation or block."""
    if isinstance(item, Operation):
        yield from (e.when for e in item.errors if e.when is not None)
        yield from (c.when for c in item.choices)
        yield from (e.test for e in item.ensures)
        if item.result is not None:
            yield item.result
        updates = (*item.updates, *item.always)
    else:
        yield item.when
        yield from (r.test for r in item.requires)
        updates = item.updates
    for u in updates:
        yield from (*u.indices, u.guard, u.value)


def alike(item: Operation | Observation, all_: Iterable[Combo]) -> Iterator[tuple[Combo, ...]]:
    """Groups of releases and modes between which no gate of an item tells apart."""
    gates = set(gates_in(expressions(item)))
    if isinstance(item, Operation):
        gates |= {e.gate for e in item.errors}
    ordered = sorted(gates, key=str)
    groups: dict[tuple[bool, ...], list[Combo]] = {}
    for version, mode in all_:
        if item.gate.open(version, mode):
            key = tuple(g.open(version, mode) for g in ordered)
            groups.setdefault(key, []).append((version, mode))
    yield from (tuple(g) for g in groups.values())


def shown_combos(group: tuple[Combo, ...], all_: tuple[Combo, ...]) -> str:
    """A group in words: `4.14 to 4.20, pvh_dom0, pvh_domu`; modes of other releases after `;`."""
    versions = sorted({v for v, _ in all_} | {v for v, _ in group})
    every = list(dict.fromkeys(m for _, m in all_))
    by_releases: dict[str, list[str]] = {}
    for mode in dict.fromkeys(m for _, m in group):
        own = {v for v, m in group if m == mode}
        by_releases.setdefault(_runs([v in own for v in versions], versions), []).append(mode)
    return "; ".join(f"{when}, {_modes(modes, every)}" for when, modes in by_releases.items())


def _runs(member: list[bool], versions: list[Version]) -> str:
    """`4.14 to 4.17 and 4.20`: the releases that belong, of all in order."""
    runs: list[list[Version]] = []
    for number, version in enumerate(versions):
        if member[number] and number and member[number - 1]:
            runs[-1][1] = version
        elif member[number]:
            runs.append([version, version])
    names = [[".".join(map(str, v)) for v in run] for run in runs]
    return " and ".join(a if a == b else f"{a} to {b}" for a, b in names)


def _modes(modes: list[str], every: list[str]) -> str:
    others = [m for m in every if m not in modes]
    if len(others) < min(3, len(modes)):
        return f"every mode but {', '.join(others)}" if others else "every mode"
    return ", ".join(modes)
