"""Verdicts as JSON: `report/schema/check-1.json` says what is in them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pvhspec import __version__
from pvhspec.backends.protocol import Judgement
from pvhspec.diagnostics import Diagnostic
from pvhspec.ir.ir import Citation, Clause, Spec
from pvhspec.report.baseline import Known
from pvhspec.report.gate import Deviation, Run, Subject, Unreadable
from pvhspec.report.source import clause_lines, clause_place, repository
from pvhspec.report.verdict import Moment, Report
from pvhspec.report.whole import whole_object

__all__ = [
    "VERSION",
    "clause_object",
    "document",
    "dumped",
    "envelope",
    "known_object",
    "report_object",
    "unreadable_object",
]

VERSION = 1  # of the form; a field may be added without a new one, never taken away


def document(run: Run) -> dict[str, Any]:
    """All that one run of `pvhspec check` found."""
    traces = [
        unreadable_object(item.name, item.errors)
        if isinstance(item, Unreadable)
        else report_object(item, run.spec)
        for item in run.items
    ]
    return {**envelope(run, run.status), "traces": traces}


def envelope(run: Run, status: int) -> dict[str, Any]:
    """What every report begins with: who wrote it, what came of it, what the gate says."""
    baseline = run.policy.baseline
    known = None
    if baseline is not None:
        known = {
            "path": baseline.path,
            "fixed": [known_object(entry) for entry in run.fixed],
            "expired": [known_object(entry) for entry in run.lapsed],
        }
    return {
        "version": VERSION,
        "tool": {"name": "pvhspec", "version": __version__},
        "status": status,
        "unmet": [{"where": u.where, "what": u.what} for u in run.unmet],
        "baseline": known,
    }


def known_object(entry: Known) -> dict[str, Any]:
    """A known deviation."""
    return {
        "clause": entry.clause,
        "traces": list(entry.traces),
        "reason": entry.reason,
        "expires": entry.expires.isoformat(),
        "line": entry.line,
    }


def dumped(value: Any) -> str:
    """JSON text, the same on every machine; text that is not Unicode is escaped."""
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as in a file name that is no UTF-8
        return json.dumps(value, indent=2)
    return text


def report_object(subject: Subject, spec: Spec) -> dict[str, Any]:
    """The verdict on one trace."""
    report = subject.report
    return {
        "path": report.path,
        "verdict": report.verdict,
        "fails": subject.fails,
        "hypervisor": {"name": report.hypervisor, "release": report.release},
        "mode": report.mode,
        "authority": report.authority,
        "method": report.method,
        "synthetic": report.synthetic,
        "events": report.events,
        "truncated": report.truncated,
        "notices": report.notices,
        "violations": [
            {
                **clause_object(spec.clauses[name], spec),
                **_deviation(subject.deviations[name]),
                "count": report.violates[name],
                "at": [_occurrence(report, j) for j in found],
                "timeline": [_moment(m) for m in report.timeline(found[0])],
            }
            for name, found in report.broken.items()
        ],
        "unseen": [
            {"clause": name, "count": count, "assumed": list(report.assumed.get(name, ()))}
            for name, count in report.unseen.items()
        ],
        "owed": [{"clause": clause, "since": seq} for clause, seq in report.open_debts],
        "conforms": dict(sorted(report.conforms.items())),
        "never_seen": report.never_seen(),
        "coverage": {"applicable": len(report.applicable), "seen": len(report.seen)},
        "whole": None if report.whole is None else whole_object(report.whole),
    }


def unreadable_object(path: str, errors: Iterable[Diagnostic]) -> dict[str, Any]:
    """A trace that could not be judged."""
    return {"path": path, "verdict": "unreadable", "errors": [_error(e) for e in errors]}


def clause_object(clause: Clause, spec: Spec) -> dict[str, Any]:
    """A clause: what it says, and who says so."""
    return {
        "clause": clause.id,
        "prose": clause.prose,
        "kind": clause.kind,
        "authority": clause.authority,
        "gate": str(clause.gate),
        "place": clause_place(clause),
        "text": clause_lines(clause),
        "citations": [_citation(c, spec) for c in clause.citations],
    }


def _citation(citation: Citation, spec: Spec) -> dict[str, Any]:
    name, commit = repository(spec, citation.source)
    return {
        "authority": citation.authority,
        "repository": name,
        "commit": commit,
        "path": citation.path,
        "anchor": citation.anchor,
    }


def _occurrence(report: Report, j: Judgement) -> dict[str, Any]:
    finding, moment = j.finding, report.moments[j.seq]
    return {
        **_moment(moment),
        "origin": j.origin,
        "seen": finding.seen if finding else None,
        "allowed": finding.allowed if finding else None,
        "related": list(finding.related) if finding else [],
        "state": [str(fact) for fact in j.state],
    }


def _deviation(deviation: Deviation) -> dict[str, Any]:
    entry = deviation.known or deviation.lapsed
    return {
        "level": deviation.level,
        "fails": deviation.fails,
        "known": None if entry is None else known_object(entry),
    }


def _moment(moment: Moment) -> dict[str, Any]:
    return {"event": moment.seq, "what": moment.what, "place": moment.place._asdict()}


def _error(e: Diagnostic) -> dict[str, Any]:
    return {
        "code": e.code,
        "message": e.message,
        "remedy": e.remedy,
        "line": e.line,
        "column": e.column,
    }
