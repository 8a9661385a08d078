"""Lark's parse tree to our syntax tree: names and expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lark import Token, Transformer, v_args
from lark.tree import Meta

from pvhspec.syntax import ast
from pvhspec.syntax.ast import Span

__all__ = ["Children", "ExpressionBuilder", "dotted_name", "integer", "span_of", "string"]

Children = list[Any]


def span_of(meta: Meta) -> Span:
    """Where a rule's text stands; zeros where it has none."""
    if getattr(meta, "empty", True):
        return Span(0, 0, 0, 0)
    return Span(meta.line, meta.column, meta.end_line, meta.end_column)


def _name(token: Token) -> ast.Name:
    line, column = token.line or 0, token.column or 0
    return ast.Name(Span(line, column, token.end_line or 0, token.end_column or 0), str(token))


def dotted_name(names: list[ast.Name]) -> ast.Name:
    """`a`, `b` as `a.b`."""
    first, last = names[0].span, names[-1].span
    span = Span(first.line, first.column, last.end_line, last.end_column)
    return ast.Name(span, ".".join(n.text for n in names))


def integer(token: Token) -> int:
    """The value of a number as written."""
    return int(str(token).replace("_", ""), 0)


def string(token: Token | None) -> str | None:
    """What stands between the quotes."""
    return None if token is None else str(token)[1:-1]


def _binary(op: str) -> Callable[[ExpressionBuilder, Meta, Children], ast.Binary]:
    def build(_self: ExpressionBuilder, meta: Meta, c: Children) -> ast.Binary:
        return ast.Binary(span_of(meta), op, c[0], c[1])

    return build


@v_args(meta=True)
class ExpressionBuilder(Transformer[Token, Any]):
    """One method for each rule of an expression."""

    def NAME(self, token: Token) -> ast.Name:
        return _name(token)

    HYPERCALL = NAME

    def MODULE(self, token: Token) -> ast.Name:
        return _name(token)

    def forall(self, meta: Meta, c: Children) -> ast.Quantified:
        return ast.Quantified(span_of(meta), "forall", c[0], c[1])

    def exists(self, meta: Meta, c: Children) -> ast.Quantified:
        return ast.Quantified(span_of(meta), "exists", c[0], c[1])

    def not_exists(self, meta: Meta, c: Children) -> ast.Unary:
        return ast.Unary(span_of(meta), "not", ast.Quantified(span_of(meta), "exists", c[0], c[1]))

    def ite(self, meta: Meta, c: Children) -> ast.Conditional:
        return ast.Conditional(span_of(meta), *c)

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
        return ast.Unary(span_of(meta), "not", c[0])

    def bnot(self, meta: Meta, c: Children) -> ast.Unary:
        return ast.Unary(span_of(meta), "~", c[0])

    def neg(self, meta: Meta, c: Children) -> ast.Unary:
        return ast.Unary(span_of(meta), "-", c[0])

    def is_(self, meta: Meta, c: Children) -> ast.Is:
        return ast.Is(span_of(meta), c[0], c[1])

    def among(self, meta: Meta, c: Children) -> ast.Among:
        return ast.Among(span_of(meta), c[0], c[1])

    def member_of(self, meta: Meta, c: Children) -> ast.Member:
        return ast.Member(span_of(meta), c[0], c[1])

    def index(self, meta: Meta, c: Children) -> ast.Index:
        return ast.Index(span_of(meta), c[0], c[1])

    def call(self, meta: Meta, c: Children) -> ast.Call:
        return ast.Call(span_of(meta), c[0], c[1] or ())

    def name(self, meta: Meta, c: Children) -> ast.Ref:
        return ast.Ref(c[0].span, c[0].text)

    def number(self, meta: Meta, c: Children) -> ast.Number:
        return ast.Number(span_of(meta), integer(c[0]), str(c[0]))

    def true(self, meta: Meta, c: Children) -> ast.Truth:
        return ast.Truth(span_of(meta), True)

    def false(self, meta: Meta, c: Children) -> ast.Truth:
        return ast.Truth(span_of(meta), False)

    def paren(self, meta: Meta, c: Children) -> ast.Paren:
        return ast.Paren(span_of(meta), c[0])

    def since_expr(self, meta: Meta, c: Children) -> ast.Since:
        return ast.Since(span_of(meta), str(c[0]))

    def mode_expr(self, meta: Meta, c: Children) -> ast.ModeIs:
        return ast.ModeIs(span_of(meta), c[0])

    def args(self, meta: Meta, c: Children) -> tuple[ast.Expr, ...]:
        return tuple(c)

    def variant_pattern(self, meta: Meta, c: Children) -> ast.VariantPattern:
        return ast.VariantPattern(span_of(meta), c[0], tuple(x for x in c[1:] if x is not None))

    def binder(self, meta: Meta, c: Children) -> ast.Name:
        return c[0]  # type: ignore[no-any-return]

    def bits_pattern(self, meta: Meta, c: Children) -> ast.BitsPattern:
        return ast.BitsPattern(span_of(meta), tuple(c))

    def bit_is(self, meta: Meta, c: Children) -> ast.BitRule:
        return ast.BitRule(span_of(meta), c[0], c[1])

    def bit_undefined(self, meta: Meta, c: Children) -> ast.BitRule:
        return ast.BitRule(span_of(meta), c[0], None)

    def others_are(self, meta: Meta, c: Children) -> ast.BitRule:
        value = ast.Number(_name(c[0]).span, integer(c[0]), str(c[0]))
        return ast.BitRule(span_of(meta), None, value)

    def others_undefined(self, meta: Meta, c: Children) -> ast.BitRule:
        return ast.BitRule(span_of(meta), None, None)
