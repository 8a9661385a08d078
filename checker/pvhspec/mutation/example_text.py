"""Examples as text of the language."""

from __future__ import annotations

from collections.abc import Iterable

from pvhspec.backends.interpreter.explain import shown_value
from pvhspec.ir.ir import STATUS, Example, ExampleStep, Operation, Spec, Value, status_code
from pvhspec.names.gates import shown_version
from pvhspec.syntax.format import format_text

__all__ = ["example_text"]

_HEAD = "module a.b\n\n"
_LARGE = 0xFFFF

_Bound = tuple[str, tuple[int, ...], Value]


def example_text(spec: Spec, example: Example) -> str:
    """The text of an example, laid out."""
    name = example.name.replace('"', "'")
    of = "" if example.violates is None else f" of {example.violates}"
    word = "example" if example.violates is None else "counterexample"
    where = f"on {shown_version(example.version)} {example.mode}"
    steps = "\n".join(_step(spec, step) for step in example.steps)
    text, errors = format_text(f'{_HEAD}{word} "{name}"{of} {where} {{\n{steps}\n}}\n', "a/b.abi")
    assert text is not None, errors
    return text.removeprefix(_HEAD)


def _step(spec: Spec, step: ExampleStep) -> str:
    if step.kind == "given":
        ((name, index, value),) = step.values
        return f"given {_place(name, index)} = {shown_value(value, spec.states[name].type)}"
    op = next((o for o in spec.operations if o.name == step.kind), None)
    called = f"{step.kind}({_binds(step.values)})"
    if step.result is None:
        return called if op is None and step.kind != "hypercall" else f"{called} -> unseen"
    outs = step.outs
    result = _result(spec, step.result)
    if op is not None and op.status is not None and outs and outs[0][0] == op.status.name:
        told, outs = outs[0][2], outs[1:]
        result = _status(spec, op, told) or result
    return f"{called} -> {result}" + (f" {{ {_binds(outs)} }}" if outs else "")


def _result(spec: Spec, result: int) -> str:
    names = {v: k for k, v in spec.enums.get("Errno", {}).items()}
    return names.get(-result, "") or _number(result & (1 << 64) - 1)


def _status(spec: Spec, op: Operation, told: Value) -> str:
    """The name of an error that is delivered in a field; empty: there is none."""
    assert op.status is not None
    width = op.status.type.width
    assert isinstance(told, int)
    code = status_code(told, width)
    values = spec.enums.get(op.status.type.name or "", {})
    return next(
        (n for n, v in values.items() if code > STATUS and status_code(v, width) == code), ""
    )


def _binds(binds: Iterable[_Bound]) -> str:
    return ", ".join(f"{_place(name, index)} = {_number(value)}" for name, index, value in binds)


def _place(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(_number(i) for i in index)}]" if index else name


def _number(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    assert isinstance(value, int)
    return hex(value) if value > _LARGE else str(value)
