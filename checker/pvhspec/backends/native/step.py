"""One event against an operation or an `on` block, as machine code.

Each function first finds out, without writing anything, whether the event conforms and every value
it hangs on is known; if not it returns 1, and the event is the interpreter's. Else it writes what
changes, counts what was said, and returns 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.native.emit import Text, Val
from pvhspec.backends.native.exprs import Exprs, Unit
from pvhspec.backends.native.inputs import Fields, HypercallFields
from pvhspec.backends.native.layout import FLAGS, TOUCHED, bits_of
from pvhspec.backends.protocol import Verdict
from pvhspec.ir import ir

__all__ = ["HEAD", "Step", "Told", "debts_read", "event_function"]

HEAD = "ptr noalias %st, ptr noalias %hints, ptr noalias %cols, i64 %row, i64 %seq"


class Told:
    """The outcomes that are counted: which clauses each says what of."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[tuple[str, ...], Verdict]] = []

    def number(self, clauses: Iterable[str], verdict: Verdict) -> int:
        """The number of an outcome."""
        made = (tuple(clauses), verdict)
        if made not in self.outcomes:
            self.outcomes.append(made)
        return self.outcomes.index(made)


@dataclass(slots=True)
class _Write:
    """An update that may be due."""

    update: ir.Update
    due: str
    index: list[Val]
    value: Val


class Step:
    """What operations and `on` blocks have in common."""

    def __init__(self, unit: Unit, told: Told, clauses: dict[str, int], fields: Fields) -> None:
        self.unit, self.told, self.clauses = unit, told, clauses
        self.text = fields.text
        self.fields = fields
        self.exprs = Exprs(unit, self.text, fields)
        self.bad = "false"
        self._writes: list[_Write] = []

    def wrong(self, bad: str) -> None:
        """The event is for the interpreter where this holds."""
        self.bad = self.text.either(self.bad, bad)

    def truth(self, node: ir.Expr, active: str) -> str:
        """Whether something holds; where it is not known the event is the interpreter's."""
        value = self.exprs.expr(node, active)
        self.wrong(self.text.both(active, value.bad))
        return value.text

    # ---- what changes ---------------------------------------------------------------------------

    def update(self, update: ir.Update, active: str) -> None:
        """Find out what an update writes where."""
        t, unit = self.text, self.unit
        if update.binders or update.target not in unit.layout.tables:
            self.wrong(active)
            return
        due = t.both(active, self.truth(update.guard, active))
        index = [self.exprs.expr(i, due) for i in update.indices]
        value = self.exprs.expr(update.value, due)
        bad = value.bad
        table = unit.layout.tables[update.target]
        base, at, _, outside = self.exprs.where(table, index)
        bad = t.either(bad, outside)
        for i in index:
            bad = t.either(bad, i.bad)
        if table.slotted:
            bad = t.either(bad, t.op(f"icmp eq i64 {self.exprs.slot(index[0])}, 0"))
        for earlier in self._writes:
            if earlier.update.target == update.target:
                same = due
                for a, b in zip(earlier.index, index, strict=True):
                    same = t.both(same, t.op(f"icmp eq i{a.bits} {a.text}, {b.text}"))
                earlier.due = t.both(earlier.due, t.invert(same))
        bits = 8 * table.size
        raw = t.load(bits, self.exprs.address(base, table.cells, at, table.size), table.size)
        other = t.op(f"icmp ne i{bits} {t.op(f'and i{bits} {raw}, 4')}, 0")
        self.wrong(t.both(due, t.either(bad, other)))
        self._writes.append(_Write(update, due, index, value))

    def settled(self) -> None:
        """Where a drift may end, or change hands, the interpreter says what has drifted."""
        t, unit = self.text, self.unit
        for write in self._writes:
            state = write.update.target
            before: Val | None = None
            for fixed, inside, bound in _drifts_about(unit, state):
                names = {}
                for decl_var, place in fixed.items():
                    names[decl_var.name] = (
                        Val("0", bits_of(decl_var.type) or 1, "true")
                        if place is None
                        else write.index[place]
                    )
                names |= {v.name: write.index[place] for v, place in bound.items()}
                if before is None:
                    before = self.exprs.cell(state, write.index, write.due)
                same = t.op(f"icmp eq i{before.bits} {before.text}, {write.value.text}")
                changes = t.either(before.bad, t.invert(same))
                ask = t.both(write.due, changes)
                inner = Exprs(unit, t, self.fields, names, self.exprs)
                test = inner.expr(inside, ask)
                self.wrong(t.both(ask, t.either(test.text, test.bad)))

    def write(self) -> None:
        """Write all of it."""
        t = self.text
        dirty = debts_read(self.unit)
        for write in self._writes:
            if write.due == "false":
                continue
            do, after = t.name("write"), t.name("after")
            t.do(f"br i1 {write.due}, label %{do}, label %{after}")
            t.label(do)
            self._write_one(write, dirty, after)
            t.label(after)

    def _write_one(self, write: _Write, dirty: frozenset[str], after: str) -> None:
        t, unit = self.text, self.unit
        table = unit.layout.tables[write.update.target]
        decl = unit.spec.states[write.update.target]
        local = Exprs(unit, t, self.fields)
        base, at, last, _ = local.where(table, write.index)
        bits = 8 * table.size
        where = local.address(base, table.cells, at, table.size)
        raw = t.load(bits, where, table.size)
        wide = t.sized(write.value.text, write.value.bits, bits)
        moved = t.op(f"shl i{bits} {wide}, {FLAGS}")
        fresh = "false"
        if decl.init is not None and not decl.given:
            names = {v.name: i for v, i in zip(decl.indices, write.index, strict=True)}
            init = Exprs(unit, t, self.fields, names).expr(decl.init)
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
        event = t.op(f"add i64 {event}, {4096 + self.clauses[write.update.clause]}")
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
                        found = t.op(
                            f"call i64 @llvm.umin.i64(i64 {t.load(64, where, 8)}, i64 {last})"
                        )
                    t.store(64, found, where, 8)
        if table.name in dirty:
            t.store(64, "1", t.at("%st", unit.layout.header.owed), 8)
        t.do(f"br label %{after}")

    # ---- what is said ---------------------------------------------------------------------------

    def count(self, number: int | str, when: str = "true") -> None:
        """An outcome came up once more; the order in which they first did is kept."""
        if when == "false":
            return
        t, header = self.text, self.unit.layout.header
        after = t.name("told")
        if when != "true":
            now = t.name("tell")
            t.do(f"br i1 {when}, label %{now}, label %{after}")
            t.label(now)
        at = t.op(f"mul i64 {number}, 8") if isinstance(number, str) else str(8 * number)
        where = t.at("%st", t.op(f"add i64 {at}, {header.counts}"))
        had = t.load(64, where, 8)
        t.store(64, t.op(f"add i64 {had}, 1"), where, 8)
        first = t.name("first")
        t.do(f"br i1 {t.op(f'icmp eq i64 {had}, 0')}, label %{first}, label %{after}, !prof !0")
        t.label(first)
        n = t.load(64, t.at("%st", header.told), 8)
        slot = t.at("%st", t.op(f"add i64 {t.op(f'mul i64 {n}, 4')}, {header.told + 8}"))
        text = number if isinstance(number, str) else str(number)
        t.store(32, t.sized(text, 64, 32), slot, 4)
        t.store(64, t.op(f"add i64 {n}, 1"), t.at("%st", header.told), 8)
        t.do(f"br label %{after}")
        t.label(after)

    def judge(self) -> None:
        """The end of looking: on from here only where nothing was wrong."""
        t = self.text
        t.do(f"br i1 {self.bad}, label %escape, label %good, !prof !0")
        t.label("escape")
        missing = self.unit.layout.missing
        for domain, slot in list(self.exprs.slots.items()):
            no = t.op(f"icmp eq i64 {slot}, 0")
            has = t.load(64, t.at("%st", missing), 8)
            bits = 16
            told = t.op(f"add i64 {t.sized(domain, bits, 64)}, 1")
            t.store(64, t.choose(no, 64, told, has), t.at("%st", missing), 8)
        t.do("ret i32 1")
        t.label("good")

    def function(self, name: str) -> str:
        """The whole function."""
        return "\n".join(
            [f"define internal i32 @{name}({HEAD}) noinline {{", *self.text.lines, "}"]
        )


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


