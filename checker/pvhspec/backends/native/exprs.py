"""Expressions and quantifiers as machine code."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, Protocol

from pvhspec.backends.interpreter.evaluate import Compiler
from pvhspec.backends.native.emit import BAD, FALSE, TRUE, Text, Val, const
from pvhspec.backends.native.layout import FLAGS, WIDEST, Layout, Table, bits_of, pack, payload_at
from pvhspec.ir import ir
from pvhspec.ir.walk import children
from pvhspec.types.types import EnumType, Type

__all__ = ["NOWHERE", "Exprs", "Inputs", "Unit"]

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
        self.written = {u.target for o in spec.operations for u in (*o.updates, *o.always)} | {
            u.target for b in spec.observations for u in b.updates
        }
        self._keys: dict[Any, int] = {}
        self._by_id: dict[int, tuple[Any, int]] = {}
        self._quants: dict[int, bool] = {}
        self.searches: dict[int, tuple[str | None, int | None]] = {}
        self.named = 0
        self.writers: dict[str, int] = {}  # by state: the number of the function that writes it
        self.hints: list[
            dict[str, bool]
        ] = []  # by hint: states read; True: only at the place itself

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
        # What was found in the state so far: slots by domain, searches by their call, cells by
        # state and index; and which variant a value is known to be.
        self.slots: dict[str, str] = {}
        self._found: dict[str, str] = {}
        self._cells: dict[tuple[str, ...], tuple[Val, str]] = {}
        self._variants: dict[str, int] = {}
        if shared is not None:
            self.slots, self._found = shared.slots, shared._found
            self._cells, self._variants = shared._cells, shared._variants

    def inside_of(self, **more: Val) -> Exprs:
        """Expressions of a part that may be passed over, with more variables: nothing made there
        is known outside."""
        made = Exprs(self.unit, self.text, self.inputs, {**self.vars, **more})
        made.inside, made.drifting = dict(self.inside), self.drifting
        made._made, made.slots = dict(self._made), dict(self.slots)
        made._found, made._cells = dict(self._found), dict(self._cells)
        made._variants = dict(self._variants)
        return made

    def learn(self, node: ir.Expr) -> None:
        """Something holds from here on."""
        if isinstance(node, ir.Is) and (value := self.expr(node.value)).text.startswith("%"):
            self._variants[value.text] = node.variant

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
                moved = text.op(
                    f"lshr i{v.bits} {v.text}, {payload_at(value.type, variant, index)}"
                )
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
        known = self._variants.get(value.text)
        if known is not None:
            return "true" if known == variant else "false"
        low = self.text.sized(value.text, value.bits, 8)
        return self.text.op(f"icmp eq i8 {low}, {variant if variant < 128 else variant - 256}")

    # ---- operators ------------------------------------------------------------------------------

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

    # ---- cells ----------------------------------------------------------------------------------

    def slot(self, domain: Val) -> str:
        """The slot of a domain, as i64."""
        found = self.slots.get(domain.text)
        if found is None:
            t = self.text
            wide = t.sized(domain.text, domain.bits, 64)
            where = t.at(t.at("%st", self.unit.layout.header.slots), wide)
            found = self.slots[domain.text] = t.sized(t.load(8, where), 8, 64)
            if t.rest is None:
                missing = t.at("%st", self.unit.layout.missing)
                told = t.op(f"add i64 {wide}, 1")
                no = t.op(f"icmp eq i64 {found}, 0")
                t.store(64, t.choose(no, 64, told, t.load(64, missing, 8)), missing, 8)
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
        known, _ = self.held(table, index)
        value, bad = known.text, known.bad
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

    def held(self, table: Table, index: list[Val]) -> tuple[Val, str]:
        """What stands in a cell, bad if it is not known; and as it stands there, with its flags."""
        t, key = self.text, (table.name, *(part for i in index for part in (i.text, i.bad)))
        if key not in self._cells:
            base, at, _, bad = self.where(table, index)
            bits = 8 * table.size
            raw = t.load(bits, self.address(base, table.cells, at, table.size), table.size)
            unsure = t.op(f"icmp ne i{bits} {t.op(f'and i{bits} {raw}, {UNSURE}')}, 0")
            if table.wide is None:
                value = t.sized(t.op(f"lshr i{bits} {raw}, {FLAGS}"), bits, table.width)
            else:
                where = self.address(base, table.wide, at, WIDEST // 8)
                value = t.sized(t.load(WIDEST, where, 8), WIDEST, table.width)
            self._cells[key] = Val(value, table.width, t.either(bad, unsure)), raw
        return self._cells[key]

    # ---- quantifiers ----------------------------------------------------------------------------

    def _quant(self, node: ir.Quant, active: str) -> Val:
        if len(node.vars) != 1:
            return BAD
        from pvhspec.backends.native.search import negated

        body = node.body if node.kind == "exists" else negated(node.body)
        found = self.search(node.vars[0], body, active)
        t = self.text
        some = t.op(f"icmp ult i64 {found.text}, {NOWHERE}") if found.bad != "true" else "false"
        return Val(some if node.kind == "exists" else t.invert(some), 1, found.bad)

    def search(self, variable: ir.Var, body: ir.Expr, active: str) -> Val:
        """The lowest value for which a body holds, NOWHERE if there is none."""
        t = self.text
        from pvhspec.backends.native.search import Search  # it is made of expressions itself

        made = Search(self.unit, variable, body)
        if made.name is None:
            return Val("0", 64, "true")
        args: list[str] = []
        bad = "false"
        for node in made.terms:
            value = self.expr(node, active)
            bad = t.either(bad, value.bad)
            args.append(f"i{value.bits} {value.text}")
        ask = t.both(active, t.invert(bad))
        call = (
            f"call i64 @{made.name}(ptr %st, ptr %hints, i1 {ask}{''.join(', ' + a for a in args)})"
        )
        if call not in self._found:
            self._found[call] = t.op(call)
        found = self._found[call]
        return Val(found, 64, t.either(bad, t.op(f"icmp eq i64 {found}, -1")))
