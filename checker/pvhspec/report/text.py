"""The verdict on a trace, for people: what is broken, what cannot be seen, what was covered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pvhspec.backends.protocol import Fact, Judgement
from pvhspec.diagnostics import printable
from pvhspec.ir.ir import Clause, Spec
from pvhspec.report.baseline import Known
from pvhspec.report.gate import Deviation, Run, Unmet
from pvhspec.report.paint import Paint, wrapped
from pvhspec.report.source import citation_text, clause_lines, clause_place
from pvhspec.report.verdict import Report
from pvhspec.report.whole import whole_lines

__all__ = [
    "baseline_text",
    "by_module",
    "coverage_line",
    "facts_told",
    "prose_of",
    "tally",
    "text_of",
    "unmet_text",
]  # fmt: skip

_MOST_SINCE_START = 3
_LABEL = 10  # columns for `seen`, `allowed`, …
_BY = {
    "documented": "by what is documented",
    "implemented": "by what is documented and what Xen does",
}


_COLORS = {"error": "red", "warning": "yellow", "note": "blue"}
_WORDS = {"error": "violated", "warning": "warning", "note": "note"}


def text_of(
    report: Report,
    spec: Spec,
    *,
    paint: Paint,
    verbose: bool = False,
    deviations: Mapping[str, Deviation] | None = None,
) -> str:
    """The whole verdict; `deviations` says how bad each violation is, and what is known of it."""
    each = {c: (deviations or {}).get(c, Deviation(c)) for c in report.broken}
    lines = [*_head(report, each.values(), paint), ""]
    for clause, found in report.broken.items():
        if each[clause].known is None:
            lines += [*_violation(report, spec, each[clause], found, paint), ""]
        else:
            lines += [*_accepted(report, each[clause], found[0], paint), ""]
    lines += _unseen(report, verbose, paint)
    if report.whole is not None:
        lines += [*whole_lines(report, report.whole, paint, verbose), ""]
    lines.append(coverage_line(report, paint))
    if verbose:
        for title, clauses in (("seen", report.seen), ("never came up", report.never_seen())):
            if clauses:
                lines += ["", f"{title}:", *by_module(clauses)]
    elif report.never_seen():
        lines[-1] += " (-v lists them)"
    return "\n".join(lines)


def tally(deviations: Iterable[Deviation]) -> tuple[list[str], list[str]]:
    """What is violated, counted in words: what fails, and what does not."""
    all_ = list(deviations)
    failing = sum(d.fails for d in all_)
    known = sum(d.known is not None for d in all_)
    rest = [d.level for d in all_ if d.known is None]
    fails = [f"violates {_clauses(failing)}"] if failing else []
    counts = {
        "known deviation": known,
        "warning": rest.count("warning"),
        "note": rest.count("note"),
    }
    return fails, [f"{n} {word}{'s' if n != 1 else ''}" for word, n in counts.items() if n]


def _head(report: Report, deviations: Iterable[Deviation], paint: Paint) -> Iterator[str]:
    fails, rest = tally(deviations)
    if fails:
        verdict = paint(", ".join([*fails, *rest]), "red")
    elif rest:
        verdict = paint(f"conforms but for {', '.join(rest)}", "yellow")
    elif report.verdict == "conforms":
        verdict = paint("conforms in all that could be seen", "green")
    else:
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
    report: Report, spec: Spec, deviation: Deviation, found: list[Judgement], paint: Paint
) -> Iterator[str]:
    name, level = deviation.clause, deviation.level
    clause = spec.clauses[name]
    yield f"{paint(_WORDS[level], _COLORS[level])} {paint(name, 'bold')}"
    prose = prose_of(clause, spec)
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
    if deviation.lapsed is not None:
        yield from _label("was known", _until(deviation.lapsed), paint)


def _accepted(
    report: Report, deviation: Deviation, first: Judgement, paint: Paint
) -> Iterator[str]:
    """A known deviation, in brief."""
    yield f"{paint('known', 'yellow')} {paint(deviation.clause, 'bold')}"
    yield from _label("event", _event(report, first), paint)
    if first.finding is not None:
        yield from _label("seen", first.finding.seen, paint)
    assert deviation.known is not None
    yield from _label("known", _until(deviation.known), paint)


def _until(entry: Known) -> str:
    return f"until {entry.expires.isoformat()}: {entry.reason}"


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


def prose_of(clause: Clause, spec: Spec) -> str:
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


# ---- the gate ----------------------------------------------------------------------------------


def unmet_text(unmet: Iterable[Unmet], paint: Paint) -> list[str]:
    """What was required and is not met."""
    return [paint(f"gate not met: {printable(u.what)}", "red") for u in unmet]


def baseline_text(run: Run, paint: Paint) -> list[str]:
    """What became of the known deviations: those that are mended, and those whose day is over."""
    baseline = run.policy.baseline
    if baseline is None:
        return []
    lines: list[str] = []
    for word, color, entries in (("mended", "green", run.fixed), ("over", "red", run.lapsed)):
        for entry in entries:
            told = f"{entry.clause}, {_until(entry)} ({baseline.place(entry)})"
            lines.append(f"  {paint(f'{word:<{_LABEL}}', color)}{wrapped(printable(told), 12)}")
    if not lines:
        return []
    help_ = "  help: --update-baseline takes out what is mended"
    return ["known deviations:", *lines, *([help_] if run.fixed else [])]


def _clauses(count: int) -> str:
    return f"{count} clause{'s' if count != 1 else ''}"
