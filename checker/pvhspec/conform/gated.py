"""A generated run as a gate takes it: all boots together, and each finding by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvhspec.backends.protocol import Finding as Why
from pvhspec.backends.protocol import Judgement, Verdict
from pvhspec.conform.findings import Finding
from pvhspec.ir.ir import Spec, Version
from pvhspec.report.gate import Policy, Subject
from pvhspec.report.json import report_object
from pvhspec.report.source import shown_path
from pvhspec.report.verdict import Moment, Report, applicable
from pvhspec.traces import Place

if TYPE_CHECKING:
    from pvhspec.conform.generated import Session

__all__ = ["Generated", "accepted", "generated_object"]

_DOM0 = "pvh_dom0"


@dataclass(slots=True)
class Generated:
    """What a run has come to: `whole` has what all boots decided, `found` one for each finding."""

    session: Session
    whole: Subject
    found: list[tuple[Finding, Subject]]

    @classmethod
    def of(cls, session: Session, spec: Spec, version: Version) -> Generated:
        """The run under the policy it was made with."""
        policy = session.options.policy
        report = _report(session, "generated")
        report.events = sum(boot.events for _, boot in session.boots)
        report.conforms = dict(session.matrix.conforms)
        report.unseen = dict(session.matrix.unseen)
        selection = session.options.selection
        report.applicable = applicable(spec, version, _DOM0, "implemented", selection)
        whole = _subject(session, report, policy, "generated programs")
        whole.seconds = session.generated_for
        found = [(f, _of_finding(session, f, policy)) for f in session.findings]
        for _, subject in found:
            subject.report.applicable = report.applicable
        return cls(session, whole, found)

    @property
    def subjects(self) -> list[Subject]:
        """All of them: one run in the sense of a gate each."""
        return [self.whole, *(subject for _, subject in self.found)]


def accepted(session: Session, clause: str) -> bool:
    """Whether a violation of a clause is known, or none that fails."""
    return not session.options.policy.deviation(clause, _name(session, "generated")).fails


def _name(session: Session, what: str) -> str:
    """What a baseline knows it by."""
    return f"{_family(session)}{re.sub(r'[^A-Za-z0-9_.]+', '-', what)}"


def _family(session: Session) -> str:
    return f"xen-{Path(session.options.image).name}-"


def _report(session: Session, what: str) -> Report:
    return Report(
        _name(session, what), "xen", session.release, _DOM0, "implemented", "probe", synthetic=False
    )


def _subject(session: Session, report: Report, policy: Policy, title: str) -> Subject:
    subject = Subject.of(report, policy, report.path)
    subject.title = f"{Path(session.options.image).name}: {title}, seed {session.options.seed}"
    subject.family = _family(session)
    return subject


def _of_finding(session: Session, finding: Finding, policy: Policy) -> Subject:
    report = _report(session, f"generated-{finding.name}-{finding.plan.width}")
    shown = finding.shown
    if shown is not None:
        report.events = 1
        why = Why(shown.clause, shown.seen, shown.allowed, shown.concerns)
        judgement = Judgement(shown.clause, Verdict.VIOLATES, 0, None, why)
        # The numbers of events are of a trace that was not kept.
        facts = tuple(replace(fact, event=None, clause=None) for fact in shown.state)
        report.violations = [replace(judgement, state=facts)]
        report.violates = {shown.clause: session.matrix.violates[shown.clause] or 1}
        report.moments[0] = Moment(0, shown.event, shown.event, Place(), shown.step)
    subject = _subject(session, report, policy, f"{finding.name}, {finding.plan.width}-bit")
    subject.program = shown_path(str(finding.saved)) if finding.saved is not None else None
    subject.ended = finding.trouble
    return subject


def generated_object(run: Generated, spec: Spec) -> dict[str, Any]:
    """The same for programs to read: a target of `pvhspec conform --format json`."""
    session, report = run.session, run.whole.report
    bad = any(subject.fails for subject in run.subjects)
    return {
        "target": "xen",
        "image": session.options.image,
        "release": session.release,
        "verdict": "violates" if bad else "conforms",
        "seconds": round(session.generated_for, 2),
        "coverage": {"applicable": len(report.applicable), "seen": len(report.seen)},
        "never_seen": report.never_seen(),
        "seed": session.options.seed,
        "boots": len(session.boots),
        "hypercalls": session.calls,
        "lost": session.lost,
        "runs": list(_runs(run, spec)),
    }


def _runs(run: Generated, spec: Spec) -> Iterator[dict[str, Any]]:
    for finding, subject in run.found:
        shrunk = finding.shrunk
        yield {
            "program": subject.program or finding.name,
            "width": finding.plan.width,
            "vcpus": finding.plan.vcpus,
            "seconds": 0.0,
            "hypercalls": 0 if finding.broken is None else 1,
            "ended": finding.trouble or None,
            "trace": None,
            "lines": {},
            "steps": len(finding.program),
            "minimal": shrunk is not None and shrunk.minimal,
            "report": report_object(subject, spec),
        }
