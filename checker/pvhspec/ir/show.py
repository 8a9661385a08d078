"""The IR as text: small enough to read beside the specification it was made of.

Nothing parses it. Variables have plain names; a formula that is written often is `$1`, said once
at the end; `s'` is what a cell holds after the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, assert_never

from pvhspec.ir.ir import (
    Cell,
    Choice,
    Const,
    Error,
    Expr,
    GateTest,
    Input,
    Invariant,
    Is,
    Load,
    Make,
    MapInput,
    Moment,
    Obligation,
    Observation,
    Op,
    Operation,
    Payload,
    Quant,
    Spec,
    State,
    Update,
    Var,
)
from pvhspec.ir.tidy import tidied
from pvhspec.names.gates import shown_version
from pvhspec.types.types import BitsType, BoolType, EnumType, Type, shown

__all__ = [
    "show_clause",
    "show_expr",
    "show_invariant",
    "show_obligation",
    "show_observation",
    "show_operation",
    "show_spec",
    "show_state",
]

WIDTH = 100

# How tightly an operator binds, loosest first, and how it is written.
_INFIX = {
    "implies": (1, "=>"), "or": (2, "or"), "and": (3, "and"),
    "eq": (5, "=="), "ult": (5, "<"), "ule": (5, "<="),
    "bvor": (6, "|"), "bvxor": (7, "^"), "bvand": (8, "&"),
    "shl": (9, "<<"), "lshr": (9, ">>"), "add": (10, "+"), "sub": (10, "-"), "mul": (11, "*"),
}  # fmt: skip
_NEGATED = {"==": "!=", "<": ">=", "<=": ">"}
_PREFIX = {"not": (4, "not "), "bvnot": (12, "~")}


# ---- expressions -----------------------------------------------------------------------------


def show_expr(node: Expr) -> str:
    """An expression on one line."""
    return _expr(node, 0)


def _expr(node: Expr, loose: int) -> str:
    """An expression; in parentheses if it binds less tightly than `loose`."""
    match node:
        case Const(type=type_, value=value):
            return _value(value, type_)
        case Input(name=name):
            return name
        case Var(name=name):
            return name
        case Cell(state=name, indices=indices) | MapInput(name=name, indices=indices):
            return f"{name}[{_list(indices)}]" if indices else name
        case Load(address=address, bytes=size):
            return f"memory({_expr(address, 0)}, {size})"
        case Make(variant=variant, args=args, type=type_):
            name = _variant(type_, variant)
            return f"{name}({_list(args)})" if args else name
        case Is(value=value, variant=variant):
            return _wrap(f"{_expr(value, 6)} is {_variant(value.type, variant)}", 5, loose)
        case Payload(value=value, variant=variant, index=index):
            return f"{_expr(value, 13)}.{_part(value.type, variant, index)}"
        case Quant(kind=kind, vars=variables, body=body):
            over = ", ".join(_param(v) for v in variables)
            return _wrap(f"{kind} {over} | {_expr(body, 0)}", 0, loose)
        case GateTest(gate=gate):
            return f"[{gate}]"
        case Op():
            return _op(node, loose)
        case _:
            assert_never(node)


def _op(node: Op, loose: int) -> str:
    args = node.args
    if node.op in _INFIX:
        tight, sign = _INFIX[node.op]
        sides = [_expr(a, tight + (1 if tight >= 5 or node.op == "implies" else 0)) for a in args]
        if node.op == "implies":
            sides[-1] = _expr(args[-1], tight)
        return _wrap(f" {sign} ".join(sides), tight, loose)
    if node.op == "not":
        return _not(args[0], loose)
    if node.op in _PREFIX:
        tight, sign = _PREFIX[node.op]
        return _wrap(sign + _expr(args[0], tight), tight, loose)
    if node.op == "ite":
        test, yes, no = args
        text = f"if {_expr(test, 1)} then {_expr(yes, 1)} else {_expr(no, 1)}"
        return _wrap(text, 0, loose)
    if node.op == "extract":
        high, low = node.extra
        bits = f"{high}..{low}" if high > low else str(low)
        return f"{_expr(args[0], 13)}[{bits}]"
    if node.op == "resize":
        return f"{shown(node.type)}({_expr(args[0], 0)})"
    return f"{node.op}({_list(args)})"


def _not(inner: Expr, loose: int) -> str:
    if isinstance(inner, Op) and inner.op in ("eq", "ult", "ule"):
        tight, sign = _INFIX[inner.op]
        a, b = (_expr(arg, tight + 1) for arg in inner.args)
        return _wrap(f"{a} {_NEGATED[sign]} {b}", tight, loose)
    return _wrap(f"not {_expr(inner, 5)}", 4, loose)


def _wrap(text: str, tight: int, loose: int) -> str:
    return f"({text})" if tight < loose else text


def _list(nodes: Iterable[Expr]) -> str:
    return ", ".join(_expr(n, 0) for n in nodes)


def _param(variable: Var) -> str:
    return f"{variable.name} : {shown(variable.type)}"


def _variant(type_: Type, variant: int) -> str:
    assert isinstance(type_, EnumType)
    return type_.variants[variant].name


def _part(type_: Type, variant: int, index: int) -> str:
    assert isinstance(type_, EnumType)
    return type_.variants[variant].payload[index][0]


def _value(value: Any, type_: Type) -> str:
    match type_:
        case BoolType():
            return "true" if value else "false"
        case BitsType():
            return str(value) if value < 1024 else hex(value)
        case EnumType():
            info = type_.variants[value[0]]
            parts = zip(value[1:], info.payload, strict=True)
            inner = ", ".join(_value(v, t) for v, (_, t) in parts)
            return f"{info.name}({inner})" if inner else info.name


# ---- declarations ----------------------------------------------------------------------------


def show_operation(op: Operation) -> str:
    """An operation: its errors by rank, what success means, what it changes."""
    op, shared = tidied(op)
    number = "every other number" if op.number is None else f"{op.hypercall} = {op.number}"
    if op.command is not None:
        number += f".{op.command}"
    elif op.commands:
        number += f", every command but {', '.join(map(str, op.commands))}"
    lines = [f"operation {op.name}: {number}"]
    if not op.gate.always:
        lines.append(f"  gate {op.gate}")
    if op.params:
        lines.append(f"  takes {', '.join(f'{p.name} : {shown(p.type)}' for p in op.params)}")
    if op.struct is not None and op.struct_size is not None:
        lines.append(f"  structure {op.struct}, {_two(op.struct_size)} bytes")
    for slot in op.slots:
        way = "in, out" if slot.read and slot.written else "in" if slot.read else "out"
        lines.append(f"    {_two(slot.offset)} {slot.name} : {shown(slot.type)} ({way})")
    for array in op.arrays:
        way = "in, out" if array.read and array.written else "in" if array.read else "out"
        names = ", ".join(f.name for f in array.fields)
        lines.append(
            f"    {array.count} of {_two(array.size)} bytes at {array.handle}: "
            f"{array.name}[{shown(array.index)}] {{ {names} }} ({way})"
        )
    lines += [line for error in op.errors for line in _error(error)]
    if not op.modelled:
        lines.append("  what else it does is not modelled")
    lines += _effects("always", None, (), None, op.always)
    does = op.updates or op.choices or op.result is not None
    if does or (op.modelled and op.command is not None):
        lines += _effects("success", op.success, op.choices, op, op.updates)
    if op.disturbs:
        lines.append(f"  disturbs {', '.join(op.disturbs)}")
    return "\n".join(_cut([*lines, *_with(shared)]))


def _two(sizes: tuple[int, int]) -> str:
    return str(sizes[0]) if sizes[0] == sizes[1] else f"{sizes[0]}|{sizes[1]}"


def _error(error: Error) -> Iterator[str]:
    late = ", after success" if error.after_success else ""
    yield f"  error {error.name} {error.clause} (rank {error.rank}{late})"
    cause = [] if error.when is not None else ["maybe"]
    test = error.only if error.when is None else error.when
    yield "    " + " ".join(cause + ([] if test is None else [f"when {show_expr(test)}"]))


def _effects(
    title: str,
    clause: str | None,
    choices: tuple[Choice, ...],
    op: Operation | None,
    updates: tuple[Update, ...],
) -> Iterator[str]:
    if not updates and clause is None:
        return
    yield f"  {title}{f' {clause}' if clause else ''}"
    for choice in choices:
        lowest = " lowest" if choice.lowest else ""
        yield f"    choose{lowest} {_param(choice.var)} where {show_expr(choice.when)}"
    if op is not None:
        yield f"    returns {'any' if op.result is None else show_expr(op.result)}"
    for update in updates:
        yield from _update(update)
    for ensure in op.ensures if op is not None else ():
        yield f"    ensure {ensure.clause}: {show_expr(ensure.test)}"


def _update(update: Update) -> Iterator[str]:
    place = update.target
    if update.indices:
        place += f"[{_list(update.indices)}]"
    guard = show_expr(update.guard)
    over = ", ".join(_param(v) for v in update.binders)
    head = f"for all {over}: " if over else ""
    head += f"if {guard}: " if guard != "true" else ""
    yield f"    {head}{place}' = {show_expr(update.value)}"


def show_observation(block: Observation) -> str:
    """An `on` block."""
    block, shared = tidied(block)
    lines = [f"on {block.event} {block.id}"]
    if not block.gate.always:
        lines.append(f"  gate {block.gate}")
    if show_expr(block.when) != "true":
        lines.append(f"  when {show_expr(block.when)}")
    lines += [f"  require {r.clause}: {show_expr(r.test)}" for r in block.requires]
    lines += [f"  undefined {', '.join(names)} ({clause})" for clause, names in block.undefined]
    lines += [line for update in block.updates for line in _update(update)]
    return "\n".join(_cut([*lines, *_with(shared)]))


def show_state(state: State) -> str:
    """A state: how it begins, and what may change it from outside."""
    state, shared = tidied(state)
    index = f"[{', '.join(map(_param, state.indices))}]" if state.indices else ""
    begins = "any" if state.init is None else show_expr(state.init)
    begins = f"given ({begins})" if state.given else begins
    lines = [f"state {state.name}{index} : {shown(state.type)} = {begins}"]
    if state.drift is not None:
        lines.append(f"  may {state.drift_kind} when {show_expr(state.drift)}")
    return "\n".join(_cut([*lines, *_with(shared)]))


def show_invariant(invariant: Invariant) -> str:
    """An invariant."""
    invariant, shared = tidied(invariant)
    lines = [f"invariant {invariant.clause}", f"  {show_expr(invariant.body)}"]
    if invariant.using:
        lines.append(f"  using {', '.join(invariant.using)}")
    return "\n".join(_cut([*lines, *_with(shared)]))


def show_obligation(obligation: Obligation) -> str:
    """An obligation."""
    obligation, shared = tidied(obligation)
    over = ", ".join(map(_param, obligation.vars))
    lines = [
        f"obligation {obligation.clause}({over})",
        f"  when {show_expr(obligation.when)}",
        f"  then {_moment(obligation.then)}",
        f"  before {_moment(obligation.before)}",
        f"  unless {show_expr(obligation.unless)}",
    ]
    return "\n".join(_cut([*lines, *_with(shared)]))


def _moment(moment: Moment) -> str:
    test = show_expr(moment.test)
    return moment.event if test == "true" else f"{moment.event} where {test}"


def show_clause(spec: Spec, clause: str) -> str:
    """Whatever a clause is part of; an empty text if nothing has this id."""
    for op in spec.operations:
        if clause == op.id or clause.startswith(f"{op.id}."):
            return show_operation(op)
    for op in spec.operations:
        if any(e.clause == clause for e in op.errors):
            return show_operation(op)
    for block in spec.observations:
        if clause == block.id or clause.startswith(f"{block.id}."):
            return show_observation(block)
    found = [show_invariant(i) for i in spec.invariants if i.clause == clause]
    found += [show_obligation(o) for o in spec.obligations if o.clause == clause]
    return "\n".join(found)


def show_spec(spec: Spec) -> str:
    """All of a specification."""
    releases = ", ".join(map(shown_version, spec.releases))
    parts = [f"abi {spec.name}: modes {', '.join(spec.modes)}; releases {releases}"]
    parts += [show_state(s) for s in spec.states.values()]
    parts += [show_operation(o) for o in spec.operations]
    parts += [show_observation(o) for o in spec.observations]
    parts += [show_invariant(i) for i in spec.invariants]
    parts += [show_obligation(o) for o in spec.obligations]
    return "\n\n".join(parts) + "\n"


# ---- lines -----------------------------------------------------------------------------------


def _with(shared: list[tuple[str, Expr]]) -> list[str]:
    return [f"  {name} is {show_expr(formula)}" for name, formula in shared]


def _cut(lines: list[str]) -> Iterator[str]:
    """Lines no longer than a page is wide, cut at blanks."""
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        while len(line) > WIDTH:
            at = line.rfind(" ", len(indent) + 1, WIDTH)
            if at < 0:
                break
            yield line[:at]
            line = indent + line[at + 1 :]
        yield line
