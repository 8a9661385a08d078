"""Expressions as Z3 terms, without quantifiers: each stands as one truth, and instances of it are
added for the terms that occur.

Index types keep all their values. Too few instances can only make a question look satisfiable;
so `unsat` is a proof, and every model is tried out by the interpreter before it is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import count, product
from typing import Any, Protocol, assert_never

import z3

from pvhspec.backends.solver.rewrite import walk
from pvhspec.backends.solver.sorts import Sorts, Term, bound, in_range
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
from pvhspec.types.types import BitsType, BoolType, EnumType, Type

__all__ = ["Frame", "Ground", "Unsupported", "View"]

_MOST_INSTANCES = 4000  # of one quantifier in one round


class Unsupported(Exception):
    """Something the solver's side cannot express; says what."""


class View(Protocol):
    """The state at one moment."""

    def read(self, state: str, index: tuple[Term, ...]) -> Term:
        """The value of a cell."""


@dataclass(eq=False)
class Frame:
    """What names stand for: the event's fields under `prefix`, variables, the state.

    `scope`: when it is of any account at all; `rule` is told of every field that is asked for.
    """

    prefix: str
    view: View
    inputs: dict[str, Term]
    vars: dict[str, Term] = field(default_factory=dict)
    memo: dict[int, tuple[Expr, Term]] = field(default_factory=dict)
    scope: Term | None = None
    rule: Callable[[str, Type, Term], None] | None = None

    def inside(self, new: dict[str, Term]) -> Frame:
        """The same with more variables."""
        return replace(self, vars={**self.vars, **new}, memo={})


@dataclass(eq=False)
class _Quantifier:
    """`truth` stands for it; None: it is asserted. `fact`: it is never asked whether it holds."""

    truth: Term | None
    node: Quant
    frame: Frame
    fact: bool = False
    done: set[tuple[int, ...]] = field(default_factory=set)


_Pools = dict[tuple[int, str | None], list[Term]]

_BINARY = {
    "ult": z3.ULT,
    "ule": z3.ULE,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "bvand": lambda a, b: a & b,
    "bvor": lambda a, b: a | b,
    "bvxor": lambda a, b: a ^ b,
    "shl": lambda a, b: a << b,
    "lshr": z3.LShR,
    "eq": lambda a, b: a == b,
    "implies": z3.Implies,
}  # fmt: skip


