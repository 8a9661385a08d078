"""What an event changes, as machine code: whether a write is sure, the list in which it is noted,
and the write itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pvhspec.backends.native.emit import BAD, Text, Val
from pvhspec.backends.native.exprs import Exprs, Unit
from pvhspec.backends.native.inputs import Fields
from pvhspec.backends.native.layout import FLAGS, NOTED, TOUCHED, WIDEST, Table, bits_of
from pvhspec.ir import ir
from pvhspec.types.types import Type

__all__ = ["Write", "applied", "changes", "settles", "unsure", "write_down", "writers"]

_INDICES = WIDEST // 8  # where in an entry of the list these are; the value is before them
_ABOUT = NOTED - 8  # which writer it is for, and the clause


@dataclass(slots=True)
class Write:
    """What an update that is due writes."""

    update: ir.Update
    index: list[Val]
    value: Val


def unsure(unit: Unit, exprs: Exprs, write: Write) -> str:
    """Whether the interpreter has to make a write, if it is due."""
    t, table = exprs.text, unit.layout.tables[write.update.target]
    _, _, _, bad = exprs.where(table, write.index)
    for value in (*write.index, write.value):
        bad = t.either(bad, value.bad)
    if table.slotted:
        bad = t.either(bad, t.op(f"icmp eq i64 {exprs.slot(write.index[0])}, 0"))
    bits = 8 * table.size
    _, raw = exprs.held(table, write.index)
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
            before = exprs.cell(state, write.index)
        same = t.op(f"icmp eq i{before.bits} {before.text}, {write.value.text}")
        ask = t.either(before.bad, t.invert(same))
        test = Exprs(unit, t, fields, names, exprs).expr(inside, ask)
        found = t.either(found, t.both(ask, t.either(test.text, test.bad)))
    return found


def changes(unit: Unit, exprs: Exprs, write: Write) -> str:
    """Whether a write makes a difference, if there is no other of the cell."""
    t, table = exprs.text, unit.layout.tables[write.update.target]
    if table.wide is not None:
        return "true"
    bits = 8 * table.size
    _, raw = exprs.held(table, write.index)
    moved = t.op(f"shl i{bits} {t.sized(write.value.text, table.width, bits)}, {FLAGS}")
    return t.op(f"icmp ne i{bits} {raw}, {moved}")


# ---- the list ----------------------------------------------------------------------------------


def write_down(unit: Unit, t: Text, write: Write, clause: int, count: str) -> str:
    """The text that makes an entry of the list; how many there are then."""
    number = unit.writers.setdefault(write.update.target, len(unit.writers))
    where = _entry(unit, t, count)
    room = _room(unit.layout.tables[write.update.target])
    t.store(room, t.sized(write.value.text, write.value.bits, room), where, 8)
    for n, value in enumerate(write.index):
        t.store(64, t.sized(value.text, value.bits, 64), t.at(where, _INDICES + 8 * n), 8)
    t.store(64, str(clause << 32 | number), t.at(where, _ABOUT), 8)
    return t.op(f"add i64 {count}, 1")


def _room(table: Table) -> int:
    """The bits that a value has in the list."""
    return 64 if table.width <= 64 else WIDEST


def _entry(unit: Unit, t: Text, number: str) -> str:
    at = t.op(f"add i64 {t.op(f'mul i64 {number}, {NOTED}')}, {unit.layout.noted}")
    return t.at("%st", at)


def applied(unit: Unit) -> str:
    """The function that writes so many entries of the list, in their order."""
    t = Text()
    t.label("entry")
    t.do("%begin = shl i64 %seq, 12")
    t.do("br label %head")
    t.label("head")
    t.lines.append("  %n = phi i64 [ 0, %entry ], [ %next, %on ]")
    t.do("%more = icmp ult i64 %n, %count")
    t.do("br i1 %more, label %look, label %out")
    t.label("look")
    where = _entry(unit, t, "%n")
    about = t.load(64, t.at(where, _ABOUT), 8)
    clause = t.op(f"add i64 {t.op(f'lshr i64 {about}, 32')}, 4096")
    event = t.op(f"add i64 %begin, {clause}")
    cases = " ".join(f"i32 {n}, label %of{n}" for n in unit.writers.values())
    t.do(f"switch i32 {t.sized(about, 64, 32)}, label %on [ {cases} ]")
    for name, n in unit.writers.items():
        t.label(f"of{n}")
        given = f"i64 {event}"
        for at, v in enumerate(unit.spec.states[name].indices):
            bits = bits_of(v.type) or 64
            index = t.sized(t.load(64, t.at(where, _INDICES + 8 * at), 8), 64, bits)
            given += f", i{bits} {index}"
        table = unit.layout.tables[name]
        width, room = table.width, _room(table)
        given += f", i{width} {t.sized(t.load(room, where, 8), room, width)}"
        t.do(f"call void @write{n}(ptr %st, ptr %hints, {given})")
        t.do("br label %on")
    t.label("on")
    t.do("%next = add i64 %n, 1")
    t.do("br label %head")
    t.label("out")
    t.do("ret void")
    head = "define internal void @apply(ptr noalias %st, ptr noalias %hints, i64 %seq, i64 %count)"
    return "\n".join([f"{head} noinline {{", *t.lines, "}"])


def writers(unit: Unit) -> Iterator[str]:
    """A function for each state that is written, made when all searches are known: what they
    remember may be wrong after it."""
    dirty = _debts_read(unit)
    for name, number in unit.writers.items():
        yield _writer(unit, unit.spec.states[name], f"write{number}", name in dirty)


class _Nothing:
    """An initial value hangs on no event."""

    def get(self, name: str, type_: Type) -> Val:
        return BAD

    def map(self, name: str, index: list[Val], type_: Type) -> Val:
        return BAD


def _writer(unit: Unit, decl: ir.State, function: str, dirty: bool) -> str:
    t, table, header = Text(), unit.layout.tables[decl.name], unit.layout.header
    index = [Val(f"%i{n}", bits_of(v.type) or 64) for n, v in enumerate(decl.indices)]
    t.label("entry")
    local = Exprs(unit, t, _Nothing())
    base, at, last, _ = local.where(table, index)
    bits = 8 * table.size
    where = local.address(base, table.cells, at, table.size)
    raw = t.load(bits, where, table.size)
    apart, other = "", "false"
    if table.wide is None:
        moved = t.op(f"shl i{bits} {t.sized('%value', table.width, bits)}, {FLAGS}")
    else:
        moved, apart = "0", local.address(base, table.wide, at, WIDEST // 8)
        whole = t.sized("%value", table.width, WIDEST)
        other = t.op(f"icmp ne i{WIDEST} {t.load(WIDEST, apart, 8)}, {whole}")
    fresh = "false"
    if decl.init is not None and not decl.given:
        names = {v.name: i for v, i in zip(decl.indices, index, strict=True)}
        init = Exprs(unit, t, _Nothing(), names).expr(decl.init)
        same = t.op(f"icmp eq i{init.bits} {init.text}, %value")
        vague = t.load(8, t.at("%st", unit.layout.vague + table.number))
        simple = t.op(f"icmp eq i8 {vague}, 0")
        fresh = t.both(t.both(same, t.invert(init.bad)), simple)
    new = t.choose(fresh, bits, moved, t.op(f"or i{bits} {moved}, {TOUCHED}"))
    kept = t.op(f"and i{bits} {raw}, {-1 - TOUCHED}")
    changed = t.either(t.op(f"icmp ne i{bits} {kept}, {moved}"), other)
    was = t.op(f"icmp ne i{bits} {t.op(f'and i{bits} {raw}, {TOUCHED}')}, 0")
    t.do(f"br i1 {t.either(changed, was)}, label %do, label %after")
    t.label("do")
    t.store(bits, new, where, table.size)
    if apart:
        t.store(WIDEST, t.sized("%value", table.width, WIDEST), apart, 8)
    t.store(64, "%event", local.address(base, table.writers, at, 8), 8)
    t.do(f"br i1 {changed}, label %more, label %after")
    t.label("more")
    counter = t.at("%st", header.changes + 8 * table.number)
    t.store(64, t.op(f"add i64 {t.load(64, counter, 8)}, 1"), counter, 8)
    high = t.at(base, table.high)
    above = t.op(f"add i64 {last}, 1")
    top = t.op(f"call i64 @llvm.umax.i64(i64 {t.load(64, high, 8)}, i64 {above})")
    t.store(64, top, high, 8)
    if table.slotted:
        _forget(unit, t, table, local.slot(index[0]), last)
    if dirty:
        t.store(64, "1", t.at("%st", header.owed), 8)
    t.do("br label %after")
    t.label("after")
    t.do("ret void")
    given = "".join(f", i{v.bits} {v.text}" for v in (*index, Val("%value", table.width)))
    head = (
        f"define internal void @{function}(ptr noalias %st, ptr noalias %hints, i64 %event{given})"
    )
    return "\n".join([f"{head} {{", *t.lines, "}"])


def _forget(unit: Unit, t: Text, table: Table, slot: str, last: str) -> None:
    """What was found before a cell has changed may not be the lowest any more."""
    for number, reads in enumerate(unit.hints):
        if table.name not in reads:
            continue
        at = t.op(f"add i64 {t.op(f'mul i64 {slot}, @HINTS@')}, {number}")
        where = t.at("%hints", t.op(f"mul i64 {at}, 8"))
        found = "0"
        if reads[table.name]:
            found = t.op(f"call i64 @llvm.umin.i64(i64 {t.load(64, where, 8)}, i64 {last})")
        t.store(64, found, where, 8)


def _debts_read(unit: Unit) -> frozenset[str]:
    """The states on which it hangs what is owed."""
    found: set[str] = set()

    def walk(node: ir.Expr) -> None:
        from pvhspec.ir.walk import children

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
