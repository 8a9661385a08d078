"""The syntax tree: what the parser builds, what the formatter lays out, what names resolves.

Every node carries the `Span` of its text. Nothing here knows what a name means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Span:
    """Where a node stands in its file: lines and columns from 1, the end exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


Authority = Literal["documented", "implemented"]


# ---- what every clause carries ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cite:
    """A place in a pinned source: `anchor` is an identifier or a few words found there."""

    span: Span
    authority: Authority
    source: str
    path: str
    anchor: str | None


@dataclass(frozen=True, slots=True)
class Gate:
    """Where a clause applies: releases `since` to `until` (the last that has it), and modes."""

    span: Span
    kind: Literal["since", "until", "modes"]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tail:
    """Gates and citations, in the order they are written."""

    gates: tuple[Gate, ...] = ()
    cites: tuple[Cite, ...] = ()


@dataclass(frozen=True, slots=True)
class Name:
    """A word with its place: `text` may hold dots (`cs.base`, `evtchn.channel`)."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Param:
    """`name : type`, of a function, a state index, a quantifier."""

    span: Span
    name: Name
    type: Name


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
    kind: Literal["rise", "change"]
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
class Let:
    """`let x = e`, `let x = Struct at e`, `let x = array Struct at e`."""

    span: Span
    name: Name
    kind: Literal["value", "struct", "array"]
    struct: Name | None
    value: Expr


@dataclass(frozen=True, slots=True)
class ErrorClause:
    """`error ERRNO name when c`; `test` None means `maybe`."""

    span: Span
    errno: Name
    name: Name
    prose: str | None
    gates: tuple[Gate, ...]
    after_success: bool
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
    InFields | OutFields | Let | ErrorClause | InOrder | Success | Always | Disturbs
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
    """`operation NAME = HYPERCALL.COMMAND takes STRUCT { … }`."""

    span: Span
    name: Name
    hypercall: Name
    command: int | None
    text: str | None
    struct: Name | None
    prose: str | None
    tail: Tail
    items: tuple[CallItem, ...]


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
