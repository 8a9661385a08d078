"""The verdict on a trace, for people: what is broken, what cannot be seen, what was covered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pvhspec.backends.protocol import Fact, Judgement
from pvhspec.diagnostics import printable
from pvhspec.ir.ir import Clause, Spec
from pvhspec.report.paint import Paint, wrapped
from pvhspec.report.source import citation_text, clause_lines, clause_place
from pvhspec.report.verdict import Report

__all__ = ["by_module", "coverage_line", "text_of"]

_MOST_SINCE_START = 3
_LABEL = 10  # columns for `seen`, `allowed`, …
_BY = {
    "documented": "by what is documented",
    "implemented": "by what is documented and what Xen does",
}


def text_of(report: Report, spec: Spec, *, paint: Paint, verbose: bool = False) -> str:
    """The whole verdict."""
    lines = [*_head(report, paint), ""]
    for clause, found in report.broken.items():
        lines += [*_violation(report, spec, clause, found, paint), ""]
    lines += _unseen(report, verbose, paint)
    lines.append(coverage_line(report, paint))
    if verbose:
        for title, clauses in (("seen", report.seen), ("never came up", report.never_seen())):
            if clauses:
                lines += ["", f"{title}:", *by_module(clauses)]
    elif report.never_seen():
        lines[-1] += " (-v lists them)"
    return "\n".join(lines)


def _head(report: Report, paint: Paint) -> Iterator[str]:
    count = len(report.violates)
    match report.verdict:
        case "violates":
            verdict = paint(f"violates {count} clause{'s' if count != 1 else ''}", "red")
        case "conforms":
            verdict = paint("conforms in all that could be seen", "green")
        case _:
            verdict = paint("nothing could be seen", "yellow")
    yield f"{paint(printable(report.path), 'bold')}: {verdict}"
    made = "written, not captured" if report.synthetic else f"captured by {report.method}"
    events = f"{report.events:,} event{'s' if report.events != 1 else ''}"
    yield printable(
        f"{report.hypervisor} {report.release}, {report.mode}; {events} {made}; "
        f"judged {_BY[report.authority]}"
    )
    for notice in report.notices:
        yield paint(notice, "yellow")


# ---- violations --------------------------------------------------------------------------------


def _violation(
    report: Report, spec: Spec, name: str, found: list[Judgement], paint: Paint
) -> Iterator[str]:
    clause = spec.clauses[name]
    yield f"{paint('violated', 'red')} {paint(name, 'bold')}"
    prose = _prose(clause, spec)
    if prose:
        yield f"  {wrapped(prose, 2)}"
    first = found[0]
    yield from _label("event", _event(report, first), paint)
    finding = first.finding
    if finding is not None:
        yield from _label("seen", finding.seen, paint)
        if finding.allowed != clause.prose:
            yield from _label("allowed", finding.allowed, paint)
        if finding.related:
            yield from _label("also", f"concerns {', '.join(finding.related)}", paint)
    for fact in facts_told(first.state):
        yield from _label("state", str(fact), paint)
    yield from _label("clause", f"{clause_place(clause)}, {clause.authority}", paint)
    for line in _formula(clause):
        yield f"{' ' * (_LABEL + 2)}{paint(line, 'dim')}"
    for citation in clause.citations:
        yield from _label("cited", citation_text(spec, citation), paint)
    count = report.violates[name]
    if count > 1:
        more = ", ".join(str(j.seq) for j in found[1:])
        etc = ", …" if count > len(found) else ""
        yield from _label("again", f"{count - 1} more times, at event {more}{etc}", paint)


def _event(report: Report, judgement: Judgement) -> str:
    return f"{judgement.seq}: {report.moments[judgement.seq].what}"


def _label(label: str, text: str, paint: Paint) -> Iterator[str]:
    room = _LABEL + 2
    yield f"  {paint(f'{label:<{_LABEL}}', 'blue')}{wrapped(printable(text), room)}"


def facts_told(facts: tuple[Fact, ...]) -> list[Fact]:
    """What the verdict hangs on: first what an event made so, then some of what always was so."""
    changed = [f for f in facts if f.value is None or f.event is not None]
    rest = [f for f in facts if f not in changed]
    return [*changed, *rest[: max(_MOST_SINCE_START - len(changed), 1)]]


def _formula(clause: Clause) -> Iterator[str]:
    """The clause's own lines without its prose and citations, which are told apart."""
    for line in clause_lines(clause):
        words = line.strip()
        if not words.startswith(("documented ", "implemented ", '"')):
            yield line


def _prose(clause: Clause, spec: Spec) -> str:
    """What the clause says; part of a whole speaks with the whole's words."""
    name = clause.id
    while name:
        found = spec.clauses.get(name)
        if found is not None and found.prose:
            return found.prose
        name = name.rpartition(".")[0]
    return ""


# ---- the rest ----------------------------------------------------------------------------------

_MOST_OPEN = 12


def _unseen(report: Report, verbose: bool, paint: Paint) -> Iterator[str]:
    open_ = [c for c in report.unseen if c not in report.seen]
    if open_:
        yield paint(f"could not be seen: {_clauses(len(open_))}", "yellow")
        yield from _each_open(report, open_ if verbose else open_[:_MOST_OPEN])
        if not verbose and len(open_) > _MOST_OPEN:
            yield f"  and {len(open_) - _MOST_OPEN} more (-v lists them)"
        yield ""
    partly = [c for c in report.unseen if c in report.seen and c not in report.violates]
    if partly and verbose:
        yield f"decided at some events, not to be seen at others: {_clauses(len(partly))}"
        yield from _each_open(report, partly)
        yield ""
    if report.open_debts:
        yield paint("still owed where the trace ends:", "yellow")
        for clause, seq in report.open_debts:
            yield f"  {clause}, since event {seq}"
        yield ""


def _each_open(report: Report, clauses: Iterable[str]) -> Iterator[str]:
    for name in clauses:
        count = report.unseen[name]
        times = f"{count} event{'s' if count != 1 else ''}"
        assumed = report.assumed.get(name)
        only = f"; conforms if {' and '.join(assumed)}" if assumed else ""
        if assumed == ("too many possibilities",):
            only = "; too many possibilities to tell"
        yield f"  {wrapped(printable(f'{name}: {times}{only}'), 6, first=2)}"


def coverage_line(report: Report, paint: Paint) -> str:
    """How much of what applies was seen."""
    all_, seen = len(report.applicable), len(report.seen)
    open_ = len([c for c in report.unseen if c not in report.seen])
    parts = [f"{seen} of {all_} clauses that apply decided"]
    if open_:
        parts.append(f"{open_} could not be")
    parts.append(f"{len(report.never_seen())} never came up")
    return f"{paint('coverage', 'bold')}: {', '.join(parts)}"


def by_module(clauses: Iterable[str]) -> Iterator[str]:
    """Clauses under the first two parts of their ids."""
    groups: dict[str, list[str]] = {}
    for name in clauses:
        parts = name.split(".")
        groups.setdefault(".".join(parts[:2]), []).append(".".join(parts[2:]))
    for module, names in sorted(groups.items()):
        yield f"  {module} ({len(names)})"
        yield f"    {wrapped(', '.join(names), 4)}"


def _clauses(count: int) -> str:
    return f"{count} clause{'s' if count != 1 else ''}"
