"""What is said of a hypervisor after its runs: a table, violations in full, what was covered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pvhspec.conform.run import Outcome
from pvhspec.ir.ir import Spec
from pvhspec.report.gate import Policy, Subject
from pvhspec.report.json import report_object
from pvhspec.report.paint import Paint, wrapped
from pvhspec.report.source import shown_path
from pvhspec.report.text import by_module, tally, text_of
from pvhspec.report.verdict import Report

__all__ = ["Coverage", "Told", "subject_of", "target_object", "target_text"]

_CONSOLE_LINES = 12
_PLACES = 4  # runs that are named one by one where the same is seen again


Told = tuple[Outcome, Subject]  # a run, and what the gate makes of it


def subject_of(outcome: Outcome, policy: Policy) -> Subject:
    """A run under a policy. A baseline knows it by the name that its trace has with --out."""
    job = outcome.job
    subject = Subject.of(outcome.report, policy, job.file_name)
    image = Path(job.image).name
    subject.title = f"{image}: {job.name}, {job.width}-bit"
    subject.file = outcome.saved
    subject.program = shown_path(job.program.path) if job.program.path else None
    subject.lines = outcome.lines
    subject.ended = outcome.ended
    subject.seconds = outcome.seconds
    subject.family = f"{job.target}-{image}-"
    return subject


class Coverage:
    """What several runs decided together."""

    def __init__(self, reports: Iterable[Report]) -> None:
        all_ = list(reports)
        self.applicable = list(dict.fromkeys(c for r in all_ for c in r.applicable))
        decided = {c for r in all_ for c in r.seen}
        self.seen = [c for c in self.applicable if c in decided]
        self.missing = [c for c in self.applicable if c not in decided]


def target_text(
    title: str, runs: list[Told], spec: Spec, paint: Paint, *, verbose: bool, seconds: float
) -> str:
    """All that is said of one hypervisor."""
    lines = [paint(title, "bold"), *_table(runs, paint)]
    told: set[tuple[str, bool]] = set()
    again: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome, subject in runs:
        lines += _violations(outcome, subject, spec, paint, told, again)
    lines += _again(again, paint)
    lines += _summary(runs, paint, seconds, verbose)
    return "\n".join(lines)


def _table(runs: list[Told], paint: Paint) -> Iterator[str]:
    width = max((len(o.job.name) for o, _ in runs), default=0)
    for o, subject in runs:
        cells = (
            f"  {o.job.name:<{width}}  {o.job.width}-bit  {o.report.events:>6,} events"
            f"  {o.hypercalls:>6,} calls  {len(o.report.seen):>4} clauses  {o.seconds:>5.1f} s"
        )
        yield f"{cells}  {_word(o, subject, paint)}"
        if o.ended:
            yield f"    {paint(wrapped(o.ended, 4), 'red')}"
            console = o.console.strip().splitlines()[-_CONSOLE_LINES:]
            yield from (f"    | {line}" for line in console)


def _word(o: Outcome, subject: Subject, paint: Paint) -> str:
    fails, rest = tally(subject.deviations.values())
    if fails:
        return paint(", ".join([*fails, *rest]), "red")
    if o.ended:
        return paint("did not end well", "red")
    if rest:
        return paint(", ".join(rest), "yellow")
    return paint("conforms", "green") if o.report.conforms else paint("nothing seen", "yellow")


def _violations(
    outcome: Outcome,
    subject: Subject,
    spec: Spec,
    paint: Paint,
    told: set[tuple[str, bool]],
    again: dict[tuple[str, ...], list[Outcome]],
) -> Iterator[str]:
    """Each clause in full once; that it happened again is noted in `again`."""
    report = outcome.report
    fails = {name: deviation.fails for name, deviation in subject.deviations.items()}
    new = {c: count for c, count in report.violates.items() if (c, fails[c]) not in told}
    if repeated := tuple(c for c in report.violates if c not in new and fails[c]):
        again.setdefault(repeated, []).append(outcome)
    told.update((name, fails[name]) for name in new)
    if new:
        kept = [j for j in report.violations if j.clause in new]
        shown = replace(report, violates=new, violations=kept, unseen={}, open_debts=[])
        yield ""
        text = text_of(shown, spec, paint=paint, deviations=subject.deviations)
        body = text.rstrip().split("\n")
        yield from body[:-1]  # the last line is this one trace's coverage
        for name in new:
            first = next(j for j in kept if j.clause == name)
            line = outcome.lines.get(first.seq)
            if line is not None:
                place = f"{shown_path(outcome.job.program.path)}:{line}"
                yield f"  {paint(name, 'bold')}: made by {place}"


def _again(again: dict[tuple[str, ...], list[Outcome]], paint: Paint) -> Iterator[str]:
    """The runs in which clauses were violated that are told of already."""
    for names, outcomes in again.items():
        places = [f"{o.job.name}, {o.job.width}-bit" for o in outcomes]
        if len(places) > _PLACES:
            places = [f"{len(places)} more runs"]
        for place in places:
            yield f"{paint('again', 'red')} in {place}: {wrapped(', '.join(names), 2)}"


def _summary(
    runs: list[Told], paint: Paint, seconds: float, verbose: bool
) -> Iterator[str]:  # fmt: skip
    found = Coverage(o.report for o, _ in runs)
    events = sum(o.report.events for o, _ in runs)
    each = {(c, d.fails): d for _, s in runs for c, d in s.deviations.items()}
    fails, rest = tally(each.values())
    if fails:
        word = paint(", ".join([*fails, *rest]), "red")
    elif any(s.fails for _, s in runs):
        word = paint("did not end well", "red")
    elif rest:
        word = paint(f"conforms but for {', '.join(rest)}", "yellow")
    else:
        word = paint("conforms", "green") if found.seen else paint("nothing seen", "yellow")
    yield (
        f"  {word}: {len(found.seen)} of {len(found.applicable)} clauses decided in "
        f"{len(runs)} runs, {events:,} events, {seconds:.1f} s"
    )
    if verbose:
        for name, clauses in (("decided", found.seen), ("never came up", found.missing)):
            yield f"  {name}:"
            yield from (f"  {line}" for line in by_module(clauses))


def target_object(
    target: str, image: str, runs: list[Told], spec: Spec, seconds: float
) -> dict[str, Any]:
    """The same for programs to read."""
    found = Coverage(o.report for o, _ in runs)
    return {
        "target": target,
        "image": image,
        "release": runs[0][0].report.release if runs else None,
        "verdict": "violates" if any(s.fails for _, s in runs) else "conforms",
        "seconds": round(seconds, 2),
        "coverage": {"applicable": len(found.applicable), "seen": len(found.seen)},
        "never_seen": found.missing,
        "runs": [
            {
                "program": o.job.program.path or o.job.name,
                "width": o.job.width,
                "vcpus": o.job.program.vcpus,
                "seconds": round(o.seconds, 2),
                "hypercalls": o.hypercalls,
                "ended": o.ended or None,
                "trace": o.saved,
                "lines": {str(seq): line for seq, line in o.lines.items()},
                "report": report_object(subject, spec),
            }
            for o, subject in runs
        ],
    }
