"""The verdict as one page that needs nothing else: no network, no script.

`page.html` is the template; what it shows is put together here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from typing import Literal, NamedTuple

from pvhspec import __version__
from pvhspec.backends.protocol import Fact, Finding, Judgement
from pvhspec.ir.ir import Citation, Clause
from pvhspec.report.cases import excuse
from pvhspec.report.gate import Deviation, Run, Subject
from pvhspec.report.paint import Paint
from pvhspec.report.sarif import citation_url
from pvhspec.report.source import citation_text, clause_lines, clause_place
from pvhspec.report.text import facts_told, prose_of, tally
from pvhspec.report.verdict import Moment
from pvhspec.report.whole import whole_lines

__all__ = ["html_text"]

State = Literal["violated", "accepted", "held", "open", "never", "other"]
# In a matrix of several runs a clause is the first of these that it was in one of them.
_STATES: tuple[State, ...] = ("violated", "accepted", "held", "open", "never", "other")
_MOST_RUNS = 40  # columns of the matrix clause by run; with more, only the sum is shown


class Step(NamedTuple):
    """An event of a timeline; `gap` is how many before it are not shown, `made` what of the state
    the verdict hangs on."""

    moment: Moment
    place: str
    gap: int
    made: tuple[Fact, ...]
    last: bool


@dataclass(slots=True)
class Card:
    """A violated clause, as it was first seen, and where else."""

    clause: Clause
    prose: str
    deviation: Deviation
    excuse: str
    subject: Subject
    first: Judgement
    again: int
    also: list[Subject]
    run: Run

    @property
    def finding(self) -> Finding | None:
        """What was seen and what was allowed."""
        return self.first.finding

    @property
    def moment(self) -> Moment:
        """The event it was first seen at."""
        return self.subject.report.moments[self.first.seq]

    @property
    def allowed(self) -> str:
        """What was allowed; where that is the prose, the formula says it better."""
        assert self.finding is not None
        if self.finding.allowed != self.clause.prose:
            return self.finding.allowed
        lines = [line.strip() for line in clause_lines(self.clause)]
        starts = [at for at, line in enumerate(lines) if line.startswith(": ")]
        return " ".join(lines[starts[0] :]).removeprefix(": ") if starts else self.finding.allowed

    @property
    def facts(self) -> list[Fact]:
        """The state that mattered."""
        return facts_told(self.first.state)

    @property
    def place(self) -> str:
        """Where the clause stands."""
        return clause_place(self.clause)

    @property
    def formula(self) -> str:
        """The clause's own text."""
        return "\n".join(clause_lines(self.clause))

    @property
    def cited(self) -> list[tuple[str, str | None]]:
        """Its citations, and where they can be read."""
        return [
            (_cited(self.run, c), citation_url(self.run.spec, c)) for c in self.clause.citations
        ]

    @property
    def where(self) -> str:
        """The place of the event in its file."""
        file, place = self.subject.place(self.first)
        return _place(file, place.line, place.byte)

    @property
    def program(self) -> str:
        """The line of the program that made the event, where that is not its place already."""
        line = self.subject.lines.get(self.first.seq)
        if line is None or self.subject.program is None or self.subject.file is None:
            return ""
        return f"{self.subject.program}:{line}"

    @property
    def steps(self) -> Iterator[Step]:
        """What led to it."""
        before: int | None = None
        for moment in self.subject.report.timeline(self.first):
            gap = 0 if before is None else moment.seq - before - 1
            made = tuple(f for f in self.first.state if f.event == moment.seq)
            place = _place("", moment.place.line, moment.place.byte)
            yield Step(moment, place, gap, made, moment.seq == self.first.seq)
            before = moment.seq


class Row(NamedTuple):
    """A module in the matrix: its clauses, and what each was, of all runs and of each."""

    module: str
    clauses: list[tuple[str, State]]
    decided: int
    runs: list[tuple[str, list[State]]]


