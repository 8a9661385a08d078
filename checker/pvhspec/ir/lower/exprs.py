"""Expressions: from text to IR, checking types on the way."""

from __future__ import annotations

from typing import assert_never

from pvhspec.diagnostics import code
from pvhspec.ir import build
from pvhspec.ir.ir import Cell, Const, Expr, Input, Load, Make, MapInput, Op, Quant
from pvhspec.ir.lower.env import ArrayView, Binding, Env, MapField, StructView
from pvhspec.ir.lower.literals import ARITHMETIC, MISMATCH, SHIFTS, is_literal, literal
from pvhspec.ir.lower.patterns import pattern
from pvhspec.ir.lower.remedies import a_type, convertible, use
from pvhspec.names.gates import Gate
from pvhspec.names.report import Stop, closest
from pvhspec.names.symbols import Symbol
from pvhspec.syntax import ast
from pvhspec.types.declare import StructField
from pvhspec.types.types import BOOL, BitsType, EnumType, Type, compatible, is_finite, shown

__all__ = ["expression", "facts", "struct_address", "truth"]

NOT_BOOL = code("PVH311", "A truth value is needed here.")
NOT_BITS = code("PVH312", "A number is needed here.")
NOT_A_VALUE = code("PVH315", "The name does not stand for a value here.")
WRONG_COUNT = code("PVH316", "The number of arguments or indices is wrong.")
NO_FIELD = code("PVH317", "The value has no field of this name.")
INFINITE = code("PVH318", "A quantifier ranges over a type without a bound.")
RECURSIVE = code("PVH319", "A definition uses itself.")

_ORDER = {"<": ("ult", False), "<=": ("ule", False), ">": ("ult", True), ">=": ("ule", True)}


def truth(node: ast.Expr, env: Env) -> Expr:
    """An expression that must be a truth value."""
    return facts(node, env)[0]


def facts(node: ast.Expr, env: Env) -> tuple[Expr, Env]:
    """A truth value, and what its patterns bind where it holds."""
    match node:
        case ast.Paren(value=inner):
            return facts(inner, env)
        case ast.Binary(op="and", left=left, right=right):
            a, env = facts(left, env)
            b, env = facts(right, env)
            return build.all_of((a, b)), env
        case ast.Is(value=value, pattern=shape):
            test, new = pattern(expression(value, env), shape, env)
            return test, env.bind(new)
        case ast.Binary(op="=>", left=left, right=right):
            a, inner_env = facts(left, env)
            return build.implies(a, truth(right, inner_env)), env
        case ast.Binary(op="or", left=left, right=right):
            return build.any_of((truth(left, env), truth(right, env))), env
        case _:
            found = expression(node, env, BOOL)
            if found.type != BOOL:
                why = f"a truth value is needed here, this is {shown(found.type)}"
                remedy = "compare it: … != 0"
                if isinstance(found.type, EnumType):
                    remedy = f"ask for a variant: … is {found.type.variants[0].name}"
                raise env.scope.stop(NOT_BOOL, node.span, why, remedy)
            return found, env


def expression(node: ast.Expr, env: Env, want: Type | None = None) -> Expr:
    """Any expression. `want` is the type its place asks for: it gives literals their width."""
    scope = env.scope
    match node:
        case ast.Number(value=value):
            return literal(node, value, env, want)
        case ast.Truth(value=value):
            return build.TRUE if value else build.FALSE
        case ast.Paren(value=inner):
            return expression(inner, env, want)
        case ast.Ref(name=name):
            return _value(_binding(ast.Name(node.span, name), env), node, env)
        case ast.Member():
            return _member(node, env)
        case ast.Index():
            return _index(node, env)
        case ast.Call():
            return _call(node, env, want)
        case ast.Unary(op="not", value=value):
            return build.negate(truth(value, env))
        case ast.Unary(op=op, value=value):
            a = _number(value, env, want)
            kind = _bits_of(a, node, env)
            if op == "~":
                return Op("bvnot", (a,), kind)
            return build.bits("sub", build.number(kind, 0), a, kind)
        case ast.Binary(op="and" | "or" | "=>") | ast.Is():
            return truth(node, env)
        case ast.Binary():
            return _binary(node, env, want)
        case ast.Among(value=value, members=members):
            a = expression(value, env)
            same = [build.eq(a, fit(m, env, a.type)) for m in members]
            return build.any_of(same)
        case ast.Conditional(test=test, yes=yes, no=no):
            condition, then = facts(test, env)
            if is_literal(yes):
                b = expression(no, env, want)
                return build.ite(condition, fit(yes, then, b.type), b, b.type)
            a = expression(yes, then, want)
            return build.ite(condition, a, fit(no, env, a.type), a.type)
        case ast.Quantified():
            return _quantified(node, env)
        case ast.Since(version=version):
            return build.gate_test(Gate(since=scope.version(version, node.span)))
        case ast.ModeIs(mode=mode):
            return build.gate_test(Gate(modes=scope.modes((mode.text,), mode.span)))
        case _:
            assert_never(node)


