"""Examples: short executions with every value written out."""

from __future__ import annotations

from pvhspec.diagnostics import code
from pvhspec.ir import build
from pvhspec.ir.ir import (
    STATUS,
    Clause,
    Const,
    EventKind,
    Example,
    ExampleStep,
    Expr,
    Make,
    Operation,
    Value,
    status_code,
    status_value,
)
from pvhspec.ir.lower.env import Context, Env
from pvhspec.ir.lower.exprs import cell, expression, fit
from pvhspec.names.gates import shown_version
from pvhspec.names.report import Stop, closest
from pvhspec.names.symbols import UNKNOWN_MODE, Scope
from pvhspec.syntax import ast
from pvhspec.types.types import BitsType, Type, shown

__all__ = ["check_example", "lower_example"]

NOT_CONSTANT = code("PVH370", "An example needs a value that is known from the text.")
NO_STEP = code("PVH371", "A step of an example is neither an operation nor an event.")
NO_STEP_FIELD = code("PVH372", "The operation or event has no such field.")

NO_CLAUSE = code("PVH373", "A counterexample names no clause.")
GATED = code("PVH374", "An example calls with success what its release and mode do not have.")

_MASK64 = (1 << 64) - 1


def value_of(expr: Expr, node: ast.Expr, scope: Scope) -> Value:
    """The value of an expression that is known from the text."""
    match expr:
        case Const(value=value):
            return value
        case Make(variant=variant, args=args):
            return (variant, *(value_of(a, node, scope) for a in args))
    raise scope.stop(NOT_CONSTANT, node.span, "this is not a value known from the text")


def lower_example(
    decl: ast.ExampleDecl,
    context: Context,
    scope: Scope,
    operations: dict[str, Operation],
    events: dict[str, EventKind],
) -> Example:
    """One example. Errors are reported; steps that cannot be understood are left out."""
    if decl.mode.text in scope.symbols.groups:
        why = f"{decl.mode.text} is a group of modes"
        members = ", ".join(sorted(scope.symbols.groups[decl.mode.text]))
        scope.error(UNKNOWN_MODE, decl.mode.span, why, f"an example is in one mode: {members}")
    else:
        scope.modes((decl.mode.text,), decl.mode.span)
    env = Env(context, scope, {}, [])
    steps: list[ExampleStep] = []
    for step in decl.steps:
        try:
            match step:
                case ast.StepGiven():
                    steps.append(_given(step, env))
                case ast.StepEvent():
                    steps.append(_event(step, env, operations, events))
        except Stop:
            continue
    version = scope.version(decl.version, decl.span)
    violates = None if decl.violates is None else decl.violates.text
    return Example(
        decl.prose, violates, version, decl.mode.text, tuple(steps), scope.module.path,
        decl.span.line,
    )  # fmt: skip


def check_example(
    decl: ast.ExampleDecl,
    made: Example,
    scope: Scope,
    operations: dict[str, Operation],
    clauses: dict[str, Clause],
) -> None:
    """An example speaks of what there is in its release and mode, or of an error where not."""
    where = f"in {made.mode} on {shown_version(made.version)}"
    for step in decl.steps:
        if isinstance(step, ast.StepEvent) and not isinstance(step.outcome, ast.Ref):
            op = operations.get(step.name.text)
            if op is not None and not op.gate.open(made.version, made.mode):
                why = f"{op.name} is not there {where}"
                scope.error(GATED, step.name.span, why, f"it is there {op.gate}")
    if decl.violates is None:
        return
    if decl.violates.text not in clauses:
        why = f"no clause has the id {decl.violates.text}"
        remedy = closest(decl.violates.text, clauses)
        scope.error(NO_CLAUSE, decl.violates.span, why, remedy)


def _given(step: ast.StepGiven, env: Env) -> ExampleStep:
    place, scope = step.place, env.scope
    symbol = scope.lookup(place.name.text, place.name.span)
    if not isinstance(symbol.decl, ast.StateDecl):
        raise scope.stop(NO_STEP_FIELD, place.span, f"{place.name.text} is not a state")
    target = cell(symbol, place.args, ast.Ref(place.span, place.name.text), env)
    index = tuple(_number(value_of(i, step.value, scope)) for i in target.indices)
    value = value_of(fit(step.value, env, target.type), step.value, scope)
    return ExampleStep("given", ((symbol.name, index, value),), None, (), step.span.line)