# ---- other events ------------------------------------------------------------------------------


def event_function(
    unit: Unit,
    compiled: Compiled,
    told: Told,
    clauses: dict[str, int],
    constants: dict[str, int],
    block: ir.Observation,
    name: str,
) -> str:
    """The function of an `on` block."""
    t = Text()
    t.label("entry")
    kind = HypercallFields if block.event == "hypercall" else None
    header = unit.layout.header
    fields: Fields = (
        kind(t, constants, header.constants, "%row", None)
        if kind is not None
        else Fields(t, constants, header.constants, "%row")
    )
    step = Step(unit, told, clauses, fields)
    applies = step.truth(block.when, "true")
    said: list[tuple[str, str]] = []  # a clause, and whether it can be seen
    for requirement in block.requires:
        closed = compiled.compiler.constant(requirement.test) is True
        if requirement.clause in compiled.disregard or closed:
            continue
        if _differs_from_one(requirement.test):
            value = step.exprs.expr(requirement.test, applies)
            seen = t.invert(value.bad)
            step.wrong(t.both(t.both(applies, seen), t.invert(value.text)))
            said.append((requirement.clause, seen))
        else:
            holds = step.truth(requirement.test, applies)
            step.wrong(t.both(applies, t.invert(holds)))
            said.append((requirement.clause, "true"))
    held = [clause for clause, _ in said]
    said += [(clause, "true") for clause, _ in block.undefined]
    for u in block.updates:
        step.update(u, applies)
    step.settled()
    step.judge()
    step.write()
    for clause in held:
        where = t.at("%st", header.held + 8 * clauses[clause])
        had = t.load(64, where, 8)
        now = t.op("add i64 %seq, 1")
        t.store(64, t.choose(applies, 64, now, had), where, 8)
    # Where all was seen, as mostly, that is one outcome.
    together = applies
    for _, seen in said:
        together = t.both(together, seen)
    if said:
        step.count(told.number([clause for clause, _ in said], Verdict.CONFORMS), together)
    for clause, seen in said:
        apart = t.both(applies, t.invert(together))
        step.count(told.number([clause], Verdict.CONFORMS), t.both(apart, seen))
        step.count(told.number([clause], Verdict.UNSEEN), t.both(apart, t.invert(seen)))
    t.do("ret i32 0")
    return step.function(name)


def _differs_from_one(test: ir.Expr) -> bool:
    """Whether a requirement is that a field is not some value: not seen, it can be so for all that
    is known, and nothing follows for anything else."""
    if not isinstance(test, ir.Op) or test.op != "not":
        return False
    inner = test.args[0]
    if not isinstance(inner, ir.Op) or inner.op != "eq":
        return False
    return {isinstance(a, ir.Input) or not _fixed(a) for a in inner.args} == {True, False} and any(
        isinstance(a, ir.Input) for a in inner.args
    )


def _fixed(node: ir.Expr) -> bool:
    """Whether an expression is made of constants."""
    from pvhspec.backends.interpreter.quantify import children

    return isinstance(node, ir.Const) or (
        isinstance(node, ir.Op) and all(_fixed(c) for c in children(node))
    )
