"""`is`: variants with what they carry, and bit patterns with undefined bits."""

from __future__ import annotations

from pvhspec.diagnostics import code
from pvhspec.ir import build
from pvhspec.ir.ir import Expr, Is, Payload
from pvhspec.ir.lower.env import Binding, Env
from pvhspec.names.report import closest
from pvhspec.syntax import ast
from pvhspec.types.declare import fold
from pvhspec.types.types import BOOL, BitsType, EnumType, shown

__all__ = ["pattern"]

NO_VARIANT = code("PVH320", "The enum has no such variant, or it carries another number of values.")
NO_BITS = code("PVH321", "A bits pattern names no field of the type, or one twice.")
SHADOWS = code("PVH322", "A pattern binds a name that already has a meaning.")
OPEN_BITS = code("PVH323", "A bits pattern says nothing of the other bits.")


def pattern(value: Expr, shape: ast.Pattern, env: Env) -> tuple[Expr, dict[str, Binding]]:
    """The test that a value has a shape, and the names the shape binds."""
    match shape:
        case ast.VariantPattern():
            return _variant(value, shape, env)
        case ast.BitsPattern():
            return _bits(value, shape, env), {}


def _variant(value: Expr, shape: ast.VariantPattern, env: Env) -> tuple[Expr, dict[str, Binding]]:
    scope, kind, name = env.scope, value.type, shape.name
    if not isinstance(kind, EnumType):
        why = f"{shown(kind)} has no variants"
        raise scope.stop(NO_VARIANT, shape.span, why, "compare with ==")
    known = [v.name for v in kind.variants]
    if name.text not in known:
        why = f"{kind.name} has no variant {name.text}"
        raise scope.stop(NO_VARIANT, name.span, why, closest(name.text, known))
    number = kind.index(name.text)
    payload = kind.variants[number].payload
    if shape.binders and len(shape.binders) != len(payload):
        why = f"{name.text} carries {len(payload)}, and here are {len(shape.binders)} names"
        raise scope.stop(NO_VARIANT, shape.span, why, "write _ for what does not matter")
    new: dict[str, Binding] = {}
    for i, binder in enumerate(shape.binders):
        if binder.text == "_":
            continue
        if binder.text in env.locals or scope.find(binder.text) is not None:
            why = f"{binder.text} already has a meaning; a pattern binds new names"
            remedy = f"to compare, write == {name.text}(…)"
            scope.error(SHADOWS, binder.span, why, remedy)
        new[binder.text] = Payload(value, number, i, payload[i][1])
    return Is(value, number, BOOL), new


def _bits(value: Expr, shape: ast.BitsPattern, env: Env) -> Expr:
    scope, kind = env.scope, value.type
    if not isinstance(kind, BitsType) or not kind.fields:
        raise scope.stop(
            NO_BITS, shape.span, f"{shown(kind)} has no named bits", "give it a bits type"
        )
    places = {name: (high, low) for name, high, low in kind.fields}
    mask = want = seen = 0
    others: ast.BitRule | None = None
    for rule in shape.rules:
        if rule.field is None:
            others = rule
            continue
        if rule.field.text not in places:
            why = f"{kind.name} has no bits {rule.field.text}"
            raise scope.stop(NO_BITS, rule.field.span, why, closest(rule.field.text, places))
        high, low = places[rule.field.text]
        area = (1 << (high + 1)) - (1 << low)
        if seen & area:
            scope.error(NO_BITS, rule.field.span, f"{rule.field.text} is named twice")
        seen |= area
        if rule.value is not None:
            number = fold(rule.value, scope)
            if number is None or number >> (high - low + 1):
                why = f"{rule.field.text} has {high - low + 1} bits"
                raise scope.stop(NO_BITS, rule.value.span, why)
            mask |= area
            want |= number << low
    rest = ((1 << kind.width) - 1) & ~seen
    if others is None:
        if rest:
            why = "the pattern says nothing of the other bits"
            scope.error(OPEN_BITS, shape.span, why, "add: others = 0, or: others undefined")
    elif others.value is not None:
        mask |= rest
        want |= rest if fold(others.value, scope) else 0
    cut = build.bits("bvand", value, build.number(kind, mask), kind)
    return build.eq(cut, build.number(kind, want))
