"""The intermediate representation: all that a backend is given, and all it may know.

Small and finite on purpose, so that one text can be evaluated, proved, generated from and
compiled: bit-vectors, enums with payloads, total maps, quantifiers over finite types, and
simultaneous updates. Predicates, functions, effects, lets and structs are gone: they were
written out where they are used. `pvhspec.ir.show` prints it, `pvhspec.ir.terms` has its
expressions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pvhspec.ir.terms import (
    Cell,
    Const,
    Expr,
    GateTest,
    Input,
    Is,
    Load,
    Make,
    MapInput,
    Op,
    Payload,
    Quant,
    Value,
    Var,
)
from pvhspec.names.gates import Gate, Version
from pvhspec.types.layout import Struct, StructField
from pvhspec.types.types import BitsType, Type

__all__ = [
    "OWN_RANK", "STATUS", "Array", "Authority", "Cell", "Choice", "Citation", "Clause", "Const",
    "Ensure", "Error", "EventKind", "Example", "ExampleStep", "Expr", "Gate", "GateTest",
    "Hypercall", "Input", "Invariant", "Is", "Load", "Make", "MapInput", "Moment", "Obligation",
    "Observation", "Op", "Operation", "Payload", "Quant", "Requirement", "Slot", "Spec", "State",
    "Struct", "StructField", "Update", "Value", "Var", "Version", "status_code", "status_value",
]  # fmt: skip

Authority = Literal["documented", "implemented"]


@dataclass(frozen=True, slots=True)
class Citation:
    """A place in a pinned source."""

    authority: Authority
    source: str
    path: str
    anchor: str | None


@dataclass(frozen=True, slots=True)
class Clause:
    """What a verdict names. `kind` tells which part of the text it is."""

    id: str
    prose: str | None
    kind: Literal["error", "success", "effect", "choice", "require", "undefined", "table",
                  "invariant", "obligation", "frame"]  # fmt: skip
    authority: Authority
    citations: tuple[Citation, ...]
    gate: Gate
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class State:
    """A total map from indices to values.

    `init` speaks of the indices as `Var`s; `given`: the trace may say otherwise, and where it
    does not the cell is unknown; None: unknown. `drift`: while it holds, the world outside may
    turn a false cell true (`drift_kind` rise) or give it any value (change); `change unseen` is no
    step of the world but of what a trace may leave out: another domain's operations.
    """

    name: str
    indices: tuple[Var, ...]
    type: Type
    init: Expr | None
    given: bool
    drift: Expr | None
    drift_kind: Literal["rise", "change", "change unseen"]
    prose: str | None
    module: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A field of the structure a hypercall's pointer points to, in bytes: (64-bit, 32-bit)."""

    name: str
    type: BitsType
    offset: tuple[int, int]
    size: tuple[int, int]
    written: bool
    read: bool


@dataclass(frozen=True, slots=True)
class Array:
    """Elements behind a field of the structure, or a parameter, that is an address (`handle`): as
    many as `count`, another of them, says. Element i's field f is the map input `name.f[i]`, and
    `out.name.f[i]` after the call. `size` is an element's, in bytes: (64-bit, 32-bit)."""

    name: str
    handle: str
    count: str
    index: Type
    size: tuple[int, int]
    fields: tuple[StructField, ...]
    written: bool
    read: bool


@dataclass(frozen=True, slots=True)
class Error:
    """`code` is answered while `when` holds; `when` None: it may be, while `only` holds. A code
    from `STATUS` on is no result but a value of the operation's status field (`status_value`).

    Errors of one `rank` are in no order; a lower rank comes first: while one of its conditions
    holds no error of a higher rank may be returned. One that comes `after_success` is due only
    where no other is; its effects are those of success. Where `gate` is closed there is no error.
    """

    clause: str
    code: int
    name: str
    when: Expr | None
    rank: int
    after_success: bool
    gate: Gate
    only: Expr | None = None


# Codes of errors that are delivered in a status field, above all that are returned.
STATUS = 0x1000


def status_code(value: int, width: int) -> int:
    """The code of a value of a status field: 0 is success, as it is of a result."""
    return STATUS | -value % (1 << width) % STATUS if value else 0


def status_value(code: int, width: int) -> int:
    """The value of a status field that a code stands for."""
    return -(code % STATUS) % (1 << width) if code >= STATUS else 0


# Errors of an operation itself have this rank or more. What it inherits has less: not reached.
OWN_RANK = 2000


@dataclass(frozen=True, slots=True)
class Choice:
    """A value the implementation is free to choose where `when` holds; `lowest`: the clause, if
    any, by which it takes the lowest."""

    clause: str
    var: Var
    when: Expr
    lowest: str | None


