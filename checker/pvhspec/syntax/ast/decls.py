"""Declarations of types, and of names of values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pvhspec.syntax.ast.common import Gate, Name, Param, Span, Tail
from pvhspec.syntax.ast.exprs import Expr

__all__ = [
    "BitField",
    "BitsDecl",
    "ConstDecl",
    "ContextDecl",
    "DefDecl",
    "Drift",
    "Either",
    "EnumDecl",
    "EventDecl",
    "EventField",
    "Field",
    "FieldWhen",
    "Init",
    "Offset",
    "StateDecl",
    "StructDecl",
    "StructItem",
    "TypeDecl",
    "TypeRef",
    "Variant",
]


# ---- types --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TypeDecl:
    """`type Port = u32 below N`: a name of its own over a bit-vector, finite if bounded."""

    span: Span
    name: Name
    base: Name
    below: Expr | None
    prose: str | None
    tail: Tail


@dataclass(frozen=True, slots=True)
class BitField:
    """`PE @ 0` or `type @ 3..0`: bits `high` down to `low`."""

    span: Span
    name: Name
    high: int
    low: int
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BitsDecl:
    """`bits Cr0 : u32 { … }`."""

    span: Span
    name: Name
    base: Name
    prose: str | None
    tail: Tail
    fields: tuple[BitField, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """A member with a number, or a variant with or without a payload."""

    span: Span
    name: Name
    value: int | None
    text: str | None
    params: tuple[Param, ...]
    prose: str | None


@dataclass(frozen=True, slots=True)
class EnumDecl:
    """`enum NAME : base { A = 0 … }` (numbers) or `enum NAME { a  b(x : T) … }` (variants)."""

    span: Span
    name: Name
    base: Name | None
    prose: str | None
    tail: Tail
    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True)
class Offset:
    """Bytes; `narrow` where the 32-bit layout differs."""

    span: Span
    wide: int
    narrow: int | None
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TypeRef:
    """`T` or `T[n]`."""

    span: Span
    name: Name
    count: Expr | None


@dataclass(frozen=True, slots=True)
class Field:
    """`0x10 name : type "prose" gates`."""

    span: Span
    offset: Offset
    name: Name
    type: TypeRef
    prose: str | None
    gates: tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class FieldWhen:
    """Fields that exist only when a condition on earlier fields holds."""

    span: Span
    test: Expr
    items: tuple[StructItem, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """A C union: the alternatives share their bytes."""

    span: Span
    alternatives: tuple[tuple[StructItem, ...], ...]


StructItem: TypeAlias = Field | FieldWhen | Either


@dataclass(frozen=True, slots=True)
class StructDecl:
    """`struct NAME size 56 { … }`."""

    span: Span
    name: Name
    size: Offset
    prose: str | None
    tail: Tail
    items: tuple[StructItem, ...]


# ---- names of values ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConstDecl:
    """`const NAME : type = expr`."""

    span: Span
    name: Name
    type: Name
    value: Expr
    prose: str | None
    tail: Tail


@dataclass(frozen=True, slots=True)
class ContextDecl:
    """What every event has: who it is about."""

    span: Span
    name: Name
    type: Name
    prose: str | None


@dataclass(frozen=True, slots=True)
class EventField:
    """A field of an event; with `params` a total map."""

    span: Span
    name: Name
    params: tuple[Param, ...]
    type: Name


@dataclass(frozen=True, slots=True)
class EventDecl:
    """A kind of event of a trace, and its fields."""

    span: Span
    name: Name
    prose: str | None
    fields: tuple[EventField, ...]


@dataclass(frozen=True, slots=True)
class Init:
    """How a state begins: a value, `given` by the trace (else the value), or `any`."""

    span: Span
    kind: Literal["value", "given", "any"]
    value: Expr | None


@dataclass(frozen=True, slots=True)
class Drift:
    """`may rise when c` (a false cell may turn true) or `may change when c` (to any value)."""

    span: Span
    kind: Literal["rise", "change", "change unseen"]
    test: Expr


@dataclass(frozen=True, slots=True)
class StateDecl:
    """A total map; `drift` says when the world outside may change a cell."""

    span: Span
    name: Name
    params: tuple[Param, ...]
    type: Name
    init: Init
    prose: str | None
    drift: Drift | None
    tail: Tail


@dataclass(frozen=True, slots=True)
class DefDecl:
    """A predicate (`result` None) or a function."""

    span: Span
    name: Name
    params: tuple[Param, ...]
    result: Name | None
    body: Expr
    prose: str | None
    tail: Tail
