"""Values worth trying for an argument, found in the specification's own text and in the state.

Three sources: what the text compares the argument with (the value itself, and one to either
side), what the state already holds of the argument's type (an open port, a vCPU there is), and
the edges of its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from pvhspec.backends.interpreter.evaluate import Compiler, Fn
from pvhspec.backends.interpreter.path import Inconsistent, Path, TooMuch
from pvhspec.ir.ir import Cell, Expr, Input, Make, Observation, Op, Operation, Spec, Var
from pvhspec.ir.walk import children

__all__ = ["Bundles", "Pools"]

_COMPARISONS = frozenset({"eq", "ult", "ule"})


class Bundles:
    """Indices of cells that are not as they were at the start, by what they hold."""

    def __init__(self, spec: Spec) -> None:
        self._kinds = {
            name: tuple(getattr(v.type, "name", None) for v in state.indices)
            for name, state in spec.states.items()
        }
        self._held: dict[tuple[str, Any], dict[tuple[int, ...], None]] = {}
        self._where: dict[tuple[str, tuple[int, ...]], tuple[str, Any]] = {}
        self._payloads: dict[tuple[str, int, int], dict[int, None]] = {}

    def note(self, state: str, index: tuple[int, ...], value: Any) -> None:
        """A cell has a value now."""
        old = self._where.pop((state, index), None)
        if old is not None:
            self._held[old].pop(index, None)
        variant = value[0] if isinstance(value, tuple) else value
        if isinstance(variant, int):
            key = (state, variant)
            self._held.setdefault(key, {})[index] = None
            self._where[state, index] = key
        if isinstance(value, tuple):
            for at, part in enumerate(value[1:]):
                if isinstance(part, int):
                    table = self._payloads.setdefault((state, variant, at), {})
                    table[part] = None
                    if len(table) > 64:
                        table.pop(next(iter(table)))

    def of_kind(self, kind: str | None, random: Random) -> int | None:
        """An index of this type, of a cell that holds something; None if there is none."""
        if kind is None:
            return None
        buckets = [
            (name, held)
            for (name, _), held in self._held.items()
            if held and kind in self._kinds[name]
        ]
        if not buckets:
            return None
        name, held = random.choice(buckets)
        at = random.randrange(len(held))
        index = next(islice(held, at, None))
        return index[self._kinds[name].index(kind)]

    def holding(self, state: str, variant: int) -> list[tuple[int, ...]]:
        """The indices of the cells of a state that hold a value, or a variant of an enum."""
        return list(self._held.get((state, variant), ()))

    def not_zero(self, state: str) -> list[tuple[int, ...]]:
        """The indices of the cells of a state that hold anything but zero, or the first variant."""
        return [i for (s, value), held in self._held.items() if s == state and value for i in held]

    def payload(self, key: tuple[str, int, int], random: Random) -> int | None:
        """What some cell of a variant carries or has carried."""
        table = self._payloads.get(key)
        return random.choice(list(table)) if table else None

    def holder(self, key: tuple[str, int, int], random: Random) -> int | None:
        """What stands at a place of the index of some cell that is of a variant."""
        state, variant, place = key
        held = self._held.get((state, variant))
        if not held:
            return None
        return next(islice(held, random.randrange(len(held)), None))[place]


@dataclass(slots=True)
class _Sources:
    """Where values for one argument come from."""

    bounds: list[Fn]
    payloads: list[tuple[str, int, int]]
    holders: list[tuple[str, int, int]]  # where it stands in the index of a cell of a variant


class Pools:
    """Candidate values for every argument of every operation."""

    def __init__(self, spec: Spec, compiler: Compiler) -> None:
        self._compiler = compiler
        self._made: dict[str, dict[str, _Sources]] = {}
        self.bundles = Bundles(spec)

    def of_operation(self, op: Operation) -> dict[str, _Sources]:
        """The sources for an operation's arguments."""
        return self._compiler.once(_of_operation, op)

    def of_event(self, blocks: Sequence[Observation]) -> dict[str, _Sources]:
        """The sources for the fields of an event."""
        key = blocks[0].event
        if key not in self._made:
            texts = [e for b in blocks for e in (b.when, *(r.test for r in b.requires))]
            self._made[key] = _sources(texts, self._compiler)
        return self._made[key]

    def draw(
        self, name: str, kind: str | None, bits: int, below: int | None,
        sources: dict[str, _Sources], path: Path, random: Random,
    ) -> int:  # fmt: skip
        """A value for an argument of `bits` bits."""
        found = sources.get(name)
        for _ in range(4):
            value = self._try(found, kind, bits, below, path, random)
            if value is not None:
                return value & ((1 << bits) - 1)
        return random.getrandbits(bits)

    def _try(
        self, found: _Sources | None, kind: str | None, bits: int, below: int | None,
        path: Path, random: Random,
    ) -> int | None:  # fmt: skip
        way = random.random()
        if way < 0.5:
            if found is not None and found.payloads and random.random() < 0.5:
                return self.bundles.payload(random.choice(found.payloads), random)
            if found is not None and found.holders and random.random() < 0.4:
                return self.bundles.holder(random.choice(found.holders), random)
            return self.bundles.of_kind(kind, random)
        if way < 0.75 and found is not None and found.bounds:
            bound = _value(random.choice(found.bounds), path)
            near = random.choice((0, 0, 0, 1, -1))
            return None if bound is None else bound + near
        if way < 0.87:
            top = 1 << bits
            edges = [0, 1, top - 1, top >> 1]
            if below is not None:
                edges += [below - 1, below]
            return random.choice(edges)
        if way < 0.97:
            return random.randrange(16 if way < 0.93 else min(below or 256, 1 << bits))
        return random.getrandbits(bits)


