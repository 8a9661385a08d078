"""What is said of a trace: gathered from judgements, independent of how it is printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from pvhspec.backends.protocol import Judgement, Verdict
from pvhspec.ir.ir import Clause, Spec
from pvhspec.traces import Place

if TYPE_CHECKING:  # it is only there where a whole trace is asked about
    from pvhspec.backends.whole.solve import Whole

__all__ = ["MOST_KEPT", "Moment", "Report", "Selection", "applicable"]

MOST_KEPT = 10  # violations of one clause that are kept; more of them are only counted
_FAR_BACK = "an event too far back to be told"
_BEFORE = 8  # events before the first violation of a clause that are kept with it


@dataclass(frozen=True, slots=True)
class Selection:
    """Which clauses are judged: glob patterns over ids; nothing given means all."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def takes(self, clause: str) -> bool:
        """Whether a clause is selected."""
        if self.only and not any(fnmatchcase(clause, p) for p in self.only):
            return False
        return not any(fnmatchcase(clause, p) for p in self.skip)


class Moment(NamedTuple):
    """An event as people are told of it, in brief, too; where it stands in the trace, and the step
    of the program that made it."""

    seq: int
    what: str
    brief: str
    place: Place = Place()
    step: int | None = None


@dataclass(slots=True)
class Report:
    """The verdict on one trace.

    `conforms`, `violates` and `unseen` count events by clause; an event that leaves a clause open
    says with which assumption it would conform (`assumed`, the first for each clause). Of the
    violations of a clause the first few are kept. `moments` are their events by number, and, for
    the first of a clause, those shortly before it and those that made what its verdict hangs on.
    `whole`: what was found out of the trace as a whole, where that was asked for.
    """

    path: str
    hypervisor: str
    release: str
    mode: str
    authority: str
    method: str
    synthetic: bool
    events: int = 0
    violations: list[Judgement] = field(default_factory=list)
    violates: dict[str, int] = field(default_factory=dict)
    conforms: dict[str, int] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)
    assumed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    open_debts: list[tuple[str, int]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    applicable: list[str] = field(default_factory=list)
    truncated: bool = False
    moments: dict[int, Moment] = field(default_factory=dict)
    whole: Whole | None = None
    engine: str = "interpreter"  #: what judged it

    def add(self, judgements: Iterable[Judgement], selection: Selection) -> list[Judgement]:
        """Take in what was judged at an event; returns the violations that were kept."""
        kept: list[Judgement] = []
        for j in judgements:
            if not selection.takes(j.clause):
                continue
            match j.verdict:
                case Verdict.VIOLATES:
                    count = self.violates.get(j.clause, 0) + 1
                    self.violates[j.clause] = count
                    if count <= MOST_KEPT:
                        kept.append(j)
                case Verdict.CONFORMS:
                    self.conforms[j.clause] = self.conforms.get(j.clause, 0) + 1
                case Verdict.UNSEEN:
                    self.unseen[j.clause] = self.unseen.get(j.clause, 0) + 1
                    self.assumed.setdefault(j.clause, j.assumed)
        self.violations += kept
        return kept

    def keep(self, kept: Iterable[Judgement], moments: Sequence[Moment]) -> None:
        """Keep the moments that tell of new violations; `moments` are the latest, now last. A
        violation may turn out after its event, and then even its own may be out of reach."""
        for j in kept:
            until = [m for m in moments if m.seq <= j.seq]
            self.moments.setdefault(j.seq, Moment(j.seq, _FAR_BACK, _FAR_BACK))
            self.moments.update((m.seq, m) for m in until[-1:])
            if self.violates[j.clause] == 1:
                makers = {f.event for f in j.state if f.event is not None}
                before = until[-1 - _BEFORE :] + [m for m in until if m.seq in makers]
                self.moments.update((m.seq, m) for m in before)

    def timeline(self, judgement: Judgement) -> list[Moment]:
        """What is kept of what led to a violation, in order; the violation's own event is last."""
        makers = {f.event for f in judgement.state}
        before = [m for s, m in sorted(self.moments.items()) if s < judgement.seq]
        far = [m for m in before[:-_BEFORE] if m.seq in makers]
        return [*far, *before[-_BEFORE:], self.moments[judgement.seq]]

    def settle(self, whole: Whole, moments: Sequence[Moment]) -> None:
        """Take in the verdict on the whole; what no event alone shows is a violation like any."""
        self.whole = whole
        if whole.core is None or whole.finding is None or whole.at is None:
            return
        events = {*whole.core.events}
        self.moments.update((m.seq, m) for m in moments if m.seq in events)
        if not self.violations:
            found = Judgement(
                whole.finding.clause, Verdict.VIOLATES, whole.at, whole.origin, whole.finding
            )
            until = [m for m in moments if m.seq <= whole.at]
            self.keep(self.add([found], Selection()), until)

    @property
    def broken(self) -> dict[str, list[Judgement]]:
        """The violations by clause, in the order they came."""
        found: dict[str, list[Judgement]] = {}
        for j in self.violations:
            found.setdefault(j.clause, []).append(j)
        return found

    @property
    def verdict(self) -> str:
        """`violates`, `conforms`, or `cannot be seen` where no clause was seen to hold."""
        if self.violations:
            return "violates"
        return "conforms" if self.conforms else "cannot be seen"

    @property
    def seen(self) -> list[str]:
        """Clauses that apply and were decided, one way or the other."""
        apply = set(self.applicable)
        return [c for c in dict.fromkeys((*self.conforms, *self.violates)) if c in apply]

    def never_seen(self) -> list[str]:
        """Clauses that apply here and that no event said anything of."""
        said = self.conforms.keys() | self.unseen.keys() | self.violates.keys()
        return [c for c in self.applicable if c not in said]


def applicable(
    spec: Spec, version: tuple[int, ...], mode: str, authority: str, selection: Selection
) -> list[str]:
    """The clauses a trace of this release and mode can be judged by: those of a hypercall only
    where it is offered."""
    offered = {n: call.gate.open(version, mode) for n, call in spec.hypercalls.items()}
    absent = tuple(
        f"{op.id}."
        for op in spec.operations
        if op.number is not None and not offered.get(op.number, True)
    )

    def applies(c: Clause) -> bool:
        if c.kind in ("invariant", "table", "undefined"):
            return False
        if authority == "documented" and c.authority != "documented":
            return False
        if not c.gate.open(version, mode) or c.id.startswith(absent):
            return False
        return selection.takes(c.id)

    return [c.id for c in spec.clauses.values() if applies(c)]