@dataclass(frozen=True, slots=True)
class Update:
    """`target[indices] := value` where `guard` holds, for every value of `binders`.

    All updates of a step happen at once and read the state before it; of two that write one cell
    the later wins. `target` is a state, or `out.x` for a field of the caller's structure.
    """

    clause: str
    target: str
    binders: tuple[Var, ...]
    indices: tuple[Expr, ...]
    guard: Expr
    value: Expr


@dataclass(frozen=True, slots=True)
class Ensure:
    """What holds of the results after success."""

    clause: str
    test: Expr


@dataclass(frozen=True, slots=True)
class Operation:
    """One command of a hypercall, or the hypercall itself.

    `command` None: every command that no other operation takes; `number` None: every number that
    no hypercall has. `modelled` False: only the errors are known, and the rest is not judged.
    `result` None: any value. `always`: updates that happen whatever is returned.
    `disturbs`: states that it may change in ways not modelled; `*` is every state.
    `pointer` is the parameter that points to the structure; `each` the one that says how many of
    them there are, each a call by itself; `status` the out field in which some errors are
    delivered. `told`: out fields that are assigned whatever is answered, where success does not.
    """

    id: str
    name: str
    hypercall: str
    number: int | None
    command: int | None
    commands: tuple[int, ...]
    gate: Gate
    params: tuple[Input, ...]
    struct: str | None
    struct_size: tuple[int, int] | None
    slots: tuple[Slot, ...]
    errors: tuple[Error, ...]
    success: str
    frame: str
    choices: tuple[Choice, ...]
    result: Expr | None
    ensures: tuple[Ensure, ...]
    updates: tuple[Update, ...]
    always: tuple[Update, ...]
    modelled: bool
    disturbs: tuple[str, ...]
    pointer: str | None = None
    each: str | None = None
    status: Slot | None = None
    arrays: tuple[Array, ...] = ()
    told: tuple[Update, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """A clause about what an event shows."""

    clause: str
    test: Expr


@dataclass(frozen=True, slots=True)
class Observation:
    """What an event of a kind must look like, and what it changes."""

    id: str
    event: str
    gate: Gate
    when: Expr
    requires: tuple[Requirement, ...]
    undefined: tuple[tuple[str, tuple[str, ...]], ...]
    updates: tuple[Update, ...]


@dataclass(frozen=True, slots=True)
class Invariant:
    """What holds in every reachable state."""

    clause: str
    name: str
    body: Expr
    using: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """An event of a kind with a condition on it."""

    event: str
    test: Expr


@dataclass(frozen=True, slots=True)
class Obligation:
    """When `when` holds for some `vars`, `then` happens before `before`, unless `unless`."""

    clause: str
    name: str
    vars: tuple[Var, ...]
    when: Expr
    then: Moment
    before: Moment
    unless: Expr


@dataclass(frozen=True, slots=True)
class EventKind:
    """A kind of event and the types of its fields; map fields have index types."""

    name: str
    fields: tuple[tuple[str, tuple[Type, ...], Type], ...]


@dataclass(frozen=True, slots=True)
class Hypercall:
    """A number, its name, and where it is offered. `clause` is the table's."""

    name: str
    number: int
    clause: str
    gate: Gate


@dataclass(frozen=True, slots=True)
class ExampleStep:
    """`kind` is `given`, an event kind or the name of an operation.

    `values` maps (field, indices) to a value; `result` None: not seen, or the event has none.
    """

    kind: str
    values: tuple[tuple[str, tuple[int, ...], Value], ...]
    result: int | None
    outs: tuple[tuple[str, tuple[int, ...], Value], ...]
    line: int


@dataclass(frozen=True, slots=True)
class Example:
    """An execution that conforms, or one that violates a clause."""

    name: str
    violates: str | None
    version: Version
    mode: str
    steps: tuple[ExampleStep, ...]
    path: str
    line: int


@dataclass(slots=True)
class Spec:
    """The whole specification, as backends see it."""

    name: str
    modes: dict[str, str] = field(default_factory=dict)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    releases: tuple[Version, ...] = ()
    sources: dict[str, tuple[str, str]] = field(default_factory=dict)
    contexts: dict[str, Type] = field(default_factory=dict)
    enums: dict[str, dict[str, int]] = field(default_factory=dict)
    structs: dict[str, Struct] = field(default_factory=dict)
    events: dict[str, EventKind] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    hypercalls: dict[int, Hypercall] = field(default_factory=dict)
    operations: tuple[Operation, ...] = ()
    observations: tuple[Observation, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    examples: Sequence[Example] = ()
    clauses: dict[str, Clause] = field(default_factory=dict)
