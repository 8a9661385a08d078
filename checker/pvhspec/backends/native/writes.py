"""What an event changes, as machine code: whether a write is sure, and the write itself."""

from __future__ import annotations

from dataclasses import dataclass

from pvhspec.backends.native.emit import Text, Val
from pvhspec.backends.native.exprs import Exprs, Unit
from pvhspec.backends.native.inputs import Fields
from pvhspec.backends.native.layout import FLAGS, TOUCHED, bits_of
from pvhspec.ir import ir

__all__ = ["Write", "debts_read", "same_cell", "settles", "unsure", "write_one"]


@dataclass(slots=True)
class Write:
    """An update that may be due."""

    update: ir.Update
    due: str
    index: list[Val]
    value: Val


def same_cell(t: Text, a: Write, b: Write) -> str:
    """Whether two writes of one state are of one cell."""
    same = "true"
    for x, y in zip(a.index, b.index, strict=True):
        same = t.both(same, t.op(f"icmp eq i{x.bits} {x.text}, {y.text}"))
    return same


def unsure(unit: Unit, exprs: Exprs, write: Write) -> str:
    """Whether the interpreter has to make a write, if it is due."""
    t, table = exprs.text, unit.layout.tables[write.update.target]
    base, at, _, bad = exprs.where(table, write.index)
    for value in (*write.index, write.value):
        bad = t.either(bad, value.bad)
    if table.slotted:
        bad = t.either(bad, t.op(f"icmp eq i64 {exprs.slot(write.index[0])}, 0"))
    bits = 8 * table.size
    raw = t.load(bits, exprs.address(base, table.cells, at, table.size), table.size)
    return t.either(bad, t.op(f"icmp ne i{bits} {t.op(f'and i{bits} {raw}, 4')}, 0"))


def settles(unit: Unit, fields: Fields, exprs: Exprs, write: Write) -> str:
    """Whether a drift may end by a write, or change hands: the interpreter marks what drifted."""
    t, state = exprs.text, write.update.target
    before: Val | None = None
    found = "false"
    for fixed, inside, bound in _drifts_about(unit, state):
        names = {}
        for variable, place in fixed.items():
            unknown = Val("0", bits_of(variable.type) or 1, "true")
            names[variable.name] = unknown if place is None else write.index[place]
        names |= {v.name: write.index[place] for v, place in bound.items()}
        if before is None:
            before = exprs.cell(state, write.index, write.due)
        same = t.op(f"icmp eq i{before.bits} {before.text}, {write.value.text}")
        ask = t.both(write.due, t.either(before.bad, t.invert(same)))
        test = Exprs(unit, t, fields, names, exprs).expr(inside, ask)
        found = t.either(found, t.both(ask, t.either(test.text, test.bad)))
    return found


