"""What a run has exercised: clause by outcome, and what never came up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pvhspec.conform.boots import Boot
from pvhspec.ir.ir import Spec, Version
from pvhspec.report.paint import Paint, wrapped
from pvhspec.report.verdict import Selection, applicable

__all__ = ["Matrix", "left_over", "matrix_text"]


@dataclass(slots=True)
class Matrix:
    """How often each clause was seen to hold, was violated, could not be seen, or changed a state
    that later events were judged by."""

    conforms: Counter[str] = field(default_factory=Counter)
    violates: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)

    def add(self, boot: Boot) -> None:
        """Take in a boot."""
        for name in ("conforms", "violates", "unseen", "shown"):
            getattr(self, name).update(getattr(boot, name))

    def exercised(self, clause: str) -> bool:
        """Whether something was said of a clause."""
        return bool(self.conforms[clause] or self.violates[clause] or self.shown[clause])


def left_over(
    spec: Spec, matrix: Matrix, version: Version, mode: str, selection: Selection
) -> list[str]:
    """The clauses that never came up and are not Xen's to choose."""
    chosen = _chosen(spec)
    return [
        c for c in applicable(spec, version, mode, "implemented", selection)
        if not matrix.exercised(c) and not matrix.unseen[c] and c not in chosen
    ]  # fmt: skip


def _chosen(spec: Spec) -> set[str]:
    """The errors that Xen may return at any time."""
    return {e.clause for op in spec.operations for e in op.errors if e.when is None}


def matrix_text(
    spec: Spec, matrix: Matrix, version: Version, mode: str, selection: Selection,
    out_of_reach: Mapping[str, str], paint: Paint, *, verbose: bool,
) -> Iterator[str]:  # fmt: skip
    """The matrix: how much was exercised, and everything that was not, with the reason where there
    is one. `verbose`: every clause, by outcome."""
    clauses = applicable(spec, version, mode, "implemented", selection)
    said = [c for c in clauses if matrix.exercised(c)]
    rest = [c for c in clauses if not matrix.exercised(c)]
    unseen = [c for c in rest if matrix.unseen[c]]
    never = [c for c in left_over(spec, matrix, version, mode, selection) if c not in out_of_reach]
    if verbose:
        yield from _cells(matrix, said, paint)
    known = "that this guest can come to" if out_of_reach else "about such a guest"
    yield (
        f"{paint('coverage', 'bold')}: {len(said)} of the {len(said) + len(unseen) + len(never)} "
        f"clauses {known} were exercised"
    )
    for how, names in (("could not be seen", unseen), ("never came up", never)):
        if names:
            yield f"  {wrapped(f'{how}: ' + ', '.join(names), 4)}"
    reasons: dict[str, list[str]] = {}
    for clause in rest:
        if clause in out_of_reach:
            reasons.setdefault(out_of_reach[clause], []).append(clause)
    beyond = sum(map(len, reasons.values()))
    others = len(rest) - len(unseen) - len(never) - beyond
    if others:
        yield f"  for Xen to choose, and not seen: {others} errors"
    if beyond:
        yield f"  out of its reach: {beyond}"
    for reason, names in reasons.items():
        yield f"    {wrapped(f'{reason}: ' + ', '.join(names), 6)}"


def _cells(matrix: Matrix, said: list[str], paint: Paint) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for clause in said:
        groups.setdefault(".".join(clause.split(".")[:3]), []).append(clause)
    yield paint("clause by outcome: held / violated / could not be seen", "bold")
    for group, members in groups.items():
        cells = [
            f"{m.removeprefix(group + '.')} {max(matrix.conforms[m], matrix.shown[m])}"
            f"/{matrix.violates[m]}/{matrix.unseen[m]}"
            for m in members
        ]
        yield f"  {group}"
        yield f"    {wrapped(', '.join(cells), 4)}"
