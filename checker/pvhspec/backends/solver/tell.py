"""Proofs and what breaks them, in words."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from pvhspec.backends.interpreter.explain import shown_value
from pvhspec.backends.solver.combos import combos, shown_combos
from pvhspec.backends.solver.obligation import Broken
from pvhspec.backends.solver.prove import Proof, Step
from pvhspec.ir.ir import Operation, Spec

__all__ = ["broken_shown", "call_shown", "cell_shown", "proof_as_json", "tell_proof"]


def cell_shown(spec: Spec, state: str, index: tuple[Any, ...], value: Any) -> str:
    """`channel[0, 5] = ipi`."""
    shown = shown_value(value, spec.states[state].type)
    return f"{state}[{', '.join(map(str, index))}] = {shown}" if index else f"{state} = {shown}"


def call_shown(spec: Spec, op: Operation, inputs: dict[str, Any], code: int | None) -> str:
    """`domain 0: EVTCHNOP_close(port = 5) -> 0`."""
    fields = [s.name for s in op.slots if s.read] or [
        p.name for p in op.params if (p.name in inputs and p.name != "cmd") or op.command is None
    ]
    args = ", ".join(f"{n} = {_number(inputs.get(n, 0))}" for n in fields)
    outs = [
        f"{n.removeprefix('out.')} = {_number(v)}"
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
    if code:
        result = f"-{names.get(code, code)}"
    else:
        result = ", ".join([_number(inputs.get("result", 0)), *outs])
    return f"{', '.join(context)}: {op.name}({args}) -> {result}"


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return hex(value) if value > 0xFFFF else str(value)


def tell_proof(spec: Spec, proof: Proof) -> Iterator[str]:
    """An invariant, how it stands, and why."""
    clause = spec.clauses[proof.invariant.clause]
    yield f"{proof.status:8} {clause.id}  {clause.prose or ''}".rstrip()
    if proof.status == "proved":
        yield from _how(proof)
        return
    if proof.hangs_on:
        yield f"  its proof needs {', '.join(proof.hangs_on)}, which does not hold"
    for step, where in _worst(spec, proof):
        if step.outcome.status == "open":
            yield f"  {step.what}: {step.outcome.why} ({where})"
        elif step.outcome.broken is not None:
            yield f"  {step.what} breaks it ({where}):"
            yield from broken_shown(spec, step, step.outcome.broken)


def _worst(spec: Spec, proof: Proof) -> Iterator[tuple[Step, str]]:
    """Each step that is not proved once, with its shortest story and all its releases."""
    by_name: dict[tuple[str, str], list[Step]] = {}
    for step in proof.steps:
        if step.outcome.status != "proved":
            by_name.setdefault((step.what, step.outcome.status), []).append(step)
    for steps in by_name.values():
        group = tuple(c for s in steps for c in s.group)
        best = min(steps, key=lambda s: len(s.outcome.broken.before) if s.outcome.broken else 0)
        yield best, shown_combos(group, combos(spec))


def _how(proof: Proof) -> Iterator[str]:
    with_ = sorted({w for s in proof.steps for w in s.with_})
    text = f"kept by {len(proof.steps)} steps; {proof.untouched} more change nothing it speaks of"
    if with_:
        text += f"; together with {', '.join(with_)}"
    if proof.trusted:
        text += f"; trusted, being not modelled: {', '.join(proof.trusted)}"
    for line in wrap(text + ". Every domain, port and vCPU; no bound.", 96):
        yield f"  {line}"


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
        yield f"    event   {', '.join(f'{k} = {_number(v)}' for k, v in broken.inputs)}"
    ahead = "after"
    for (state, index), value in sorted(after.items()):
        same = " (unchanged)" if before.get((state, index)) == value else ""
        yield f"    {ahead:7} {cell_shown(spec, state, index, value)}{same}"
        ahead = ""
    at = ", ".join(f"{k.split('.')[0]} = {_number(v)}" for k, v in broken.at)
    if at:
        yield f"    so it fails for {at}"


def proof_as_json(spec: Spec, proof: Proof) -> dict[str, Any]:
    """A proof for machines."""
    return {
        "clause": proof.invariant.clause,
        "status": proof.status,
        "steps": len(proof.steps),
        "untouched": proof.untouched,
        "trusted": list(proof.trusted),
        "with": sorted({w for s in proof.steps for w in s.with_}),
        "needs": list(proof.hangs_on),
        "broken": [
            {"step": s.what, "where": where, "text": list(broken_shown(spec, s, s.outcome.broken))}
            for s, where in _worst(spec, proof)
            if s.outcome.broken is not None
        ],
        "open": [f"{s.what}: {s.outcome.why}" for s in proof.steps if s.outcome.status == "open"],
    }
