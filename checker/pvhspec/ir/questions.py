"""Questions as backends see them: names resolved, types checked, no text left."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pvhspec.ir.ir import Expr, Gate, Var, Version

__all__ = ["Always", "AtEvent", "CanReturn", "Place", "Question", "Reach", "Rules", "WhichErrors"]


@dataclass(frozen=True, slots=True)
class Place:
    """The releases and modes that are asked about. `on`: one release and its point releases."""

    gate: Gate = field(default_factory=Gate)
    on: Version | None = None

    def admits(self, version: Version, mode: str) -> bool:
        """Whether a release and mode are asked about."""
        if self.on is not None and version[: len(self.on)] != self.on:
            return False
        return self.gate.open(version, mode)

    def narrowed(self, on: Version | None, modes: frozenset[str] | None) -> Place:
        """With a release and modes where the question names none itself."""
        gate = self.gate
        if modes is not None and gate.modes is None:
            gate = replace(gate, modes=modes)
        named = self.on is not None or gate.since is not None or gate.until is not None
        return Place(gate, self.on if named else on)


@dataclass(frozen=True, slots=True)
class CanReturn:
    """Whether one of these operations may return an error (`code` 0: succeed), while `when` holds
    of the call and of the state before it. `name` is the error's."""

    operations: tuple[str, ...]
    code: int
    name: str
    when: Expr
    place: Place


@dataclass(frozen=True, slots=True)
class WhichErrors:
    """Which errors these operations may return, while `when` holds."""

    operations: tuple[str, ...]
    when: Expr
    place: Place


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether `test` holds in a state that can be reached, for some `vars`."""

    vars: tuple[Var, ...]
    test: Expr
    place: Place


@dataclass(frozen=True, slots=True)
class Always:
    """Whether `test` holds in every state that can be reached."""

    test: Expr
    place: Place


@dataclass(frozen=True, slots=True)
class AtEvent:
    """Whether `test` can (`must`: has to) hold of an event that the clauses allow, while `when`
    holds."""

    event: str
    test: Expr
    must: bool
    when: Expr
    place: Place


@dataclass(frozen=True, slots=True)
class Rules:
    """What the clauses say of a field of an event, while `when` holds."""

    event: str
    field: str
    when: Expr
    place: Place


Question: TypeAlias = CanReturn | WhichErrors | Reach | Always | AtEvent | Rules
