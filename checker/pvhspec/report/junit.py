"""The verdict as JUnit's XML: a suite for each trace, a case for each clause."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree as xml

from pvhspec import __version__
from pvhspec.report.cases import Case, cases, gate_cases
from pvhspec.report.gate import Run, Subject

__all__ = ["junit_text"]

# What XML 1.0 cannot hold.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_text(run: Run) -> str:
    """The document."""
    root = xml.Element("testsuites", name=f"pvhspec {run.command}")
    for subject in run.subjects:
        suite = _suite(root, subject.title, list(cases(subject, run.spec)), subject.seconds)
        _properties(suite, subject)
    gate: dict[str, list[Case]] = {}
    for where, case in gate_cases(run):
        gate.setdefault(where, []).append(case)
    for where, found in gate.items():
        _suite(root, f"{where}: gate", found, None)
    xml.indent(root)
    body = xml.tostring(root, encoding="unicode", short_empty_elements=True)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(
    root: xml.Element, name: str, found: Iterable[Case], seconds: float | None
) -> xml.Element:
    all_ = list(found)
    came = [case.outcome for case in all_]
    suite = xml.SubElement(
        root,
        "testsuite",
        name=_clean(name),
        tests=str(len(all_)),
        failures=str(came.count("failed")),
        errors="0",
        skipped=str(came.count("skipped") + came.count("excused")),
        time=f"{seconds or 0:.3f}",
    )
    for case in all_:
        _case(suite, name, case)
    return suite


def _case(suite: xml.Element, name: str, case: Case) -> None:
    one = xml.SubElement(suite, "testcase", name=case.name, classname=_clean(name), time="0.000")
    told = "\n".join(case.details)
    if case.outcome == "failed":
        failure = xml.SubElement(one, "failure", message=_clean(case.why), type="violation")
        failure.text = _clean("\n".join([case.why, *case.details]))
    elif case.outcome != "passed":
        xml.SubElement(one, "skipped", message=_clean(case.why))
        if told:
            xml.SubElement(one, "system-out").text = _clean(told)


def _properties(suite: xml.Element, subject: Subject) -> None:
    """What was judged and how much could be seen; the common schema has this first in a suite."""
    report = subject.report
    told = {
        "pvhspec": __version__,
        "hypervisor": f"{report.hypervisor} {report.release}",
        "mode": report.mode,
        "authority": report.authority,
        "method": report.method,
        "synthetic": str(report.synthetic).lower(),
        "events": str(report.events),
        "clauses.applicable": str(len(report.applicable)),
        "clauses.decided": str(len(report.seen)),
    }
    properties = xml.Element("properties")
    suite.insert(0, properties)
    for name, value in told.items():
        xml.SubElement(properties, "property", name=name, value=_clean(value))


def _clean(text: str) -> str:
    return _NOT_XML.sub("�", text)
