"""The verdict as SARIF 2.1.0, for code scanning and editors.

A result is a clause violated in a trace: its location is the event in the trace, its rule the
clause. What is known is suppressed, not left out. What could not be seen is a number among the
run's properties: as results, a viewer would take it for alarms.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pvhspec import __version__
from pvhspec.backends.protocol import Judgement
from pvhspec.ir.ir import Citation, Clause, Spec
from pvhspec.report.cases import message
from pvhspec.report.gate import Deviation, Run, Subject
from pvhspec.report.json import dumped
from pvhspec.report.source import (
    citation_text,
    clause_lines,
    clause_place,
    repository,
    shown_path,
)
from pvhspec.report.text import facts_told, prose_of
from pvhspec.report.verdict import Moment
from pvhspec.traces import Place

__all__ = ["citation_url", "sarif_text"]

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def sarif_text(run: Run) -> str:
    """The document."""
    found = [(s, c, js) for s in run.subjects for c, js in s.report.broken.items()]
    rules = list(dict.fromkeys(clause for _, clause, _ in found))
    driver = {
        "name": "pvhspec",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(run.spec.clauses[clause], run.spec) for clause in rules],
    }
    one = {
        "tool": {"driver": driver},
        "invocations": [_invocation(run)],
        "artifacts": _artifacts(run),
        "results": [_result(run, s, c, js, rules.index(c)) for s, c, js in found],
        "columnKind": "unicodeCodePoints",
        "properties": {"judged": [_judged(subject) for subject in run.subjects]},
    }
    return dumped({"$schema": _SCHEMA, "version": "2.1.0", "runs": [one]}) + "\n"


def citation_url(spec: Spec, citation: Citation) -> str | None:
    """Where a citation can be read, at the commit that is pinned."""
    name, commit = repository(spec, citation.source)
    if not commit or name.count("/") != 1:
        return None
    return f"https://github.com/{name}/blob/{commit}/{quote(citation.path)}"


# ---- rules ---------------------------------------------------------------------------------------


def _rule(clause: Clause, spec: Spec) -> dict[str, Any]:
    prose = prose_of(clause, spec) or clause.id
    formula = "\n".join(clause_lines(clause))
    cited = [citation_text(spec, c) for c in clause.citations]
    urls = [citation_url(spec, c) for c in clause.citations]
    place = f"{clause_place(clause)}, {clause.authority}"
    text = "\n\n".join([prose, formula, place, *(f"cited: {c}" for c in cited)])
    links = [f"[`{c}`]({u})" if u else f"`{c}`" for c, u in zip(cited, urls, strict=True)]
    marked = [prose, f"```\n{formula}\n```", f"`{place}`", *(f"cited: {link}" for link in links)]
    rule: dict[str, Any] = {
        "id": clause.id,
        "name": clause.id.rpartition(".")[2],
        "shortDescription": {"text": prose},
        "fullDescription": {"text": f"{prose} ({place})"},
        "help": {"text": text, "markdown": "\n\n".join(marked)},
        "defaultConfiguration": {"level": "error"},
        "properties": {"authority": clause.authority, "kind": clause.kind, "tags": ["xen", "abi"]},
    }
    if url := next(filter(None, urls), None):
        rule["helpUri"] = url
    return rule


# ---- results -------------------------------------------------------------------------------------


def _result(
    run: Run, subject: Subject, clause: str, found: list[Judgement], index: int
) -> dict[str, Any]:
    first, deviation, spec = found[0], subject.deviations[clause], run.spec
    file, place = subject.place(first)
    what = subject.report.moments[first.seq].what
    result: dict[str, Any] = {
        "ruleId": clause,
        "ruleIndex": index,
        "level": deviation.level,
        "message": {"text": message(subject, first, spec)},
        "locations": [_location(file, place, f"event {first.seq}: {what}")],
        "relatedLocations": list(_related(subject, first, spec)),
        "codeFlows": [_flow(subject, first)],
        "partialFingerprints": {"clauseAndTrace/v1": _fingerprint(subject, clause)},
        "occurrenceCount": subject.report.violates[clause],
        "properties": _told(subject, first),
    }
    if run.policy.baseline is not None:
        result["suppressions"] = _suppressions(run, deviation)
    return result


def _fingerprint(subject: Subject, clause: str) -> str:
    """Of the clause and the trace's own name, and nothing that moves as a trace is taken again."""
    return sha256(f"{clause}\n{subject.name.rpartition('/')[2]}".encode()).hexdigest()