class Ground:
    """One question: its constraints, its quantifiers, and the terms that indices may be."""

    def __init__(self, states: dict[str, State]) -> None:
        self.states = states
        self.sorts = Sorts()
        self.constraints: list[Term] = []
        self._quantifiers: list[_Quantifier] = []
        self._pools: dict[tuple[int, str | None], dict[int, Term]] = {}
        self._names = count()
        self.reads: dict[str, dict[tuple[int, ...], tuple[Term, ...]]] = {}
        self.map_reads: dict[tuple[str, str, tuple[int, ...]], tuple[tuple[Term, ...], Term]] = {}
        self.loads: list[tuple[str, Term, list[Term]]] = []  # address, bytes from the top
        self.sparing = True

    # ---- asking --------------------------------------------------------------------------------

    def fresh(self, name: str, type_: Type) -> Term:
        """A new constant, a value of its type."""
        made = self.sorts.const(f"{name}!{next(self._names)}", type_)
        within = in_range(self.sorts, type_, made)
        if not z3.is_true(within):
            self.constraints.append(within)
        self.offer(type_, made)
        return made

    def assume(
        self, node: Expr, frame: Frame, when: Term | None = None, *, fact: bool = False
    ) -> None:
        """Assert an expression (where `when` holds); `fact`: about the state, as an invariant."""
        if isinstance(node, Quant) and node.kind == "forall":
            self._quantifiers.append(_Quantifier(when, node, frame, fact or when is None))
            return
        if isinstance(node, Op) and node.op == "and":
            for part in node.args:
                self.assume(part, frame, when, fact=fact)
            return
        term = self.expr(node, frame)
        self.constraints.append(term if when is None else z3.Implies(when, term))

    def deny(self, node: Expr, frame: Frame) -> dict[str, Term]:
        """Assert that an expression does not hold; the values for which it fails."""
        if isinstance(node, Quant) and node.kind == "forall":
            new = {v.name: self.fresh(v.name, v.type) for v in node.vars}
            return {**new, **self.deny(node.body, frame.inside(new))}
        self.constraints.append(z3.Not(self.expr(node, frame)))
        return {}

    def offer(self, type_: Type, term: Term) -> None:
        """A term that quantifiers over a type are tried at."""
        if isinstance(type_, BitsType):
            pool = self._pools.setdefault((type_.width, type_.name), {})
            pool.setdefault(term.get_id(), term)

    def instantiate(self, model: Any) -> bool:
        """One round of instances; False if there was nothing left to add.

        Of terms that the model holds equal one is enough: should they differ, a later model
        says so.
        """
        values = _Values(model)
        pools = {key: _distinct(pool.values(), values) for key, pool in self._pools.items()}
        added = False
        for quantifier in list(self._quantifiers):
            scope = quantifier.frame.scope
            if scope is not None and not z3.is_true(model.eval(scope, model_completion=True)):
                continue
            if quantifier.truth is not None:
                idle = quantifier.node.kind == "exists"
                if z3.is_true(model.eval(quantifier.truth, model_completion=True)) == idle:
                    continue
            for number, terms in enumerate(self._tuples(quantifier, pools, values)):
                key = tuple(t.get_id() for t in terms)
                if number >= _MOST_INSTANCES:
                    raise Unsupported("more instances of a quantifier than are tried")
                if key not in quantifier.done:
                    quantifier.done.add(key)
                    self._instance(quantifier, terms)
                    added = True
        return added

    def _tuples(
        self, quantifier: _Quantifier, pools: _Pools, values: _Values
    ) -> Iterable[tuple[Term, ...]]:
        """The values to try: a fact about the state at the cells that were read, the rest at all.

        Cells nobody read are as at boot in what the interpreter is given to confirm.
        """
        node = quantifier.node
        if not (quantifier.fact and self.sparing):
            yield from product(*(self._candidates(v, pools) for v in node.vars))
            return
        names = [v.name for v in node.vars]
        partial: list[dict[str, Term]] = [{}]
        for cell in patterns(node):
            new = [i.name for i in cell.indices if isinstance(i, Var)]
            if all(n in partial[0] for n in new):
                continue
            read = _distinct_tuples(self.reads.get(cell.state, {}).values(), values)
            joined: list[dict[str, Term]] = []
            for known in partial:
                for index in read:
                    match = dict(zip(new, index, strict=True))
                    if all(values.same(known[n], match[n]) for n in new if n in known):
                        joined.append({**match, **known})
            partial = joined
            if not partial:
                return
        for known in partial:
            rest = [v for v in node.vars if v.name not in known]
            for terms in product(*(self._candidates(v, pools) for v in rest)):
                whole = {**known, **{v.name: t for v, t in zip(rest, terms, strict=True)}}
                yield tuple(whole[n] for n in names)

    def _candidates(self, var: Var, pools: _Pools) -> list[Term]:
        match var.type:
            case BoolType():
                return [z3.BoolVal(False), z3.BoolVal(True)]
            case BitsType(width=width, name=name):
                return pools.get((width, name), [])
            case EnumType():
                raise Unsupported(f"a quantifier over {var.type.name}")
            case _:
                assert_never(var.type)

    def _instance(self, quantifier: _Quantifier, terms: tuple[Term, ...]) -> None:
        node = quantifier.node
        new = {v.name: t for v, t in zip(node.vars, terms, strict=True)}
        within = [
            z3.ULT(t, limit)
            for v, t in zip(node.vars, terms, strict=True)
            if (limit := bound(v.type)) is not None
        ]
        body = self.expr(node.body, quantifier.frame.inside(new))
        premises = list(within)
        if node.kind == "forall":
            if quantifier.truth is not None:
                premises.append(quantifier.truth)
            self.constraints.append(z3.Implies(z3.And(*premises), body) if premises else body)
        else:
            assert quantifier.truth is not None
            self.constraints.append(z3.Implies(z3.And(*premises, body), quantifier.truth))

    # ---- translating ---------------------------------------------------------------------------

    def expr(self, node: Expr, frame: Frame) -> Term:
        """The term of an expression."""
        found = frame.memo.get(id(node))
        if found is None:
            found = (node, self._make(node, frame))
            frame.memo[id(node)] = found
        return found[1]

    def _make(self, node: Expr, frame: Frame) -> Term:
        match node:
            case Const(type=type_, value=value):
                return self.sorts.value(type_, value)
            case Input(name=name, type=type_):
                return self.input(name, type_, frame)
            case Var(name=name):
                return frame.vars[name]
            case MapInput(name=name, indices=indices, type=type_):
                index = [self.expr(i, frame) for i in indices]
                sorts = [i.sort() for i in index]
                for part, term in zip(indices, index, strict=True):
                    self.offer(part.type, term)
                made = z3.Function(f"{frame.prefix}{name}", *sorts, self.sorts.sort(type_))(*index)
                key = (frame.prefix, name, tuple(i.get_id() for i in index))
                self.map_reads[key] = (tuple(index), made)
                return made
            case Cell(state=state, indices=indices):
                return self.cell(frame.view, state, tuple(self.expr(i, frame) for i in indices))
            case Load(address=address, bytes=size, type=type_):
                return self._load(self.expr(address, frame), size, type_, frame)
            case Make(variant=variant, args=args, type=type_):
                assert isinstance(type_, EnumType)
                return self.sorts.make(type_, variant, [self.expr(a, frame) for a in args])
            case Is(value=value, variant=variant):
                assert isinstance(value.type, EnumType)
                return self.sorts.test(value.type, variant, self.expr(value, frame))
            case Payload(value=value, variant=variant, index=item):
                assert isinstance(value.type, EnumType)
                return self.sorts.part(value.type, variant, item, self.expr(value, frame))
            case Quant():
                return self._quant(node, frame)
            case GateTest():
                raise Unsupported("a gate that was not decided")
            case Op():
                return self._op(node, [self.expr(a, frame) for a in node.args])
            case _:
                assert_never(node)

    def input(self, name: str, type_: Type, frame: Frame) -> Term:
        """A field of the event."""
        if name not in frame.inputs:
            frame.inputs[name] = self.sorts.const(f"{frame.prefix}{name}", type_)
            if frame.rule is not None:
                frame.rule(name, type_, frame.inputs[name])
        return frame.inputs[name]

    def cell(self, view: View, state: str, index: tuple[Term, ...]) -> Term:
        """A cell of the state, its indices offered to the quantifiers."""
        for var, term in zip(self.states[state].indices, index, strict=True):
            self.offer(var.type, term)
        self.reads.setdefault(state, {}).setdefault(tuple(i.get_id() for i in index), index)
        return view.read(state, index)

    def _load(self, address: Term, size: int, type_: Type, frame: Frame) -> Term:
        assert isinstance(type_, BitsType)
        memory = z3.Function(f"{frame.prefix}memory", z3.BitVecSort(64), z3.BitVecSort(8))
        parts = [memory(address + i) for i in reversed(range(size))]
        self.loads.append((frame.prefix, address, parts))
        return _resized(parts[0] if size == 1 else z3.Concat(*parts), type_.width)

    def _quant(self, node: Quant, frame: Frame) -> Term:
        truth = z3.Bool(f"{node.kind}!{next(self._names)}")
        self._quantifiers.append(_Quantifier(truth, node, frame))
        new = {v.name: self.fresh(v.name, v.type) for v in node.vars}
        body = self.expr(node.body, frame.inside(new))
        witness = z3.Implies(truth, body) if node.kind == "exists" else z3.Or(truth, z3.Not(body))
        self.constraints.append(
            witness if frame.scope is None else z3.Implies(frame.scope, witness)
        )
        return truth

    def _op(self, node: Op, args: list[Term]) -> Term:
        match node.op:
            case "not":
                return z3.Not(args[0])
            case "and":
                return z3.And(*args)
            case "or":
                return z3.Or(*args)
            case "ite":
                return z3.If(*args)
            case "extract":
                high, low = node.extra
                return z3.Extract(high, low, args[0])
            case "resize":
                assert isinstance(node.type, BitsType)
                return _resized(args[0], node.type.width)
            case "bvnot":
                return ~args[0]
            case op:
                return _BINARY[op](*args)


