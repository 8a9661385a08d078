"""Quantifiers and choices as machine code: the lowest value for which something holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

from pvhspec.backends.interpreter.quantify import size_of
from pvhspec.backends.native.emit import BAD, Text, Val
from pvhspec.backends.native.exprs import NOWHERE, Exprs, Unit
from pvhspec.backends.native.layout import bits_of
from pvhspec.ir import ir
from pvhspec.ir.walk import children, conjuncts, vars_of
from pvhspec.types.types import BitsType, Type

__all__ = ["Search", "alike", "limits", "negated", "window_of"]


class _Nothing:
    """A function that gets all it needs as arguments."""

    def get(self, name: str, type_: Type) -> Val:
        return BAD

    def map(self, name: str, index: list[Val], type_: Type) -> Val:
        return BAD


class Search:
    """The function that finds the lowest value for which a body holds: -1 where that is not sure.

    Where a body speaks of one domain alone, what is below the last find is not looked at again
    until a cell that it reads has changed.
    """

    def __init__(self, unit: Unit, variable: ir.Var, body: ir.Expr) -> None:
        self.unit = unit
        one = ir.Var("@", variable.type)  # whatever it is called
        variable, body = one, _put(body, {variable: one})
        self.name: str | None = None
        self.hint: int | None = None
        self.terms: list[ir.Expr] = []
        tables = unit.layout.tables
        domains = {
            unit.key(c.indices[0]): c.indices[0]
            for c in _cells(body, unit)
            if c.state in tables and tables[c.state].slotted
        }
        # A drift that a cell is read with may have variables of its own in it.
        outside = vars_of(body) - {variable}
        firsts = [n for n in domains.values() if vars_of(n) <= outside]
        self._names: dict[int, ir.Var] = {}
        if firsts:
            self._term(max(firsts, key=lambda n: sum(1 for _ in children(n))))
        plain = self._rewritten(body, variable)
        if plain is None:
            return
        key = unit.key((variable, plain, *(self._names[unit.key(n)] for n in self.terms)))
        if key not in unit.searches:
            unit.named += 1
            name = f"search{unit.named}"
            good = self._write(name, variable, plain)
            unit.searches[key] = (name if good else None, self.hint)
        self.name, self.hint = unit.searches[key]

    def _term(self, node: ir.Expr) -> ir.Var:
        number = self.unit.key(node)
        if number not in self._names:
            self._names[number] = ir.Var(f"@{len(self.terms)}", node.type)
            self.terms.append(node)
        return self._names[number]

    def _rewritten(self, node: ir.Expr, variable: ir.Var) -> Any:
        """The body with what does not hang on the variable, and is not of the state, given."""
        if self.unit.key(node) in self._names:
            return self._names[self.unit.key(node)]
        match node:
            case ir.Input():
                return self._term(node)
            case ir.Var():
                return node if node == variable else self._term(node)
            case ir.MapInput() | ir.Load() | ir.Quant():
                return None
        changes: dict[str, Any] = {}
        for f in ("args", "indices", "value"):
            part = getattr(node, f, None)
            if isinstance(node, ir.Const) or part is None:
                continue
            new = (
                tuple(self._rewritten(p, variable) for p in part)
                if isinstance(part, tuple)
                else self._rewritten(part, variable)
            )
            if new is None or (isinstance(new, tuple) and None in new):
                return None
            changes[f] = new
        return replace(node, **changes) if changes else node

    # ---- its text -------------------------------------------------------------------------------

    def _write(self, name: str, variable: ir.Var, body: ir.Expr) -> bool:
        unit, t = self.unit, Text()
        assert isinstance(variable.type, BitsType)
        size, bits = size_of(variable.type), variable.type.width
        names = [self._names[unit.key(n)] for n in self.terms]
        given = {v.name: Val(f"%a{i}", bits_of(v.type) or 1) for i, v in enumerate(names)}
        _, highs, rest = limits(list(conjuncts(body)), variable)
        window, places = window_of(unit, (body,), variable)
        if window is None or (not places and size > 256):
            return False
        window = min(window, size)
        last = all(at_last for _, at_last in places)
        hint = self.hint = self._hint(variable, body, names)
        t.label("entry")
        t.do("br i1 %active, label %go, label %none")
        t.label("go")
        outer = Exprs(unit, t, _Nothing(), given)
        stop, bad = str(size), "false"
        for bound, equal in highs:
            value = outer.expr(bound)
            bad = t.either(bad, value.bad)
            wide = t.sized(value.text, value.bits, 64)
            if equal:
                wide = t.op(f"add i64 {wide}, 1")
            stop = t.op(f"call i64 @llvm.umin.i64(i64 {stop}, i64 {wide})")
        cut = alike(unit, variable, rest) if last else None
        if cut is not None and places:
            # Places that nobody touched are alike: one of them is enough.
            high = str(cut)
            for cell, _ in places:
                table = unit.layout.tables[cell.state]
                base = outer.base(table, [outer.expr(i) for i in cell.indices[: table.slotted]])
                where = t.load(64, t.at(base, table.high), 8)
                high = t.op(f"call i64 @llvm.umax.i64(i64 {high}, i64 {where})")
            high = t.op(f"add i64 {high}, 1")
            stop = t.op(f"call i64 @llvm.umin.i64(i64 {stop}, i64 {high})")
        end = t.op(f"call i64 @llvm.umin.i64(i64 {stop}, i64 {window})")
        start = kept = "0"
        if hint is not None:
            slot = outer.slot(given["@0"])
            at = t.op(f"add i64 {t.op(f'mul i64 {slot}, @HINTS@')}, {hint}")
            kept = t.at("%hints", t.op(f"mul i64 {at}, 8"))
            start = t.load(64, kept, 8)
        elif (first := self._first(variable, body, names)) is not None:
            start = t.op(f"call i64 @{first}(ptr %st, ptr %hints, i1 true, i16 %a0)")
            bad = t.either(bad, t.op(f"icmp eq i64 {start}, -1"))
        t.do(f"br i1 {bad}, label %unsure, label %head")
        t.label("head")
        t.lines.append(f"  %p = phi i64 [ {start}, %go ], [ %next, %on ]")
        t.do(f"%more = icmp ult i64 %p, {end}")
        t.do("br i1 %more, label %look, label %over")
        t.label("look")
        number = t.sized("%p", 64, bits)
        inner = outer.inside_of(**{variable.name: Val(number, bits)})
        inner.inside[number] = window
        for part in conjuncts(body):
            holds = inner.expr(part)
            sure, so = t.name("sure"), t.name("so")
            t.do(f"br i1 {holds.bad}, label %unsure, label %{sure}")
            t.label(sure)
            t.do(f"br i1 {holds.text}, label %{so}, label %on")
            t.label(so)
        t.do("br label %found")
        t.label("on")
        t.do("%next = add i64 %p, 1")
        t.do("br label %head")
        t.label("found")
        if hint is not None:
            t.store(64, "%p", kept, 8)
        t.do("ret i64 %p")
        t.label("over")
        t.do(f"%far = icmp ugt i64 {stop}, {window}")
        t.do("br i1 %far, label %unsure, label %whole")
        t.label("whole")
        if hint is not None:
            t.store(64, "%p", kept, 8)
        t.do("br label %none")
        t.label("none")
        t.do(f"ret i64 {NOWHERE}")
        t.label("unsure")
        t.do("ret i64 -1")
        args = "".join(f", i{given[v.name].bits} %a{i}" for i, v in enumerate(names))
        head = f"define internal i64 @{name}(ptr noalias %st, ptr noalias %hints, i1 %active{args})"
        unit.functions.append("\n".join([f"{head} {{", *t.lines, "}"]))
        return True

    def _first(self, variable: ir.Var, body: ir.Expr, names: list[ir.Var]) -> str | None:
        """The search for the part of a body that speaks of the domain and the variable alone: it
        remembers where it was, and nothing below can be what is looked for."""
        if len(names) < 2 or bits_of(names[0].type) != 16:
            return None
        parts = [p for p in conjuncts(body) if variable in vars_of(p) <= {variable, names[0]}]
        if not parts:
            return None
        made = Search(self.unit, variable, ir.Op("and", tuple(parts), parts[0].type))
        if made.terms != [names[0]] or made.hint is None:
            return None
        return made.name

    def _hint(self, variable: ir.Var, body: ir.Expr, names: list[ir.Var]) -> int | None:
        """The number of the place where the last find is kept, if there can be one."""
        unit = self.unit
        if len(names) != 1 or not self.terms or bits_of(names[0].type) != 16:
            return None
        reads: dict[str, bool] = {}
        for cell in _cells(body, unit):
            table = unit.layout.tables.get(cell.state)
            if cell.state not in unit.written:
                continue
            if table is None or not table.slotted or cell.indices[0] != names[0]:
                return None
            alone = len(cell.indices) == 2 and cell.indices[1] == variable
            reads[cell.state] = reads.get(cell.state, True) and alone
        unit.hints.append(reads)
        return len(unit.hints) - 1


def _cells(node: ir.Expr, unit: Unit) -> Iterator[ir.Cell]:
    """The cells an expression reads, those its drifts read as they see them included."""
    if isinstance(node, ir.Cell):
        yield node
        decl = unit.drifts.get(node.state)
        if decl is not None and decl.drift is not None:
            names = {v: i for v, i in zip(decl.indices, node.indices, strict=True)}
            for cell in _cells_of_drift(decl.drift):
                yield replace(cell, indices=tuple(_put(i, names) for i in cell.indices))
    for child in children(node):
        yield from _cells(child, unit)


def _cells_of_drift(node: ir.Expr) -> Iterator[ir.Cell]:
    if isinstance(node, ir.Cell):
        yield node
    for child in children(node):
        yield from _cells_of_drift(child)


def _put(node: ir.Expr, names: dict[ir.Var, ir.Expr]) -> ir.Expr:
    """An expression with others in the place of variables."""
    if isinstance(node, ir.Var):
        return names.get(node, node)
    changes: dict[str, Any] = {}
    for f in ("args", "indices", "value"):
        part = getattr(node, f, None)
        if isinstance(part, tuple) and not isinstance(node, ir.Const):
            changes[f] = tuple(_put(p, names) for p in part)
        elif part is not None and not isinstance(node, ir.Const):
            changes[f] = _put(part, names)
    return replace(node, **changes) if changes else node


def negated(node: ir.Expr) -> ir.Expr:
    """What holds where an expression does not."""
    if isinstance(node, ir.Op):
        if node.op == "not":
            return node.args[0]
        if node.op == "implies":
            return ir.Op("and", (node.args[0], negated(node.args[1])), node.type)
    return ir.Op("not", (node,), node.type)


_Bound: TypeAlias = "tuple[ir.Expr, bool]"


def limits(
    parts: list[ir.Expr], variable: ir.Var
) -> tuple[list[_Bound], list[_Bound], list[ir.Expr]]:
    """What the variable must be above (or, True, not), what it must be below (or, True, at most),
    for all parts to hold; and the parts that say something else than that it is below."""
    lows: list[_Bound] = []
    highs: list[_Bound] = []
    rest: list[ir.Expr] = []
    for part in parts:
        if isinstance(part, ir.Op) and part.op in ("ult", "ule"):
            a, b = part.args
            if a == variable and variable not in vars_of(b):
                highs.append((b, part.op == "ule"))
                continue
            if b == variable and variable not in vars_of(a):
                lows.append((a, part.op == "ule"))
        rest.append(part)
    return lows, highs, rest


def alike(unit: Unit, variable: ir.Var, tests: list[ir.Expr]) -> int | None:
    """From where on untouched places are alike, but for the limits; None if they are not."""
    if not tests:
        return 0
    plan = unit.compiler.planner.plan(variable, tuple(tests))
    if plan.bounds or plan.values or plan.blind or plan.all:
        return None
    size = size_of(variable.type)
    return max((c for c in plan.cuts if c < size), default=0)


def window_of(
    unit: Unit, parts: Iterable[ir.Expr], variable: ir.Var
) -> tuple[int | None, list[tuple[ir.Cell, bool]]]:
    """How many values of a variable have cells in every table it is an index of, None where there
    is no such table; and those cells, with whether it is the last index."""
    window = NOWHERE
    places: list[tuple[ir.Cell, bool]] = []
    for cell in (c for part in parts for c in _cells(part, unit)):
        for at, index in enumerate(cell.indices):
            if index != variable:
                continue
            table = unit.layout.tables.get(cell.state)
            if table is None or (table.slotted and at == 0):
                return None, places
            window = min(window, table.dims[at - table.slotted])
            places.append((cell, at == len(cell.indices) - 1))
    return window, places