def fit(node: ast.Expr, env: Env, want: Type) -> Expr:
    """An expression that must go with a type."""
    found = expression(node, env, want)
    if not compatible(found.type, want):
        why = f"this is {a_type(found.type)}, and {a_type(want)} is needed"
        raise env.scope.stop(MISMATCH, node.span, why, convertible(found.type, want))
    return found


# ---- names ------------------------------------------------------------------------------------


def _binding(name: ast.Name, env: Env) -> Binding | Symbol:
    if name.text in env.locals:
        return env.locals[name.text]
    return env.scope.lookup(name.text, name.span, tuple(env.locals))


def _value(found: Binding | Symbol, node: ast.Expr, env: Env) -> Expr:
    scope = env.scope
    match found:
        case Symbol():
            return _symbol(found, node, env)
        case StructView() | ArrayView():
            raise scope.stop(NOT_A_VALUE, node.span, "a structure is not a value: name a field")
        case MapField(name=name):
            raise scope.stop(
                NOT_A_VALUE, node.span, f"{name} is a map", f"give an index: {name}[…]"
            )
        case _:
            return found


def _symbol(symbol: Symbol, node: ast.Expr, env: Env) -> Expr:
    scope, types = env.scope, env.context.types
    home = env.context.scopes[symbol.module]
    match symbol.decl:
        case ast.EnumDecl(name=name) if symbol.variant is not None:
            kind = types.of(name, home)
            if isinstance(kind, BitsType):
                return build.number(kind, symbol.variant.value or 0)
            if symbol.variant.params:
                parts = ", ".join(p.name.text for p in symbol.variant.params)
                why = f"{symbol.name} carries {parts}"
                remedy = f"write {symbol.name}(…); to ask for the variant alone: … is {symbol.name}"
                raise scope.stop(WRONG_COUNT, node.span, why, remedy)
            assert isinstance(kind, EnumType)
            return Make(kind.index(symbol.name), (), kind)
        case ast.ConstDecl(type=type_, value=value):
            return _inline(symbol.name, node, env, lambda: fit(
                value, env.inside(home, {}), types.of(type_, home)))  # fmt: skip
        case ast.ContextDecl(type=type_):
            return Input(symbol.name, types.of(type_, home))
        case ast.StateDecl(params=params, type=type_) if not params:
            return Cell(symbol.name, (), types.of(type_, home))
        case ast.StateDecl():
            why = f"{symbol.name} is a map: say which cell"
            remedy = f"write {symbol.name}[{', '.join(p.name.text for p in params)}]"
            raise scope.stop(NOT_A_VALUE, node.span, why, remedy)
        case _:
            why = f"{symbol.name} does not stand for a value here"
            raise scope.stop(NOT_A_VALUE, node.span, why, use(symbol))


def _inline(name: str, node: ast.Expr, env: Env, body: object) -> Expr:
    """Writes out a definition, watching that none uses itself."""
    stack = env.context.inlining
    if name in stack:
        raise env.scope.stop(RECURSIVE, node.span, f"{name} uses itself")
    stack.append(name)
    try:
        return body()  # type: ignore[operator, no-any-return]
    finally:
        stack.pop()


def _dotted(node: ast.Expr) -> str | None:
    """`a.b.c` written out, if that is all there is."""
    match node:
        case ast.Ref(name=name):
            return name
        case ast.Member(value=value, name=name):
            before = _dotted(value)
            return None if before is None else f"{before}.{name.text}"
    return None


def _member(node: ast.Member, env: Env) -> Expr:
    whole = _dotted(node)
    if whole is not None and whole in env.locals:
        return _value(env.locals[whole], node, env)
    view = _view(node.value, env)
    if isinstance(view, StructView):
        return _load(view, node.name, env)
    value = expression(node.value, env)
    kind = value.type
    if isinstance(kind, BitsType):
        for name, high, low in kind.fields:
            if name == node.name.text:
                return bit_field(value, high, low)
    known = [f[0] for f in kind.fields] if isinstance(kind, BitsType) else []
    why = f"{shown(kind)} has no field {node.name.text}"
    raise env.scope.stop(NO_FIELD, node.name.span, why, closest(node.name.text, known))


