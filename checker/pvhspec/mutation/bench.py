"""What mutants are held against: the examples by what they touch, and what is ready made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pvhspec.backends.dispatch import Dispatch
from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.interpreter.quantify import size_of
from pvhspec.backends.places import nodes
from pvhspec.ir.ir import Cell, Example, ExampleStep, Gate, Observation, Spec, Update
from pvhspec.ir.lower import lower
from pvhspec.mutation.make import Mutant, with_mutant, without_examples
from pvhspec.mutation.outline import Outline
from pvhspec.names.gates import Version
from pvhspec.names.load import Sources

__all__ = ["Bench", "Changed", "Readers", "changed"]

T = TypeVar("T")
Where = tuple[Version, str]

_FAR = 1 << 16  # values of one variable


@dataclass(frozen=True, slots=True)
class Changed:
    """What a mistake makes different: operations and `on` blocks by id, states, and whether
    anything else is (an invariant, a structure, the table)."""

    operations: frozenset[str]
    blocks: frozenset[str]
    kinds: frozenset[str]
    states: frozenset[str]
    invariants: frozenset[str]
    obligations: frozenset[str]
    others: frozenset[str]

    @property
    def nothing(self) -> bool:
        """Whether the same specification comes of it."""
        return not any(
            (
                self.operations, self.blocks, self.states, self.invariants, self.obligations,
                self.others,
            )
        )  # fmt: skip

    def clauses(self, spec: Spec) -> Iterator[str]:
        """The clauses that what is changed has for its own."""
        for op in spec.operations:
            if op.id in self.operations:
                yield op.success
                yield from (e.clause for e in op.errors if e.clause.startswith(op.id))
        for block in spec.observations:
            if block.id in self.blocks:
                yield from (r.clause for r in block.requires)
                yield from (clause for clause, _ in block.undefined)

    def with_readers(self, readers: Readers) -> Changed:
        """The same with the operations and blocks that have to do with the states, and the events
        that obligations about them wait for."""
        if not self.states:
            return self
        states = readers.reached(self.states)
        blocks = readers.among(states, readers.spec.observations)
        owed = readers.among(states, readers.spec.obligations)
        return replace(
            self,
            operations=self.operations
            | {o.id for o in readers.among(states, readers.spec.operations)},
            blocks=self.blocks | {b.id for b in blocks},
            kinds=self.kinds
            | {b.event for b in blocks}
            | {m.event for o in owed for m in (o.then, o.before)},
        )


class Readers:
    """Which states each part of a specification reads or writes."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        parts = (*spec.operations, *spec.observations, *spec.obligations, *spec.states.values())
        self._states = {id(part): frozenset(_states_in(part)) for part in parts}

    def among(self, states: frozenset[str], parts: Iterable[T]) -> list[T]:
        """Those that have to do with any of the states."""
        return [part for part in parts if not states.isdisjoint(self._states[id(part)])]

    def reached(self, states: frozenset[str]) -> frozenset[str]:
        """The states with those whose beginning or drift hangs on them, directly or not."""
        more = states | {s.name for s in self.among(states, self.spec.states.values())}
        return states if more == states else self.reached(more)


def _states_in(part: object) -> Iterator[str]:
    """The states that are named in a part of a specification."""
    for node in nodes(part):
        if isinstance(node, Cell):
            yield node.state
        elif isinstance(node, Update):
            yield node.target


def changed(base: Spec, other: Spec) -> Changed:
    """What differs, and `other` with the parts of `base` where they are alike."""
    operations = _differ({o.id: o for o in base.operations}, {o.id: o for o in other.operations})
    blocks = _differ({o.id: o for o in base.observations}, {o.id: o for o in other.observations})
    kinds = {o.event for s in (base, other) for o in s.observations if o.id in blocks}
    gates = [{c.id: c.gate for c in s.clauses.values()} for s in (base, other)]
    others = {
        *_differ(base.structs, other.structs),
        *_differ({str(n): h for n, h in base.hypercalls.items()},
                 {str(n): h for n, h in other.hypercalls.items()}),
        *_differ(base.events, other.events),
        *(set(_differ(*gates)) - operations - blocks),
    }  # fmt: skip
    return Changed(
        operations,
        blocks,
        frozenset(kinds),
        _differ(base.states, other.states),
        _differ({i.name: i for i in base.invariants}, {i.name: i for i in other.invariants}),
        _differ({o.name: o for o in base.obligations}, {o.name: o for o in other.obligations}),
        frozenset(others),
    )


def _differ(base: dict[str, Any], other: dict[str, Any]) -> frozenset[str]:
    return frozenset(k for k in {*base, *other} if base.get(k) != other.get(k))


@dataclass(slots=True)
class _Touched:
    """The operations and kinds of events of an example."""

    operations: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    raw: bool = False  # calls by number


def _number_called(step: ExampleStep) -> tuple[int, list[int | None]]:
    """The number and arguments of a call by number."""
    number, args = 0, dict.fromkeys(range(6), 0)
    for name, index, value in step.values:
        if isinstance(value, int):
            if name == "nr":
                number = value
            elif name == "arg":
                args[index[0]] = value
    return number, list(args.values())


