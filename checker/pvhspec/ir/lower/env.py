"""What names stand for while a clause is lowered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pvhspec.ir.ir import Expr, Var
from pvhspec.names.symbols import Scope
from pvhspec.types.declare import Struct, TypeTable
from pvhspec.types.types import Type

__all__ = ["ArrayView", "Binding", "Context", "Env", "MapField", "StructView"]


@dataclass(frozen=True, slots=True)
class StructView:
    """A structure in guest memory at an address; `scope` is where its text stands."""

    struct: Struct
    address: Expr
    scope: Scope


@dataclass(frozen=True, slots=True)
class ArrayView:
    """Structures one after the other, from an address on."""

    struct: Struct
    address: Expr
    scope: Scope


@dataclass(frozen=True, slots=True)
class MapField:
    """A field of an event that is a map."""

    name: str
    indices: tuple[Type, ...]
    type: Type


Binding: TypeAlias = "Expr | StructView | ArrayView | MapField"


@dataclass(slots=True)
class Context:
    """What one run of the lowering shares: scopes by module, types, fresh names."""

    scopes: dict[str, Scope]
    types: TypeTable
    inside: str = ""
    fresh: int = 0
    inlining: list[str] = field(default_factory=list)

    def enter(self, declaration: str) -> None:
        """What follows belongs to this declaration."""
        self.inside, self.fresh = declaration, 0

    def variable(self, name: str, type_: Type) -> Var:
        """A variable whose name no other has, so that writing out a predicate captures none.

        It is counted within its declaration: an edit elsewhere leaves the name, and all that is
        kept by content, as they were.
        """
        self.fresh += 1
        return Var(f"{name}.{self.inside}.{self.fresh}", type_)


@dataclass(frozen=True, slots=True)
class Env:
    """Local names, and the module whose names are seen behind them.

    `absent` gathers the conditions under which fields that were read do not exist.
    """

    context: Context
    scope: Scope
    locals: Mapping[str, Binding]
    absent: list[Expr]

    def bind(self, new: Mapping[str, Binding]) -> Env:
        """With more local names."""
        return replace(self, locals={**self.locals, **new}) if new else self

    def inside(self, scope: Scope, new: Mapping[str, Binding]) -> Env:
        """In the text of another declaration, with its parameters only."""
        return replace(self, scope=scope, locals=dict(new))
