"""Examples made of what the solver found: a state, calls, and answers to the last of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pvhspec.backends.difference.twin import LOAD
from pvhspec.backends.solver.reach import Execution, Move
from pvhspec.ir.ir import STATUS, Example, ExampleStep, Operation, Spec, Value, status_value
from pvhspec.mutation.bench import Where

__all__ = ["Bound", "coded", "examples_of"]

_USUAL = {
    "caller": 0, "current": 0, "width": 64, "cpl": 0, "readable": True, "writable": True,
    "in_64": True,
}  # fmt: skip
_BY_NUMBER = "."  # in the names of what has no name in the language

Bound = tuple[str, tuple[int, ...], Value]


def examples_of(spec: Spec, execution: Execution, where: Where) -> Iterator[Example]:
    """Examples of the same calls with each answer that the last may have."""
    head = [
        ExampleStep("given", ((name, index, value),), None, (), 0)
        for name, index, value in execution.given
        if name in spec.states
    ]
    *before, last = execution.moves
    begin = (*head, *_memory(execution), *(_step(spec, m, _answer(m)) for m in before))
    answers: list[tuple[int | None, tuple[Bound, ...]]] = [_answer(last)]
    if isinstance(last.item, Operation):
        answers += [_other(last, dict(execution.at)), *_codes(last.item)]
    for answer in dict.fromkeys(answers):
        steps = (*begin, _step(spec, last, answer))
        yield Example("", None, where[0], where[1], steps, "", 0)


def _codes(op: Operation) -> Iterator[tuple[int | None, tuple[Bound, ...]]]:
    """What else may be answered, as far as it is a number alone."""
    yield 0, ()
    for code in sorted({e.code for e in op.errors}):
        yield coded(op, code)


def coded(op: Operation, code: int) -> tuple[int, tuple[Bound, ...]]:
    """The result and status by which an error is answered."""
    if code >= STATUS and op.status is not None:
        told = status_value(code, op.status.type.width)
        return 0, ((op.status.name, (), told),)
    return -code, ()


def _answer(move: Move) -> tuple[int | None, tuple[Bound, ...]]:
    """The result and out fields of a step."""
    if not isinstance(move.item, Operation):
        return None, ()
    return _answered(move.item, move, move.code or 0, dict(move.inputs))


def _other(move: Move, at: dict[str, Any]) -> tuple[int | None, tuple[Bound, ...]]:
    """What the second side answers."""
    assert isinstance(move.item, Operation)
    return _answered(move.item, move, at.get("code", 0), at)


def _answered(
    op: Operation, move: Move, code: int, inputs: dict[str, Any]
) -> tuple[int | None, tuple[Bound, ...]]:
    result, status = coded(op, code)
    if code:
        return result, status
    outs = {n.removeprefix("out."): v for n, v in inputs.items() if n.startswith("out.")}
    if op.status is not None:
        outs = {op.status.name: outs.pop(op.status.name, 0), **outs}
    elements = tuple(
        (name.removeprefix("out."), index, value)
        for name, table in move.maps
        for index, value in table
        if name.startswith("out.")
    )
    return _signed(inputs.get("result", 0)), (*((n, (), v) for n, v in outs.items()), *elements)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _step(spec: Spec, move: Move, answer: tuple[int | None, tuple[Bound, ...]]) -> ExampleStep:
    item = move.item
    fields = {n: v for n, v in move.inputs if not n.startswith("out.") and n != "result"}
    fields = {n: v for n, v in fields.items() if _USUAL.get(n, None if v is None else "") != v}
    fields.pop("release", None)
    values: list[Bound] = []
    if isinstance(item, Operation):
        number = fields.pop("nr", item.number or 0)
        fields = {s.name: 0 for s in item.slots if s.read} | fields
        if _BY_NUMBER in item.name:
            values.append(("nr", (), number))
            values += [("arg", (n,), fields.pop(p.name, 0)) for n, p in enumerate(item.params)]
        elif item.command is not None:
            fields.pop(item.params[0].name, None)
    values += [(n, (), v) for n, v in fields.items()]
    values += [
        (name, index, value)
        for name, table in move.maps
        for index, value in table
        if not name.startswith("out.")
    ]
    kind = item.event if not isinstance(item, Operation) else item.name
    kind = "hypercall" if _BY_NUMBER in kind else kind
    return ExampleStep(kind, tuple(values), answer[0], answer[1], 0)


def _memory(execution: Execution) -> Iterator[ExampleStep]:
    """Guest memory that the last event is about, in words."""
    read = dict(execution.at)
    for name, value in read.items():
        place, _, what = name.rpartition(".")
        if not name.startswith(LOAD) or what != "is":
            continue
        size, address = int(place.rpartition(".")[2]), read[f"{place}.at"]
        base = address & ~3
        whole = value << 8 * (address - base)
        words = tuple(
            ("word", (n,), whole >> 32 * n & 0xFFFFFFFF)
            for n in range((address - base + size + 3) // 4)
        )
        yield ExampleStep("mem", (("gpa", (), base), *words), None, (), 0)