def patterns(node: Quant) -> list[Cell]:
    """Cells inside whose indices are variables of the quantifier, each once."""
    names = {v.name for v in node.vars}
    found: dict[Cell, None] = {}
    for part in walk(node.body):
        if isinstance(part, Cell):
            used = [i.name for i in part.indices if isinstance(i, Var)]
            if len(used) == len(part.indices) == len(set(used)) and names.issuperset(used):
                found[part] = None
    return list(found)


class _Values:
    """The numbers a model gives to terms, each asked for once."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._known: dict[int, int] = {}

    def of(self, term: Term) -> int:
        """The value of a term."""
        key = term.get_id()
        if key not in self._known:
            self._known[key] = self._model.eval(term, model_completion=True).as_long()
        return self._known[key]

    def same(self, a: Term, b: Term) -> bool:
        """Whether two terms have one value."""
        return a is b or self.of(a) == self.of(b)


def _distinct_tuples(
    indices: Iterable[tuple[Term, ...]], values: _Values
) -> list[tuple[Term, ...]]:
    found: dict[tuple[int, ...], tuple[Term, ...]] = {}
    for index in indices:
        found.setdefault(tuple(values.of(i) for i in index), index)
    return list(found.values())


def _distinct(terms: Iterable[Term], values: _Values) -> list[Term]:
    """One term for every value they have in a model; the oldest."""
    found: dict[int, Term] = {}
    for term in terms:
        found.setdefault(values.of(term), term)
    return list(found.values())


def _resized(term: Term, width: int) -> Term:
    have = term.size()
    if have == width:
        return term
    return z3.ZeroExt(width - have, term) if have < width else z3.Extract(width - 1, 0, term)
