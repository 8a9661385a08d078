"""Expressions of the intermediate representation: what clauses ask of an event and of states.

Values: bool; int for bit-vectors; a tuple (variant number, payload…) for enums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pvhspec.names.gates import Gate
from pvhspec.types.types import Type

__all__ = [
    "Cell", "Const", "Expr", "GateTest", "Input", "Is", "Load", "Make", "MapInput", "Op",
    "Payload", "Quant", "Value", "Var",
]  # fmt: skip

Value: TypeAlias = "bool | int | tuple[object, ...]"


@dataclass(frozen=True, slots=True)
class Const:
    """A value known from the text."""

    type: Type
    value: Value


@dataclass(frozen=True, slots=True)
class Input:
    """A field of the event, by name. `out.x` is field x after the call, `result` its value."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class MapInput:
    """A field of the event that is itself a total map."""

    name: str
    indices: tuple[Expr, ...]
    type: Type


@dataclass(frozen=True, slots=True)
class Var:
    """A variable of an enclosing quantifier, update or choice."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a state, as it was before the event."""

    state: str
    indices: tuple[Expr, ...]
    type: Type


@dataclass(frozen=True, slots=True)
class Load:
    """`bytes` bytes of guest memory at a guest-physical address, little-endian."""

    address: Expr
    bytes: int
    type: Type


@dataclass(frozen=True, slots=True)
class Op:
    """An operator. Bit-vectors are unsigned and wrap; both sides have one width.

    bool: `not and or implies ite`; any: `eq`; order: `ult ule`; bits: `add sub mul and or xor
    not shl lshr` (prefixed `bv`), `extract` (args: value; `extra` = high, low), `resize` (to the
    width of `type`, zero-extending or cutting).
    """

    op: str
    args: tuple[Expr, ...]
    type: Type
    extra: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Make:
    """An enum value."""

    variant: int
    args: tuple[Expr, ...]
    type: Type


@dataclass(frozen=True, slots=True)
class Is:
    """Whether an enum value is of a variant."""

    value: Expr
    variant: int
    type: Type


@dataclass(frozen=True, slots=True)
class Payload:
    """Item `index` of the payload; read only where `Is` of the same variant holds."""

    value: Expr
    variant: int
    index: int
    type: Type


@dataclass(frozen=True, slots=True)
class Quant:
    """`forall` or `exists` over finite types."""

    kind: Literal["forall", "exists"]
    vars: tuple[Var, ...]
    body: Expr
    type: Type


@dataclass(frozen=True, slots=True)
class GateTest:
    """Whether a gate is open for the version and mode under test: constant in any one run."""

    gate: Gate
    type: Type


Expr: TypeAlias = (
    Const | Input | MapInput | Var | Cell | Load | Op | Make | Is | Payload | Quant | GateTest
)
