"""What was found out of a trace as a whole (`check --solve`), for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pvhspec.diagnostics import printable
from pvhspec.report.paint import Paint, wrapped
from pvhspec.report.verdict import Report

if TYPE_CHECKING:  # it is only there where a whole trace is asked about
    from pvhspec.backends.whole.solve import Whole

__all__ = ["whole_lines", "whole_object"]

_MOST_NEEDED = 12


def whole_lines(report: Report, whole: Whole, paint: Paint, verbose: bool) -> Iterator[str]:
    """The verdict on the whole, and what it hangs on."""
    head = paint("whole trace", "bold")
    match whole.status:
        case "conforms":
            yield f"{head}: {paint('some execution shows all of it', 'green')}"
        case "open":
            yield f"{head}: {paint(f'not decided: {whole.why}', 'yellow')}"
        case "violates":
            yield f"{head}: {paint('no execution shows all of it', 'red')}"
            yield from _core(report, whole)
    if whole.needed:
        yield "  conforms only if, by what was seen later,"
        shown = whole.needed if verbose else whole.needed[:_MOST_NEEDED]
        for seq, fact in shown:
            made = "" if fact.event is None else f" after event {fact.event}"
            yield f"    {wrapped(printable(f'{fact.cell} is {fact.value}{made}: event {seq}'), 6)}"
        if len(shown) < len(whole.needed):
            yield f"    and {len(whole.needed) - len(shown)} more (-v lists them)"


def _core(report: Report, whole: Whole) -> Iterator[str]:
    core = whole.core
    if core is None:
        return
    others = report.events - len(core.events)
    few = "these" if core.minimal else "these (fewer may do)"
    if len(core.events) == 1:
        few = "this"
    rest = f", whatever the results of the other {others} were" if others else ""
    yield f"  {few} cannot be{rest}:"
    for seq in core.events:
        moment = report.moments.get(seq)
        told = f": {moment.what}" if moment is not None else ""
        yield f"    {wrapped(printable(f'event {seq}{told}'), 6)}"


def whole_object(whole: Whole) -> dict[str, Any]:
    """The same for machines."""
    core = whole.core
    return {
        "status": whole.status,
        "why": whole.why or None,
        "at": whole.at,
        "core": None if core is None else {"events": [*core.events], "minimal": core.minimal},
        "needed": [
            {"event": seq, "cell": fact.cell, "value": fact.value, "since": fact.event}
            for seq, fact in whole.needed
        ],
    }
