"""What an expression means: one short function a node, made once and run often.

`Compiler.expr` gives a function from a `Path` to a value, which may be unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, assert_never

from pvhspec.backends.interpreter.path import Path
from pvhspec.backends.interpreter.quantify import Planner
from pvhspec.backends.interpreter.values import Formula, Sym, conj, disj, equal, invert, is_known
from pvhspec.ir.ir import (
    Cell,
    Const,
    Expr,
    GateTest,
    Input,
    Is,
    Load,
    Make,
    MapInput,
    Op,
    Payload,
    Quant,
    State,
    Var,
)
from pvhspec.ir.walk import children, has_quantifier
from pvhspec.names.gates import Gate, Version
from pvhspec.types.types import BitsType, BoolType, Type

__all__ = ["Compiler", "Fn"]

Fn: TypeAlias = Callable[[Path], Any]
T = TypeVar("T")
Made = TypeVar("Made")

_COMPUTE: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "bvand": lambda a, b: a & b,
    "bvor": lambda a, b: a | b,
    "bvxor": lambda a, b: a ^ b,
    "shl": lambda a, b: a << b if b < 64 else 0,
    "lshr": lambda a, b: a >> b if b < 64 else 0,
}

# Operators that are worth more than to remember what came of them.
_JOINED = frozenset({"and", "or", "implies", "ite"})


class Compiler:
    """Makes functions of expressions, for one release and one mode."""

    def __init__(self, states: dict[str, State], version: Version, mode: str) -> None:
        self._version = version
        self._mode = mode
        self._made: dict[int, tuple[Expr, Fn]] = {}  # by identity, which is found fast
        self._alike: dict[Expr, Fn] = {}
        self._outside: dict[int, frozenset[Var]] = {}
        self.planner = Planner(self, states)
        self.drifts: dict[tuple[str, ...], Any] = {}  # of these states, made ready once
        self._kept: dict[tuple[object, int], tuple[object, Any]] = {}

    def expr(self, node: Expr) -> Fn:
        """The function of an expression; an expression that is written twice has one."""
        found = self._made.get(id(node))
        if found is None:
            made = self._alike.get(node)
            if made is None:
                made = self._alike[node] = self._once(node, self._make(node))
            found = self._made[id(node)] = (node, made)
        return found[1]

    def once(self, make: Callable[[T, Compiler], Made], item: T) -> Made:
        """What is made of a part of the specification; all executions share it."""
        key = (make, id(item))
        if key not in self._kept:
            self._kept[key] = (item, make(item, self))
        made: Made = self._kept[key][1]
        return made

    def _outer(self, node: Expr) -> frozenset[Var]:
        """The variables of an expression that are bound outside it."""
        found = self._outside.get(id(node))
        if found is None:
            inside = (
                [frozenset({node})] if isinstance(node, Var) else map(self._outer, children(node))
            )
            own = node.vars if isinstance(node, Quant) else ()
            found = self._outside[id(node)] = frozenset[Var]().union(*inside).difference(own)
        return found

    def _once(self, node: Expr, run: Fn) -> Fn:
        """A truth that hangs on no variable is found out once in a run, and again only when more
        was assumed: what is written out in many clauses costs no more than in one."""
        joined = isinstance(node, Quant) or (isinstance(node, Op) and node.op in _JOINED)
        if not joined or not isinstance(node.type, BoolType) or self._outer(node):
            return run
        key = id(run)

        def known(p: Path) -> Any:
            found = p.found.get(key)
            if found is not None and found[1] in (None, p.assumptions):
                p.doubts += found[2]
                return found[0]
            doubts = p.doubts
            truth = run(p)
            doubted = p.doubts - doubts
            settled = doubted == 0 and (truth is True or truth is False)
            p.found[key] = truth, None if settled else p.assumptions, doubted
            return truth

        return known

    def open(self, gate: Gate) -> bool:
        """Whether a gate is open in this release and mode."""
        return gate.open(self._version, self._mode)

    def constant(self, node: Expr) -> Any:
        """The value of an expression that the text alone decides, else None."""
        match node:
            case Const(value=value):
                return value
            case GateTest(gate=gate):
                return gate.open(self._version, self._mode)
            case Op(op="not", args=(a,)):
                value = self.constant(a)
                return None if value is None else not value
            case Op(op="and", args=args):
                known = [self.constant(a) for a in args]
                return False if False in known else (True if all(known) else None)
            case Op(op="implies", args=(a, b)):
                if self.constant(a) is False or self.constant(b) is True:
                    return True
        return None

    def _make(self, node: Expr) -> Fn:
        match node:
            case Const(value=value):
                return lambda p: value
            case GateTest(gate=gate):
                is_open = gate.open(self._version, self._mode)
                return lambda p: is_open
            case Input(name=name, type=type_):
                return lambda p: p.input(name, type_)
            case Var(name=name):
                return lambda p: p.vars[name]
            case MapInput():
                return self._map_input(node)
            case Cell(state=state, indices=indices, type=type_):
                return self._cell(state, [self.expr(i) for i in indices], type_)
            case Load(address=address, bytes=size, type=type_):
                return self._load(self.expr(address), size, type_)
            case Make(variant=variant, args=args):
                parts = [self.expr(a) for a in args]
                if not parts:
                    return lambda p: (variant,)
                return lambda p: (variant, *[f(p) for f in parts])
            case Is(value=value, variant=variant):
                return self._is(self.expr(value), variant)
            case Payload(value=value, variant=variant, index=index, type=type_):
                return self._payload(self.expr(value), variant, index, type_)
            case Quant(kind=kind, vars=variables, body=body):
                return self.planner.quantifier(kind, variables, body)
            case Op():
                return self._op(node)
            case _:
                assert_never(node)

    # ---- reading -------------------------------------------------------------------------------

    def _cell(self, state: str, indices: list[Fn], type_: Type) -> Fn:
        if len(indices) == 1:
            only = indices[0]
            return lambda p: p.cell(state, (only(p),), type_)
        if len(indices) == 2:
            first, second = indices
            return lambda p: p.cell(state, (first(p), second(p)), type_)
        return lambda p: p.cell(state, tuple([f(p) for f in indices]), type_)

    def _map_input(self, node: MapInput) -> Fn:
        name, type_ = node.name, node.type
        parts = [self.expr(i) for i in node.indices]

        def read(p: Path) -> Any:
            index = tuple(p.resolve(f(p)) for f in parts)
            table = p.inputs.get(name)
            value = None if table is None or not is_known(index) else table.get(index)
            if value is None:
                return p.unseen(f"{name}[{', '.join(map(str, index))}]", type_)
            return value

        return read

    def _load(self, address: Fn, size: int, type_: Type) -> Fn:
        def load(p: Path) -> Any:
            at = p.resolve(address(p))
            memory = p.inputs.get("memory")
            if isinstance(at, Sym) or memory is None:
                return Sym(type_, "memory")
            raw = memory.read(at, size)
            if raw is None:
                return p.unseen(f"{size} bytes at {at:#x}", type_)
            return int.from_bytes(raw, "little")

        return load

    @staticmethod
    def _is(value: Fn, variant: int) -> Fn:
        def test(p: Path) -> Any:
            v = p.resolve(value(p))
            return Formula("is", (v, variant)) if isinstance(v, Sym) else v[0] == variant

        return test

    @staticmethod
    def _payload(value: Fn, variant: int, index: int, type_: Type) -> Fn:
        def part(p: Path) -> Any:
            v = p.resolve(value(p))
            if isinstance(v, Sym):
                return p.resolve(v.part(variant, index))
            if v[0] == variant:
                return p.resolve(v[index + 1])
            return Sym(type_, "nothing")

        return part

    # ---- operators -----------------------------------------------------------------------------

    def _op(self, node: Op) -> Fn:
        parts = [self.expr(a) for a in node.args]
        match node.op:
            case "not":
                inner = parts[0]
                return lambda p: invert(p.resolve(inner(p)))
            case "and":
                return self._junction(node.args, False, conj)
            case "or":
                return self._junction(node.args, True, disj)
            case "implies":
                return lambda p: self._implies(p, parts[0], parts[1])
            case "ite":
                return lambda p: parts[1](p) if p.decide(parts[0](p)) else parts[2](p)
            case "eq":
                return self._same(parts[0], parts[1])
            case "ult" | "ule":
                return self._order(parts[0], parts[1], node.op == "ule")
            case "extract":
                high, low = node.extra
                mask = (1 << (high - low + 1)) - 1
                return self._unary(parts[0], node.type, lambda v: (v >> low) & mask)
            case "resize":
                mask = _mask(node.type)
                wider = _mask(node.args[0].type) <= mask
                return self._unary(parts[0], node.type, lambda v: v & mask, wider)
            case "bvnot":
                mask = _mask(node.type)
                return self._unary(parts[0], node.type, lambda v: ~v & mask)
            case op:
                return self._binary(parts[0], parts[1], node.type, _COMPUTE[op])

    def _junction(self, args: tuple[Expr, ...], stop: bool, join: Callable[[list[Any]], Any]) -> Fn:
        """`and` (`stop` False) or `or`. Quantifiers are looked at after all other parts, one of
        which may be enough."""
        places = [i for i, a in enumerate(args) if self.constant(a) is not (not stop)]
        places.sort(key=lambda i: has_quantifier(args[i]))
        parts = [(i, self.expr(args[i])) for i in places]

        def run(p: Path) -> Any:
            open_: list[tuple[int, Any]] = []
            for i, f in parts:
                value = f(p)
                if value is not True and value is not False:
                    value = p.resolve(value)
                if value is stop:
                    return stop
                if value is not (not stop):
                    open_.append((i, value))
            if not open_:
                return not stop
            return join([value for _, value in sorted(open_, key=_place)])

        return run

    @staticmethod
    def _implies(p: Path, left: Fn, right: Fn) -> Any:
        a = p.resolve(left(p))
        if a is False:
            return True
        b = p.resolve(right(p))
        return b if a is True else disj([invert(a), b])

    @staticmethod
    def _same(left: Fn, right: Fn) -> Fn:
        def compare(p: Path) -> Any:
            a, b = left(p), right(p)
            if type(a) is int and type(b) is int:
                return a == b
            return equal(p.resolve(a), p.resolve(b))

        return compare

    @staticmethod
    def _order(left: Fn, right: Fn, or_equal: bool) -> Fn:
        def compare(p: Path) -> Any:
            a, b = left(p), right(p)
            if type(a) is not int or type(b) is not int:
                a, b = p.resolve(a), p.resolve(b)
                if isinstance(a, Sym) or isinstance(b, Sym):
                    return Formula("order", (a, b, or_equal))
            return a <= b if or_equal else a < b

        return compare

    @staticmethod
    def _unary(inner: Fn, type_: Type, compute: Callable[[int], int], wider: bool = False) -> Fn:
        def apply(p: Path) -> Any:
            v = inner(p)
            if type(v) is not int:
                v = p.resolve(v)
                if isinstance(v, Sym):
                    return v if wider else Sym(type_, v.what)  # the same number in more bits
            return compute(v)

        return apply

    @staticmethod
    def _binary(left: Fn, right: Fn, type_: Type, compute: Callable[[int, int], int]) -> Fn:
        mask = _mask(type_)

        def apply(p: Path) -> Any:
            a, b = left(p), right(p)
            if type(a) is not int or type(b) is not int:
                a, b = p.resolve(a), p.resolve(b)
                if isinstance(a, Sym) or isinstance(b, Sym):
                    return Sym(type_, f"{a!r}, {b!r}")
            return compute(a, b) & mask

        return apply


def _place(part: tuple[int, Any]) -> int:
    return part[0]


def _mask(type_: Type) -> int:
    assert isinstance(type_, BitsType)
    return (1 << type_.width) - 1
