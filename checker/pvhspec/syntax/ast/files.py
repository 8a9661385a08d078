"""What is observed, what always holds, examples; and the files all of it stands in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pvhspec.syntax.ast.calls import (
    EveryDecl,
    HypercallDecl,
    Let,
    MacroDecl,
    OperationDecl,
    Place,
    Statement,
)
from pvhspec.syntax.ast.common import Cite, Name, Param, Span, Tail
from pvhspec.syntax.ast.decls import (
    BitsDecl,
    ConstDecl,
    ContextDecl,
    DefDecl,
    EnumDecl,
    EventDecl,
    StateDecl,
    StructDecl,
    TypeDecl,
)
from pvhspec.syntax.ast.exprs import Expr

__all__ = [
    "Bind",
    "ExampleDecl",
    "GroupDecl",
    "InvariantDecl",
    "Item",
    "Manifest",
    "ManifestItem",
    "ModeDecl",
    "Module",
    "ModulesDecl",
    "Moment",
    "ObligationDecl",
    "OnDecl",
    "OnItem",
    "Require",
    "SourceDecl",
    "Step",
    "StepEvent",
    "StepGiven",
    "Undefined",
    "VersionsDecl",
]


# ---- what is observed, what always holds --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Require:
    """A clause about what was observed."""

    span: Span
    name: Name
    prose: str | None
    test: Expr
    tail: Tail


@dataclass(frozen=True, slots=True)
class Undefined:
    """Fields that may have any value, and that a guest must not depend on."""

    span: Span
    fields: tuple[Name, ...]
    prose: str | None
    cites: tuple[Cite, ...]


OnItem: TypeAlias = Let | Require | Undefined | Statement


@dataclass(frozen=True, slots=True)
class OnDecl:
    """`on EVENT name when c { … }`."""

    span: Span
    event: Name
    name: Name
    prose: str | None
    tail: Tail
    test: Expr | None
    items: tuple[OnItem, ...]


@dataclass(frozen=True, slots=True)
class InvariantDecl:
    """What holds in every reachable state; `using` names the invariants its proof leans on."""

    span: Span
    name: Name
    prose: str | None
    tail: Tail
    body: Expr
    using: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """An event of a kind, where a condition on its fields holds."""

    span: Span
    event: Name
    test: Expr | None


@dataclass(frozen=True, slots=True)
class ObligationDecl:
    """When `test` holds, `then` happens before `before`, unless `unless` comes to hold."""

    span: Span
    name: Name
    params: tuple[Param, ...]
    prose: str | None
    tail: Tail
    test: Expr
    then: Moment
    before: Moment
    unless: Expr | None


# ---- examples -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StepGiven:
    """`given channel[0, 5] = unbound(1)`."""

    span: Span
    place: Place
    value: Expr


@dataclass(frozen=True, slots=True)
class Bind:
    """`field = value` of an example's event."""

    span: Span
    field: Name
    args: tuple[Expr, ...]
    value: Expr


@dataclass(frozen=True, slots=True)
class StepEvent:
    """`NAME(in fields) -> result { out fields }`; `outcome` None: the event has no result."""

    span: Span
    name: Name
    fields: tuple[Bind, ...]
    outcome: Expr | Literal["unseen"] | None
    outs: tuple[Bind, ...]


Step: TypeAlias = StepGiven | StepEvent


@dataclass(frozen=True, slots=True)
class ExampleDecl:
    """An execution that conforms, or (`violates` names the clause) one that does not."""

    span: Span
    prose: str
    violates: Name | None
    version: str
    mode: Name
    steps: tuple[Step, ...]


# ---- files --------------------------------------------------------------------------------------

Item: TypeAlias = (
    TypeDecl
    | BitsDecl
    | EnumDecl
    | StructDecl
    | ConstDecl
    | ContextDecl
    | EventDecl
    | StateDecl
    | DefDecl
    | MacroDecl
    | EveryDecl
    | HypercallDecl
    | OperationDecl
    | OnDecl
    | InvariantDecl
    | ObligationDecl
    | ExampleDecl
)


@dataclass(frozen=True, slots=True)
class Module:
    """One file of the specification."""

    path: str
    span: Span
    name: Name
    prose: str | None
    imports: tuple[tuple[Name, ...], ...]
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class ModeDecl:
    """`mode pvh_dom0 "…"`."""

    span: Span
    name: Name
    prose: str


@dataclass(frozen=True, slots=True)
class GroupDecl:
    """`group pvh = pvh_domu, pvh_dom0`."""

    span: Span
    name: Name
    members: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class VersionsDecl:
    """`versions xen 4.14, 4.17`: releases the text speaks about, oldest first."""

    span: Span
    name: Name
    releases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceDecl:
    """`source xen = "xen-project/xen" at "commit"`."""

    span: Span
    name: Name
    repository: str
    commit: str


@dataclass(frozen=True, slots=True)
class ModulesDecl:
    """The modules, in reading order: a module may import only those before it."""

    span: Span
    names: tuple[Name, ...]


ManifestItem: TypeAlias = ModeDecl | GroupDecl | VersionsDecl | SourceDecl | ModulesDecl


@dataclass(frozen=True, slots=True)
class Manifest:
    """`pvh.abi`: modes, releases, sources and the order of the modules."""

    path: str
    span: Span
    name: Name
    prose: str | None
    items: tuple[ManifestItem, ...]
