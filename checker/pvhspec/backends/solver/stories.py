"""Executions in words, and as programs the probe guest can run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pvhspec.backends.solver.reach import Execution, Move
from pvhspec.backends.solver.tell import call_shown, cell_shown
from pvhspec.backends.solver.witness import Witness
from pvhspec.ir.ir import Operation, Spec

__all__ = ["as_program", "tell_execution", "tell_witness", "witness_as_json"]


def tell_execution(spec: Spec, execution: Execution) -> Iterator[str]:
    """The steps, one a line, and before them what a toolstack has set."""
    for state, index, value in execution.given:
        yield f"   where {cell_shown(spec, state, index, value)}"
    for number, move in enumerate(execution.moves, 1):
        yield f"   {number}. {_move_shown(spec, move)}"


def _move_shown(spec: Spec, move: Move) -> str:
    if isinstance(move.item, Operation):
        return call_shown(spec, move.item, dict(move.inputs), move.code)
    fields = [f"{n} = {_plain(v)}" for n, v in move.inputs]
    for name, table in move.maps:
        fields += [f"{name}[{', '.join(map(str, i))}] = {_plain(v)}" for i, v in table if v]
    return f"event {move.item.event}({', '.join(fields)})"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return hex(value) if value > 0xFFFF else str(value)


def tell_witness(spec: Spec, found: Witness) -> Iterator[str]:
    """A witness, or why there is none."""
    clause = spec.clauses[found.clause]
    told = {"found": "", "never": "dead text: ", "open": "open: "}[found.status]
    yield f"{told}{clause.id}  {clause.prose or ''}".rstrip()
    if found.where is not None and found.execution is not None:
        version, mode = found.where
        yield f"   {'.'.join(map(str, version))}, {mode}"
        yield from tell_execution(spec, found.execution)
        if found.violable:
            yield "   the last is what the clause forbids"
        elif not found.execution.moves:
            yield "   it is so at boot"
    elif found.status == "never":
        yield "   no state that keeps the invariants lets it happen, in any release or mode"
    else:
        yield f"   {found.why}"


def witness_as_json(spec: Spec, found: Witness) -> dict[str, Any]:
    """A witness for machines."""
    place = None
    if found.where is not None and found.execution is not None:
        place = {"release": ".".join(map(str, found.where[0])), "mode": found.where[1]}
    steps = [] if found.execution is None else list(tell_execution(spec, found.execution))
    program = None if found.execution is None else as_program(found.execution)
    return {
        "clause": found.clause,
        "status": found.status,
        "where": place,
        "forbidden": found.violable,
        "steps": [s.strip() for s in steps],
        "program": program,
        "why": found.why,
    }


# ---- programs ----------------------------------------------------------------------------------

_WORDS = {0: "pending", 1: "mask"}
_NOBODYS = 99  # a command that no operation has


def as_program(execution: Execution) -> str | None:
    """The text of a program that does the same on a real hypervisor; None if a lone guest that
    nobody has prepared cannot do it."""
    if execution.given or not execution.moves:
        return None
    lines: list[str] = []
    for move in execution.moves:
        made = _call(move) if isinstance(move.item, Operation) else _store(move)
        if made is None:
            return None
        lines += made
    stores = any(not isinstance(m.item, Operation) for m in execution.moves)
    head = ["map shared_info at 0"] if stores else []
    return "\n".join([*head, *lines]) + "\n"


def _call(move: Move) -> list[str] | None:
    op, inputs = move.item, dict(move.inputs)
    assert isinstance(op, Operation)
    ring = {0: "", 3: " cpl 3"}.get(inputs.get("cpl", 0))
    if ring is None or op.number is None or inputs.get("caller", 0) != 0:
        return None
    if inputs.get("width", 64) != 64 or not _certain(move):
        return None
    if op.name.endswith(".other"):
        nobody = next(n for n in (_NOBODYS, *range(1 << 16)) if n not in op.commands)
        free = {p.name: nobody for p in op.params[:1]}
        operands = ", ".join(f"{inputs.get(p.name, free.get(p.name, 0)):#x}" for p in op.params)
        return [f"hypercall {op.hypercall}({operands}){ring}"]
    args = [f"{s.name} = {inputs.get(s.name, 0):#x}" for s in op.slots if s.read]
    # What points to the structure is the probe's affair, unless it points to none.
    for param in op.params[op.command is not None :]:
        if param.name in inputs and not (op.struct and inputs[param.name]):
            args.append(f"{param.name} = {inputs[param.name]:#x}")
    if inputs.get("readable") is False:
        args = ["unreadable"]
    elif inputs.get("writable") is False:
        args.insert(0, "readonly")
    return [f"{op.name}({', '.join(args)}){ring}"]


def _certain(move: Move) -> bool:
    """Whether Xen has no choice but to return this."""
    op = move.item
    assert isinstance(op, Operation)
    conditional = {e.code for e in op.errors if e.when is not None}
    return not move.code or move.code in conditional


def _store(move: Move) -> list[str] | None:
    inputs, maps = dict(move.inputs), dict(move.maps)
    block = move.item.id.rpartition(".")[2]
    if inputs.get("caller", 0) != 0 or inputs.get("in_64", True) is False:
        return None
    if block == "upcall_flag":
        return [f"{'set' if inputs.get('flag') else 'clear'} upcall {inputs.get('vcpu', 0)}"]
    if block == "selector_word" and not inputs.get("vcpu"):
        return [f"set selector {index[0]}" for index, value in maps.get("words", ()) if value]
    word = _WORDS.get(inputs.get("what", -1))
    if block not in ("pending_word", "mask_word") or word is None:
        return None
    ports = [index[0] for index, value in maps.get("bits", ()) if value]
    return [f"set {word} {p}" for p in ports if p < 64]
