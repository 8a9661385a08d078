"""Calls, cells, and steps that break something, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pvhspec.backends.interpreter.explain import shown_value
from pvhspec.backends.solver.obligation import Broken
from pvhspec.backends.solver.prove import Step
from pvhspec.ir.ir import STATUS, Operation, Spec

__all__ = ["broken_shown", "call_shown", "cell_shown", "number_shown"]


def cell_shown(spec: Spec, state: str, index: tuple[Any, ...], value: Any) -> str:
    """`channel[0, 5] = ipi`."""
    shown = shown_value(value, spec.states[state].type)
    return f"{state}[{', '.join(map(str, index))}] = {shown}" if index else f"{state} = {shown}"


def call_shown(spec: Spec, op: Operation, inputs: dict[str, Any], code: int | None) -> str:
    """`domain 0: EVTCHNOP_close(port = 5) -> 0`."""
    fields = [s.name for s in op.slots if s.read] or [
        p.name for p in op.params if (p.name in inputs and p.name != "cmd") or op.command is None
    ]
    args = ", ".join(f"{n} = {number_shown(inputs.get(n, 0))}" for n in fields)
    outs = [
        f"{n.removeprefix('out.')} = {number_shown(v)}"
        for n, v in inputs.items()
        if n.startswith("out.")
    ]
    context = [f"domain {inputs.get('caller', 0)}"]
    if inputs.get("cpl"):
        context.append(f"ring {inputs['cpl']}")
    if inputs.get("width") == 32:
        context.append("32-bit")
    for name in ("readable", "writable"):
        if inputs.get(name) is False:
            context.append(f"the structure is not {name}")
    names = {v: k for k, v in spec.enums.get("Errno", {}).items()}
    if code and code >= STATUS:
        told = next((e.name for e in op.errors if e.code == code), None)
        result = ", ".join(["0", *outs] if told is None else ["0", told])
    elif code:
        result = f"-{names.get(code, code)}"
    else:
        result = ", ".join([number_shown(inputs.get("result", 0)), *outs])
    return f"{', '.join(context)}: {op.name}({args}) -> {result}"


def number_shown(value: Any) -> str:
    """A number as it is read: small ones in tens, large ones in hex."""
    if isinstance(value, bool):
        return str(value).lower()
    return hex(value) if value > 0xFFFF else str(value)


def broken_shown(spec: Spec, step: Step, broken: Broken) -> Iterator[str]:
    """How a step breaks an invariant: the cells before and after, and what happens."""
    before = {(s, i): v for s, i, v in broken.before}
    after = {(s, i): v for s, i, v in broken.after}
    ahead = "before"
    for (state, index), value in sorted(before.items()):
        yield f"    {ahead:7} {cell_shown(spec, state, index, value)}"
        ahead = ""
    if step.operation is not None:
        yield f"    call    {call_shown(spec, step.operation, dict(broken.inputs), broken.code)}"
    elif broken.inputs:
        yield f"    event   {', '.join(f'{k} = {number_shown(v)}' for k, v in broken.inputs)}"
    ahead = "after"
    for (state, index), value in sorted(after.items()):
        same = " (unchanged)" if before.get((state, index)) == value else ""
        yield f"    {ahead:7} {cell_shown(spec, state, index, value)}{same}"
        ahead = ""
    at = ", ".join(f"{k.split('.')[0]} = {number_shown(v)}" for k, v in broken.at)
    if at:
        yield f"    so it fails for {at}"
