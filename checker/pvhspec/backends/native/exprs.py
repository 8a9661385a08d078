"""Expressions and quantifiers as machine code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, Protocol

from pvhspec.backends.interpreter.evaluate import Compiler
from pvhspec.backends.interpreter.quantify import children, size_of, vars_of
from pvhspec.backends.native.emit import BAD, FALSE, TRUE, Text, Val, const
from pvhspec.backends.native.layout import FLAGS, Layout, Table, bits_of, pack, payload_at
from pvhspec.ir import ir
from pvhspec.types.types import BitsType, EnumType, Type

__all__ = ["NOWHERE", "Exprs", "Inputs", "Unit", "conjuncts", "negated"]

NOWHERE = 1 << 40  # where a search ends that found nothing
UNSURE = 5  # flags of a cell whose value is not simply known
_OPS = {"add": "add", "sub": "sub", "mul": "mul", "bvand": "and", "bvor": "or", "bvxor": "xor"}


class Inputs(Protocol):
    """Fields of the event."""

    def get(self, name: str, type_: Type) -> Val:
        """A plain field."""
        ...

    def map(self, name: str, index: list[Val], type_: Type) -> Val:
        """A field that is a map, at an index."""
        ...


class Unit:
    """What all functions of one module share."""

    def __init__(
        self, spec: ir.Spec, compiler: Compiler, layout: Layout, all_domains: bool
    ) -> None:
        self.spec = spec
        self.compiler = compiler
        self.layout = layout
        self.functions: list[str] = []
        self.drifts = {
            s.name: s
            for s in spec.states.values()
            if s.drift is not None and not (all_domains and s.drift_kind == "change unseen")
        }
        self.written = {
            u.target for o in spec.operations for u in (*o.updates, *o.always)
        } | {u.target for b in spec.observations for u in b.updates}
        self._keys: dict[Any, int] = {}
        self._by_id: dict[int, tuple[Any, int]] = {}
        self._quants: dict[int, bool] = {}
        self.searches: dict[int, tuple[str | None, int | None]] = {}
        self.named = 0
        self.hints: list[dict[str, bool]] = []  # by hint: states read; True: only at the place itself

    def key(self, node: Any) -> int:
        """Equal expressions have one number."""
        found = self._by_id.get(id(node))
        if found is not None:
            return found[1]
        if isinstance(node, tuple):
            shape: Any = ("t", *(self.key(n) for n in node))
        elif is_dataclass(node) and not isinstance(node, type) and isinstance(node, ir.Expr):
            shape = (type(node), *(self.key(getattr(node, f.name)) for f in fields(node)))
        else:
            shape = ("v", type(node), node)
        number = self._keys.setdefault(shape, len(self._keys))
        self._by_id[id(node)] = (node, number)
        return number

    def searching(self, node: ir.Expr) -> bool:
        """Whether there is a quantifier in an expression, or in a drift of what it reads."""
        number = self.key(node)
        if number not in self._quants:
            self._quants[number] = False
            found = isinstance(node, ir.Quant) or any(map(self.searching, children(node)))
            if isinstance(node, ir.Cell) and node.state in self.drifts:
                drift = self.drifts[node.state].drift
                found = found or (drift is not None and self.searching(drift))
            self._quants[number] = found
        return self._quants[number]


class Exprs:
    """Expressions of one function."""

    def __init__(
        self,
        unit: Unit,
        text: Text,
        inputs: Inputs,
        variables: dict[str, Val] | None = None,
        shared: Exprs | None = None,
    ) -> None:
        self.unit, self.text, self.inputs = unit, text, inputs
        self.vars = variables or {}
        self.inside: dict[str, int] = {}  # loop variables, known to be below
        self.drifting: frozenset[str] = frozenset()
        self._made: dict[tuple[int, str], Val] = {}
        self.slots: dict[str, str] = shared.slots if shared is not None else {}

    def expr(self, node: ir.Expr, active: str = "true") -> Val:
        """The value, good where `active` holds."""
        key = (self.unit.key(node), active if self.unit.searching(node) else "")
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._make(node, active)
        return found

    def _make(self, node: ir.Expr, active: str) -> Val:
        unit, text = self.unit, self.text
        match node:
            case ir.Const(type=type_, value=value):
                bits = bits_of(type_)
                return const(pack(value, type_), bits) if bits is not None else BAD
            case ir.GateTest(gate=gate):
                return TRUE if unit.compiler.open(gate) else FALSE
            case ir.Input(name=name, type=type_):
                return self._fit(self.inputs.get(name, type_), type_)
            case ir.MapInput(name=name, indices=indices, type=type_):
                at = [self.expr(i, active) for i in indices]
                return self._fit(self.inputs.map(name, at, type_), type_)
            case ir.Var(name=name):
                return self.vars[name]
            case ir.Cell(state=state, indices=indices, type=type_):
                return self.cell(state, [self.expr(i, active) for i in indices], active)
            case ir.Load(type=type_):
                return self._fit(BAD, type_)
            case ir.Make(variant=variant, args=args, type=type_):
                assert isinstance(type_, EnumType)
                bits = bits_of(type_)
                if bits is None:
                    return BAD
                whole, bad = str(variant), "false"
                for i, a in enumerate(args):
                    part = self.expr(a, active)
                    bad = text.either(bad, part.bad)
                    wide = text.sized(part.text, part.bits, bits)
                    moved = text.op(f"shl i{bits} {wide}, {payload_at(type_, variant, i)}")
                    whole = text.op(f"or i{bits} {whole}, {moved}")
                return Val(whole, bits, bad)
            case ir.Is(value=value, variant=variant):
                v = self.expr(value, active)
                return Val(self._is(v, variant), 1, v.bad)
            case ir.Payload(value=value, variant=variant, index=index, type=type_):
                v = self.expr(value, active)
                assert isinstance(value.type, EnumType)
                want = bits_of(type_)
                if want is None or v.bits == 1:
                    return self._fit(BAD, type_)
                moved = text.op(f"lshr i{v.bits} {v.text}, {payload_at(value.type, variant, index)}")
                other = text.invert(self._is(v, variant))
                return Val(text.sized(moved, v.bits, want), want, text.either(v.bad, other))
            case ir.Quant():
                return self._quant(node, active)
            case ir.Op():
                return self._op(node, active)
        raise AssertionError(node)

    def _fit(self, value: Val, type_: Type) -> Val:
        bits = bits_of(type_)
        if value.bad == "true" or bits is None:
            return Val("false" if bits in (1, None) else "0", bits or 1, "true")
        return Val(self.text.sized(value.text, value.bits, bits), bits, value.bad)

    def _is(self, value: Val, variant: int) -> str:
        low = self.text.sized(value.text, value.bits, 8)
        return self.text.op(f"icmp eq i8 {low}, {variant if variant < 128 else variant - 256}")

    # ---- operators -------------------------------------------------------------------------------

    def _op(self, node: ir.Op, active: str) -> Val:
        t = self.text
        match node.op:
            case "not":
                a = self.expr(node.args[0], active)
                return Val(t.invert(a.text), 1, a.bad)
            case "and" | "or":
                return self._several(node.op == "and", node.args, active)
            case "implies":
                a = self.expr(node.args[0], active)
                b = self.expr(node.args[1], t.both(active, a.text))
                return Val(
                    t.either(t.invert(a.text), b.text), 1, t.either(a.bad, t.both(a.text, b.bad))
                )
            case "ite":
                c = self.expr(node.args[0], active)
                a = self.expr(node.args[1], t.both(active, c.text))
                b = self.expr(node.args[2], t.both(active, t.invert(c.text)))
                return Val(
                    t.choose(c.text, a.bits, a.text, b.text), a.bits,
                    t.either(c.bad, t.choose(c.text, 1, a.bad, b.bad)),
                )  # fmt: skip
        parts = [self.expr(a, active) for a in node.args]
        bad = parts[0].bad
        for p in parts[1:]:
            bad = t.either(bad, p.bad)
        a = parts[0]
        bits = bits_of(node.type) or 64
        match node.op:
            case "eq":
                return Val(t.op(f"icmp eq i{a.bits} {a.text}, {parts[1].text}"), 1, bad)
            case "ult" | "ule":
                return Val(t.op(f"icmp {node.op} i{a.bits} {a.text}, {parts[1].text}"), 1, bad)
            case "extract":
                high, low = node.extra
                moved = t.op(f"lshr i{a.bits} {a.text}, {low}") if low else a.text
                cut = t.sized(t.sized(moved, a.bits, high - low + 1), high - low + 1, bits)
                return Val(cut, bits, bad)
            case "resize":
                return Val(t.sized(a.text, a.bits, bits), bits, bad)
            case "bvnot":
                return Val(t.op(f"xor i{bits} {a.text}, -1"), bits, bad)
            case "shl" | "lshr":
                b = parts[1]
                inside = t.op(f"icmp ult i{b.bits} {b.text}, {a.bits}")
                moved = t.op(f"{node.op} i{a.bits} {a.text}, {t.sized(b.text, b.bits, a.bits)}")
                return Val(t.choose(inside, a.bits, moved, "0"), bits, bad)
            case op:
                return Val(t.op(f"{_OPS[op]} i{bits} {a.text}, {parts[1].text}"), bits, bad)

    def _several(self, every: bool, args: tuple[ir.Expr, ...], active: str) -> Val:
        """Those after the one that settles it are not asked."""
        t = self.text
        going, value, bad = active, "true" if every else "false", "false"
        open_ = "true"
        for arg in args:
            part = self.expr(arg, going)
            bad = t.either(bad, t.both(open_, part.bad))
            on = part.text if every else t.invert(part.text)
            open_ = t.both(open_, on)
            going = t.both(going, on)
            value = t.both(value, part.text) if every else t.either(value, part.text)
        return Val(value, 1, bad)

    # ---- cells -----------------------------------------------------------------------------------

    def slot(self, domain: Val) -> str:
        """The slot of a domain, as i64."""
        found = self.slots.get(domain.text)
        if found is None:
            t = self.text
            wide = t.sized(domain.text, domain.bits, 64)
            where = t.at(t.at("%st", self.unit.layout.header.slots), wide)
            found = self.slots[domain.text] = t.sized(t.load(8, where), 8, 64)
        return found

    def base(self, table: Table, index: list[Val]) -> str:
        """Where the cells of a table begin, for a domain if it has some for each."""
        if not table.slotted:
            return "%st"
        t = self.text
        off = t.op(f"mul i64 {self.slot(index[0])}, {self.unit.layout.slot_bytes}")
        return t.at(t.at("%st", self.unit.layout.slots_at), off)

    def where(self, table: Table, index: list[Val]) -> tuple[str, str, str, str]:
        """Of a cell: the base, its number there, that of its last index, and whether it is bad."""
        t = self.text
        bad = index[0].bad if table.slotted else "false"
        at, last = "0", "0"
        for i, dim in zip(index[1:] if table.slotted else index, table.dims, strict=True):
            bad = t.either(bad, i.bad)
            wide = t.sized(i.text, i.bits, 64)
            if i.text.isdigit():
                if int(i.text) >= dim:
                    return self.base(table, index), "0", "0", "true"
            elif self.inside.get(i.text, 1 << 62) > dim:
                fits = t.op(f"icmp ult i64 {wide}, {dim}")
                bad = t.either(bad, t.invert(fits))
                wide = t.choose(fits, 64, wide, "0")
            at = wide if at == "0" else t.op(f"add i64 {t.op(f'mul i64 {at}, {dim}')}, {wide}")
            last = wide
        return self.base(table, index), at, last, bad

    def address(self, base: str, offset: int, at: str, size: int) -> str:
        """Where something of a cell is."""
        t = self.text
        start = t.at(base, offset)
        return start if at == "0" else t.at(start, t.op(f"mul i64 {at}, {size}"))

    def cell(self, state: str, index: list[Val], active: str = "true") -> Val:
        """What a cell holds, bad if it is not known, or drifts."""
        t = self.text
        table = self.unit.layout.tables.get(state)
        type_ = self.unit.spec.states[state].type
        if table is None:
            return self._fit(BAD, type_)
        base, at, _, bad = self.where(table, index)
        bits = 8 * table.size
        raw = t.load(bits, self.address(base, table.cells, at, table.size), table.size)
        unsure = t.op(f"icmp ne i{bits} {t.op(f'and i{bits} {raw}, {UNSURE}')}, 0")
        bad = t.either(bad, unsure)
        moved = t.op(f"lshr i{bits} {raw}, {FLAGS}")
        value = t.sized(moved, bits, table.width)
        decl = self.unit.drifts.get(state)
        if decl is not None and state not in self.drifting:
            assert decl.drift is not None
            names = {v.name: i for v, i in zip(decl.indices, index, strict=True)}
            inner = Exprs(self.unit, t, self.inputs, names, self)
            inner.inside, inner.drifting = self.inside, self.drifting | {state}
            ask = t.both(active, t.invert(value)) if decl.drift_kind == "rise" else active
            now = inner.expr(decl.drift, ask)
            drifts = t.either(now.text, now.bad)
            if decl.drift_kind == "rise":
                drifts = t.both(drifts, t.invert(value))
            bad = t.either(bad, drifts)
        return Val(value, table.width, bad)

    # ---- quantifiers -----------------------------------------------------------------------------

    def _quant(self, node: ir.Quant, active: str) -> Val:
        if len(node.vars) != 1:
            return BAD
        body = node.body if node.kind == "exists" else negated(node.body)
        found = self.search(node.vars[0], body, active)
        t = self.text
        some = t.op(f"icmp ult i64 {found.text}, {NOWHERE}") if found.bad != "true" else "false"
        return Val(some if node.kind == "exists" else t.invert(some), 1, found.bad)

    def search(self, variable: ir.Var, body: ir.Expr, active: str) -> Val:
        """The lowest value for which a body holds, NOWHERE if there is none."""
        t = self.text
        made = _Search(self.unit, variable, body)
        if made.name is None:
            return Val("0", 64, "true")
        args: list[str] = []
        bad = "false"
        for node in made.terms:
            value = self.expr(node, active)
            bad = t.either(bad, value.bad)
            args.append(f"i{value.bits} {value.text}")
        ask = t.both(active, t.invert(bad))
        call = f"call i64 @{made.name}(ptr %st, ptr %hints, i1 {ask}{''.join(', ' + a for a in args)})"
        found = t.op(call)
        return Val(found, 64, t.either(bad, t.op(f"icmp eq i64 {found}, -1")))


class _Nothing:
    """A function that gets all it needs as arguments."""

    def get(self, name: str, type_: Type) -> Val:
        return BAD

    def map(self, name: str, index: list[Val], type_: Type) -> Val:
        return BAD


class _Search:
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
        domains = {unit.key(c.indices[0]): c.indices[0] for c in _cells(body, unit)
                   if (table := unit.layout.tables.get(c.state)) is not None and table.slotted}  # fmt: skip
        firsts = [n for n in domains.values() if not vars_of(n) & {variable}]
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

    # ---- its text ----------------------------------------------------------------------------------

    def _write(self, name: str, variable: ir.Var, body: ir.Expr) -> bool:
        unit, t = self.unit, Text()
        assert isinstance(variable.type, BitsType)
        size, bits = size_of(variable.type), variable.type.width
        names = [self._names[unit.key(n)] for n in self.terms]
        given = {v.name: Val(f"%a{i}", bits_of(v.type) or 1) for i, v in enumerate(names)}
        limits, rest = _limits(body, variable)
        places = [
            (c, at) for c in _cells(body, unit) for at, i in enumerate(c.indices) if i == variable
        ]
        window = size
        last = True
        for cell, at in places:
            table = unit.layout.tables.get(cell.state)
            if table is None or (table.slotted and at == 0):
                return False
            window = min(window, table.dims[at - table.slotted])
            last &= at == len(cell.indices) - 1
        if not places and size > 256:
            return False
        hint = self.hint = self._hint(variable, body, names)
        t.label("entry")
        t.do("br i1 %active, label %go, label %none")
        t.label("go")
        outer = Exprs(unit, t, _Nothing(), given)
        stop, bad = str(size), "false"
        for bound, equal in limits:
            value = outer.expr(bound)
            bad = t.either(bad, value.bad)
            wide = t.sized(value.text, value.bits, 64)
            if equal:
                wide = t.op(f"add i64 {wide}, 1")
            stop = t.op(f"call i64 @llvm.umin.i64(i64 {stop}, i64 {wide})")
        cut = self._alike(variable, rest) if last else None
        if cut is not None and places:
            # Places that nobody touched are alike: one of them is enough.
            high = str(cut)
            for cell, _ in places:
                table = unit.layout.tables[cell.state]
                base = outer.base(table, [outer.expr(i) for i in cell.indices[:1]])
                where = t.load(64, t.at(base, table.high), 8)
                high = t.op(f"call i64 @llvm.umax.i64(i64 {high}, i64 {where})")
            high = t.op(f"add i64 {high}, 1")
            stop = t.op(f"call i64 @llvm.umin.i64(i64 {stop}, i64 {high})")
        end = t.op(f"call i64 @llvm.umin.i64(i64 {stop}, i64 {window})")
        start = "0"
        if hint is not None:
            slot = outer.slot(given["@0"])
            at = t.op(f"add i64 {t.op(f'mul i64 {slot}, @HINTS@')}, {hint}")
            where = t.at("%hints", t.op(f"mul i64 {at}, 8"))
            start = t.load(64, where, 8)
        elif (first := self._first(variable, body, names)) is not None:
            start = t.op(f"call i64 @{first}(ptr %st, ptr %hints, i1 true, i16 %a0)")
            bad = t.either(bad, t.op(f"icmp eq i64 {start}, -1"))
        t.do(f"br i1 {bad}, label %unsure, label %head")
        t.label("head")
        t.lines.append(f"  %p = phi i64 [ {start}, %go ], [ %next, %on ]")
        t.do(f"%more = icmp ult i64 %p, {end}")
        t.do("br i1 %more, label %look, label %over")
        t.label("look")
        value = t.sized("%p", 64, bits)
        inner = Exprs(unit, t, _Nothing(), given | {variable.name: Val(value, bits)})
        inner.inside[value] = window
        holds = inner.expr(body)
        t.do(f"br i1 {holds.bad}, label %unsure, label %sure")
        t.label("sure")
        t.do(f"br i1 {holds.text}, label %found, label %on")
        t.label("on")
        t.do("%next = add i64 %p, 1")
        t.do("br label %head")
        t.label("found")
        if hint is not None:
            t.store(64, "%p", where, 8)
        t.do("ret i64 %p")
        t.label("over")
        t.do(f"%far = icmp ugt i64 {stop}, {window}")
        t.do("br i1 %far, label %unsure, label %whole")
        t.label("whole")
        if hint is not None:
            t.store(64, "%p", where, 8)
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
        made = _Search(self.unit, variable, ir.Op("and", tuple(parts), parts[0].type))
        if made.terms != [names[0]] or made.hint is None:
            return None
        return made.name

    def _alike(self, variable: ir.Var, rest: list[ir.Expr]) -> int | None:
        """From where on all untouched places are alike, but for the limits; None if they are not."""
        if not rest:
            return 0
        plan = self.unit.compiler.planner.plan(variable, tuple(rest))
        if plan.bounds or plan.values or plan.maps or plan.blind or plan.all:
            return None
        size = size_of(variable.type)
        return max((c for c in plan.cuts if c < size), default=0)

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


def conjuncts(node: ir.Expr) -> Iterator[ir.Expr]:
    """The parts of a conjunction, in order."""
    if isinstance(node, ir.Op) and node.op == "and":
        for a in node.args:
            yield from conjuncts(a)
    else:
        yield node


def negated(node: ir.Expr) -> ir.Expr:
    """What holds where an expression does not."""
    if isinstance(node, ir.Op):
        if node.op == "not":
            return node.args[0]
        if node.op == "implies":
            return ir.Op("and", (node.args[0], negated(node.args[1])), node.type)
    return ir.Op("not", (node,), node.type)


def _limits(
    body: ir.Expr, variable: ir.Var
) -> tuple[list[tuple[ir.Expr, bool]], list[ir.Expr]]:
    """What the variable must be below, or at most (True), for the body to hold; and the rest."""
    limits: list[tuple[ir.Expr, bool]] = []
    rest: list[ir.Expr] = []
    for part in conjuncts(body):
        if (
            isinstance(part, ir.Op)
            and part.op in ("ult", "ule")
            and part.args[0] == variable
            and variable not in vars_of(part.args[1])
        ):
            limits.append((part.args[1], part.op == "ule"))
        else:
            rest.append(part)
    return limits, rest


