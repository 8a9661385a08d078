"""Questions: what is asked, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pvhspec.syntax.ast.common import Gate, Name, Span
from pvhspec.syntax.ast.exprs import Expr

__all__ = [
    "Ask",
    "AtEvent",
    "CanBe",
    "CanReturn",
    "Described",
    "InModes",
    "MustBe",
    "MustHold",
    "OnRelease",
    "Question",
    "ToDomain",
    "When",
    "Where",
    "WhichErrors",
]


@dataclass(frozen=True, slots=True)
class CanReturn:
    """`can OPERATION return ERROR`; `error` None: `can OPERATION succeed`."""

    span: Span
    operation: Name
    error: Name | None


@dataclass(frozen=True, slots=True)
class WhichErrors:
    """`which errors can OPERATION return`."""

    span: Span
    operation: Name


@dataclass(frozen=True, slots=True)
class Described:
    """`two ports bound to one VIRQ`; `one`: the same for all of them."""

    span: Span
    count: int
    what: Name
    one: bool
    bound: Name


@dataclass(frozen=True, slots=True)
class CanBe:
    """`can EXPR`, `is there a reachable state with EXPR`."""

    span: Span
    test: Expr | Described


@dataclass(frozen=True, slots=True)
class MustBe:
    """`must EXPR`, `always EXPR`."""

    span: Span
    test: Expr


@dataclass(frozen=True, slots=True)
class MustHold:
    """`what must hold of FIELD`."""

    span: Span
    field: Name


Ask: TypeAlias = CanReturn | WhichErrors | CanBe | MustBe | MustHold


# ---- where, when, and of whom ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InModes:
    """`in pvh`: modes or groups of them."""

    span: Span
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class OnRelease:
    """`on 4.17`: this release, with all its point releases."""

    span: Span
    version: str


@dataclass(frozen=True, slots=True)
class AtEvent:
    """`at entry`: events of this kind."""

    span: Span
    event: Name


@dataclass(frozen=True, slots=True)
class ToDomain:
    """`to an unprivileged domain`: who calls."""

    span: Span
    which: Name


@dataclass(frozen=True, slots=True)
class When:
    """`when EXPR`."""

    span: Span
    test: Expr


Where: TypeAlias = Gate | InModes | OnRelease | AtEvent | ToDomain | When


@dataclass(frozen=True, slots=True)
class Question:
    """A whole question."""

    span: Span
    ask: Ask
    wheres: tuple[Where, ...]