def bit_field(value: Expr, high: int, low: int) -> Expr:
    """Named bits of a value: a truth value if it is one bit, else a number."""
    cut = Op("extract", (value,), BitsType(high - low + 1), (high, low))
    if high > low:
        return cut
    return build.eq(cut, build.number(BitsType(1), 1))


def _view(node: ast.Expr, env: Env) -> StructView | None:
    """A structure in memory, if the node names one."""
    match node:
        case ast.Ref(name=name) if isinstance(env.locals.get(name), StructView):
            return env.locals[name]  # type: ignore[return-value]
        case ast.Index(value=ast.Ref(name=name), args=(arg,)):
            array = env.locals.get(name)
            if isinstance(array, ArrayView):
                index = build.resize(_number(arg, env, BitsType(32)), BitsType(64))
                size = build.number(BitsType(64), array.struct.size[0])
                step = build.bits("mul", index, size, BitsType(64))
                address = build.bits("add", array.address, step, BitsType(64))
                return StructView(array.struct, address, array.scope)
    return None


def struct_address(view: StructView, field: StructField) -> Expr:
    """The address of a field."""
    offset = build.number(BitsType(64), field.offset[0])
    return build.bits("add", view.address, offset, BitsType(64))


def _load(view: StructView, name: ast.Name, env: Env) -> Expr:
    field = view.struct.field(name.text)
    if field is None:
        known = [f.name for f in view.struct.fields]
        why = f"{view.struct.name} has no field {name.text}"
        raise env.scope.stop(NO_FIELD, name.span, why, closest(name.text, known))
    own = {f.name: _raw(view, f) for f in view.struct.fields if f.name != field.name}
    inside = env.inside(view.scope, own)
    for test in field.when:
        env.absent.append(build.negate(truth(test, inside)))
    gate = view.scope.gate(field.gates)
    if not gate.always:
        env.absent.append(build.negate(build.gate_test(gate)))
    return _raw(view, field)