def write_one(
    unit: Unit, fields: Fields, clauses: dict[str, int], write: Write, dirty: frozenset[str],
    after: str,
) -> None:  # fmt: skip
    """The text of a write, which ends with a jump."""
    t = fields.text
    table = unit.layout.tables[write.update.target]
    decl = unit.spec.states[write.update.target]
    local = Exprs(unit, t, fields)
    base, at, last, _ = local.where(table, write.index)
    bits = 8 * table.size
    where = local.address(base, table.cells, at, table.size)
    raw = t.load(bits, where, table.size)
    wide = t.sized(write.value.text, write.value.bits, bits)
    moved = t.op(f"shl i{bits} {wide}, {FLAGS}")
    fresh = "false"
    if decl.init is not None and not decl.given:
        names = {v.name: i for v, i in zip(decl.indices, write.index, strict=True)}
        init = Exprs(unit, t, fields, names).expr(decl.init)
        same = t.op(f"icmp eq i{init.bits} {init.text}, {write.value.text}")
        vague = t.load(8, t.at("%st", unit.layout.vague + table.number))
        simple = t.op(f"icmp eq i8 {vague}, 0")
        fresh = t.both(t.both(same, t.invert(init.bad)), simple)
    touched = t.op(f"or i{bits} {moved}, {TOUCHED}")
    new = t.choose(fresh, bits, moved, touched)
    kept = t.op(f"and i{bits} {raw}, {-1 - TOUCHED}")
    changed = t.op(f"icmp ne i{bits} {kept}, {moved}")
    was = t.op(f"icmp ne i{bits} {t.op(f'and i{bits} {raw}, {TOUCHED}')}, 0")
    do, more = t.name("do"), t.name("more")
    t.do(f"br i1 {t.either(changed, was)}, label %{do}, label %{after}")
    t.label(do)
    t.store(bits, new, where, table.size)
    event = t.op("shl i64 %seq, 12")
    event = t.op(f"add i64 {event}, {4096 + clauses[write.update.clause]}")
    t.store(64, event, local.address(base, table.writers, at, 8), 8)
    t.do(f"br i1 {changed}, label %{more}, label %{after}")
    t.label(more)
    counter = t.at("%st", unit.layout.header.changes + 8 * table.number)
    t.store(64, t.op(f"add i64 {t.load(64, counter, 8)}, 1"), counter, 8)
    high = t.at(base, table.high)
    above = t.op(f"add i64 {last}, 1")
    top = t.op(f"call i64 @llvm.umax.i64(i64 {t.load(64, high, 8)}, i64 {above})")
    t.store(64, top, high, 8)
    if table.slotted:
        slot = local.slot(write.index[0])
        for number, reads in enumerate(unit.hints):
            if table.name in reads:
                at = t.op(f"add i64 {t.op(f'mul i64 {slot}, @HINTS@')}, {number}")
                where = t.at("%hints", t.op(f"mul i64 {at}, 8"))
                found = "0"
                if reads[table.name]:
                    found = t.op(f"call i64 @llvm.umin.i64(i64 {t.load(64, where, 8)}, i64 {last})")
                t.store(64, found, where, 8)
    if table.name in dirty:
        t.store(64, "1", t.at("%st", unit.layout.header.owed), 8)
    t.do(f"br label %{after}")


def debts_read(unit: Unit) -> frozenset[str]:
    """The states on which it hangs what is owed."""
    found: set[str] = set()

    def walk(node: ir.Expr) -> None:
        from pvhspec.backends.interpreter.quantify import children

        if isinstance(node, ir.Cell) and node.state not in found:
            found.add(node.state)
            decl = unit.spec.states[node.state]
            if decl.drift is not None:
                walk(decl.drift)
        for child in children(node):
            walk(child)

    for o in unit.spec.obligations:
        walk(o.when)
        walk(o.unless)
    return frozenset(found)


def _drifts_about(
    unit: Unit, state: str
) -> list[tuple[dict[ir.Var, int | None], ir.Expr, dict[ir.Var, int]]]:
    """The conditions of drifts that a cell of a state takes part in: by variable of the drifting
    state, which index of the cell it is; the condition; the same for what it binds itself."""
    from pvhspec.backends.interpreter.drift import _alternatives, _cells

    found = []
    for decl in unit.spec.states.values():
        if decl.drift is None:
            continue
        about = [
            {v: next((n for n, i in enumerate(c.indices) if i == v), None) for v in decl.indices}
            for c in _cells(decl.drift)
            if c.state == state
        ]
        for part in _alternatives(decl.drift):
            for cell in _cells(part):
                if cell.state != state:
                    continue
                inside, bound = part, {}
                if isinstance(part, ir.Quant) and part.kind == "exists":
                    bound = {i: n for n, i in enumerate(cell.indices)
                             if isinstance(i, ir.Var) and i in part.vars}  # fmt: skip
                    if len(bound) == len(part.vars):
                        inside = part.body
                    else:
                        bound = {}
                for fixed in about:
                    if (fixed, inside, bound) not in found:
                        found.append((fixed, inside, bound))
    return found
