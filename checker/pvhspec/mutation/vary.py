"""Examples that differ in one place from those that there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pvhspec.ir.ir import STATUS, Example, ExampleStep, Operation, Spec, Value
from pvhspec.mutation.bench import Where
from pvhspec.mutation.example_steps import Bound, coded
from pvhspec.mutation.make import Mutant

__all__ = ["by_number", "numbers_of", "variations"]

_NUMBER = re.compile(r"\b(?:0x[0-9a-f_]+|[0-9]+)\b")
_FEW = (0, 1, 2)
_MASK = (1 << 64) - 1
_FLAGS = (("readable", False), ("writable", False), ("width", 32), ("current", 1), ("cpl", 3))


def numbers_of(mutant: Mutant) -> tuple[int, ...]:
    """Numbers that a mistake is about, and those beside them."""
    found = {int(n.replace("_", ""), 0) for n in _NUMBER.findall(f"{mutant.old} {mutant.new}")}
    near = {n + d for n in found for d in (-1, 0, 1)}
    return tuple(sorted(n for n in near if 0 <= n <= _MASK))


def variations(
    spec: Spec, example: Example, numbers: Iterable[int], places: Iterable[Where]
) -> Iterator[Example]:
    """The example itself, with another answer, another value, one thing fewer, elsewhere."""
    bare = replace(example, violates=None)
    operations = {o.name: o for o in spec.operations}
    yield bare
    yield from _answers(bare, operations)
    for at, step in enumerate(bare.steps):
        for other in _changed(step, tuple(numbers), step.kind in operations):
            changed = replace(bare, steps=(*bare.steps[:at], other, *bare.steps[at + 1 :]))
            yield changed
            yield from _answers(changed, operations)
    for at in range(len(bare.steps)):
        yield replace(bare, steps=(*bare.steps[:at], *bare.steps[at + 1 :]))
    for release, mode in places:
        there = replace(bare, version=release, mode=mode)
        yield there
        yield from _answers(there, operations)


def by_number(op: Operation, places: Iterable[Where]) -> Iterator[Example]:
    """Calls of an operation by the number of its command, there or where it is not."""
    call: tuple[Bound, ...] = (("nr", (), op.number or 0), ("arg", (0,), op.command or 0))
    codes = sorted({e.code for e in op.errors if e.code < STATUS})
    for release, mode in places:
        for flags in ((), (("readable", (), False),), (("writable", (), False),)):
            for result in (0, *(-c for c in codes)):
                step = ExampleStep("hypercall", (*call, *flags), result, (), 0)
                yield Example("", None, release, mode, (step,), "", 0)


def _answers(example: Example, operations: dict[str, Operation]) -> Iterator[Example]:
    """With another answer to the last call."""
    if not example.steps:
        return
    last = example.steps[-1]
    op = operations.get(last.kind)
    if op is None or last.result is None:
        return
    for code in (0, *sorted({e.code for e in op.errors})):
        result, outs = coded(op, code)
        step = replace(last, result=result, outs=outs)
        if step != last:
            yield replace(example, steps=(*example.steps[:-1], step))


def _changed(step: ExampleStep, numbers: tuple[int, ...], called: bool) -> Iterator[ExampleStep]:
    for values in _other_values(step.values, numbers):
        yield replace(step, values=values)
    for outs in _other_values(step.outs, numbers):
        yield replace(step, outs=outs)
    there = {name for name, _, _ in step.values}
    for flag, value in _FLAGS if called else ():
        if flag not in there:
            yield replace(step, values=(*step.values, (flag, (), value)))


def _other_values(
    binds: tuple[Bound, ...], numbers: tuple[int, ...]
) -> Iterator[tuple[Bound, ...]]:
    for n, (field, index, value) in enumerate(binds):
        for other in _others(value, numbers):
            yield (*binds[:n], (field, index, other), *binds[n + 1 :])


def _others(value: Value, numbers: tuple[int, ...]) -> Iterator[Value]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from dict.fromkeys(
            v for v in (*numbers, value + 1, value - 1, *_FEW) if v != value and 0 <= v <= _MASK
        )