def html_text(run: Run) -> str:
    """The page. The template library is an extra; `commands.gating` sees that it is there."""
    from jinja2 import Environment, StrictUndefined

    source = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    cards = list(_cards(run))
    deviations = {(c.clause.id, c.deviation.fails): c.deviation for c in cards}
    fails, rest = tally(deviations.values())
    ended = [subject for subject in run.subjects if subject.ended]
    reports = [subject.report for subject in run.subjects]
    applicable = dict.fromkeys(c for r in reports for c in r.applicable)
    seen = {c for r in reports for c in r.seen}
    open_ = {c for r in reports for c in r.unseen if c not in seen}
    return environment.from_string(source).render(
        run=run,
        version=__version__,
        headline=_headline(run, fails, rest, bool(ended)),
        bad=bool(run.status),
        failing=[c for c in cards if c.deviation.fails],
        others=[c for c in cards if not c.deviation.fails],
        ended=ended,
        rows=list(_rows(run, applicable)),
        show_runs=1 < len(run.subjects) <= _MOST_RUNS,
        events=sum(r.events for r in reports),
        applicable=len(applicable),
        decided=len([c for c in applicable if c in seen]),
        opened=sorted(open_),
        wholes=[
            (s.title, list(whole_lines(s.report, s.report.whole, Paint(False), verbose=True)))
            for s in run.subjects
            if s.report.whole is not None
        ],
        never=len([c for c in applicable if c not in seen and c not in open_]),
    )


def _headline(run: Run, fails: list[str], rest: list[str], ended: bool) -> str:
    if fails:
        return f"Violates {', '.join([*fails, *rest]).removeprefix('violates ')}"
    if ended:
        return "Did not end well"
    if run.unreadable:
        return "Could not be read"
    if run.unmet:
        return "Not enough could be seen"
    return f"Conforms but for {', '.join(rest)}" if rest else "Conforms in all that could be seen"


def _cards(run: Run) -> Iterator[Card]:
    """A card for each clause and what is made of it: what fails comes first."""
    found = [
        (subject, subject.deviations[clause], judgements)
        for subject in run.subjects
        for clause, judgements in subject.report.broken.items()
    ]
    kinds = dict.fromkeys((d.clause, d.fails) for _, d, _ in found)
    for kind in sorted(kinds, key=lambda kind: not kind[1]):
        same = [(s, d, js) for s, d, js in found if (d.clause, d.fails) == kind]
        subject, deviation, judgements = same[0]
        clause = run.spec.clauses[deviation.clause]
        yield Card(
            clause,
            prose_of(clause, run.spec),
            deviation,
            "" if deviation.fails else excuse(deviation),
            subject,
            judgements[0],
            subject.report.violates[clause.id] - 1,
            [s for s, _, _ in same[1:]],
            run,
        )


def _rows(run: Run, applicable: Iterable[str]) -> Iterator[Row]:
    states = [_states(subject) for subject in run.subjects]
    modules = groupby(applicable, key=lambda clause: ".".join(clause.split(".")[:2]))
    together: dict[str, list[str]] = {}
    for module, clauses in modules:
        together.setdefault(module, []).extend(clauses)
    for module, names in together.items():
        each = [(n, [s.get(n, "other") for s in states]) for n in names]
        whole = [(n, min(found, key=_STATES.index)) for n, found in each]
        decided = sum(state in ("violated", "accepted", "held") for _, state in whole)
        yield Row(module, whole, decided, each)


def _states(subject: Subject) -> dict[str, State]:
    """What each clause was in a run; what does not apply is not there."""
    report = subject.report
    found: dict[str, State] = dict.fromkeys(report.applicable, "never")
    found |= dict.fromkeys((c for c in report.unseen if c in found), "open")
    found |= dict.fromkeys((c for c in report.conforms if c in found), "held")
    for clause, deviation in subject.deviations.items():
        found[clause] = "violated" if deviation.fails else "accepted"
    return found


def _cited(run: Run, citation: Citation) -> str:
    return citation_text(run.spec, citation)


def _place(file: str | None, line: int | None, byte: int | None) -> str:
    if line is not None:
        return f"{file}:{line}" if file else f"line {line}"
    if byte is not None:
        return f"{file}, byte {byte}" if file else f"byte {byte}"
    return file or ""
