"""What changes: statements, and the hypercalls they stand in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pvhspec.syntax.ast.common import Cite, Gate, Name, Param, Span, Tail
from pvhspec.syntax.ast.exprs import Expr, VariantPattern

__all__ = [
    "Always",
    "Arm",
    "ArrayFields",
    "Assign",
    "CallEffect",
    "CallItem",
    "Choose",
    "ClauseBlock",
    "Disturbs",
    "Ensure",
    "ErrorClause",
    "EveryDecl",
    "ForAll",
    "HypercallDecl",
    "If",
    "InFields",
    "InOrder",
    "Let",
    "MacroDecl",
    "Match",
    "OperationDecl",
    "OutFields",
    "Place",
    "Returns",
    "Statement",
    "Success",
]


# ---- what changes -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """What an assignment changes: an out field or a cell of a state."""

    span: Span
    name: Name
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Assign:
    """`place := value`; the value reads the state before the operation."""

    span: Span
    place: Place
    value: Expr


@dataclass(frozen=True, slots=True)
class CallEffect:
    """`name(args)`: an effect written once."""

    span: Span
    name: Name
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class If:
    """`if test { … } else { … }`."""

    span: Span
    test: Expr
    yes: tuple[Statement, ...]
    no: tuple[Statement, ...] | None


@dataclass(frozen=True, slots=True)
class Arm:
    """`pattern -> { … }`."""

    span: Span
    pattern: VariantPattern
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """Every variant has its arm."""

    span: Span
    value: Expr
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class ForAll:
    """`for all p : Port where test { … }`: every such cell changes at once."""

    span: Span
    params: tuple[Param, ...]
    test: Expr
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class ClauseBlock:
    """Effects under an id of their own."""

    span: Span
    name: Name
    prose: str | None
    tail: Tail
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Ensure:
    """What holds of the results after success."""

    span: Span
    name: Name
    prose: str | None
    test: Expr
    tail: Tail


Statement: TypeAlias = Assign | CallEffect | If | Match | ForAll | ClauseBlock | Ensure


@dataclass(frozen=True, slots=True)
class MacroDecl:
    """`effect NAME(params) { … }`."""

    span: Span
    name: Name
    params: tuple[Param, ...]
    prose: str | None
    body: tuple[Statement, ...]


# ---- hypercalls ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InFields:
    """`in a, b`."""

    span: Span
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class OutFields:
    """`out a, b`."""

    span: Span
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class ArrayFields:
    """`in array a[i : T] : Struct at handle for count`; `written`: it is `out array`."""

    span: Span
    name: Name
    index: Param
    struct: Name
    handle: Name
    count: Name
    written: bool


@dataclass(frozen=True, slots=True)
class Let:
    """`let x = e`, `let x = Struct at e`, `let x = array Struct at e`."""

    span: Span
    name: Name
    kind: Literal["value", "struct", "array"]
    struct: Name | None
    value: Expr


@dataclass(frozen=True, slots=True)
class ErrorClause:
    """`error ERRNO name when c`, or `maybe`, or `maybe when c`; `test` None: at any time."""

    span: Span
    errno: Name
    name: Name
    prose: str | None
    gates: tuple[Gate, ...]
    after_success: bool
    maybe: bool
    test: Expr | None
    cites: tuple[Cite, ...]


@dataclass(frozen=True, slots=True)
class InOrder:
    """Errors of which the first whose condition holds is returned."""

    span: Span
    errors: tuple[ErrorClause, ...]


@dataclass(frozen=True, slots=True)
class Choose:
    """`choose p : Port where c`: the implementation is free; `lowest` takes the freedom away."""

    span: Span
    lowest: bool
    name: Name
    type: Name
    test: Expr
    prose: str | None
    tail: Tail


@dataclass(frozen=True, slots=True)
class Returns:
    """The value on success; `value` None: any."""

    span: Span
    value: Expr | None


@dataclass(frozen=True, slots=True)
class Success:
    """What holds when no error is returned."""

    span: Span
    prose: str | None
    tail: Tail
    chooses: tuple[Choose, ...]
    returns: Returns | None
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Always:
    """`always { … }`: effects that happen whatever is returned."""

    span: Span
    prose: str | None
    tail: Tail
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Disturbs:
    """`disturbs a, b`: states it may change in ways that are not modelled."""

    span: Span
    names: tuple[Name, ...]


CallItem: TypeAlias = (
    InFields | OutFields | ArrayFields | Let | ErrorClause | InOrder | Success | Always | Disturbs
)


@dataclass(frozen=True, slots=True)
class EveryDecl:
    """What holds of every hypercall."""

    span: Span
    prose: str | None
    tail: Tail
    items: tuple[CallItem, ...]


@dataclass(frozen=True, slots=True)
class HypercallDecl:
    """`hypercall NAME = NUMBER (cmd : u32, arg : pointer)`; `items` None: number only."""

    span: Span
    name: Name
    number: int
    text: str
    params: tuple[Param, ...]
    prose: str | None
    tail: Tail
    items: tuple[CallItem, ...] | None


@dataclass(frozen=True, slots=True)
class OperationDecl:
    """`operation NAME = HYPERCALL.COMMAND takes STRUCT { … }`. `each`: the parameter that says how
    many structures the pointer points to."""

    span: Span
    name: Name
    hypercall: Name
    command: int | None
    text: str | None
    struct: Name | None
    each: Name | None
    prose: str | None
    tail: Tail
    items: tuple[CallItem, ...]
