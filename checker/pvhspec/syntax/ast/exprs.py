"""Expressions and patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pvhspec.syntax.ast.common import Name, Param, Span

__all__ = [
    "Among",
    "Binary",
    "BitRule",
    "BitsPattern",
    "Call",
    "Conditional",
    "Expr",
    "Index",
    "Is",
    "Member",
    "ModeIs",
    "Number",
    "Paren",
    "Pattern",
    "Quantified",
    "Ref",
    "Since",
    "Truth",
    "Unary",
    "VariantPattern",
]


# ---- expressions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    """A literal; `text` keeps how the author wrote it."""

    span: Span
    value: int
    text: str


@dataclass(frozen=True, slots=True)
class Truth:
    """`true` or `false`."""

    span: Span
    value: bool


@dataclass(frozen=True, slots=True)
class Ref:
    """A name used as a value."""

    span: Span
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`value.name`."""

    span: Span
    value: Expr
    name: Name


@dataclass(frozen=True, slots=True)
class Index:
    """`value[args]`."""

    span: Span
    value: Expr
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """`name(args)`: a predicate, a function, or a variant with a payload."""

    span: Span
    name: Name
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`op value`; op is one of `not ~ -`."""

    span: Span
    op: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    """`left op right`; op as written."""

    span: Span
    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Paren:
    """Parentheses are kept, so that the formatter gives back what the author wrote."""

    span: Span
    value: Expr


@dataclass(frozen=True, slots=True)
class Conditional:
    """`if test then yes else no`."""

    span: Span
    test: Expr
    yes: Expr
    no: Expr


@dataclass(frozen=True, slots=True)
class Quantified:
    """`forall` or `exists`, over finite types."""

    span: Span
    kind: Literal["forall", "exists"]
    params: tuple[Param, ...]
    body: Expr


@dataclass(frozen=True, slots=True)
class Among:
    """`value among { a, b }`."""

    span: Span
    value: Expr
    members: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Since:
    """`since 4.18` as a value: true from that release on."""

    span: Span
    version: str


@dataclass(frozen=True, slots=True)
class ModeIs:
    """`mode is NAME`: true in that mode or in a mode of that group."""

    span: Span
    mode: Name


@dataclass(frozen=True, slots=True)
class VariantPattern:
    """`interdomain(d, p)`: binders are new names, `_` takes no notice."""

    span: Span
    name: Name
    binders: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class BitRule:
    """One line of a bits pattern: a field, or `others`; `value` None means undefined."""

    span: Span
    field: Name | None
    value: Expr | None


@dataclass(frozen=True, slots=True)
class BitsPattern:
    """`{ PE = 1, ET undefined, others = 0 }`."""

    span: Span
    rules: tuple[BitRule, ...]


Pattern: TypeAlias = VariantPattern | BitsPattern


@dataclass(frozen=True, slots=True)
class Is:
    """`value is pattern`; what the pattern binds holds to the right and below."""

    span: Span
    value: Expr
    pattern: Pattern


Expr: TypeAlias = (
    Number
    | Truth
    | Ref
    | Member
    | Index
    | Call
    | Unary
    | Binary
    | Paren
    | Conditional
    | Quantified
    | Among
    | Since
    | ModeIs
    | Is
)
