"""A run as a list of test cases, for the formats that know nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pvhspec.backends.protocol import Judgement
from pvhspec.ir.ir import Spec
from pvhspec.report.gate import Deviation, Run, Subject, Unreadable
from pvhspec.report.source import citation_text, clause_place
from pvhspec.report.text import facts_told, prose_of

__all__ = ["Case", "cases", "details", "excuse", "gate_cases", "message"]

Outcome = Literal["passed", "failed", "excused", "skipped"]


class Case(NamedTuple):
    """A test: its name, what came of it, why, and more lines about it.

    `excused` is a violation that does not fail, `skipped` what could not be seen.
    """

    name: str
    outcome: Outcome
    why: str = ""
    details: tuple[str, ...] = ()


def cases(subject: Subject, spec: Spec) -> Iterator[Case]:
    """A case for each clause that something was said of, and one for a boot that ended badly."""
    report = subject.report
    broken = report.broken
    for clause in dict.fromkeys((*report.applicable, *broken)):
        if clause in broken:
            deviation, first = subject.deviations[clause], broken[clause][0]
            why = message(subject, first, spec)
            lines = tuple(details(subject, deviation, first, spec))
            if deviation.fails:
                yield Case(clause, "failed", why, lines)
            else:
                yield Case(clause, "excused", f"{excuse(deviation)}; {why}", lines)
        elif clause in report.conforms:
            yield Case(clause, "passed")
        elif clause in report.unseen:
            assumed = report.assumed.get(clause)
            only = f": conforms if {' and '.join(assumed)}" if assumed else ""
            yield Case(clause, "skipped", f"could not be seen{only}")
    if subject.ended:
        yield Case("the boot ends by itself", "failed", subject.ended)


def gate_cases(run: Run) -> Iterator[tuple[str, Case]]:
    """What belongs to no clause, with what it is of: what is unreadable, what is not met."""
    for item in run.items:
        if isinstance(item, Unreadable):
            why = "; ".join(error.headline() for error in item.errors)
            yield item.name, Case("the trace can be read", "failed", why)
    for unmet in run.unmet:
        yield unmet.where, Case("enough could be seen", "failed", unmet.what)


def message(subject: Subject, judgement: Judgement, spec: Spec) -> str:
    """A violation in a sentence."""
    finding = judgement.finding
    prose = prose_of(spec.clauses[judgement.clause], spec)
    what = subject.report.moments[judgement.seq].what
    if finding is None:
        return f"{prose} Event {judgement.seq}: {what}"
    allowed = f"; allowed: {finding.allowed}" if finding.allowed != prose else ""
    return f"{prose} Seen: {finding.seen}{allowed}. Event {judgement.seq}: {what}".strip()


def excuse(deviation: Deviation) -> str:
    """Why a violation does not fail."""
    entry = deviation.known
    if entry is None:
        return f"a {deviation.level} by --severity"
    return f"known until {entry.expires.isoformat()}: {entry.reason}"


def details(
    subject: Subject, deviation: Deviation, judgement: Judgement, spec: Spec
) -> Iterator[str]:
    """More of a violation, line by line."""
    clause = spec.clauses[judgement.clause]
    for moment in subject.report.timeline(judgement):
        yield f"event {moment.seq}: {moment.what}"
    for fact in facts_told(judgement.state):
        yield f"state: {fact}"
    yield f"clause: {clause_place(clause)}, {clause.authority}"
    for citation in clause.citations:
        yield f"cited: {citation_text(spec, citation)}"
    file, place = subject.place(judgement)
    if file is not None and place.line is not None:
        yield f"place: {file}:{place.line}"
    elif file is not None and place.byte is not None:
        yield f"place: {file}, byte {place.byte}"
    entry = deviation.lapsed
    if entry is not None:
        yield f"was known until {entry.expires.isoformat()}: {entry.reason}"
