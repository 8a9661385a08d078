"""What is said of a hypervisor after its runs: a table, violations in full, what was covered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from pvhspec.conform.run import Outcome
from pvhspec.ir.ir import Spec
from pvhspec.report.json import report_object
from pvhspec.report.paint import Paint, wrapped
from pvhspec.report.source import shown_path
from pvhspec.report.text import by_module, text_of
from pvhspec.report.verdict import Report

__all__ = ["Coverage", "target_object", "target_text"]

_CONSOLE_LINES = 12
_PLACES = 4  # runs that are named one by one where the same is seen again


class Coverage:
    """What several runs decided together."""

    def __init__(self, reports: Iterable[Report]) -> None:
        all_ = list(reports)
        self.applicable = list(dict.fromkeys(c for r in all_ for c in r.applicable))
        decided = {c for r in all_ for c in r.seen}
        self.seen = [c for c in self.applicable if c in decided]
        self.missing = [c for c in self.applicable if c not in decided]
        self.violated = list(dict.fromkeys(c for r in all_ for c in r.violates))


def target_text(
    title: str, outcomes: list[Outcome], spec: Spec, paint: Paint, *, verbose: bool, seconds: float
) -> str:
    """All that is said of one hypervisor."""
    lines = [paint(title, "bold"), *_table(outcomes, paint)]
    told: set[str] = set()
    again: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in outcomes:
        lines += _violations(outcome, spec, paint, told, again)
    lines += _again(again, paint)
    lines += _summary(outcomes, paint, seconds, verbose)
    return "\n".join(lines)


def _table(outcomes: list[Outcome], paint: Paint) -> Iterator[str]:
    width = max((len(o.job.name) for o in outcomes), default=0)
    for o in outcomes:
        cells = (
            f"  {o.job.name:<{width}}  {o.job.width}-bit  {o.report.events:>6,} events"
            f"  {o.hypercalls:>6,} calls  {len(o.report.seen):>4} clauses  {o.seconds:>5.1f} s"
        )
        yield f"{cells}  {_word(o, paint)}"
        if o.ended:
            yield f"    {paint(wrapped(o.ended, 4), 'red')}"
            console = o.console.strip().splitlines()[-_CONSOLE_LINES:]
            yield from (f"    | {line}" for line in console)


def _word(o: Outcome, paint: Paint) -> str:
    if o.report.violates:
        count = len(o.report.violates)
        return paint(f"violates {count} clause{'s' if count != 1 else ''}", "red")
    if o.ended:
        return paint("did not end well", "red")
    return paint("conforms", "green") if o.report.conforms else paint("nothing seen", "yellow")


def _violations(
    outcome: Outcome,
    spec: Spec,
    paint: Paint,
    told: set[str],
    again: dict[tuple[str, ...], list[Outcome]],
) -> Iterator[str]:
    """Each clause in full once; that it happened again is noted in `again`."""
    report = outcome.report
    new = {name: count for name, count in report.violates.items() if name not in told}
    if repeated := tuple(name for name in report.violates if name in told):
        again.setdefault(repeated, []).append(outcome)
    told.update(new)
    if new:
        kept = [j for j in report.violations if j.clause in new]
        shown = replace(report, violates=new, violations=kept, unseen={}, open_debts=[])
        yield ""
        body = text_of(shown, spec, paint=paint).rstrip().split("\n")
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
    outcomes: list[Outcome], paint: Paint, seconds: float, verbose: bool
) -> Iterator[str]:  # fmt: skip
    found = Coverage(o.report for o in outcomes)
    events = sum(o.report.events for o in outcomes)
    if any(o.failed for o in outcomes):
        count = len(found.violated)
        word = paint(f"violates {count} clause{'s' if count != 1 else ''}", "red")
        if not count:
            word = paint("did not end well", "red")
    else:
        word = paint("conforms", "green")
    yield (
        f"  {word}: {len(found.seen)} of {len(found.applicable)} clauses decided in "
        f"{len(outcomes)} runs, {events:,} events, {seconds:.1f} s"
    )
    if verbose:
        for name, clauses in (("decided", found.seen), ("never came up", found.missing)):
            yield f"  {name}:"
            yield from (f"  {line}" for line in by_module(clauses))


def target_object(
    target: str, image: str, outcomes: list[Outcome], spec: Spec, seconds: float
) -> dict[str, Any]:
    """The same for programs to read."""
    found = Coverage(o.report for o in outcomes)
    return {
        "target": target,
        "image": image,
        "release": outcomes[0].report.release if outcomes else None,
        "verdict": "violates" if any(o.failed for o in outcomes) else "conforms",
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
                "report": report_object(o.report, spec),
            }
            for o in outcomes
        ],
    }
