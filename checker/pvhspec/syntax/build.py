"""Lark's parse tree to our syntax tree: one method a rule, named as in `grammar/pvh.lark`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lark import Token, Transformer, v_args
from lark.tree import Meta

from pvhspec.syntax import ast
from pvhspec.syntax.ast import Span

__all__ = ["Builder"]

Children = list[Any]


def _span(meta: Meta) -> Span:
    if getattr(meta, "empty", True):
        return Span(0, 0, 0, 0)
    return Span(meta.line, meta.column, meta.end_line, meta.end_column)


def _name(token: Token) -> ast.Name:
    line, column = token.line or 0, token.column or 0
    return ast.Name(Span(line, column, token.end_line or 0, token.end_column or 0), str(token))


def _join(names: list[ast.Name]) -> ast.Name:
    first, last = names[0].span, names[-1].span
    span = Span(first.line, first.column, last.end_line, last.end_column)
    return ast.Name(span, ".".join(n.text for n in names))


def _int(token: Token) -> int:
    return int(str(token).replace("_", ""), 0)


def _text(token: Token | None) -> str | None:
    return None if token is None else str(token)[1:-1]


def _binary(op: str) -> Callable[[Builder, Meta, Children], ast.Binary]:
    def build(_self: Builder, meta: Meta, c: Children) -> ast.Binary:
        return ast.Binary(_span(meta), op, c[0], c[1])

    return build


@v_args(meta=True)
class Builder(Transformer[Token, Any]):
    """Builds the nodes of `pvhspec.syntax.ast` while the text is parsed."""

    def NAME(self, token: Token) -> ast.Name:
        return _name(token)

    def MODULE(self, token: Token) -> ast.Name:
        return _name(token)

    # ---- files ----------------------------------------------------------------------------------

    def module(self, meta: Meta, c: Children) -> tuple[Any, ...]:
        imports = tuple(x.names for x in c[2:] if isinstance(x, _Import))
        items = tuple(x for x in c[2:] if not isinstance(x, _Import))
        return (_span(meta), c[0], c[1], imports, items)

    def import_(self, meta: Meta, c: Children) -> _Import:
        return _Import(tuple(c))

    def manifest(self, meta: Meta, c: Children) -> tuple[Any, ...]:
        return (_span(meta), c[0], c[1], tuple(c[2:]))

    def mode(self, meta: Meta, c: Children) -> ast.ModeDecl:
        return ast.ModeDecl(_span(meta), c[0], c[1])

    def group(self, meta: Meta, c: Children) -> ast.GroupDecl:
        return ast.GroupDecl(_span(meta), c[0], tuple(c[1:]))

    def versions(self, meta: Meta, c: Children) -> ast.VersionsDecl:
        return ast.VersionsDecl(_span(meta), c[0], tuple(str(v) for v in c[1:]))

    def source(self, meta: Meta, c: Children) -> ast.SourceDecl:
        return ast.SourceDecl(_span(meta), c[0], _text(c[1]) or "", _text(c[2]) or "")

    def modules(self, meta: Meta, c: Children) -> ast.ModulesDecl:
        return ast.ModulesDecl(_span(meta), tuple(c))

    def dotted(self, meta: Meta, c: Children) -> ast.Name:
        return _join(c)

    def prose(self, meta: Meta, c: Children) -> str:
        return " ".join(" ".join(str(s)[1:-1] for s in c).split())

    # ---- tails ----------------------------------------------------------------------------------

    def tail(self, meta: Meta, c: Children) -> ast.Tail:
        gates = tuple(x for x in c if isinstance(x, ast.Gate))
        return ast.Tail(gates, tuple(x for x in c if isinstance(x, ast.Cite)))

    def since(self, meta: Meta, c: Children) -> ast.Gate:
        return ast.Gate(_span(meta), "since", (str(c[0]),))

    def until(self, meta: Meta, c: Children) -> ast.Gate:
        return ast.Gate(_span(meta), "until", (str(c[0]),))

    def modes_gate(self, meta: Meta, c: Children) -> ast.Gate:
        return ast.Gate(_span(meta), "modes", tuple(n.text for n in c[0]))

    def names(self, meta: Meta, c: Children) -> tuple[ast.Name, ...]:
        return tuple(c)

    def documented(self, meta: Meta, c: Children) -> ast.Cite:
        source, _, path = str(c[0]).partition(":")
        return ast.Cite(_span(meta), "documented", source, path, _text(c[1]))

    def implemented(self, meta: Meta, c: Children) -> ast.Cite:
        source, _, path = str(c[0]).partition(":")
        return ast.Cite(_span(meta), "implemented", source, path, _text(c[1]))

    # ---- types ----------------------------------------------------------------------------------

    def type_(self, meta: Meta, c: Children) -> ast.TypeDecl:
        return ast.TypeDecl(_span(meta), *c)

    def bits(self, meta: Meta, c: Children) -> ast.BitsDecl:
        return ast.BitsDecl(_span(meta), c[0], c[1], c[2], c[3], tuple(c[4:]))

    def bitfield(self, meta: Meta, c: Children) -> ast.BitField:
        high = _int(c[1])
        low = high if c[2] is None else _int(c[2])
        return ast.BitField(_span(meta), c[0], high, low, tuple(str(x) for x in c[1:] if x))

    def enum(self, meta: Meta, c: Children) -> ast.EnumDecl:
        return ast.EnumDecl(_span(meta), c[0], c[1], c[2], c[3], tuple(c[4:]))

    def member(self, meta: Meta, c: Children) -> ast.Variant:
        return ast.Variant(_span(meta), c[0], _int(c[1]), str(c[1]), (), c[2])

    def variant(self, meta: Meta, c: Children) -> ast.Variant:
        return ast.Variant(_span(meta), c[0], None, None, c[1] or (), c[2])

    def struct(self, meta: Meta, c: Children) -> ast.StructDecl:
        return ast.StructDecl(_span(meta), c[0], c[1], c[2], c[3], tuple(c[4:]))

    def offset(self, meta: Meta, c: Children) -> ast.Offset:
        narrow = None if c[1] is None else _int(c[1])
        return ast.Offset(_span(meta), _int(c[0]), narrow, tuple(str(x) for x in c if x))

    def field(self, meta: Meta, c: Children) -> ast.Field:
        return ast.Field(_span(meta), c[0], c[1], c[2], c[3], tuple(c[4:]))

    def field_when(self, meta: Meta, c: Children) -> ast.FieldWhen:
        return ast.FieldWhen(_span(meta), c[0], tuple(c[1:]))

    def either(self, meta: Meta, c: Children) -> ast.Either:
        return ast.Either(_span(meta), tuple(c))

    def alternative(self, meta: Meta, c: Children) -> tuple[ast.StructItem, ...]:
        return tuple(c)

    def plain_type(self, meta: Meta, c: Children) -> ast.TypeRef:
        return ast.TypeRef(_span(meta), c[0], None)

    def array_type(self, meta: Meta, c: Children) -> ast.TypeRef:
        return ast.TypeRef(_span(meta), c[0], c[1])

    def params(self, meta: Meta, c: Children) -> tuple[ast.Param, ...]:
        return tuple(c)

    def param(self, meta: Meta, c: Children) -> ast.Param:
        return ast.Param(_span(meta), *c)

    # ---- names of values ------------------------------------------------------------------------

    def const(self, meta: Meta, c: Children) -> ast.ConstDecl:
        return ast.ConstDecl(_span(meta), *c)

    def context(self, meta: Meta, c: Children) -> ast.ContextDecl:
        return ast.ContextDecl(_span(meta), *c)

    def event(self, meta: Meta, c: Children) -> ast.EventDecl:
        return ast.EventDecl(_span(meta), c[0], c[1], tuple(c[2:]))

    def event_field(self, meta: Meta, c: Children) -> ast.EventField:
        return ast.EventField(_span(meta), _join(c[:-1]), (), c[-1])

    def event_map(self, meta: Meta, c: Children) -> ast.EventField:
        return ast.EventField(_span(meta), *c)

    def state(self, meta: Meta, c: Children) -> ast.StateDecl:
        name, params, type_, init, prose, drift, tail = c
        return ast.StateDecl(_span(meta), name, params or (), type_, init, prose, drift, tail)

    def init_value(self, meta: Meta, c: Children) -> ast.Init:
        return ast.Init(_span(meta), "value", c[0])

    def init_given(self, meta: Meta, c: Children) -> ast.Init:
        return ast.Init(_span(meta), "given", c[0])

    def init_any(self, meta: Meta, c: Children) -> ast.Init:
        return ast.Init(_span(meta), "any", None)

    def may_rise(self, meta: Meta, c: Children) -> ast.Drift:
        return ast.Drift(_span(meta), "rise", c[0])

    def may_change(self, meta: Meta, c: Children) -> ast.Drift:
        return ast.Drift(_span(meta), "change", c[0])

    def predicate(self, meta: Meta, c: Children) -> ast.DefDecl:
        name, params, body, prose, tail = c
        return ast.DefDecl(_span(meta), name, params or (), None, body, prose, tail)

    def function(self, meta: Meta, c: Children) -> ast.DefDecl:
        name, params, result, body, prose, tail = c
        return ast.DefDecl(_span(meta), name, params or (), result, body, prose, tail)

    # ---- what changes ---------------------------------------------------------------------------

    def macro(self, meta: Meta, c: Children) -> ast.MacroDecl:
        return ast.MacroDecl(_span(meta), c[0], c[1] or (), c[2], tuple(c[3:]))

    def assign(self, meta: Meta, c: Children) -> ast.Assign:
        return ast.Assign(_span(meta), *c)

    def call_effect(self, meta: Meta, c: Children) -> ast.CallEffect:
        return ast.CallEffect(_span(meta), c[0], c[1] or ())

    def if_(self, meta: Meta, c: Children) -> ast.If:
        return ast.If(_span(meta), *c)

    def else_(self, meta: Meta, c: Children) -> tuple[ast.Statement, ...]:
        return c[0]  # type: ignore[no-any-return]

    def block(self, meta: Meta, c: Children) -> tuple[ast.Statement, ...]:
        return tuple(c)

    def match(self, meta: Meta, c: Children) -> ast.Match:
        return ast.Match(_span(meta), c[0], tuple(c[1:]))

    def arm(self, meta: Meta, c: Children) -> ast.Arm:
        return ast.Arm(_span(meta), *c)

    def for_all(self, meta: Meta, c: Children) -> ast.ForAll:
        return ast.ForAll(_span(meta), *c)

    def clause(self, meta: Meta, c: Children) -> ast.ClauseBlock:
        return ast.ClauseBlock(_span(meta), *c)

    def ensure(self, meta: Meta, c: Children) -> ast.Ensure:
        return ast.Ensure(_span(meta), *c)

    def place(self, meta: Meta, c: Children) -> ast.Place:
        return ast.Place(_span(meta), _join(c[:-1]), c[-1] or ())

    # ---- hypercalls -----------------------------------------------------------------------------

    def every(self, meta: Meta, c: Children) -> ast.EveryDecl:
        return ast.EveryDecl(_span(meta), c[0], c[1], tuple(c[2:]))

    def hypercall(self, meta: Meta, c: Children) -> ast.HypercallDecl:
        name, number, params, prose, tail, body = c
        return ast.HypercallDecl(
            _span(meta), name, _int(number), str(number), params or (), prose, tail, body
        )

    def call_body(self, meta: Meta, c: Children) -> tuple[ast.CallItem, ...]:
        return tuple(c)

    def operation(self, meta: Meta, c: Children) -> ast.OperationDecl:
        name, hypercall, command, struct, prose, tail = c[:6]
        number = None if command is None else _int(command)
        text = None if command is None else str(command)
        return ast.OperationDecl(
            _span(meta), name, hypercall, number, text, struct, prose, tail, tuple(c[6:])
        )

    def in_fields(self, meta: Meta, c: Children) -> ast.InFields:
        return ast.InFields(_span(meta), c[0])

    def out_fields(self, meta: Meta, c: Children) -> ast.OutFields:
        return ast.OutFields(_span(meta), c[0])

    def let(self, meta: Meta, c: Children) -> ast.Let:
        return ast.Let(_span(meta), c[0], "value", None, c[1])

    def let_struct(self, meta: Meta, c: Children) -> ast.Let:
        return ast.Let(_span(meta), c[0], "struct", c[1], c[2])

    def let_array(self, meta: Meta, c: Children) -> ast.Let:
        return ast.Let(_span(meta), c[0], "array", c[1], c[2])

    def error(self, meta: Meta, c: Children) -> ast.ErrorClause:
        errno, name, prose = c[:3]
        gates = tuple(x for x in c[3:] if isinstance(x, ast.Gate))
        cites = tuple(x for x in c[3:] if isinstance(x, ast.Cite))
        after = any(isinstance(x, Token) for x in c[3:])
        test = next(x for x in c[3:] if isinstance(x, tuple))[0]
        return ast.ErrorClause(_span(meta), errno, name, prose, gates, after, test, cites)

    def when(self, meta: Meta, c: Children) -> tuple[ast.Expr | None]:
        return (c[0],)

    def maybe(self, meta: Meta, c: Children) -> tuple[ast.Expr | None]:
        return (None,)

    def in_order(self, meta: Meta, c: Children) -> ast.InOrder:
        return ast.InOrder(_span(meta), tuple(c))

    def always(self, meta: Meta, c: Children) -> ast.Always:
        return ast.Always(_span(meta), *c)

    def disturbs(self, meta: Meta, c: Children) -> ast.Disturbs:
        return ast.Disturbs(_span(meta), c[0])

    def success(self, meta: Meta, c: Children) -> ast.Success:
        chooses = tuple(x for x in c[2:] if isinstance(x, ast.Choose))
        return ast.Success(_span(meta), c[0], c[1], chooses, c[-2], c[-1])

    def choose(self, meta: Meta, c: Children) -> ast.Choose:
        return ast.Choose(_span(meta), c[0] is not None, *c[1:])

    def returns(self, meta: Meta, c: Children) -> ast.Returns:
        return ast.Returns(_span(meta), c[0])

    def returns_any(self, meta: Meta, c: Children) -> ast.Returns:
        return ast.Returns(_span(meta), None)

    # ---- what is observed, what always holds ----------------------------------------------------

    def on(self, meta: Meta, c: Children) -> ast.OnDecl:
        return ast.OnDecl(_span(meta), c[0], c[1], c[2], c[3], c[4], tuple(c[5:]))

    def require(self, meta: Meta, c: Children) -> ast.Require:
        return ast.Require(_span(meta), *c)

    def undefined(self, meta: Meta, c: Children) -> ast.Undefined:
        fields = tuple(x for x in c if isinstance(x, ast.Name))
        prose = next((x for x in c if isinstance(x, str)), None)
        cites = tuple(x for x in c if isinstance(x, ast.Cite))
        return ast.Undefined(_span(meta), fields, prose, cites)

    def field_name(self, meta: Meta, c: Children) -> ast.Name:
        return _join(c)

    def invariant(self, meta: Meta, c: Children) -> ast.InvariantDecl:
        using = tuple(x for x in c[4:] if x is not None)
        return ast.InvariantDecl(_span(meta), c[0], c[1], c[2], c[3], using)

    def obligation(self, meta: Meta, c: Children) -> ast.ObligationDecl:
        name, params, *rest = c
        return ast.ObligationDecl(_span(meta), name, params or (), *rest)

    def moment(self, meta: Meta, c: Children) -> ast.Moment:
        return ast.Moment(_span(meta), *c)

    # ---- examples -------------------------------------------------------------------------------

    def example(self, meta: Meta, c: Children) -> ast.ExampleDecl:
        prose, version, mode = c[:3]
        return ast.ExampleDecl(_span(meta), prose, None, str(version), mode, tuple(c[3:]))

    def counterexample(self, meta: Meta, c: Children) -> ast.ExampleDecl:
        prose, clause, version, mode = c[:4]
        return ast.ExampleDecl(_span(meta), prose, clause, str(version), mode, tuple(c[4:]))

    def step_given(self, meta: Meta, c: Children) -> ast.StepGiven:
        return ast.StepGiven(_span(meta), *c)

    def step_event(self, meta: Meta, c: Children) -> ast.StepEvent:
        name, fields, outcome, outs = c
        return ast.StepEvent(_span(meta), name, fields or (), outcome, outs or ())

    def seen(self, meta: Meta, c: Children) -> ast.Expr:
        return c[0]  # type: ignore[no-any-return]

    def unseen(self, meta: Meta, c: Children) -> str:
        return "unseen"

    def binds(self, meta: Meta, c: Children) -> tuple[ast.Bind, ...]:
        return tuple(c)

    def bind(self, meta: Meta, c: Children) -> ast.Bind:
        return ast.Bind(_span(meta), c[0], c[1] or (), c[2])

    # ---- expressions ----------------------------------------------------------------------------

    def forall(self, meta: Meta, c: Children) -> ast.Quantified:
        return ast.Quantified(_span(meta), "forall", c[0], c[1])

    def exists(self, meta: Meta, c: Children) -> ast.Quantified:
        return ast.Quantified(_span(meta), "exists", c[0], c[1])

    def not_exists(self, meta: Meta, c: Children) -> ast.Unary:
        return ast.Unary(_span(meta), "not", ast.Quantified(_span(meta), "exists", c[0], c[1]))

    def ite(self, meta: Meta, c: Children) -> ast.Conditional:
        return ast.Conditional(_span(meta), *c)

    implies = _binary("=>")
    or_ = _binary("or")
    and_ = _binary("and")
    eq = _binary("==")
    ne = _binary("!=")
    lt = _binary("<")
    le = _binary("<=")
    gt = _binary(">")
    ge = _binary(">=")
    bor = _binary("|")
    bxor = _binary("^")
    band = _binary("&")
    shl = _binary("<<")
    shr = _binary(">>")
    add = _binary("+")
    sub = _binary("-")
    mul = _binary("*")

    def not_(self, meta: Meta, c: Children) -> ast.Unary:
        return ast.Unary(_span(meta), "not", c[0])

    def bnot(self, meta: Meta, c: Children) -> ast.Unary:
        return ast.Unary(_span(meta), "~", c[0])

    def neg(self, meta: Meta, c: Children) -> ast.Unary:
        return ast.Unary(_span(meta), "-", c[0])

    def is_(self, meta: Meta, c: Children) -> ast.Is:
        return ast.Is(_span(meta), c[0], c[1])

    def among(self, meta: Meta, c: Children) -> ast.Among:
        return ast.Among(_span(meta), c[0], c[1])

    def member_of(self, meta: Meta, c: Children) -> ast.Member:
        return ast.Member(_span(meta), c[0], c[1])

    def index(self, meta: Meta, c: Children) -> ast.Index:
        return ast.Index(_span(meta), c[0], c[1])

    def call(self, meta: Meta, c: Children) -> ast.Call:
        return ast.Call(_span(meta), c[0], c[1] or ())

    def name(self, meta: Meta, c: Children) -> ast.Ref:
        return ast.Ref(c[0].span, c[0].text)

    def number(self, meta: Meta, c: Children) -> ast.Number:
        return ast.Number(_span(meta), _int(c[0]), str(c[0]))

    def true(self, meta: Meta, c: Children) -> ast.Truth:
        return ast.Truth(_span(meta), True)

    def false(self, meta: Meta, c: Children) -> ast.Truth:
        return ast.Truth(_span(meta), False)

    def paren(self, meta: Meta, c: Children) -> ast.Paren:
        return ast.Paren(_span(meta), c[0])

    def since_expr(self, meta: Meta, c: Children) -> ast.Since:
        return ast.Since(_span(meta), str(c[0]))

    def mode_expr(self, meta: Meta, c: Children) -> ast.ModeIs:
        return ast.ModeIs(_span(meta), c[0])

    def args(self, meta: Meta, c: Children) -> tuple[ast.Expr, ...]:
        return tuple(c)

    def variant_pattern(self, meta: Meta, c: Children) -> ast.VariantPattern:
        return ast.VariantPattern(_span(meta), c[0], tuple(x for x in c[1:] if x is not None))

    def binder(self, meta: Meta, c: Children) -> ast.Name:
        return c[0]  # type: ignore[no-any-return]

    def bits_pattern(self, meta: Meta, c: Children) -> ast.BitsPattern:
        return ast.BitsPattern(_span(meta), tuple(c))

    def bit_is(self, meta: Meta, c: Children) -> ast.BitRule:
        return ast.BitRule(_span(meta), c[0], c[1])

    def bit_undefined(self, meta: Meta, c: Children) -> ast.BitRule:
        return ast.BitRule(_span(meta), c[0], None)

    def others_are(self, meta: Meta, c: Children) -> ast.BitRule:
        value = ast.Number(_name(c[0]).span, _int(c[0]), str(c[0]))
        return ast.BitRule(_span(meta), None, value)

    def others_undefined(self, meta: Meta, c: Children) -> ast.BitRule:
        return ast.BitRule(_span(meta), None, None)


class _Import:
    """Carries an import line past the items of its module."""

    def __init__(self, names: tuple[ast.Name, ...]) -> None:
        self.names = names
