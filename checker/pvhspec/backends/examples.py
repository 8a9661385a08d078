"""The examples inside the specification: each must come out as it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pvhspec.backends.dispatch import Dispatch
from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.memory import MemoryImage
from pvhspec.backends.protocol import Call, Judgement, Seen, Verdict
from pvhspec.ir.ir import Example, ExampleStep, Operation, Spec
from pvhspec.names.gates import Version

__all__ = ["Result", "run_example", "run_examples"]


@dataclass(frozen=True, slots=True)
class Result:
    """How an example came out. `wrong` says what is not as it should be, None if nothing is."""

    example: Example
    judgements: tuple[Judgement, ...]
    wrong: str | None


class _Table(dict[tuple[int, ...], Any]):
    """A map field of an example: what it does not list is false or 0."""

    def get(self, index: Any, default: Any = None) -> Any:
        return super().get(index, False)


def run_examples(spec: Spec) -> Iterator[Result]:
    """Run every example."""
    made: dict[tuple[Version, str], Compiled] = {}
    for example in spec.examples:
        where = (example.version, example.mode)
        if where not in made:
            made[where] = Compiled(spec, *where)
        yield run_example(spec, example, made[where])


def run_example(spec: Spec, example: Example, compiled: Compiled | None = None) -> Result:
    """Run one example through the interpreter."""
    machine = Machine(spec, example.version, example.mode, compiled=compiled)
    operations = {o.name: o for o in spec.operations}
    found: list[Judgement] = []
    memory = MemoryImage()
    for seq, step in enumerate(example.steps):
        if step.kind == "given":
            for name, index, value in step.values:
                machine.store.write(name, index, value)
        elif step.kind == "mem":
            _remember(step, memory)
        else:
            seen = _seen(spec, example, step, seq, operations.get(step.kind))
            seen.fields["memory"] = memory
            found += machine.feed(seen)
    broken = list(dict.fromkeys(j.clause for j in found if j.verdict is Verdict.VIOLATES))
    return Result(example, tuple(found), _wrong(example, broken, found))


def _remember(step: ExampleStep, memory: MemoryImage) -> None:
    """`mem(gpa = …, word[i] = …)`: guest memory in 32-bit words."""
    base = next((v for name, _, v in step.values if name == "gpa"), 0)
    for name, index, value in step.values:
        if name == "word" and isinstance(base, int) and isinstance(value, int):
            memory.add(base + 4 * index[0], value.to_bytes(4, "little"))


def _wrong(example: Example, broken: list[str], found: list[Judgement]) -> str | None:
    if example.violates is None:
        if broken:
            return f"violates {', '.join(broken)}"
        unseen = [j.clause for j in found if j.verdict is Verdict.UNSEEN]
        return f"leaves {', '.join(unseen)} open" if unseen and not _hides(example) else None
    if broken == [example.violates]:
        return None
    return f"violates {', '.join(broken) or 'nothing'}, not {example.violates}"


def _hides(example: Example) -> bool:
    """Whether the example leaves a result unseen on purpose."""
    return any(s.result is None and s.kind.isupper() for s in example.steps) or any(
        s.kind[:1].isupper() and s.result is None for s in example.steps
    )


def _seen(spec: Spec, example: Example, step: ExampleStep, seq: int, op: Operation | None) -> Seen:
    major, minor = example.version[:2]
    fields: dict[str, Any] = {
        "caller": 0, "current": 0, "width": 64, "cpl": 0, "readable": True, "writable": True,
        "release": major << 16 | minor, "in_64": True,
    }  # fmt: skip
    for name, index, value in step.values:
        if index:
            fields.setdefault(name, _Table())[index] = value
        else:
            fields[name] = value
    event = spec.events.get(step.kind)
    for name, kinds, _ in event.fields if event else ():
        if kinds:
            fields.setdefault(name, _Table())
    if step.kind == "hypercall":
        args = [fields["arg"].get((n,)) for n in range(6)] if fields.get("arg") else []
        dispatch = Dispatch(spec, example.version, example.mode)
        op = dispatch.operation(int(fields.get("nr", 0)), args)
    if op is None:
        return Seen(step.kind, seq, None, fields)
    given = fields.get("arg")
    for n, param in enumerate(op.params if step.kind == "hypercall" else ()):
        if given is not None and (n,) in given:
            fields.setdefault(param.name, given[(n,)])
    for array in op.arrays:
        fields.setdefault(f"{array.name}.readable", True)
        fields.setdefault(f"{array.name}.writable", True)
        for field in array.fields:
            fields.setdefault(f"{array.name}.{field.name}", _Table())
    if op.command is not None and op.params:
        fields.setdefault(op.params[0].name, op.command)
    fields["nr"] = op.number if op.number is not None else fields.get("nr")
    if any(param.name == "count" for param in op.params):
        fields.setdefault("count", 1)
    if step.result is not None:
        fields["ret"] = step.result & (1 << 64) - 1
    for name, index, value in step.outs:
        if index:
            fields.setdefault(f"out.{name}", _Table())[index] = value
        else:
            fields[f"out.{name}"] = value
    return Seen("hypercall", seq, None, fields, Call(op, step.result, None, None))
