"""How expressions are laid out: broken where they bind loosest, the operator leading its line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from pvhspec.syntax import ast
from pvhspec.syntax.layout import LINE, SOFT, Align, Doc, Group, Nest, cat, fill

__all__ = ["args_doc", "braced", "expr_doc", "params_doc", "pattern_doc"]

# Operators that are read as one chain, loosest first.
_CHAINS = (("=>",), ("or",), ("and",), ("|",), ("^",), ("&",), ("<<", ">>"), ("+", "-"), ("*",))


def expr_doc(e: ast.Expr) -> Doc:
    """An expression; its continuation lines begin at the indentation where it stands."""
    match e:
        case ast.Number(text=text):
            return text
        case ast.Truth(value=value):
            return "true" if value else "false"
        case ast.Ref(name=name):
            return name
        case ast.Member(value=value, name=name):
            return cat(expr_doc(value), ".", name.text)
        case ast.Index(value=value, args=args):
            return cat(expr_doc(value), args_doc("[", args, "]"))
        case ast.Call(name=name, args=args):
            return cat(name.text, args_doc("(", args, ")"))
        case ast.Unary(op=op, value=value):
            return cat("not " if op == "not" else op, expr_doc(value))
        case ast.Binary():
            return _binary(e)
        case ast.Paren(value=value):
            return cat("(", Align(expr_doc(value)), ")")
        case ast.Conditional():
            return _conditional(e)
        case ast.Quantified(kind=kind, params=params, body=body):
            bound = Align(params_doc(params))
            return Group(cat(f"{kind} ", bound, " |", Nest(cat(LINE, expr_doc(body)))))
        case ast.Among(value=value, members=members):
            return cat(expr_doc(value), " among ", braced(map(expr_doc, members)))
        case ast.Since(version=version):
            return f"since {version}"
        case ast.ModeIs(mode=mode):
            return f"mode is {mode.text}"
        case ast.Is(value=value, pattern=pattern):
            return cat(expr_doc(value), " is ", pattern_doc(pattern))
        case _:
            assert_never(e)


def _binary(e: ast.Binary) -> Doc:
    chain = next((ops for ops in _CHAINS if e.op in ops), None)
    if chain is None:  # a comparison
        return Group(cat(expr_doc(e.left), Nest(cat(LINE, f"{e.op} ", expr_doc(e.right)))))
    rest: list[tuple[str, ast.Expr]] = []
    first: ast.Expr = e
    if e.op == "=>":  # binds to the right
        first, last = e.left, e.right
        while isinstance(last, ast.Binary) and last.op == "=>":
            rest.append(("=>", last.left))
            last = last.right
        rest.append(("=>", last))
    else:
        while isinstance(first, ast.Binary) and first.op in chain:
            rest.insert(0, (first.op, first.right))
            first = first.left
    tail = [cat(LINE, f"{op} ", Nest(expr_doc(operand))) for op, operand in rest]
    return Group(cat(Nest(expr_doc(first)), *tail))


def _conditional(e: ast.Conditional) -> Doc:
    parts: list[Doc] = ["if "]
    while True:
        yes = Group(Nest(cat(LINE, "then ", Nest(expr_doc(e.yes)))))
        parts += [Nest(expr_doc(e.test)), yes, LINE, "else "]
        if not isinstance(e.no, ast.Conditional):
            break
        parts.append("if ")
        e = e.no
    return Group(cat(*parts, Nest(expr_doc(e.no))))


def args_doc(left: str, args: Sequence[ast.Expr], right: str) -> Doc:
    """Arguments between brackets."""
    return Group(cat(left, Nest(cat(SOFT, fill(map(expr_doc, args)))), SOFT, right))


def braced(docs: Iterable[Doc]) -> Doc:
    """`{ a, b }`."""
    return Group(cat("{", Nest(cat(LINE, fill(docs))), LINE, "}"))


def params_doc(params: Sequence[ast.Param]) -> Doc:
    """`a : T, b : U`."""
    return fill(f"{p.name.text} : {p.type.text}" for p in params)


def pattern_doc(pattern: ast.Pattern) -> Doc:
    """What stands after `is`, or before the arrow of an arm."""
    match pattern:
        case ast.VariantPattern(name=name, binders=binders):
            inner = ", ".join(b.text for b in binders)
            return f"{name.text}({inner})" if binders else name.text
        case ast.BitsPattern(rules=rules):
            return braced(map(_rule, rules))
        case _:
            assert_never(pattern)


def _rule(rule: ast.BitRule) -> Doc:
    name = rule.field.text if rule.field else "others"
    return f"{name} undefined" if rule.value is None else cat(f"{name} = ", expr_doc(rule.value))
