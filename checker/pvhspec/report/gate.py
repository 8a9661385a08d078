"""What of a verdict fails a gate: severities, known deviations, and how much had to be seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from typing import Literal

from pvhspec.backends.protocol import Judgement
from pvhspec.diagnostics import Diagnostic
from pvhspec.ir.ir import Spec
from pvhspec.report.baseline import Baseline, Known
from pvhspec.report.verdict import Report
from pvhspec.traces import Place

__all__ = [
    "LEVELS",
    "Deviation",
    "Level",
    "Policy",
    "Required",
    "Run",
    "Subject",
    "Unmet",
    "Unreadable",
]

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Required:
    """How much has to be decided: so many clauses, so many of a hundred of those that apply, and
    every one that applies and that a pattern matches."""

    count: int = 1
    percent: float = 0.0
    globs: tuple[str, ...] = ()

    def unmet(self, applicable: Collection[str], seen: Collection[str]) -> Iterator[str]:
        """What is not met, in words."""
        decided = f"{len(seen)} clause{'s' if len(seen) != 1 else ''} decided"
        if len(seen) < self.count:
            yield f"{decided}, {self.count} required (--require-seen)"
        if len(seen) * 100 < self.percent * len(applicable):
            of = f"{decided} of {len(applicable)} that apply"
            yield f"{of}, {self.percent:g}% required (--require-seen)"
        for glob in self.globs:
            missing = [c for c in applicable if fnmatchcase(c, glob) and c not in seen]
            if missing:
                more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
                named = ", ".join(missing[:3]) + more
                yield f"not decided: {named}; required by --require-seen '{glob}'"


@dataclass(frozen=True, slots=True)
class Deviation:
    """A clause that is violated in a trace: how bad that is, and what is known of it.

    `known` accepts it; `lapsed` is an entry that did until its day was over.
    """

    clause: str
    level: Level = "error"
    known: Known | None = None
    lapsed: Known | None = None

    @property
    def fails(self) -> bool:
        """Whether it fails the gate."""
        return self.level == "error" and self.known is None


@dataclass(frozen=True, slots=True)
class Policy:
    """What a gate goes by. Of `severities`, patterns and levels, the last that matches counts."""

    required: Required = Required()
    severities: tuple[tuple[str, Level], ...] = ()
    baseline: Baseline | None = None
    today: date = field(default_factory=date.today)

    def deviation(self, clause: str, trace: str) -> Deviation:
        """What to make of a violation of this clause in this trace."""
        matching = [level for glob, level in self.severities if fnmatchcase(clause, glob)]
        entries = self.baseline.known if self.baseline else ()
        found = [entry for entry in entries if entry.covers(clause, trace)]
        valid = next((entry for entry in found if entry.expires >= self.today), None)
        lapsed = found[0] if found and valid is None else None
        return Deviation(clause, matching[-1] if matching else "error", valid, lapsed)


@dataclass(slots=True)
class Subject:
    """What was judged: a trace, or a boot.

    `name` is what a baseline's patterns match, `title` what people are shown. `file` is the trace,
    None where it was not kept; then `program` is the file that made it, and `lines` says which
    line made an event. `ended` tells of a boot that did not end by itself. `family` is what the
    names of all boots of one image begin with.
    """

    name: str
    report: Report
    deviations: dict[str, Deviation]
    title: str = ""
    file: str | None = None
    program: str | None = None
    lines: dict[int, int] = field(default_factory=dict)
    ended: str = ""
    seconds: float | None = None
    family: str = ""

    @classmethod
    def of(cls, report: Report, policy: Policy, name: str | None = None) -> Subject:
        """The report under a policy."""
        called = report.path if name is None else name
        found = {c: policy.deviation(c, called) for c in report.broken}
        file = None if report.path == "<stdin>" else report.path
        return cls(called, report, found, report.path, file if name is None else None)

    @property
    def fails(self) -> bool:
        """Whether it fails the gate by itself."""
        return bool(self.ended) or any(d.fails for d in self.deviations.values())

    def place(self, judgement: Judgement) -> tuple[str | None, Place]:
        """A file and a place in it to point to: of the trace, or of the program that made it."""
        if self.file is None and self.program is not None and judgement.seq in self.lines:
            return self.program, Place(self.lines[judgement.seq])
        return self.file, self.report.moments[judgement.seq].place


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A trace that could not be judged, and why."""

    name: str
    errors: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Unmet:
    """Something required that was not met, and of what."""

    where: str
    what: str


@dataclass(slots=True)
class Run:
    """All that one command has judged, under one policy, and what comes of it."""

    command: str
    spec: Spec
    policy: Policy
    items: list[Subject | Unreadable] = field(default_factory=list)
    unmet: list[Unmet] = field(default_factory=list)

    @property
    def subjects(self) -> list[Subject]:
        """What could be judged."""
        return [item for item in self.items if isinstance(item, Subject)]

    @property
    def unreadable(self) -> list[Unreadable]:
        """What could not."""
        return [item for item in self.items if isinstance(item, Unreadable)]

    def require(self, where: str, reports: Iterable[Report]) -> list[Unmet]:
        """Hold what several reports decided together to what is required; what is not met."""
        all_ = list(reports)
        applicable = dict.fromkeys(c for r in all_ for c in r.applicable)
        seen = dict.fromkeys(c for r in all_ for c in r.seen)
        found = [Unmet(where, what) for what in self.policy.required.unmet(applicable, seen)]
        self.unmet += found
        return found

    @property
    def status(self) -> int:
        """The exit status: 2 where something is unreadable, 1 where something fails, else 0."""
        if self.unreadable:
            return 2
        return int(bool(self.unmet) or any(s.fails for s in self.subjects))

    # ---- known deviations --------------------------------------------------------------------

    @property
    def fixed(self) -> list[Known]:
        """Entries of the baseline that speak of something that was seen to be right now.

        One that nothing was seen of is neither: another run may be the one it is for.
        """
        return [e for e in self._entries if self._held(e) and not self._violated(e)]

    @property
    def lapsed(self) -> list[Known]:
        """Entries whose day is over, and that are still needed."""
        used = [d.lapsed for s in self.subjects for d in s.deviations.values() if d.lapsed]
        return [entry for entry in self._entries if entry in used]

    @property
    def _entries(self) -> Sequence[Known]:
        return self.policy.baseline.known if self.policy.baseline else ()

    def _held(self, entry: Known) -> bool:
        return any(entry.covers(c, s.name) for s in self.subjects for c in s.report.conforms)

    def _violated(self, entry: Known) -> bool:
        return any(entry.covers(c, s.name) for s in self.subjects for c in s.report.violates)
