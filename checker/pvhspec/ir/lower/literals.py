"""Literals: numbers that have no width but the one their place asks for."""

from __future__ import annotations

from pvhspec.diagnostics import code
from pvhspec.ir import build
from pvhspec.ir.ir import Const
from pvhspec.ir.lower.env import Env
from pvhspec.ir.lower.remedies import a_type
from pvhspec.syntax import ast
from pvhspec.types.types import BitsType, EnumType, Type, shown

__all__ = ["ARITHMETIC", "MISMATCH", "SHIFTS", "is_literal", "literal"]

MISMATCH = code("PVH310", "Two values of different types are compared, combined or assigned.")
NO_WIDTH = code("PVH313", "Nothing says how wide a literal is.")
TOO_WIDE = code("PVH314", "A literal does not fit its type.")

# Operators that make a number of numbers, and what the IR calls them.
ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "|": "bvor", "&": "bvand", "^": "bvxor"}
SHIFTS = {"<<": "shl", ">>": "lshr"}


def is_literal(node: ast.Expr) -> bool:
    """Whether an expression is of literals alone, so that its place must give it a width."""
    match node:
        case ast.Number():
            return True
        case ast.Paren(value=inner) | ast.Unary(op="~" | "-", value=inner):
            return is_literal(inner)
        case ast.Binary(op=op, left=a, right=b) if op in ARITHMETIC or op in SHIFTS:
            return is_literal(a) and is_literal(b)
    return False


def literal(node: ast.Number, value: int, env: Env, want: Type | None) -> Const:
    """A literal, as wide as its place asks for."""
    if not isinstance(want, BitsType):
        if want is None:
            why, remedy = "nothing says how wide this number is", "convert it: u32(…)"
            raise env.scope.stop(NO_WIDTH, node.span, why, remedy)
        remedy = "write true or false, or compare with 0"
        if isinstance(want, EnumType):
            remedy = f"its values are {', '.join(v.name for v in want.variants)}"
        raise env.scope.stop(MISMATCH, node.span, f"a number is not {a_type(want)}", remedy)
    if value >> want.width:
        why = f"{node.text} does not fit {a_type(want)}"
        remedy = f"{shown(want)} has {want.width} bits: at most {(1 << want.width) - 1:#x}"
        raise env.scope.stop(TOO_WIDE, node.span, why, remedy)
    return build.number(want, value)
