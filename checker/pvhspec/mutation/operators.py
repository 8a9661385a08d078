"""Single mistakes: what somebody might write instead of one node of the syntax tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pvhspec.syntax import ast

__all__ = ["DROP", "Around", "Change", "changes", "gates_of"]


class _Drop:
    """Stands for: the node is left out of what it stands in."""

    def __repr__(self) -> str:
        return "DROP"


DROP = _Drop()


@dataclass(frozen=True, slots=True)
class Change:
    """A kind of mistake, and what stands there instead (`DROP`: nothing)."""

    kind: str
    new: Any


@dataclass(frozen=True, slots=True)
class Around:
    """What surrounds a node: the in fields of its operation, the field of its parent it is in,
    and the parent."""

    fields: tuple[str, ...] = ()
    role: str = ""
    parent: Any = None


_FLIPPED = {"==": "!=", "!=": "=="}
_OFF_BY_ONE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_OTHER_WAY = {"+": "-", "-": "+", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "^": "|", "*": "+"}
_NARROWER = {"u64": "u32", "u32": "u16", "u16": "u8", "u8": "u16"}
_CONDITIONS = {
    (ast.ErrorClause, "test"), (ast.If, "test"), (ast.ForAll, "test"), (ast.Require, "test"),
    (ast.Choose, "test"), (ast.Ensure, "test"), (ast.OnDecl, "test"), (ast.Drift, "test"),
    (ast.ObligationDecl, "test"), (ast.ObligationDecl, "unless"), (ast.Moment, "test"),
    (ast.FieldWhen, "test"), (ast.InvariantDecl, "body"), (ast.Conditional, "test"),
}  # fmt: skip
_STATEMENTS = (ast.Assign, ast.CallEffect, ast.If, ast.Match, ast.ForAll, ast.ClauseBlock)
_CODES = ("EINVAL", "EPERM")


def _is_condition(around: Around) -> bool:
    """Whether a node is a condition that decides whether something applies."""
    parent = around.parent
    if isinstance(parent, ast.DefDecl):
        return parent.result is None and around.role == "body"
    return (type(parent), around.role) in _CONDITIONS


def changes(node: Any, around: Around) -> Iterator[Change]:
    """Every single mistake at a node itself, not inside it."""
    if _is_condition(around):
        yield from _of_condition(node)
    match node:
        case ast.Binary():
            yield from _of_binary(node)
        case ast.Number(value=value) if around.role not in ("outcome",):
            yield from _of_number(node, value, around)
        case ast.Truth(value=value):
            yield Change("other value", replace(node, value=not value))
        case ast.Unary(op="~", value=value):
            yield Change("drop an operator", value)
        case ast.Quantified(kind=kind):
            yield Change(
                "other quantifier",
                replace(node, kind="exists" if kind == "forall" else "forall"),
            )
        case ast.Conditional(yes=yes, no=no):
            yield Change("always one branch", yes)
            yield Change("always one branch", no)
        case ast.Among(members=members) if len(members) > 1:
            for at in range(len(members)):
                fewer = members[:at] + members[at + 1 :]
                yield Change("one member fewer", replace(node, members=fewer))
        case ast.BitsPattern(rules=rules) if len(rules) > 1:
            for at in range(len(rules)):
                yield Change("one field fewer", replace(node, rules=rules[:at] + rules[at + 1 :]))
        case ast.Since():
            yield Change("without its release", ast.Truth(node.span, True))
        case ast.Ref(name=name) if name in around.fields and len(around.fields) > 1:
            following = around.fields.index(name) + 1
            other = around.fields[following % len(around.fields)]
            yield Change("other field", replace(node, name=other))
        case _:
            yield from _of_statement(node)
            yield from _of_call(node)
            yield from _of_declaration(node)
    for gate in gates_of(node):
        yield Change(f"drop {gate.kind}", _without_gate(node, gate))


# ---- expressions -------------------------------------------------------------------------------


def _of_condition(test: Any) -> Iterator[Change]:
    """The opposite, unless a mistake inside says the same."""
    if isinstance(test, ast.Unary) and test.op == "not":
        yield Change("negate", test.value)
    elif not isinstance(test, ast.Truth | ast.Since) and not (
        isinstance(test, ast.Binary) and test.op in _FLIPPED
    ):
        yield Change("negate", ast.Unary(test.span, "not", ast.Paren(test.span, test)))


def _of_binary(node: ast.Binary) -> Iterator[Change]:
    if node.op in _FLIPPED:
        yield Change("flip", replace(node, op=_FLIPPED[node.op]))
    elif node.op in _OFF_BY_ONE:
        yield Change("off by one", replace(node, op=_OFF_BY_ONE[node.op]))
    elif node.op in _OTHER_WAY:
        yield Change("other operator", replace(node, op=_OTHER_WAY[node.op]))
    elif node.op == "=>":
        yield Change("drop a hypothesis", node.right)
    elif node.op in ("and", "or"):
        yield Change("drop a condition", node.left)
        yield Change("drop a condition", node.right)


def _of_number(node: ast.Number, value: int, around: Around) -> Iterator[Change]:
    """One more and one less; beside `<` and its like the operator has said one of them."""
    parent = around.parent
    compared = isinstance(parent, ast.Binary) and parent.op in _OFF_BY_ONE
    upward = not compared
    if isinstance(parent, ast.Binary) and compared:
        on_right = around.role == "right"
        upward = (parent.op in ("<=", ">")) == on_right
        if upward or value > 0:
            other = value + 1 if upward else value - 1
            yield Change("off by one", replace(node, value=other, text=str(other)))
        return
    yield Change("off by one", replace(node, value=value + 1, text=str(value + 1)))
    if value > 1:
        yield Change("off by one", replace(node, value=value - 1, text=str(value - 1)))


# ---- statements, and what calls are made of ----------------------------------------------------


def _of_statement(node: Any) -> Iterator[Change]:
    if isinstance(node, _STATEMENTS):
        yield Change("drop an effect", DROP)
    match node:
        case ast.If(span=span, no=no):
            yield Change("always", replace(node, test=ast.Truth(span, True)))
            if no:
                yield Change("drop a branch", replace(node, no=None))
        case ast.ForAll(span=span):
            yield Change("always", replace(node, test=ast.Truth(span, True)))
        case ast.Arm(body=body) if body:
            yield Change("drop a branch", replace(node, body=()))
        case ast.Ensure() | ast.Require() | ast.Undefined():
            yield Change("drop a clause", DROP)


def _of_call(node: Any) -> Iterator[Change]:
    match node:
        case ast.ErrorClause(errno=errno, test=test, after_success=after):
            yield Change("drop an error", DROP)
            code = next(c for c in _CODES if c != errno.text)
            yield Change("other code", replace(node, errno=replace(errno, text=code)))
            if test is not None:
                yield Change("any time", replace(node, maybe=True, test=None, after_success=False))
            if after:
                yield Change("before success", replace(node, after_success=False))
        case ast.InOrder(errors=errors):
            for at in range(len(errors) - 1):
                if errors[at].errno.text == errors[at + 1].errno.text:
                    continue  # whichever comes first, the caller is told the same
                swapped = (*errors[:at], errors[at + 1], errors[at], *errors[at + 2 :])
                yield Change("other order", replace(node, errors=swapped))
        case ast.Choose(lowest=True):
            yield Change("any instead of the lowest", replace(node, lowest=False))
        case ast.Choose():
            yield Change("the lowest instead of any", replace(node, lowest=True))
        case ast.Returns(value=value) if value is not None:
            yield Change("any result", replace(node, value=None))
        case ast.Always():
            yield Change("drop an effect", DROP)
        case ast.Disturbs():
            yield Change("drop disturbs", DROP)


# ---- declarations ------------------------------------------------------------------------------


def _of_declaration(node: Any) -> Iterator[Change]:
    match node:
        case ast.BitField(high=high, low=low):
            yield Change("one bit up", replace(node, high=high + 1, low=low + 1))
        case ast.Variant(value=value) if value is not None:
            yield Change("other number", replace(node, value=value + 1))
        case ast.StructDecl(items=items):
            yield from _of_struct(node, items)
        case ast.Field(type=type_) if type_.name.text in _NARROWER:
            name = replace(type_.name, text=_NARROWER[type_.name.text])
            yield Change("wrong width", replace(node, type=replace(type_, name=name)))
        case ast.StateDecl(init=init) if init.kind == "given":
            yield Change("not given", replace(node, init=replace(init, kind="value")))
        case ast.HypercallDecl(number=number):
            yield Change("other number", replace(node, number=number + 200))
        case ast.OperationDecl(command=command) if command is not None:
            yield Change("other number", replace(node, command=command + 100))
        case ast.ObligationDecl(unless=unless) if unless is not None:
            yield Change("drop unless", replace(node, unless=None))
        case ast.OnDecl(test=test) if test is not None:
            yield Change("drop when", replace(node, test=None))
    if isinstance(node, ast.StateDecl) and node.drift is not None:
        yield Change("drop drift", replace(node, drift=None))


def _of_struct(node: ast.StructDecl, items: tuple[ast.StructItem, ...]) -> Iterator[Change]:
    for at in range(len(items) - 1):
        one, two = items[at], items[at + 1]
        if not (isinstance(one, ast.Field) and isinstance(two, ast.Field)):
            continue
        if one.type.name.text == two.type.name.text:
            swapped = (replace(one, name=two.name), replace(two, name=one.name))
            whole = (*items[:at], *swapped, *items[at + 2 :])
            yield Change("fields swapped", replace(node, items=whole))
    size = replace(node.size, wide=node.size.wide + 8)
    yield Change("wrong size", replace(node, size=size))


def gates_of(node: Any) -> tuple[ast.Gate, ...]:
    """The gates that a node carries itself."""
    if isinstance(node, ast.ErrorClause | ast.Field):
        return node.gates
    tail = getattr(node, "tail", None)
    return tail.gates if isinstance(tail, ast.Tail) else ()


def _without_gate(node: Any, gate: ast.Gate) -> Any:
    left = tuple(g for g in gates_of(node) if g is not gate)
    if isinstance(node, ast.ErrorClause | ast.Field):
        return replace(node, gates=left)
    return replace(node, tail=replace(node.tail, gates=left))
