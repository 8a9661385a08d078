"""Differences in words, for machines, and as programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pvhspec.backends.difference.clauses import Side
from pvhspec.backends.difference.compare import Told
from pvhspec.backends.difference.twins import Apart
from pvhspec.backends.solver.reach import Execution, Move
from pvhspec.backends.solver.stories import as_program
from pvhspec.backends.solver.tell import call_shown, cell_shown
from pvhspec.ir.ir import Operation

__all__ = ["file_name", "program_of", "tell", "tell_summary", "told_object"]

_KINDS = {"added": "only in", "removed": "only in", "meaning": "changed", "prose": "told otherwise"}
_NARROW = 32
_MOST_SHOWN = 8  # fields or pieces of memory of one event


# ---- programs ----------------------------------------------------------------------------------


def program_of(told: Told, a: Side, b: Side) -> str | None:
    """A program that `pvhspec conform` and `capture` can run; None if no lone guest can do it."""
    if told.apart is None:
        return None
    body = _body(told.apart.first) or _body(told.apart.second)
    if body is None:
        return None
    head = [
        f"# Tells {a.name} from {b.name} by {told.difference.clause}.",
        *(f"# {line}" for line in _answers(told.apart, a, b)),
    ]
    return "\n".join([*head, "", body])


def _body(execution: Execution) -> str | None:
    *before, last = execution.moves
    narrow = isinstance(last.item, Operation) and dict(last.inputs).get("width") == _NARROW
    needs = "needs width 32\n" if narrow else ""
    if isinstance(last.item, Operation):
        moves = tuple(_wide(m) for m in execution.moves)
        text = as_program(replace(execution, moves=moves))
        return None if text is None else needs + text
    shown = _event(last)
    if shown is None:
        return None
    text = as_program(replace(execution, moves=tuple(before))) if before else ""
    if text is None:
        return None
    maps = "map shared_info at 0\n" if shown == "snapshot" and "map shared_info" not in text else ""
    return f"{maps}{text}{shown}\n"


def _wide(move: Move) -> Move:
    """As a 64-bit call: that a program is for 32-bit callers is said at its head."""
    kept = tuple((n, 64 if n == "width" else v) for n, v in move.inputs)
    return replace(move, inputs=kept)


def _event(move: Move) -> str | None:
    """The step of a program after which an event of this kind comes."""
    fields = dict(move.inputs)
    match move.item.event if not isinstance(move.item, Operation) else "":
        case "shared_info":
            return "snapshot"
        case "cpuid":
            return f"cpuid {fields.get('leaf', 0):#x}, {fields.get('subleaf', 0):#x}"
        case "msr":
            return f"rdmsr {fields.get('index', 0):#x}" if not fields.get("op") else None
        case "hypercall":
            return f"hypercall {fields.get('nr', 0)}()" if not fields.get("cpl") else None
        case "entry" | "image" | "hypercall_page":
            return 'note "the start itself shows it"'
    return None


def file_name(told: Told) -> str:
    """The name of a program's file."""
    return f"{told.difference.clause}.prog"


# ---- in words ----------------------------------------------------------------------------------


def tell(told: Told, a: Side, b: Side, verbose: bool = False) -> Iterator[str]:
    """A difference, and what shows it."""
    d = told.difference
    where = {"added": f" {b.name}", "removed": f" {a.name}"}.get(d.kind, "")
    aspects = f": {', '.join(d.aspects)}" if d.aspects else ""
    side = a if d.kind == "removed" else b
    clause = side.spec.clauses.get(d.clause)
    prose = f"  {clause.prose}" if clause is not None and clause.prose else ""
    yield f"{_KINDS[d.kind]}{where}{aspects}  {d.clause}{prose}"
    match told.status:
        case "prose":
            yield "   the meaning is the same"
        case "equivalent":
            yield "   written otherwise, and proved to mean the same in every state"
        case "not visible":
            yield f"   no guest can see it: {told.why}"
        case "open":
            yield f"   no program was found that shows it: {told.why}"
        case "apart":
            assert told.apart is not None
            yield from (f"   {line}" for line in _story(told.apart, a, b))
            if program_of(told, a, b) is None:
                yield "   no lone guest can do it: there is no program"


def _story(apart: Apart, a: Side, b: Side) -> Iterator[str]:
    for state, index, value in apart.first.given:
        yield f"where {cell_shown(a.spec, state, index, value)}"
    for number, move in enumerate(apart.first.moves[:-1], 1):
        yield f"{number}. {_move(a, move)}"
    yield from _answers(apart, a, b)


def _answers(apart: Apart, a: Side, b: Side) -> Iterator[str]:
    one, two = apart.first.moves[-1], apart.second.moves[-1]
    width = max(len(a.name), len(b.name))
    shows, other = ((b, two), a) if apart.by_second else ((a, one), b)
    if not isinstance(one.item, Operation):
        yield f"{shows[0].name:{width}}  may show {_move(*shows, apart.first.at)}"
        also = "never shows that, but something else" if apart.both else "never shows that"
        yield f"{other.name:{width}}  {also}"
        return
    for side, move, only in ((a, one, apart.only[0]), (b, two, apart.only[1])):
        may = "" if only else "  (among others)"
        if not apart.both and side is other:
            may = "  (and never the other's answer)"
        yield f"{side.name:{width}}  {_move(side, move)}{may}"


def _move(side: Side, move: Move, read: tuple[tuple[str, Any], ...] = ()) -> str:
    if isinstance(move.item, Operation):
        return call_shown(side.spec, move.item, dict(move.inputs), move.code)
    fields = [f"{n} = {v:#x}" for n, v in move.inputs if v and not isinstance(v, bool)]
    for name, table in move.maps:
        fields += [f"{name}[{', '.join(map(str, i))}]" for i, v in table if v]
    memory = dict(read)
    if memory:  # a whole state of registers is no help beside what is read of memory
        reads = [n.removesuffix(".at") for n in memory if n.endswith(".at")]
        shown = {
            memory[f"{n}.at"]: f"{memory[f'{n}.is']:#x} at {memory[f'{n}.at']:#x}" for n in reads
        }
        fields = [*dict.fromkeys(shown.values())]
    return f"{move.item.event}({', '.join(fields[:_MOST_SHOWN])})"


def tell_summary(found: list[Told], a: Side, b: Side) -> str:
    """How many there are of each."""
    if not found:
        return f"{a.name} and {b.name} say the same"
    count = {s: sum(t.status == s for t in found) for s in
             ("apart", "not visible", "equivalent", "prose", "open")}  # fmt: skip
    words = {
        "apart": "that a guest can see", "not visible": "that none can",
        "equivalent": "that mean the same", "prose": "in words alone", "open": "not decided",
    }  # fmt: skip
    shown = ", ".join(f"{n} {words[s]}" for s, n in count.items() if n)
    return f"{len(found)} clauses differ between {a.name} and {b.name}: {shown}"


def told_object(told: Told, a: Side, b: Side) -> dict[str, Any]:
    """A difference for machines."""
    d, apart = told.difference, told.apart
    return {
        "clause": d.clause,
        "kind": d.kind,
        "aspects": list(d.aspects),
        "visible": told.status,
        "why": told.why or None,
        "certain": None if apart is None else apart.both,
        "steps": [] if apart is None else list(_story(apart, a, b)),
        "program": program_of(told, a, b),
    }
