"""Quantifiers over large finite types, without visiting every value.

A variable that is only an index, or only compared, makes no difference between two values whose
cells were never touched and that lie on the same side of everything they are compared with. So it
is enough to visit the touched cells, and one value from each stretch between comparisons. Where a
variable is used in another way, every value is visited.

What is unknown of one value says nothing of another: where a sample meets something unknown, the
other values of its stretch may each be otherwise, and the quantifier says so (`_OTHERS`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import filterfalse, pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pvhspec.backends.interpreter.needs import Need, needed
from pvhspec.backends.interpreter.path import Path
from pvhspec.backends.interpreter.store import Store
from pvhspec.backends.interpreter.values import Formula, conj, disj
from pvhspec.ir.ir import Cell, Const, Expr, MapInput, Op, State, Var
from pvhspec.ir.walk import bound_in, children, conjuncts, vars_of
from pvhspec.types.types import BitsType, Type

if TYPE_CHECKING:
    from pvhspec.backends.interpreter.evaluate import Compiler

__all__ = ["Plan", "Planner", "Samples", "size_of"]

_COMPARISONS = frozenset({"eq", "ult", "ule"})
_OTHERS = Formula("open", ("others",))
_MOST_OPEN = 32  # undecided values before a quantifier is left open as a whole
_Limits: TypeAlias = "tuple[tuple[Callable[[Path], Any], int], ...]"
_VISIT_ALL = 1 << 13  # the most values that are visited one by one where no plan fits


def size_of(type_: Type) -> int:
    """How many values a quantifier over a type visits."""
    if isinstance(type_, BitsType):
        return type_.below if type_.below is not None else 1 << type_.width
    return 2


class Samples:
    """The values of a variable that stand for all of them: touched ones for themselves, and the
    first untouched one of each stretch for the others.

    `vague`: something they are compared with is unknown. `blind`: a sample says nothing of the
    others, because the variable is used in a way that no plan fits. `visited`: the touched ones
    that anything hangs on, if not all.
    """

    def __init__(
        self,
        touched: Iterable[int],
        stretches: Iterable[tuple[int, int]],
        *,
        visited: Iterable[int] | None = None,
        vague: bool = False,
        blind: bool = False,
    ) -> None:
        self.vague, self.blind = vague, blind
        self._touched = set(touched)
        self._stands: dict[int, tuple[int, int]] = {}
        values = list(self._touched if visited is None else visited)
        for start, end in stretches:
            untouched = filterfalse(self._touched.__contains__, range(start, end))
            first = next(untouched, None)
            if first is not None:
                values.append(first)
                if next(untouched, None) is not None:
                    self._stands[first] = (first, end)
        self._values = sorted(values)

    def each(self) -> list[int]:
        """The values to visit, in order."""
        return self._values

    def fresh_first(self) -> list[int]:
        """The same with untouched values first: they decide most quantifiers at once."""
        return sorted(self._values, key=self._touched.__contains__)

    def stands_for_more(self, value: int) -> bool:
        """Whether a sample stands for other values beside itself."""
        return value in self._stands

    def others(self, value: int) -> int:
        """At most how many other values a sample stands for."""
        start, end = self._stands.get(value, (value, value + 1))
        return end - start - 1

    def stretch(self, value: int, only: Collection[int] | None = None) -> Iterator[int]:
        """Every value that a sample stands for, itself first; `only`: those of the others."""
        start, end = self._stands.get(value, (value, value + 1))
        others = range(start, end) if only is None else sorted(v for v in only if start <= v < end)
        yield value
        yield from (v for v in others if v != value and v not in self._touched)

    def unsure(self, value: int, doubted: bool, known: bool) -> bool:
        """Whether what was found for a sample need not be so for those it stands for."""
        return self.stands_for_more(value) and (doubted or self.blind or (self.vague and not known))


@dataclass(slots=True)
class Plan:
    """How to find the samples of a variable. `cuts`: where a stretch begins, whatever happens;
    `bounds`: what else it is compared with. `all`: every value; `blind`: they are too many.
    `lower`, `upper`: below the ones, and from the others on, nothing hangs on the value."""

    variable: Var
    size: int
    cells: list[tuple[str, int]]
    maps: list[tuple[str, int]]
    cuts: frozenset[int]
    bounds: list[Callable[[Path], Any]]
    values: list[State]
    all: bool
    blind: bool
    states: frozenset[str]
    lower: _Limits = ()
    upper: _Limits = ()
    needs: tuple[Need, ...] = ()
    last: tuple[Store, object, Samples] | None = None

    def samples(self, path: Path) -> Samples:
        """The values to visit in a run."""
        if self.all:
            return Samples(range(self.size), ())
        if self.maps or path.opened(self.states):
            return self._find(path)
        changes = path.store.changes
        now = (
            *(changes[s] for s in self.states),
            *(path.resolve(b(path)) for b in self.bounds),
            *(need.at(path) for need in self.needs),
        )
        if self.last is None or self.last[0] is not path.store or self.last[1] != now:
            self.last = (path.store, now, self._find(path))
        return self.last[2]

    def _find(self, path: Path) -> Samples:
        least, size = self._range(path)
        touched: set[int] = set()
        for state, at in self.cells:
            touched.update(path.store.touched(state, at))
            touched.update(i[at] for i in path.store.smears(state) if i[at] is not None)
            if path.open_cells:
                touched.update(i[at] for s, i in path.open_cells if s == state)
        for name, at in self.maps:
            table = path.inputs.get(name)
            if table is not None:
                touched.update(index[at] for index in table)
        cuts, vague = {*self.cuts}, False
        for bound in self.bounds:
            value = path.resolve(bound(path))
            if isinstance(value, int):
                cuts.update((value, value + 1))
            else:
                vague = True
        for state_ in self.values:
            for value in _values(path, state_):
                if type(value) is int:
                    cuts.update((value, value + 1))
                else:
                    vague = True
        if touched and (min(touched) < least or max(touched) >= size):
            touched = {t for t in touched if least <= t < size}
        inside = sorted(c for c in {*cuts, least, size} if least <= c <= size)
        visited: Collection[int] = touched
        for need in self.needs:
            visited = need.left(path, need.at(path), visited)
        return Samples(touched, pairwise(inside), vague=vague, blind=self.blind, visited=visited)

    def _range(self, path: Path) -> tuple[int, int]:
        """The values that anything hangs on: the first, and the one after the last."""
        least, end = 0, self.size
        for bound, more in self.lower:
            value = path.resolve(bound(path))
            if type(value) is int:
                least = max(least, value + more)
        for bound, more in self.upper:
            value = path.resolve(bound(path))
            if type(value) is int:
                end = min(end, value + more)
        return least, max(least, end)


class Planner:
    """Finds which values of a variable make a difference."""

    def __init__(self, compiler: Compiler, states: dict[str, State]) -> None:
        self._compiler = compiler
        self.states = states
        self._state_uses: dict[tuple[str, int], _Uses] = {}

    def plan(
        self,
        variable: Var,
        bodies: tuple[Expr, ...],
        later: tuple[Var, ...] = (),
        asked: Literal["forall", "exists"] | None = None,
    ) -> Plan:
        """The plan for a variable of some expressions; `later` variables have no value yet.
        `asked`: only whether the first holds for all values, or which are those it holds for."""
        inner = frozenset(later).union(*(bound_in(b) for b in bodies))
        uses = self._uses(variable, bodies, inner, frozenset({variable}))
        size = size_of(variable.type)
        fits = size <= _VISIT_ALL
        cuts, bounds = {0, size}, []
        for bound in uses.bounds:
            value = self._compiler.constant(bound)
            if isinstance(value, int):
                cuts.update((value, value + 1))
            else:
                bounds.append(self._compiler.expr(bound))
        return Plan(
            variable, size, list(dict.fromkeys(uses.cells)), list(dict.fromkeys(uses.maps)),
            frozenset(cuts), bounds,
            [self.states[name] for name in dict.fromkeys(uses.values)],
            size <= 8 or (uses.other and fits), uses.other and not fits,
            frozenset([*(s for s, _ in uses.cells), *uses.values]),
            *(self._limits(variable, bodies[0], inner, asked) if asked else ((), ())),
            self._needs(variable, bodies[0], inner, asked) if asked else (),
        )  # fmt: skip

    def _limits(
        self, variable: Var, body: Expr, inner: frozenset[Var], asked: str
    ) -> tuple[_Limits, _Limits]:
        """What a condition says of where a variable lies, or the premise of what is to hold."""
        lower: list[tuple[Callable[[Path], Any], int]] = []
        upper: list[tuple[Callable[[Path], Any], int]] = []
        premise = _premise(body, asked)
        for part in () if premise is None else conjuncts(premise):
            if not (isinstance(part, Op) and part.op in ("ult", "ule") and variable in part.args):
                continue
            a, b = part.args
            other = b if a == variable else a
            if vars_of(other) & (inner | {variable}):
                continue
            strict = part.op == "ult"
            if a == variable:
                upper.append((self._compiler.expr(other), 0 if strict else 1))
            else:
                lower.append((self._compiler.expr(other), 1 if strict else 0))
        return tuple(lower), tuple(upper)

    def _needs(
        self, variable: Var, body: Expr, inner: frozenset[Var], asked: str
    ) -> tuple[Need, ...]:
        """What a condition needs cells to hold, or the premise of what is to hold."""
        premise = _premise(body, asked)
        found: list[Need] = []
        for cell, admits in ({} if premise is None else needed(premise, variable)).items():
            place = cell.indices.index(variable)
            others = [i for at, i in enumerate(cell.indices) if at != place]
            if not any(vars_of(i) & (inner | {variable}) for i in others):
                made = tuple(self._compiler.expr(i) for i in cell.indices)
                found.append(Need(cell.state, place, made, admits))
        return tuple(found)

    def _uses(
        self, variable: Var, bodies: tuple[Expr, ...], inner: frozenset[Var], seen: frozenset[Var]
    ) -> _Uses:
        """How a variable is used. One that is compared with a variable further in makes a
        difference wherever that one does."""
        uses = _Uses()
        for body in bodies:
            self._walk(body, variable, uses)
        bounds, uses.bounds = uses.bounds, []
        for bound in bounds:
            if not (inner | seen) & vars_of(bound):
                uses.bounds.append(bound)
            elif isinstance(bound, Cell):
                uses.values.append(bound.state)
            elif not isinstance(bound, Var) or bound in uses.ordered:
                uses.other = True  # of two that are ordered, one sample each shows one order only
            elif bound not in seen:
                uses.add(self._uses(bound, bodies, inner, seen | {bound}))
        return uses

    def _walk(self, node: Expr, variable: Var, uses: _Uses) -> None:
        match node:
            case Var():
                if node == variable:
                    uses.other = True
                return
            case Cell(state=state, indices=indices):
                for at, index in enumerate(indices):
                    if index == variable:
                        uses.cells.append((state, at))
                        uses.add(self._of_state(state, at))
                    else:
                        self._walk(index, variable, uses)
                return
            case MapInput(name=name, indices=indices):
                for at, index in enumerate(indices):
                    if index == variable:
                        uses.maps.append((name, at))
                    else:
                        self._walk(index, variable, uses)
                return
            case Op(op=op, args=(a, b)) if op in _COMPARISONS and variable in (a, b):
                other = b if a == variable else a
                if other != variable:
                    uses.bounds.append(other)
                    if op != "eq":
                        uses.ordered.append(other)
                    self._walk(other, variable, uses)
                return
        for child in children(node):
            self._walk(child, variable, uses)

    def _of_state(self, state: str, at: int) -> _Uses:
        """How a state's initial value and drift use an index."""
        key = (state, at)
        if key not in self._state_uses:
            uses = _Uses()
            self._state_uses[key] = uses
            decl = self.states[state]
            for expr in (decl.init, decl.drift):
                if expr is not None:
                    self._walk(expr, decl.indices[at], uses)
            constant: list[Expr] = [b for b in uses.bounds if isinstance(b, Const)]
            cells = [b.state for b in uses.bounds if isinstance(b, Cell)]
            uses.other |= len(constant) + len(cells) < len(uses.bounds)
            uses.bounds, uses.values = constant, [*uses.values, *cells]
        return self._state_uses[key]

    # ---- quantifiers ---------------------------------------------------------------------------

    def quantifier(
        self, kind: Literal["forall", "exists"], variables: tuple[Var, ...], body: Expr
    ) -> Callable[[Path], Any]:
        """The function of a quantified expression."""
        plans = [self.plan(v, (body,), variables[i + 1 :], kind) for i, v in enumerate(variables)]
        test = self._compiler.expr(body)
        stop = kind == "exists"
        join = disj if stop else conj

        def run(p: Path, depth: int) -> Any:
            if depth == len(plans):
                return p.resolve(test(p))
            plan, open_, others = plans[depth], [], False
            samples = plan.samples(p)
            for value in samples.fresh_first():
                p.vars[plan.variable.name] = value
                doubts = p.doubts
                found = run(p, depth + 1)
                if found is stop:
                    return found
                others |= samples.unsure(value, p.doubts > doubts, isinstance(found, bool))
                if found is not (not stop):
                    open_.append(found)
                    if len(open_) > _MOST_OPEN:
                        return Formula("open", ())
            if others:
                open_.append(_OTHERS)
            return join(open_) if open_ else not stop

        return lambda p: run(p, 0)


class _Uses:
    """How a variable is used: in which cells and maps, compared with what (`values`: with cells
    of a state that are not known by their index), or otherwise."""

    def __init__(self) -> None:
        self.cells: list[tuple[str, int]] = []
        self.maps: list[tuple[str, int]] = []
        self.bounds: list[Expr] = []
        self.values: list[str] = []
        self.ordered: list[Expr] = []  # of `bounds`, those compared by order
        self.other = False

    def add(self, more: _Uses) -> None:
        """Everything another has, too."""
        self.cells += more.cells
        self.maps += more.maps
        self.bounds += more.bounds
        self.values += more.values
        self.other |= more.other


def _values(path: Path, state: State) -> Iterator[Any]:
    """What the cells of a state may hold: those that were touched, and one that was not."""
    nowhere = (-1,) * len(state.indices)
    yield path.store.read(state.name, nowhere)
    yield from (path.store.read(state.name, index) for index in path.store.keys(state.name))
    yield from (path.resolve(v) for (name, _), v in path.cells.items() if name == state.name)


def _premise(body: Expr, asked: str) -> Expr | None:
    """What has to hold of a value for anything to hang on it."""
    if asked == "exists":
        return body
    return body.args[0] if isinstance(body, Op) and body.op == "implies" else None
