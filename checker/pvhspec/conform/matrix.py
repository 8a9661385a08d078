"""What a run has exercised: clause by outcome, and what never came up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pvhspec.conform.boots import Boot
from pvhspec.ir.ir import Spec, Version
from pvhspec.report.paint import Paint, wrapped
from pvhspec.report.text import by_module
from pvhspec.report.verdict import Selection, applicable

__all__ = ["Matrix", "matrix_text"]


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


def matrix_text(
    spec: Spec, matrix: Matrix, version: Version, mode: str, selection: Selection, paint: Paint,
    *, verbose: bool,
) -> Iterator[str]:  # fmt: skip
    """The matrix: a line an operation, and what never came up. `verbose`: every clause."""
    clauses = applicable(spec, version, mode, "implemented", selection)
    maybe = {e.clause for op in spec.operations for e in op.errors if e.when is None}
    said = [c for c in clauses if matrix.exercised(c)]
    open_ = [c for c in clauses if not matrix.exercised(c) and matrix.unseen[c]]
    never = [c for c in clauses if not matrix.exercised(c) and not matrix.unseen[c]]
    groups: dict[str, list[str]] = {}
    for clause in said:
        parts = clause.split(".")
        groups.setdefault(".".join(parts[:3]), []).append(clause)
    if verbose:
        yield paint("clause by outcome: held / violated / could not be seen", "bold")
        for group, members in groups.items():
            cells = [
                f"{m.removeprefix(group + '.')} {max(matrix.conforms[m], matrix.shown[m])}"
                f"/{matrix.violates[m]}/{matrix.unseen[m]}"
                for m in members
            ]
            yield f"  {group}"
            yield f"    {wrapped(', '.join(cells), 4)}"
    xens = [c for c in never if c in maybe]
    left = [c for c in never if c not in maybe]
    yield (
        f"{paint('coverage', 'bold')}: {len(said)} of the {len(clauses)} clauses that apply were "
        f"exercised, {len(open_)} could not be seen, {len(left)} never came up; "
        f"{len(xens)} are for Xen to choose"
    )
    if verbose:
        yield from by_module(left)
