"""What is said of a trace: gathered from judgements, independent of how it is printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pvhspec.backends.protocol import Judgement, Verdict
from pvhspec.ir.ir import Clause, Spec

__all__ = ["MOST_KEPT", "Report", "Selection", "applicable"]

MOST_KEPT = 10  # violations of one clause that are kept; more of them are only counted


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


@dataclass(slots=True)
class Report:
    """The verdict on one trace.

    `conforms`, `violates` and `unseen` count events by clause; an event that leaves a clause open
    says with which assumption it would conform (`assumed`, the first for each clause). Of the
    violations of a clause the first few are kept, and what their events were (`events_told`).
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
    events_told: dict[int, str] = field(default_factory=dict)

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
    """The clauses a trace of this release and mode can be judged by."""

    def applies(c: Clause) -> bool:
        if c.kind in ("invariant", "table", "undefined"):
            return False
        if authority == "documented" and c.authority != "documented":
            return False
        return c.gate.open(version, mode) and selection.takes(c.id)

    return [c.id for c in spec.clauses.values() if applies(c)]