def _number(value: Value) -> int:
    return int(value) if isinstance(value, int) else 0


def _event(
    step: ast.StepEvent,
    env: Env,
    operations: dict[str, Operation],
    events: dict[str, EventKind],
) -> ExampleStep:
    name, scope = step.name.text, env.scope
    if name in operations:
        scope.lookup(name, step.name.span)
        op = operations[name]
        kinds: dict[str, tuple[tuple[Type, ...], Type]] = {s.name: ((), s.type) for s in op.slots}
        kinds |= {p.name: ((), p.type) for p in op.params}
        for a in op.arrays:
            kinds |= {f"{a.name}.{f.name}": ((a.index,), f.type) for f in a.fields}
            kinds[f"{a.name}.readable"] = kinds[f"{a.name}.writable"] = ((), build.TRUE.type)
    elif name in events:
        kinds = {f: (index, type_) for f, index, type_ in events[name].fields}
        op = None
    else:
        why = f"{name} is neither an operation nor an event"
        raise scope.stop(NO_STEP, step.name.span, why, closest(name, [*operations, *events]))
    symbols = scope.symbols.by_name.items()
    contexts = [n for n, symbol in symbols if isinstance(symbol.decl, ast.ContextDecl)]
    for context_name in (*contexts, "cpl", "readable", "writable"):
        if context_name not in kinds:
            kinds[context_name] = ((), _context_type(context_name, env))
    values = tuple(_bind(b, kinds, name, env) for b in step.fields)
    outs = tuple(_bind(b, kinds, name, env) for b in step.outs)
    result = _result(step, env, op)
    if op is not None and op.status is not None and result is not None:
        told = status_value(-result, op.status.type.width) if result <= -STATUS else 0
        outs = ((op.status.name, (), told), *outs)
        result = 0 if result <= -STATUS else result
    return ExampleStep(name, values, result, outs, step.span.line)


def _context_type(name: str, env: Env) -> Type:
    if name in ("readable", "writable"):
        return build.TRUE.type
    found = env.scope.symbols.by_name.get(name)
    if found is not None and isinstance(found.decl, ast.ContextDecl):
        home = env.context.scopes[found.module]
        return env.context.types.of(found.decl.type, home)
    return BitsType(8)


def _bind(
    bind: ast.Bind, kinds: dict[str, tuple[tuple[Type, ...], Type]], name: str, env: Env
) -> tuple[str, tuple[int, ...], Value]:
    scope, field = env.scope, bind.field
    if field.text not in kinds:
        why = f"{name} has no field {field.text}"
        raise scope.stop(NO_STEP_FIELD, field.span, why, closest(field.text, kinds))
    index_types, type_ = kinds[field.text]
    if len(bind.args) != len(index_types):
        how = f"{field.text}[{', '.join(map(shown, index_types))}]" if index_types else field.text
        raise scope.stop(
            NO_STEP_FIELD,
            bind.span,
            f"{field.text} is a map" if index_types else f"{field.text} is no map",
            f"write {how}",
        )
    index = tuple(
        _number(value_of(fit(a, env, t), a, scope))
        for a, t in zip(bind.args, index_types, strict=False)
    )
    return field.text, index, value_of(fit(bind.value, env, type_), bind.value, scope)


def _result(step: ast.StepEvent, env: Env, op: Operation | None) -> int | None:
    """The result as a hypercall returns it: an errno by name is negated, and a status is below
    all of them."""
    outcome, scope = step.outcome, env.scope
    if outcome is None or isinstance(outcome, str):
        return None
    if isinstance(outcome, ast.Ref):
        symbol = scope.lookup(outcome.name, outcome.span)
        if symbol.variant is not None and symbol.variant.value is not None:
            number = symbol.variant.value
            status = op.status.type if op is not None and op.status is not None else None
            if status is not None and status.name == symbol.decl.name.text:
                return -status_code(number, status.width)
            return -number
    value = value_of(expression(outcome, env, BitsType(64)), outcome, scope)
    result = _number(value) & _MASK64
    return result - (1 << 64) if result >> 63 else result