def _sources(texts: Sequence[Expr], compiler: Compiler) -> dict[str, _Sources]:
    made: dict[str, _Sources] = {}
    seen: set[tuple[str, Expr]] = set()

    def sources(name: str) -> _Sources:
        return made.setdefault(name, _Sources([], [], []))

    for node in (n for text in texts for n in _nodes(text)):
        if not (isinstance(node, Op) and node.op in _COMPARISONS):
            continue
        for a, b in (node.args, node.args[::-1]):
            if isinstance(b, Cell) and isinstance(a, Make):
                for at, index in enumerate(b.indices):
                    if isinstance(index, Input):
                        sources(index.name).holders.append((b.state, a.variant, at))
                for at, part in enumerate(a.args):
                    for name in _inputs(part):
                        sources(name).payloads.append((b.state, a.variant, at))
            names = _inputs(a)
            if len(names) != 1 or isinstance(a, Make | Cell) or _has_var(b) or _has_var(a):
                continue
            name = next(iter(names))
            if (name, b) not in seen and name not in _inputs(b):
                seen.add((name, b))
                sources(name).bounds.append(compiler.expr(b))
    return made


def _of_operation(op: Operation, compiler: Compiler) -> dict[str, _Sources]:
    return _sources(_texts(op), compiler)


def _texts(op: Operation) -> list[Expr]:
    found: list[Expr] = [e.when for e in op.errors if e.when is not None]
    found += [c.when for c in op.choices]
    for update in (*op.updates, *op.always):
        found += [update.guard, update.value]
    return found


def _nodes(node: Expr) -> Iterator[Any]:
    yield node
    for child in children(node):
        yield from _nodes(child)


def _inputs(node: Expr) -> set[str]:
    return {n.name for n in _nodes(node) if isinstance(n, Input)}


def _has_var(node: Expr) -> bool:
    return any(isinstance(n, Var) for n in _nodes(node))


def _value(bound: Fn, path: Path) -> int | None:
    try:
        value = path.resolve(bound(path))
    except (Inconsistent, TooMuch, KeyError):
        return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
