"""Lark's parse tree to our syntax tree: one method a rule, named as in `grammar/pvh.lark`."""

from __future__ import annotations

from typing import Any

from lark import Token, v_args
from lark.tree import Meta

from pvhspec.syntax import ast
from pvhspec.syntax.build_expr import (
    Children,
    ExpressionBuilder,
    dotted_name,
    integer,
    span_of,
    string,
)

__all__ = ["Builder"]


@v_args(meta=True)
class Builder(ExpressionBuilder):
    """Builds the nodes of `pvhspec.syntax.ast` while the text is parsed."""

    # ---- files ----------------------------------------------------------------------------------

    def module(self, meta: Meta, c: Children) -> tuple[Any, ...]:
        imports = tuple(x.names for x in c[2:] if isinstance(x, _Import))
        items = tuple(x for x in c[2:] if not isinstance(x, _Import))
        return (span_of(meta), c[0], c[1], imports, items)

    def import_(self, meta: Meta, c: Children) -> _Import:
        return _Import(tuple(c))

    def manifest(self, meta: Meta, c: Children) -> tuple[Any, ...]:
        return (span_of(meta), c[0], c[1], tuple(c[2:]))

    def mode(self, meta: Meta, c: Children) -> ast.ModeDecl:
        return ast.ModeDecl(span_of(meta), c[0], c[1])

    def group(self, meta: Meta, c: Children) -> ast.GroupDecl:
        return ast.GroupDecl(span_of(meta), c[0], tuple(c[1:]))

    def versions(self, meta: Meta, c: Children) -> ast.VersionsDecl:
        return ast.VersionsDecl(span_of(meta), c[0], tuple(str(v) for v in c[1:]))

    def source(self, meta: Meta, c: Children) -> ast.SourceDecl:
        return ast.SourceDecl(span_of(meta), c[0], string(c[1]) or "", string(c[2]) or "")

    def modules(self, meta: Meta, c: Children) -> ast.ModulesDecl:
        return ast.ModulesDecl(span_of(meta), tuple(c))

    def dotted(self, meta: Meta, c: Children) -> ast.Name:
        return dotted_name(c)

    def prose(self, meta: Meta, c: Children) -> str:
        return " ".join(" ".join(str(s)[1:-1] for s in c).split())

    # ---- tails ----------------------------------------------------------------------------------

    def tail(self, meta: Meta, c: Children) -> ast.Tail:
        gates = tuple(x for x in c if isinstance(x, ast.Gate))
        return ast.Tail(gates, tuple(x for x in c if isinstance(x, ast.Cite)))

    def since(self, meta: Meta, c: Children) -> ast.Gate:
        return ast.Gate(span_of(meta), "since", (str(c[0]),))

    def until(self, meta: Meta, c: Children) -> ast.Gate:
        return ast.Gate(span_of(meta), "until", (str(c[0]),))

    def modes_gate(self, meta: Meta, c: Children) -> ast.Gate:
        return ast.Gate(span_of(meta), "modes", tuple(n.text for n in c[0]))

    def names(self, meta: Meta, c: Children) -> tuple[ast.Name, ...]:
        return tuple(c)

    def documented(self, meta: Meta, c: Children) -> ast.Cite:
        source, _, path = str(c[0]).partition(":")
        return ast.Cite(span_of(meta), "documented", source, path, string(c[1]))

    def implemented(self, meta: Meta, c: Children) -> ast.Cite:
        source, _, path = str(c[0]).partition(":")
        return ast.Cite(span_of(meta), "implemented", source, path, string(c[1]))

    # ---- types ----------------------------------------------------------------------------------

    def type_(self, meta: Meta, c: Children) -> ast.TypeDecl:
        return ast.TypeDecl(span_of(meta), *c)

    def bits(self, meta: Meta, c: Children) -> ast.BitsDecl:
        return ast.BitsDecl(span_of(meta), c[0], c[1], c[2], c[3], tuple(c[4:]))

    def bitfield(self, meta: Meta, c: Children) -> ast.BitField:
        high = integer(c[1])
        low = high if c[2] is None else integer(c[2])
        return ast.BitField(span_of(meta), c[0], high, low, tuple(str(x) for x in c[1:] if x))

    def enum(self, meta: Meta, c: Children) -> ast.EnumDecl:
        return ast.EnumDecl(span_of(meta), c[0], c[1], c[2], c[3], tuple(c[4:]))

    def member(self, meta: Meta, c: Children) -> ast.Variant:
        return ast.Variant(span_of(meta), c[0], integer(c[1]), str(c[1]), (), c[2])

    def variant(self, meta: Meta, c: Children) -> ast.Variant:
        return ast.Variant(span_of(meta), c[0], None, None, c[1] or (), c[2])

    def struct(self, meta: Meta, c: Children) -> ast.StructDecl:
        return ast.StructDecl(span_of(meta), c[0], c[1], c[2], c[3], tuple(c[4:]))

    def offset(self, meta: Meta, c: Children) -> ast.Offset:
        narrow = None if c[1] is None else integer(c[1])
        return ast.Offset(span_of(meta), integer(c[0]), narrow, tuple(str(x) for x in c if x))

    def field(self, meta: Meta, c: Children) -> ast.Field:
        return ast.Field(span_of(meta), c[0], c[1], c[2], c[3], tuple(c[4:]))

    def field_when(self, meta: Meta, c: Children) -> ast.FieldWhen:
        return ast.FieldWhen(span_of(meta), c[0], tuple(c[1:]))

    def either(self, meta: Meta, c: Children) -> ast.Either:
        return ast.Either(span_of(meta), tuple(c))

    def alternative(self, meta: Meta, c: Children) -> tuple[ast.StructItem, ...]:
        return tuple(c)

    def plain_type(self, meta: Meta, c: Children) -> ast.TypeRef:
        return ast.TypeRef(span_of(meta), c[0], None)

    def array_type(self, meta: Meta, c: Children) -> ast.TypeRef:
        return ast.TypeRef(span_of(meta), c[0], c[1])

    def params(self, meta: Meta, c: Children) -> tuple[ast.Param, ...]:
        return tuple(c)

    def param(self, meta: Meta, c: Children) -> ast.Param:
        return ast.Param(span_of(meta), *c)

    # ---- names of values ------------------------------------------------------------------------

    def const(self, meta: Meta, c: Children) -> ast.ConstDecl:
        return ast.ConstDecl(span_of(meta), *c)

    def context(self, meta: Meta, c: Children) -> ast.ContextDecl:
        return ast.ContextDecl(span_of(meta), *c)

    def event(self, meta: Meta, c: Children) -> ast.EventDecl:
        return ast.EventDecl(span_of(meta), c[0], c[1], tuple(c[2:]))

    def event_field(self, meta: Meta, c: Children) -> ast.EventField:
        return ast.EventField(span_of(meta), dotted_name(c[:-1]), (), c[-1])

    def event_map(self, meta: Meta, c: Children) -> ast.EventField:
        return ast.EventField(span_of(meta), *c)

    def state(self, meta: Meta, c: Children) -> ast.StateDecl:
        name, params, type_, init, prose, drift, tail = c
        return ast.StateDecl(span_of(meta), name, params or (), type_, init, prose, drift, tail)

    def init_value(self, meta: Meta, c: Children) -> ast.Init:
        return ast.Init(span_of(meta), "value", c[0])

    def init_given(self, meta: Meta, c: Children) -> ast.Init:
        return ast.Init(span_of(meta), "given", c[0])

    def init_any(self, meta: Meta, c: Children) -> ast.Init:
        return ast.Init(span_of(meta), "any", None)

    def may_rise(self, meta: Meta, c: Children) -> ast.Drift:
        return ast.Drift(span_of(meta), "rise", c[0])

    def may_change(self, meta: Meta, c: Children) -> ast.Drift:
        return ast.Drift(span_of(meta), "change", c[0])

    def may_change_unseen(self, meta: Meta, c: Children) -> ast.Drift:
        return ast.Drift(span_of(meta), "change unseen", c[0])

    def predicate(self, meta: Meta, c: Children) -> ast.DefDecl:
        name, params, body, prose, tail = c
        return ast.DefDecl(span_of(meta), name, params or (), None, body, prose, tail)

    def function(self, meta: Meta, c: Children) -> ast.DefDecl:
        name, params, result, body, prose, tail = c
        return ast.DefDecl(span_of(meta), name, params or (), result, body, prose, tail)

    # ---- what changes ---------------------------------------------------------------------------

    def macro(self, meta: Meta, c: Children) -> ast.MacroDecl:
        return ast.MacroDecl(span_of(meta), c[0], c[1] or (), c[2], tuple(c[3:]))

    def assign(self, meta: Meta, c: Children) -> ast.Assign:
        return ast.Assign(span_of(meta), *c)

    def call_effect(self, meta: Meta, c: Children) -> ast.CallEffect:
        return ast.CallEffect(span_of(meta), c[0], c[1] or ())

    def if_(self, meta: Meta, c: Children) -> ast.If:
        return ast.If(span_of(meta), *c)

    def else_(self, meta: Meta, c: Children) -> tuple[ast.Statement, ...]:
        return c[0]  # type: ignore[no-any-return]

    def block(self, meta: Meta, c: Children) -> tuple[ast.Statement, ...]:
        return tuple(c)

    def match(self, meta: Meta, c: Children) -> ast.Match:
        return ast.Match(span_of(meta), c[0], tuple(c[1:]))

    def arm(self, meta: Meta, c: Children) -> ast.Arm:
        return ast.Arm(span_of(meta), *c)

    def for_all(self, meta: Meta, c: Children) -> ast.ForAll:
        return ast.ForAll(span_of(meta), *c)

    def clause(self, meta: Meta, c: Children) -> ast.ClauseBlock:
        return ast.ClauseBlock(span_of(meta), *c)

    def ensure(self, meta: Meta, c: Children) -> ast.Ensure:
        return ast.Ensure(span_of(meta), *c)

    def place(self, meta: Meta, c: Children) -> ast.Place:
        return ast.Place(span_of(meta), dotted_name(c[:-1]), c[-1] or ())

    # ---- hypercalls -----------------------------------------------------------------------------

    def every(self, meta: Meta, c: Children) -> ast.EveryDecl:
        return ast.EveryDecl(span_of(meta), c[0], c[1], tuple(c[2:]))

    def hypercall(self, meta: Meta, c: Children) -> ast.HypercallDecl:
        name, number, params, prose, tail, body = c
        return ast.HypercallDecl(
            span_of(meta), name, integer(number), str(number), params or (), prose, tail, body
        )

    def call_body(self, meta: Meta, c: Children) -> tuple[ast.CallItem, ...]:
        return tuple(c)

    def operation(self, meta: Meta, c: Children) -> ast.OperationDecl:
        name, hypercall, command, struct, each, prose, tail = c[:7]
        number = None if command is None else integer(command)
        text = None if command is None else str(command)
        return ast.OperationDecl(
            span_of(meta), name, hypercall, number, text, struct, each, prose, tail, tuple(c[7:])
        )

    def in_fields(self, meta: Meta, c: Children) -> ast.InFields:
        return ast.InFields(span_of(meta), c[0])

    def out_fields(self, meta: Meta, c: Children) -> ast.OutFields:
        return ast.OutFields(span_of(meta), c[0])

    def in_array(self, meta: Meta, c: Children) -> ast.ArrayFields:
        name, index, struct, handle, count = c
        return ast.ArrayFields(span_of(meta), name, index, struct, handle, count, False)

    def out_array(self, meta: Meta, c: Children) -> ast.ArrayFields:
        name, index, struct, handle, count = c
        return ast.ArrayFields(span_of(meta), name, index, struct, handle, count, True)

    def let(self, meta: Meta, c: Children) -> ast.Let:
        return ast.Let(span_of(meta), c[0], "value", None, c[1])

    def let_struct(self, meta: Meta, c: Children) -> ast.Let:
        return ast.Let(span_of(meta), c[0], "struct", c[1], c[2])

    def let_array(self, meta: Meta, c: Children) -> ast.Let:
        return ast.Let(span_of(meta), c[0], "array", c[1], c[2])

    def error(self, meta: Meta, c: Children) -> ast.ErrorClause:
        errno, name, prose = c[:3]
        gates = tuple(x for x in c[3:] if isinstance(x, ast.Gate))
        cites = tuple(x for x in c[3:] if isinstance(x, ast.Cite))
        after = any(isinstance(x, Token) for x in c[3:])
        maybe, test = next(x for x in c[3:] if isinstance(x, tuple))
        return ast.ErrorClause(span_of(meta), errno, name, prose, gates, after, maybe, test, cites)

    def when(self, meta: Meta, c: Children) -> tuple[bool, ast.Expr | None]:
        return (False, c[0])

    def maybe(self, meta: Meta, c: Children) -> tuple[bool, ast.Expr | None]:
        return (True, c[0])

    def in_order(self, meta: Meta, c: Children) -> ast.InOrder:
        return ast.InOrder(span_of(meta), tuple(c))

    def always(self, meta: Meta, c: Children) -> ast.Always:
        return ast.Always(span_of(meta), *c)

    def disturbs(self, meta: Meta, c: Children) -> ast.Disturbs:
        return ast.Disturbs(span_of(meta), c[0])

    def success(self, meta: Meta, c: Children) -> ast.Success:
        chooses = tuple(x for x in c[2:] if isinstance(x, ast.Choose))
        return ast.Success(span_of(meta), c[0], c[1], chooses, c[-2], c[-1])

    def choose(self, meta: Meta, c: Children) -> ast.Choose:
        return ast.Choose(span_of(meta), c[0] is not None, *c[1:])

    def returns(self, meta: Meta, c: Children) -> ast.Returns:
        return ast.Returns(span_of(meta), c[0])

    def returns_any(self, meta: Meta, c: Children) -> ast.Returns:
        return ast.Returns(span_of(meta), None)

    # ---- what is observed, what always holds ----------------------------------------------------

    def on(self, meta: Meta, c: Children) -> ast.OnDecl:
        return ast.OnDecl(span_of(meta), c[0], c[1], c[2], c[3], c[4], tuple(c[5:]))

    def require(self, meta: Meta, c: Children) -> ast.Require:
        return ast.Require(span_of(meta), *c)

    def undefined(self, meta: Meta, c: Children) -> ast.Undefined:
        fields = tuple(x for x in c if isinstance(x, ast.Name))
        prose = next((x for x in c if isinstance(x, str)), None)
        cites = tuple(x for x in c if isinstance(x, ast.Cite))
        return ast.Undefined(span_of(meta), fields, prose, cites)

    def field_name(self, meta: Meta, c: Children) -> ast.Name:
        return dotted_name(c)

    def invariant(self, meta: Meta, c: Children) -> ast.InvariantDecl:
        using = tuple(x for x in c[4:] if x is not None)
        return ast.InvariantDecl(span_of(meta), c[0], c[1], c[2], c[3], using)

    def obligation(self, meta: Meta, c: Children) -> ast.ObligationDecl:
        name, params, *rest = c
        return ast.ObligationDecl(span_of(meta), name, params or (), *rest)

    def moment(self, meta: Meta, c: Children) -> ast.Moment:
        return ast.Moment(span_of(meta), *c)

    # ---- examples -------------------------------------------------------------------------------

    def example(self, meta: Meta, c: Children) -> ast.ExampleDecl:
        prose, version, mode = c[:3]
        return ast.ExampleDecl(span_of(meta), prose, None, str(version), mode, tuple(c[3:]))

    def counterexample(self, meta: Meta, c: Children) -> ast.ExampleDecl:
        prose, clause, version, mode = c[:4]
        return ast.ExampleDecl(span_of(meta), prose, clause, str(version), mode, tuple(c[4:]))

    def step_given(self, meta: Meta, c: Children) -> ast.StepGiven:
        return ast.StepGiven(span_of(meta), *c)

    def step_event(self, meta: Meta, c: Children) -> ast.StepEvent:
        name, fields, outcome, outs = c
        return ast.StepEvent(span_of(meta), name, fields or (), outcome, outs or ())

    def seen(self, meta: Meta, c: Children) -> ast.Expr:
        return c[0]  # type: ignore[no-any-return]

    def unseen(self, meta: Meta, c: Children) -> str:
        return "unseen"

    def binds(self, meta: Meta, c: Children) -> tuple[ast.Bind, ...]:
        return tuple(c)

    def bind(self, meta: Meta, c: Children) -> ast.Bind:
        return ast.Bind(span_of(meta), c[0], c[1] or (), c[2])


class _Import:
    """Carries an import line past the items of its module."""

    def __init__(self, names: tuple[ast.Name, ...]) -> None:
        self.names = names
