"""The verdict as TAP: a test point for each clause of each trace.

Version 13, which every reader knows; one of version 14 reads it as well.
"""

from __future__ import annotations

from collections.abc import Iterator

from pvhspec.diagnostics import printable
from pvhspec.report.cases import Case, cases, gate_cases
from pvhspec.report.gate import Run

__all__ = ["tap_text"]


def tap_text(run: Run) -> str:
    """The document. What is known or only a warning is TODO, what could not be seen is SKIP."""
    found = [(s.title, case) for s in run.subjects for case in cases(s, run.spec)]
    found += gate_cases(run)
    lines = ["TAP version 13", f"1..{len(found)}"]
    for number, (where, case) in enumerate(found, 1):
        lines += _point(number, where, case)
    return "\n".join(lines) + "\n"


def _point(number: int, where: str, case: Case) -> Iterator[str]:
    word = "not ok" if case.outcome in ("failed", "excused") else "ok"
    directive = {"excused": f" # TODO {_plain(case.why)}", "skipped": f" # SKIP {_plain(case.why)}"}
    name = _plain(f"{where}: {case.name}")
    yield f"{word} {number} - {name}{directive.get(case.outcome, '')}"
    if word == "not ok":
        yield "  ---"
        yield f"  message: {_quoted(case.why)}"
        yield f"  severity: {'fail' if case.outcome == 'failed' else 'todo'}"
        if case.details:
            yield "  details: |"
            yield from (f"    {printable(line)}" for line in case.details)
        yield "  ..."


def _quoted(text: str) -> str:
    """A string of YAML."""
    return "'" + printable(text).replace("'", "''") + "'"


def _plain(text: str) -> str:
    """Text that no reader takes for a directive."""
    return printable(text).replace("\\", "\\\\").replace("#", "\\#")
