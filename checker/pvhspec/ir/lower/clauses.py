"""Clause ids, and what a clause inherits from the declaration it stands in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pvhspec.diagnostics import code
from pvhspec.ir.ir import Authority, Citation, Clause
from pvhspec.names.gates import Gate
from pvhspec.names.symbols import Scope
from pvhspec.syntax import ast

__all__ = ["Clauses", "Owner"]

SAME_ID = code("PVH340", "Two clauses have one id.")
NEVER = code("PVH341", "The gates of a clause are never open.")
UNCITED = code("PVH401", "A clause has no citation, and nothing it stands in has one.")

Kind = Literal[
    "error", "success", "effect", "choice", "require", "undefined", "table",
    "invariant", "obligation", "frame",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Owner:
    """A declaration that clauses stand in: the id they begin with, and what they inherit."""

    id: str
    scope: Scope
    gate: Gate
    cites: tuple[ast.Cite, ...]

    def gate_of(self, gates: tuple[ast.Gate, ...]) -> Gate:
        """The gate of a clause: its own, inside its owner's."""
        return self.gate.also(self.scope.gate(gates))


class Clauses:
    """Every clause of the specification, by id."""

    def __init__(self) -> None:
        self.by_id: dict[str, Clause] = {}

    def add(
        self,
        owner: Owner,
        name: ast.Name | str,
        kind: Kind,
        prose: str | None,
        tail: ast.Tail,
        span: ast.Span,
        implicit: bool = False,
    ) -> str:
        """Register a clause and return its id: the owner's, a dot, its name.

        What is inherited comes by more than once, from one place; `implicit` clauses gather
        several places under one id.
        """
        scope = owner.scope
        text = name if isinstance(name, str) else name.text
        id_ = f"{owner.id}.{text}" if text else owner.id
        place = span if isinstance(name, str) else name.span
        if id_ in self.by_id:
            other = self.by_id[id_]
            if not implicit and (other.path, other.line) != (scope.module.path, span.line):
                why = f"{id_} is already a clause, line {other.line}"
                scope.error(SAME_ID, place, why, "give it a name of its own")
            return id_
        scope.check_cites(tail.cites)
        cites = tail.cites or owner.cites
        if not cites:
            remedy = 'end it with: documented xen:path "words", or: implemented xen:path "words"'
            scope.error(UNCITED, place, f"{id_} says nothing of where it comes from", remedy)
        authority: Authority = "implemented"
        if any(c.authority == "documented" for c in cites):
            authority = "documented"
        citations = tuple(Citation(c.authority, c.source, c.path, c.anchor) for c in cites)
        gate = owner.gate_of(tail.gates)
        if not scope.ever(gate):
            remedy = "see its own gates and those of what it stands in"
            scope.error(NEVER, place, f"{id_} applies to no release and mode", remedy)
        self.by_id[id_] = Clause(
            id_, prose, kind, authority, citations, gate,
            scope.module.path, span.line,
        )  # fmt: skip
        return id_