class Bench:
    """The specification as it is, and what each of its examples calls."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.outline = Outline(sources)
        self.spec, errors = lower(sources)
        assert not [e for e in errors if e.severity == "error"]
        self._compiled: dict[Where, Compiled] = {}
        open_ = tuple(replace(o, gate=Gate()) for o in self.spec.operations)
        self._anywhere = replace(self.spec, operations=open_)
        self._touched = [self._look(example) for example in self.spec.examples]
        self._far = {o.event for o in self.spec.observations if _goes_far(o)}
        self.readers = Readers(self.spec)

    def _look(self, example: Example) -> _Touched:
        touched = _Touched()
        by_name = {o.name: o.id for o in self.spec.operations}
        for step in example.steps:
            if step.kind in by_name:
                touched.operations.add(by_name[step.kind])
                touched.kinds.add("hypercall")
            elif step.kind == "hypercall":
                touched.kinds.add("hypercall")
                touched.raw = True
                found = _number_called(step)
                for spec in (self.spec, self._anywhere):  # and what would be there without a gate
                    op = Dispatch(spec, example.version, example.mode).operation(*found)
                    if op is not None:
                        touched.operations.add(op.id)
            else:
                touched.kinds.add(step.kind)
        return touched

    def choose(self, mutant: Mutant, what: Changed) -> list[int]:
        """The examples, by number, that a mistake may show in, those about its clause first, and of
        those the ones that are soon run."""
        what = what.with_readers(self.readers)
        raw = bool(what.others) and not what.operations
        chosen = [
            number
            for number, touched in enumerate(self._touched)
            if (raw and touched.raw)
            or touched.operations & what.operations
            or touched.kinds & what.kinds
            or what.obligations
        ]
        declared = ".".join(mutant.place.split(".")[:3])

        def rank(number: int) -> tuple[bool, bool, int, int]:
            example = self.spec.examples[number]
            far = sum(step.kind in self._far for step in example.steps)
            breaks = example.violates or ""
            direct, near = breaks.startswith(mutant.place), breaks.startswith(declared)
            return not direct, not near, far, len(example.steps)

        return sorted(chosen, key=rank)

    def mutated(self, mutant: Mutant) -> tuple[Spec, Changed | None, str]:
        """The specification with the mistake, and what differs; or the checker's error.

        The examples are those of the specification as it is: what they say is not the mistake's.
        """
        whole = with_mutant(self.sources, mutant)
        users = self.outline.users(mutant.declaration)
        # What number a command has decides which numbers are left to its hypercall.
        other_number = mutant.kind == "other number"
        part = None if other_number else self.outline.cut(whole, users)
        spec, errors = lower(without_examples(whole) if part is None else part)
        real = [e for e in errors if e.severity == "error"]
        if real:
            return spec, None, f"{real[0].code} {real[0].message}"
        if part is not None:
            spec = self._put_back(spec, {self.outline.id(at) for at in users})
        what = changed(self.spec, spec)
        base = {o.id: o for o in self.spec.operations}
        kept = tuple(o if o.id in what.operations else base[o.id] for o in spec.operations)
        return replace(spec, operations=kept, examples=self.spec.examples), what, ""

    def _put_back(self, part: Spec, ids: set[str]) -> Spec:
        """A part of the text with the rest of it: what is in `ids` is the part's."""
        base = self.spec

        def of(clause: str) -> bool:
            words = clause.split(".")
            return any(".".join(words[:n]) in ids for n in range(1, len(words) + 1))

        operations = {o.id: o for o in part.operations}
        observations = {o.id: o for o in part.observations}
        invariants = {i.clause: i for i in part.invariants}
        obligations = {o.clause: o for o in part.obligations}
        return replace(
            part,
            operations=_merged(base.operations, operations, "id", ids),
            observations=_merged(base.observations, observations, "id", ids),
            invariants=_merged(base.invariants, invariants, "clause", ids),
            obligations=_merged(base.obligations, obligations, "clause", ids),
            clauses={
                **{id_: c for id_, c in base.clauses.items() if not of(id_)},
                **{id_: c for id_, c in part.clauses.items() if of(id_)},
            },
        )

    def ready(self, spec: Spec, what: Changed, where: Where) -> Compiled:
        """A mutant made ready, with what it has in common with the specification."""
        if where not in self._compiled:
            self._compiled[where] = Compiled(self.spec, *where)
        made = Compiled(spec, *where)
        own = what.with_readers(self.readers)
        made.take_over(self._compiled[where], own.operations, own.kinds, compiler=not what.states)
        return made


def _goes_far(block: Observation) -> bool:
    """Whether a block writes for each of very many values, which takes its time."""
    return any(size_of(v.type) > _FAR for u in block.updates for v in u.binders)


def _merged(
    base: tuple[Any, ...], part: dict[str, Any], name: str, ids: set[str]
) -> tuple[Any, ...]:
    """What a mistake can show in is taken from the part, if it is still there."""
    both = ((getattr(item, name), item) for item in base)
    found = (part.get(id_) if id_ in ids else item for id_, item in both)
    return tuple(item for item in found if item is not None)
