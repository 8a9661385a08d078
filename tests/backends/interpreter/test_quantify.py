"""Looking at a few values instead of all: never another answer, and never one too certain.

A world in which everything is known says what is true, by looking at every value. The interpreter
is shown less of it: whatever it leaves possible must include the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvhspec.backends.interpreter.evaluate import Compiler
from pvhspec.backends.interpreter.initial import initial_store
from pvhspec.backends.interpreter.path import explore
from pvhspec.backends.interpreter.store import Store
from pvhspec.backends.interpreter.values import ANY, OneOf
from pvhspec.ir import build
from pvhspec.ir.ir import Cell, Const, Expr, Input, MapInput, Op, Quant, Spec, State, Var
from pvhspec.types.types import BOOL, BitsType

SIZE = 11
INDEX = BitsType(32, "Index", SIZE)
LARGE = BitsType(32, "Large", 1 << 20)
FIRST, SECOND = Var("i", INDEX), Var("j", INDEX)

few = settings(
    max_examples=250, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)


def number(value: int) -> Const:
    return build.number(INDEX, value)


INITS: list[Expr] = [
    build.FALSE,
    build.TRUE,
    build.eq(FIRST, number(3)),
    Op("ult", (FIRST, number(5)), BOOL),
]
PAIR_INITS: list[Expr] = [build.FALSE, build.eq(FIRST, SECOND), build.eq(SECOND, number(2))]


@dataclass
class World:
    """Everything there is, and how much of it is seen."""

    inits: tuple[Expr, Expr]
    cells: dict[tuple[str, tuple[int, ...]], bool] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    numbers_hidden: set[int] = field(default_factory=set)
    n: int = 0
    table: dict[tuple[int, ...], bool] = field(default_factory=dict)
    hidden: set[tuple[str, tuple[int, ...]]] = field(default_factory=set)
    torn: set[tuple[str, tuple[int, ...]]] = field(default_factory=set)
    smears: list[tuple[str, tuple[int, ...], tuple[bool, ...], bool]] = field(default_factory=list)
    n_hidden: bool = False
    table_hidden: set[tuple[int, ...]] = field(default_factory=set)

    def spec(self) -> Spec:
        spec = Spec("small")
        for name, indices, init in (
            ("s", (FIRST,), self.inits[0]),
            ("t", (FIRST, SECOND), self.inits[1]),
        ):
            spec.states[name] = State(name, indices, BOOL, init, False, None, "rise", None, "m")
        spec.states["w"] = State("w", (FIRST,), INDEX, number(2), False, None, "rise", None, "m")
        return spec

    def store(self, compiler: Compiler) -> Store:
        store = initial_store(self.spec(), compiler, None, True)
        for (state, index), value in self.cells.items():
            store.write(state, index, value)
        for at, held in self.numbers.items():
            store.write("w", (at,), ANY if at in self.numbers_hidden else held)
        for state, index, blurred, value in self.smears:
            pattern = tuple(None if b else i for i, b in zip(index, blurred, strict=True))
            store.smear(state, pattern, value)
        for state, index in self.hidden:
            store.write(state, index, ANY)
        for state, index in self.torn:
            store.write(state, index, OneOf(frozenset((True, False))))
        return store

    def read(self, state: str, index: tuple[int, ...]) -> bool:
        for written, at, _, value in reversed(self.smears):
            if (written, at) == (state, index):
                return value
        if (state, index) in self.cells:
            return self.cells[state, index]
        init = self.inits[0 if state == "s" else 1]
        return bool(truth(init, dict(zip("ij", index, strict=False)), self))


def truth(node: Expr, names: dict[str, int], world: World) -> Any:
    """What an expression comes to, by looking at everything."""
    match node:
        case Const(value=value):
            return value
        case Var(name=name):
            return names[name]
        case Input():
            return world.n
        case Cell(state="w", indices=(index,)):
            return world.numbers.get(truth(index, names, world), 2)
        case Cell(state=state, indices=indices):
            return world.read(state, tuple(truth(i, names, world) for i in indices))
        case MapInput(indices=indices):
            return world.table.get(tuple(truth(i, names, world) for i in indices), False)
        case Op(op=op, args=args):
            return operate(op, args, names, world)
        case Quant(kind=kind, vars=variables, body=body):
            every = product(range(SIZE), repeat=len(variables))
            holds = (
                truth(
                    body, names | {v.name: n for v, n in zip(variables, values, strict=True)}, world
                )
                for values in every
            )
            return all(holds) if kind == "forall" else any(holds)
    raise AssertionError(node)


def operate(op: str, args: tuple[Expr, ...], names: dict[str, int], world: World) -> Any:
    values = (truth(a, names, world) for a in args)
    match op:
        case "not":
            return not next(values)
        case "and":
            return all(values)
        case "or":
            return any(values)
        case "implies":
            a, b = values
            return not a or b
        case "ite":
            a, b, c = values
            return b if a else c
        case "eq":
            a, b = values
            return a == b
        case "ult":
            a, b = values
            return a < b
        case "ule":
            a, b = values
            return a <= b
        case "add":
            a, b = values
            return (a + b) & 0xFFFFFFFF
    raise AssertionError(op)


@st.composite
def bodies(draw: st.DrawFn, names: tuple[Var, ...], depth: int) -> Expr:
    value: st.SearchStrategy[Expr] = st.sampled_from(
        [*names, *names, number(0), number(3), number(7), Input("n", INDEX)]
    )
    kind = draw(st.sampled_from("stmeowqnaib+" if depth else "stmeow+"))
    match kind:
        case "s":
            return Cell("s", (draw(value),), BOOL)
        case "t":
            return Cell("t", (draw(value), draw(value)), BOOL)
        case "m":
            return MapInput("m", (draw(value),), BOOL)
        case "e":
            return Op("eq", (draw(value), draw(value)), BOOL)
        case "o":
            return Op(draw(st.sampled_from(["ult", "ule"])), (draw(value), draw(value)), BOOL)
        case "w":
            sides: tuple[Expr, Expr] = (draw(value), Cell("w", (draw(value),), INDEX))
            return Op(draw(st.sampled_from(["eq", "ult", "ule"])), sides, BOOL)
        case "+":
            more = Op("add", (draw(value), number(1)), INDEX)
            return Op("eq", (draw(value), more), BOOL)
        case "n":
            return build.negate(draw(bodies(names, depth - 1)))
        case "b":
            parts = tuple(draw(bodies(names, depth - 1)) for _ in range(3))
            return Op("ite", parts, BOOL)
        case "q":
            fresh = tuple(Var(f"v{len(names) + i}", INDEX) for i in range(draw(st.integers(1, 2))))
            body = draw(bodies((*names, *fresh), depth - 1))
            return Quant(draw(st.sampled_from(["forall", "exists"])), fresh, body, BOOL)
    op = {"a": "and", "i": "implies"}[kind] if kind != "a" else draw(st.sampled_from(["and", "or"]))
    return Op(op, (draw(bodies(names, depth - 1)), draw(bodies(names, depth - 1))), BOOL)


small = st.integers(0, SIZE - 1)
places: st.SearchStrategy[tuple[str, tuple[int, ...]]] = st.one_of(
    st.tuples(st.just("s"), st.tuples(small)), st.tuples(st.just("t"), st.tuples(small, small))
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World((draw(st.sampled_from(INITS)), draw(st.sampled_from(PAIR_INITS))))
    world.cells = draw(st.dictionaries(places, st.booleans(), max_size=4))
    world.n = draw(small)
    world.numbers = draw(st.dictionaries(small, small, max_size=3))
    world.table = draw(st.dictionaries(st.tuples(small), st.booleans(), max_size=3))
    return world


@st.composite
def half_seen(draw: st.DrawFn) -> World:
    world = draw(worlds())
    world.n_hidden = draw(st.booleans())
    world.numbers_hidden = draw(st.sets(small, max_size=2))
    world.hidden = draw(st.sets(places, max_size=2))
    world.torn = draw(st.sets(places, max_size=2)) - world.hidden
    for state, index in draw(st.lists(places, max_size=2)):
        blurred = draw(st.tuples(*(st.booleans() for _ in index)))
        world.smears.append((state, index, blurred, draw(st.booleans())))
    world.table_hidden = draw(st.sets(st.tuples(small), max_size=2))
    if draw(st.booleans()):
        world.table_hidden |= {(i,) for i in range(SIZE)} - set(world.table)
    return world


class Table(dict[tuple[int, ...], Any]):
    """A map of which all is seen but a few places."""

    def __init__(self, values: dict[tuple[int, ...], bool], hidden: set[tuple[int, ...]]) -> None:
        super().__init__({k: v for k, v in values.items() if k not in hidden})
        self._whole = hidden >= {(i,) for i in range(SIZE)} - set(values)
        self._hidden = hidden
        if not self._whole:  # places of their own must be known to be such
            self.update({k: None for k in hidden})

    def get(self, index: Any, default: Any = None) -> Any:
        return None if index in self._hidden else super().get(index, False)


def possible(world: World, node: Expr) -> tuple[set[bool], bool]:
    """What the interpreter leaves possible; and whether it gave up."""
    compiler = Compiler(world.spec().states, (4, 17), "pvh")
    run = compiler.expr(node)
    inputs: dict[str, Any] = {"m": Table(world.table, world.table_hidden)}
    if not world.n_hidden:
        inputs["n"] = world.n
    found = explore(world.store(compiler), inputs, lambda p: p.decide(run(p)))
    return {holds for _, holds in found.ways}, found.overflow


@few
@given(worlds(), bodies((), 4))
def test_where_all_is_seen_the_answer_is_the_truth(world: World, node: Expr) -> None:
    found, gave_up = possible(world, node)
    assert not gave_up
    assert found == {truth(node, {}, world)}


@few
@given(half_seen(), bodies((), 4))
def test_what_is_left_possible_includes_the_truth(world: World, node: Expr) -> None:
    found, gave_up = possible(world, node)
    assert gave_up or truth(node, {}, world) in found


def test_one_cell_that_is_true_need_not_be_the_first() -> None:
    spec = World((build.FALSE, build.FALSE)).spec()
    compiler = Compiler(spec.states, (4, 17), "pvh")
    store = initial_store(spec, compiler, None, True)
    store.lose("s")
    v = Var("v", INDEX)
    some = compiler.expr(Quant("exists", (v,), Cell("s", (v,), BOOL), BOOL))
    first = compiler.expr(Cell("s", (number(0),), BOOL))
    found = explore(store, {}, lambda p: (p.decide(some(p)), p.decide(first(p))))
    assert {holds for _, holds in found.ways} >= {(True, False), (True, True), (False, False)}


def test_a_large_type_used_in_another_way_is_left_open() -> None:
    spec = Spec("small")
    index = Var("i", LARGE)
    spec.states["s"] = State("s", (index,), BOOL, build.FALSE, False, None, "rise", None, "m")
    compiler = Compiler(spec.states, (4, 17), "pvh")
    v = Var("v", LARGE)
    body = build.eq(Op("bvand", (v, build.number(LARGE, 1)), LARGE), build.number(LARGE, 1))
    run = compiler.expr(Quant("exists", (v,), body, BOOL))
    found = explore(initial_store(spec, compiler, None, True), {}, lambda p: p.decide(run(p)))
    assert {holds for _, holds in found.ways} == {True, False}
