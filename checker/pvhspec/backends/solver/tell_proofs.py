"""Proofs in words, and what breaks an invariant: calls from boot, or a state and a step."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from pvhspec.backends.solver.combos import combos, shown_combos
from pvhspec.backends.solver.prove import Proof, Step
from pvhspec.backends.solver.query import state_after
from pvhspec.backends.solver.reach import reads_of
from pvhspec.backends.solver.stories import as_program, tell_execution
from pvhspec.backends.solver.tell import broken_shown, cell_shown, number_shown
from pvhspec.ir.ir import Spec

__all__ = ["proof_as_json", "tell_proof"]


def tell_proof(spec: Spec, proof: Proof) -> Iterator[str]:
    """An invariant, how it stands, and why."""
    clause = spec.clauses[proof.invariant.clause]
    yield f"{proof.status:8} {clause.id}  {clause.prose or ''}".rstrip()
    if proof.vacuous:
        yield f"  it says nothing: {proof.vacuous}"
    if proof.status in ("proved", "vacuous"):
        yield from _how(proof)
        return
    if proof.hangs_on:
        yield f"  its proof needs {', '.join(proof.hangs_on)}, which does not hold"
    yield from _from_boot(spec, proof)
    for step, where in _worst(spec, proof):
        if step.outcome.status == "open":
            yield f"  {step.what}: {step.outcome.why} ({where})"
        elif step.outcome.broken is not None:
            yield f"  {step.what} breaks it ({where}):"
            yield from broken_shown(spec, step, step.outcome.broken)


def _from_boot(spec: Spec, proof: Proof) -> Iterator[str]:
    """The calls that break it; or that none were found."""
    if isinstance(proof.story, str):
        if not proof.inductive:
            looked = proof.story or "none was looked for"
            yield f"  no execution from boot that breaks it ({looked}); what follows begins in any"
            yield "  state that keeps all invariants, which may be out of reach"
        return
    version, mode = proof.story.where
    yield f"  from boot, on {'.'.join(map(str, version))}, {mode}:"
    yield from (f"  {line}" for line in tell_execution(spec, proof.story.execution))
    states = reads_of(iter((proof.invariant.body,)))
    for cell in state_after(spec, proof.story.execution, proof.story.where, states):
        yield f"     then {cell_shown(spec, *cell)}"
    at = ", ".join(f"{k.split('.')[0]} = {number_shown(v)}" for k, v in proof.story.execution.at)
    if at:
        yield f"     so it fails for {at}"


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
    if deep := {s.what: s.k for s in proof.steps if s.k > 1}:
        text += f"; by {max(deep.values())}-induction, as one step does not show it of "
        text += ", ".join(deep)
    if proof.ends:
        text += f"; no longer owed after {', '.join(proof.ends)}"
    if with_:
        text += f"; together with {', '.join(with_)}"
    if proof.trusted:
        text += f"; trusted, being not modelled: {', '.join(proof.trusted)}"
    for line in wrap(text + ". Every domain, port and vCPU; no bound.", 96):
        yield f"  {line}"


def proof_as_json(spec: Spec, proof: Proof) -> dict[str, Any]:
    """A proof for machines."""
    story = None if isinstance(proof.story, str) else proof.story
    return {
        "clause": proof.invariant.clause,
        "status": proof.status,
        "steps": len(proof.steps),
        "untouched": proof.untouched,
        "k": max((s.k for s in proof.steps), default=1),
        "vacuous": proof.vacuous,
        "trusted": list(proof.trusted),
        "with": sorted({w for s in proof.steps for w in s.with_}),
        "needs": list(proof.hangs_on),
        "from_boot": None if story is None else [x.strip() for x in _from_boot(spec, proof)],
        "ends": list(proof.ends),
        "program": None if story is None else as_program(story.execution),
        "broken": [
            {"step": s.what, "where": where, "text": list(broken_shown(spec, s, s.outcome.broken))}
            for s, where in _worst(spec, proof)
            if s.outcome.broken is not None
        ],
        "open": [f"{s.what}: {s.outcome.why}" for s in proof.steps if s.outcome.status == "open"],
    }