def _suppressions(run: Run, deviation: Deviation) -> list[dict[str, Any]]:
    entry, baseline = deviation.known, run.policy.baseline
    if entry is None or baseline is None:
        return []
    return [
        {
            "kind": "external",
            "status": "accepted",
            "justification": f"{entry.reason} (until {entry.expires.isoformat()})",
            "location": _location(baseline.path, Place(entry.line)),
        }
    ]


def _related(subject: Subject, first: Judgement, spec: Spec) -> Iterator[dict[str, Any]]:
    """The clause, the line of the program, and the events that made what the verdict hangs on."""
    clause = spec.clauses[first.clause]
    text = f"the clause, {clause.authority}: {prose_of(clause, spec)}"
    yield {"id": 1, **_location(shown_path(clause.path), Place(clause.line), text)}
    number = 2
    if subject.program is not None and first.seq in subject.lines and subject.file is not None:
        place = Place(subject.lines[first.seq])
        yield {"id": number, **_location(subject.program, place, "what made the event")}
        number += 1
    for fact in facts_told(first.state):
        moment = None if fact.event is None else subject.report.moments.get(fact.event)
        if moment is not None:
            yield {"id": number, **_location(subject.file, moment.place, str(fact))}
            number += 1


def _flow(subject: Subject, first: Judgement) -> dict[str, Any]:
    """What led to it, which viewers show step by step."""
    makers = {fact.event for fact in first.state}
    steps = []
    for moment in subject.report.timeline(first):
        essential = moment.seq == first.seq or moment.seq in makers
        file, place = _place_of(subject, moment)
        steps.append(
            {
                "location": _location(file, place, f"event {moment.seq}: {moment.what}"),
                "importance": "essential" if essential else "important",
            }
        )
    return {"threadFlows": [{"locations": steps}]}


def _place_of(subject: Subject, moment: Moment) -> tuple[str | None, Place]:
    if subject.file is None and subject.program is not None and moment.seq in subject.lines:
        return subject.program, Place(subject.lines[moment.seq])
    return subject.file, moment.place


def _told(subject: Subject, first: Judgement) -> dict[str, Any]:
    finding = first.finding
    told: dict[str, Any] = {"trace": subject.title, "event": first.seq, "origin": first.origin}
    if finding is not None:
        told |= {"seen": finding.seen, "allowed": finding.allowed, "related": list(finding.related)}
    told["state"] = [str(fact) for fact in first.state]
    return told


# ---- locations -----------------------------------------------------------------------------------


def _location(file: str | None, place: Place, text: str | None = None) -> dict[str, Any]:
    location: dict[str, Any] = {}
    if file is not None:
        physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(file)}}
        if place.line is not None:
            physical["region"] = {"startLine": place.line}
        elif place.byte is not None:
            physical["region"] = {"byteOffset": place.byte, "byteLength": 0}
        location["physicalLocation"] = physical
    if text is not None:
        location["message"] = {"text": text}
    return location


def _uri(path: str) -> str:
    """Relative to where the command ran, which in a repository's gate is its top folder."""
    near = os.path.relpath(path)
    if near.startswith(os.pardir):
        return Path(path).resolve().as_uri()
    return quote(near.replace(os.sep, "/"))


def _artifacts(run: Run) -> list[dict[str, Any]]:
    return [
        {"location": {"uri": _uri(s.file)}, "roles": ["analysisTarget"]}
        for s in run.subjects
        if s.file is not None
    ]


# ---- the run -------------------------------------------------------------------------------------


def _invocation(run: Run) -> dict[str, Any]:
    notes = [_notice(f"gate not met: {u.where}: {u.what}") for u in run.unmet]
    notes += [_notice(f"{s.title}: {s.ended}") for s in run.subjects if s.ended]
    for item in run.unreadable:
        notes += [_notice(error.headline()) for error in item.errors]
    return {
        "executionSuccessful": not run.unreadable,
        "exitCode": run.status,
        "toolExecutionNotifications": notes,
    }


def _notice(text: str) -> dict[str, Any]:
    return {"level": "error", "message": {"text": text}}


def _judged(subject: Subject) -> dict[str, Any]:
    report = subject.report
    return {
        "trace": subject.title,
        "hypervisor": f"{report.hypervisor} {report.release}",
        "mode": report.mode,
        "authority": report.authority,
        "events": report.events,
        "clausesThatApply": len(report.applicable),
        "clausesDecided": len(report.seen),
        "couldNotBeSeen": [c for c in report.unseen if c not in report.seen],
    }
