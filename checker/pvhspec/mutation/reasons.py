"""Why some mutants may live: a list that people keep, one reason a line.

place glob | mistake glob | why nobody can or should notice it
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pvhspec.diagnostics import Diagnostic, PvhError, code
from pvhspec.mutation.make import Mutant

__all__ = ["FILE", "Reason", "read_reasons", "stale"]

BAD_REASON = code(
    "PVH523", "A line of the list of surviving mutants is not `place | mistake | why`."
)
STALE_REASON = code("PVH524", "A reason for surviving mutants is of none that survives.")

FILE = "survivors.txt"  # beside the specification


@dataclass(frozen=True, slots=True)
class Reason:
    """Which mutants may live, and why."""

    place: str
    what: str
    why: str
    path: str
    line: int

    def of(self, mutant: Mutant) -> bool:
        """Whether it speaks of a mutant."""
        return fnmatchcase(mutant.place, self.place) and fnmatchcase(mutant.what, self.what)


def read_reasons(folder: Path) -> list[Reason]:
    """The reasons of a specification; none if it has no list. Raises PvhError."""
    path = folder / FILE
    if not path.is_file():
        return []
    found: list[Reason] = []
    errors: list[Diagnostic] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) != 3 or not all(parts):
            why, remedy = "this is not a reason", "write: place glob | mistake glob | why"
            errors.append(Diagnostic(BAD_REASON, why, remedy, str(path), number))
            continue
        # Brackets are the language's own, and stand for themselves.
        place, what, why = parts[0], parts[1].replace("[", "[[]"), parts[2]
        found.append(Reason(place, what, why, str(path), number))
    if errors:
        raise PvhError(*errors)
    return found


def stale(
    reasons: Iterable[Reason], survivors: list[Mutant], judged: list[Mutant], whole: bool
) -> list[Diagnostic]:
    """Reasons that no survivor needs. Of a part of the mutants only those are told that speak of
    some that were judged."""
    found: list[Diagnostic] = []
    for reason in reasons:
        if any(reason.of(m) for m in survivors):
            continue
        if whole or any(reason.of(m) for m in judged):
            why = f"no mutant that survives is {reason.place} | {reason.what}"
            found.append(Diagnostic(STALE_REASON, why, "remove it", reason.path, reason.line))
    return found
