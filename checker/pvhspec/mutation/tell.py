"""How many mutants were noticed and by whom, and those that were not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pvhspec.mutation.judge import KILLERS
from pvhspec.mutation.reasons import Reason
from pvhspec.mutation.run import Judged
from pvhspec.report.source import shown_path

__all__ = ["Score", "as_json", "tell"]

_REMOVALS = ("drop a clause", "drop an error", "drop an effect")
_SAYS = {
    "checker": "the specification does not compile",
    "examples": "an example comes out otherwise",
    "traces": "a capture of a real hypervisor is judged otherwise",
    "complete": "a gap, a contradiction, dead text",
    "prove": "an invariant does not hold any more",
}


@dataclass(frozen=True, slots=True)
class Score:
    """All that were judged, with the reasons of those that live."""

    judged: list[Judged]
    reasons: list[Reason]

    @property
    def different(self) -> int:
        """How many are another specification."""
        return sum(j.verdict.killer != "same" for j in self.judged)

    @property
    def alive(self) -> list[Judged]:
        """Those that nobody noticed."""
        return [j for j in self.judged if not j.verdict.killer]

    @property
    def share(self) -> float:
        """The share that was noticed, in per cent."""
        of = self.different
        return 100.0 if of == 0 else 100.0 * (of - len(self.alive)) / of

    def why(self, judged: Judged) -> str:
        """The reason one may live; empty: there is none."""
        return next((r.why for r in self.reasons if r.of(judged.mutant)), "")

    @property
    def unexplained(self) -> list[Judged]:
        """Those that live without a reason."""
        return [j for j in self.alive if not self.why(j)]

    @property
    def unnoticed(self) -> list[str]:
        """Clauses and effects that could be taken away."""
        found = dict.fromkeys(j.mutant.place for j in self.alive if j.mutant.kind in _REMOVALS)
        return list(found)


def tell(score: Score, verbose: bool) -> Iterator[str]:
    """The score, and survivors: those without a reason, or (`verbose`) all."""
    counts = Counter(j.verdict.killer for j in score.judged)
    for j in score.alive if verbose else score.unexplained:
        m, why = j.mutant, score.why(j)
        yield f"{shown_path(m.path)}:{m.line}: {m.place}"
        yield f"  {m.what}"
        if why:
            yield f"  may live: {why}"
    yield f"{len(score.judged):,} mutants"
    for killer in KILLERS:
        yield f"  {counts[killer]:>6,}  {killer:9} {_SAYS[killer]}"
    yield f"  {counts['same']:>6,}  {'same':9} no mistake: the same specification comes of it"
    left = len(score.alive) - len(score.unexplained)
    yield f"  {len(score.alive):>6,}  {'survive':9} {left:,} of them for a reason that is listed"
    if score.unnoticed:
        yield f"could be taken away unnoticed: {', '.join(score.unnoticed)}"
    yield f"noticed: {score.share:.1f} %"


def as_json(score: Score) -> dict[str, Any]:
    """The same for machines."""
    counts: Counter[str] = Counter(j.verdict.killer or "survive" for j in score.judged)
    return {
        "version": 1,
        "mutants": len(score.judged),
        "score": round(score.share, 2),
        "counts": {k: counts[k] for k in (*KILLERS, "same", "survive")},
        "unnoticed": score.unnoticed,
        "survivors": [
            {
                "place": j.mutant.place,
                "mistake": j.mutant.what,
                "where": f"{shown_path(j.mutant.path)}:{j.mutant.line}",
                "reason": score.why(j) or None,
            }
            for j in score.alive
        ],
    }
