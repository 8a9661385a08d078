"""Examples that notice mistakes which no example of the text notices yet.

The solver looks for a state and a call, or two calls, that the text as it is and the text with the
mistake answer differently. What it finds is written as an example, made as short as it can be, and
is given only if the interpreter says that it holds of the one and not of the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, replace

import z3

from pvhspec.backends.difference.clauses import Side, differences
from pvhspec.backends.difference.compare import foci
from pvhspec.backends.difference.twin import Focus
from pvhspec.backends.difference.twins import Pair
from pvhspec.backends.solver.combos import expressions
from pvhspec.backends.solver.ground import Unsupported
from pvhspec.backends.solver.reach import Execution, reads_of
from pvhspec.ir.ir import Example, Observation, Operation, Spec
from pvhspec.mutation.bench import Bench, Changed, Readers, Where
from pvhspec.mutation.example_steps import examples_of
from pvhspec.mutation.make import Mutant
from pvhspec.mutation.trial import Trial
from pvhspec.mutation.vary import by_number, numbers_of, variations

__all__ = ["Suggested", "suggestions"]

_RELEASES = ((4, 17), (4, 20), (4, 14))  # first, as examples are written for them
_MODES = ("pvh_dom0", "pvh_domu")
_PLACES = 3  # in which a difference is looked for
_SEEDS = 40  # examples that are varied
_NEAR = 3  # places in which they are
_OF_NUMBERS = ("other number", "drop modes", "drop since", "drop until")
_TRIED_ON = 100  # examples, after a counterexample was found
_READERS = 8  # that may show what a step has changed
_DEPTHS = ((0, True, False), (0, True, True), (1, True, False), (1, True, True))


@dataclass(frozen=True, slots=True)
class Suggested:
    """A mistake and the example that notices it; None: none was found. `old`: it was found for
    another mistake."""

    mutant: Mutant
    example: Example | None
    old: bool = False


def suggestions(
    bench: Bench,
    survivors: Iterable[Mutant],
    budget: float,
    done: Callable[[int, int], None] = lambda _done, _of: None,
) -> Iterator[Suggested]:
    """For each mistake an example; one that was found for another does as well."""
    found: list[Example] = []
    left = list(survivors)
    for number, mutant in enumerate(left, 1):
        yield _suggested(bench, mutant, found, budget)
        done(number, len(left))


def _suggested(bench: Bench, mutant: Mutant, found: list[Example], budget: float) -> Suggested:
    spec, what, _ = bench.mutated(mutant)
    if what is None:
        return Suggested(mutant, None)
    trial = Trial(bench, spec, what)
    for example in found:
        if trial.notices(example):
            return Suggested(mutant, example, old=True)
    made = _varied(bench, mutant, what, trial, budget / 2)
    if made is None:
        made = next(_looked_for(bench, spec, what, trial, budget), None)
    if made is None:
        return Suggested(mutant, None)
    made = replace(trial.shortened(made), name=_label(bench.spec, mutant, made))
    found.append(made)
    return Suggested(mutant, made)


# ---- near the examples that there are ------------------------------------------------------------


def _varied(
    bench: Bench, mutant: Mutant, what: Changed, trial: Trial, budget: float
) -> Example | None:
    """An example that differs little from one that there is."""
    end = time.process_time() + budget
    numbers, places = numbers_of(mutant), _near_by(bench.spec, what)
    against: list[Example] = []
    left = _TRIED_ON
    for example in _near(bench, mutant, what, numbers, places):
        if time.process_time() > end or not left:
            break
        left -= bool(against)
        if trial.good(example):
            return example
        counter = trial.counter(example)
        if counter is not None and not against and trial.good(counter):
            against.append(counter)
    return next(iter(against), None)


def _near(
    bench: Bench, mutant: Mutant, what: Changed, numbers: tuple[int, ...], places: list[Where]
) -> Iterator[Example]:
    seeds = [bench.spec.examples[n] for n in bench.choose(mutant, what)]
    if mutant.kind in _OF_NUMBERS:
        for op in bench.spec.operations:
            if op.id in what.operations and op.command is not None:
                yield from by_number(op, places)
    for seed in seeds[:_SEEDS]:
        yield from variations(bench.spec, seed, numbers, places)


# ---- looking for one ---------------------------------------------------------------------------


def _looked_for(
    bench: Bench, spec: Spec, what: Changed, trial: Trial, budget: float
) -> Iterator[Example]:
    """Examples that notice a mistake, those on the usual release first."""
    tried = 0
    for where in _places(bench.spec):
        sides = _sides(bench.spec, spec, what, where)
        focused = _focused(*sides)
        if not focused:
            continue
        tried += 1
        end = time.process_time() + budget
        for execution in _executions(sides, focused, end):
            yield from _told(bench.spec, execution, where, trial)
        if tried == _PLACES:
            return


def _places(spec: Spec) -> list[Where]:
    def rank(where: Where) -> tuple[object, ...]:
        release, mode = where
        near = _RELEASES.index(release[:2]) if release[:2] in _RELEASES else len(_RELEASES)
        return (_MODES.index(mode) if mode in _MODES else len(_MODES)), near, release, mode

    return sorted(((r, m) for r in spec.releases for m in spec.modes), key=rank)


def _near_by(spec: Spec, what: Changed) -> list[Where]:
    """The first places of those with, and those without, what the mistake is in."""
    items = [i for i in _items(spec) if i.id in what.operations | what.blocks]
    groups: dict[tuple[bool, ...], list[Where]] = {}
    for where in _places(spec):
        groups.setdefault(tuple(i.gate.open(*where) for i in items), []).append(where)
    return [where for group in groups.values() for where in group[:_NEAR]]


def _sides(base: Spec, other: Spec, what: Changed, where: Where) -> tuple[Side, Side]:
    """Both with those operations and blocks alone that the mistake can show in."""
    near = what.with_readers(Readers(base))
    ids = {*near.operations, *near.blocks}
    ids |= _readers(base, ids, what.states | _written_otherwise(base, other))
    return Side("text", _cut(base, ids), where), Side("mistake", _cut(other, ids), where)


def _items(spec: Spec) -> tuple[Operation | Observation, ...]:
    return (*spec.observations, *spec.operations)


def _written_otherwise(base: Spec, other: Spec) -> set[str]:
    """The states that only one of them changes so."""
    one, two = ({i.id: i for i in _items(s)} for s in (base, other))
    found: set[str] = set()
    for id_ in one.keys() & two.keys():
        if one[id_] is not two[id_]:
            found |= {u.target for u in {*one[id_].updates} ^ {*two[id_].updates}}
    return found


def _readers(spec: Spec, ids: set[str], states: Set[str]) -> set[str]:
    """The simplest of what may show what others have changed."""
    found = [
        (len(list(expressions(item))), item.id)
        for item in _items(spec)
        if item.id not in ids and reads_of(expressions(item)) & states
    ]
    return {id_ for _, id_ in sorted(found)[:_READERS]}


def _cut(spec: Spec, ids: set[str]) -> Spec:
    return replace(
        spec,
        operations=tuple(o for o in spec.operations if o.id in ids),
        observations=tuple(o for o in spec.observations if o.id in ids),
    )


def _focused(a: Side, b: Side) -> list[tuple[Pair, Focus, int]]:
    """What to ask of whom, and how many calls come before at the least."""
    pair, back = Pair(a, b), Pair(b, a)
    found: dict[tuple[bool, Focus], tuple[Pair, Focus, int]] = {}
    for d in differences(a, b):
        if d.kind == "prose":
            continue
        for focus, least in foci(pair, d):
            for turned in (False, True):
                found[turned, focus] = (back if turned else pair), focus, least
            if least == 0:
                may = Focus(focus.last, may=True)
                for turned in (False, True):
                    found[turned, may] = (back if turned else pair), may, 0
    return list(found.values())


def _executions(
    sides: tuple[Side, Side], focused: list[tuple[Pair, Focus, int]], end: float
) -> Iterator[Execution]:
    """What the solver finds within a time, the shortest first."""
    for count, usual, anywhere in _DEPTHS:
        for pair, focus, least in focused:
            left = end - time.process_time()
            if left <= 0:
                return
            if count < least:
                continue
            try:
                found = pair.proposed(focus, count, left / 2, usual=usual, anywhere=anywhere)
            except (Unsupported, KeyError, z3.Z3Exception):
                continue
            if isinstance(found, Execution):
                yield found


def _told(spec: Spec, execution: Execution, where: Where, trial: Trial) -> Iterator[Example]:
    """The examples that an execution comes to, first those of what is allowed."""
    against: list[Example] = []
    for example in examples_of(spec, execution, where):
        if trial.good(example):
            yield example
        counter = trial.counter(example)
        if counter is not None and trial.good(counter):
            against.append(counter)
    yield from against


# ---- what it is called -------------------------------------------------------------------------


def _label(spec: Spec, mutant: Mutant, example: Example) -> str:
    """A sentence for an author to better: the prose of what it is about."""
    around = mutant.place.rpartition(".")[0]
    names = [example.violates, mutant.place, f"{mutant.place}.success", around, f"{around}.success"]
    for name in names:
        clause = spec.clauses.get(name or "")
        if clause is not None and clause.prose:
            prose = clause.prose.split(". ")[0].rstrip(".") + "."
            return f"Not so: {prose}" if name == example.violates else prose
    return f"{mutant.place.rpartition('.')[2].replace('_', ' ').capitalize()}."