def _raw(view: StructView, field: StructField) -> Expr:
    return Load(struct_address(view, field), field.size[0] // field.count, field.type)


# ---- maps and calls ---------------------------------------------------------------------------


def indices(
    what: str, nodes: tuple[ast.Expr, ...], kinds: tuple[Type, ...], node: ast.Expr, env: Env
) -> tuple[Expr, ...]:
    """The indices of a map, or the arguments of a definition."""
    if len(nodes) != len(kinds):
        why = (
            f"{what} takes {len(kinds)}, and here {'is' if len(nodes) == 1 else 'are'} {len(nodes)}"
        )
        remedy = f"in this order: {', '.join(map(shown, kinds))}" if kinds else None
        raise env.scope.stop(WRONG_COUNT, node.span, why, remedy)
    return tuple(fit(n, env, k) for n, k in zip(nodes, kinds, strict=True))


def _index(node: ast.Index, env: Env) -> Expr:
    whole = _dotted(node.value)
    if whole is None or (whole not in env.locals and not isinstance(node.value, ast.Ref)):
        raise env.scope.stop(NOT_A_VALUE, node.value.span, "only a map has an index")
    name = ast.Name(node.value.span, whole)
    found = _binding(name, env)
    if isinstance(found, MapField):
        args = indices(name.text, node.args, found.indices, node, env)
        return MapInput(found.name, args, found.type)
    if isinstance(found, Symbol) and isinstance(found.decl, ast.StateDecl):
        return cell(found, node.args, node, env)
    remedy = use(found) if isinstance(found, Symbol) else None
    raise env.scope.stop(NOT_A_VALUE, node.value.span, f"{name.text} is not a map", remedy)


def cell(symbol: Symbol, args: tuple[ast.Expr, ...], node: ast.Expr, env: Env) -> Cell:
    """A cell of a state."""
    decl = symbol.decl
    assert isinstance(decl, ast.StateDecl)
    home, types = env.context.scopes[symbol.module], env.context.types
    kinds = tuple(types.of(p.type, home) for p in decl.params)
    found = indices(symbol.name, args, kinds, node, env)
    return Cell(symbol.name, found, types.of(decl.type, home))


def _call(node: ast.Call, env: Env, want: Type | None) -> Expr:
    name, types = node.name, env.context.types
    if name.text in ("u8", "u16", "u32", "u64"):
        return _convert(node, types.bits(name, env.scope), env)
    symbol = env.scope.lookup(name.text, name.span, tuple(env.locals))
    home = env.context.scopes[symbol.module]
    match symbol.decl:
        case ast.DefDecl(params=params, result=result, body=body):
            kinds = tuple(types.of(p.type, home) for p in params)
            args = indices(name.text, node.args, kinds, node, env)
            inner = env.inside(home, {p.name.text: a for p, a in zip(params, args, strict=True)})
            if result is None:
                return _inline(name.text, node, env, lambda: truth(body, inner))
            kind = types.of(result, home)
            return _inline(name.text, node, env, lambda: fit(body, inner, kind))
        case ast.EnumDecl(name=of) if symbol.variant is not None:
            kind = types.of(of, home)
            if isinstance(kind, EnumType):
                number = kind.index(name.text)
                kinds = tuple(t for _, t in kind.variants[number].payload)
                return Make(number, indices(name.text, node.args, kinds, node, env), kind)
        case ast.TypeDecl() | ast.BitsDecl() | ast.EnumDecl():
            return _convert(node, types.bits(name, env.scope), env)
    why = f"{name.text} is not a predicate, a function or a variant"
    raise env.scope.stop(NOT_A_VALUE, name.span, why, use(symbol))


def _convert(node: ast.Call, to: BitsType, env: Env) -> Expr:
    if len(node.args) != 1:
        raise env.scope.stop(WRONG_COUNT, node.span, "a conversion takes one value")
    value = expression(node.args[0], env, to)
    if value.type == BOOL:
        return build.ite(value, build.number(to, 1), build.number(to, 0), to)
    _bits_of(value, node.args[0], env)
    return build.resize(value, to)


# ---- operators --------------------------------------------------------------------------------


def _bits_of(value: Expr, node: ast.Expr, env: Env) -> BitsType:
    if not isinstance(value.type, BitsType):
        why = f"a number is needed here, this is {a_type(value.type)}"
        raise env.scope.stop(NOT_BITS, node.span, why)
    return value.type


def _number(node: ast.Expr, env: Env, want: Type | None) -> Expr:
    value = expression(node, env, want)
    _bits_of(value, node, env)
    return value


def _pair(node: ast.Binary, env: Env, want: Type | None) -> tuple[Expr, Expr]:
    """Both sides under one type; a literal takes that of the other side."""
    if is_literal(node.left) and not is_literal(node.right):
        b = expression(node.right, env, want)
        return fit(node.left, env, b.type), b
    a = expression(node.left, env, want)
    b = expression(node.right, env, a.type)
    if not compatible(a.type, b.type):
        why = f"the left side is {a_type(a.type)}, the right side is {a_type(b.type)}"
        raise env.scope.stop(MISMATCH, node.span, why, convertible(b.type, a.type))
    return a, b


def _binary(node: ast.Binary, env: Env, want: Type | None) -> Expr:
    op = node.op
    if op in ("==", "!="):
        a, b = _pair(node, env, None)
        same = build.eq(a, b)
        return same if op == "==" else build.negate(same)
    if op in _ORDER:
        a, b = _pair(node, env, None)
        _bits_of(a, node.left, env)
        name, swapped = _ORDER[op]
        return Op(name, (b, a) if swapped else (a, b), BOOL)
    if op in SHIFTS:
        a = _number(node.left, env, want)
        kind = _bits_of(a, node.left, env)
        by = build.resize(_number(node.right, env, BitsType(kind.width)), BitsType(kind.width))
        return build.bits(SHIFTS[op], a, by, kind)
    a, b = _pair(node, env, want)
    left, right = _bits_of(a, node.left, env), _bits_of(b, node.right, env)
    return build.bits(ARITHMETIC[op], a, b, left if left.name else right)


def _quantified(node: ast.Quantified, env: Env) -> Expr:
    new: dict[str, Binding] = {}
    variables = []
    for p in node.params:
        kind = env.context.types.of(p.type, env.scope)
        if not is_finite(kind):
            why = f"{shown(kind)} has no bound"
            raise env.scope.stop(
                INFINITE, p.type.span, why, "quantify over a bounded type: type Name = u32 below …"
            )
        variable = env.context.variable(p.name.text, kind)
        variables.append(variable)
        new[p.name.text] = variable
    body = truth(node.body, env.bind(new))
    if isinstance(body, Const):
        return body
    return Quant(node.kind, tuple(variables), body, BOOL)


_ = Stop  # raised by Scope.stop
