"""What updates write, and what is required of all values, as machine code.

Everything reads the state before, so what is to be written is noted in a list while the event is
looked at, and written where nothing was wrong: the last write of a cell counts. A variable that has
to equal something is that, and no loop; others are looked at from the lowest to the highest that
can make a difference.
"""

from __future__ import annotations

from collections.abc import Callable

from pvhspec.backends.interpreter.quantify import size_of
from pvhspec.backends.native.emit import Val
from pvhspec.backends.native.exprs import Exprs, Unit
from pvhspec.backends.native.inputs import Fields
from pvhspec.backends.native.layout import MOST_NOTED
from pvhspec.backends.native.search import alike, limits, window_of
from pvhspec.backends.native.writes import Write, changes, settles, unsure, write_down
from pvhspec.ir import ir
from pvhspec.ir.walk import children, conjuncts, vars_of
from pvhspec.types.types import BitsType

__all__ = ["none_holds", "note"]

_MOST_BLIND = 4096  # values that are looked at where no cell says which


def note(
    unit: Unit, fields: Fields, exprs: Exprs, update: ir.Update, alone: bool, clause: int,
    start: str,
) -> tuple[str, str]:  # fmt: skip
    """Note what an update that is due writes, from a number of the list on, for all values of its
    variables; `alone`: nothing else writes its state. Whether that is unsure, and the number after
    the last."""
    binders = list(update.binders)
    parts = [p for p in conjuncts(update.guard) if vars_of(p) & set(binders)]
    made = _Writes(unit, fields, update, alone and not binders, clause)
    return made.make(exprs, binders, parts, "true", start)


def none_holds(
    unit: Unit, fields: Fields, exprs: Exprs, variables: list[ir.Var], parts: list[ir.Expr],
    active: str,
) -> str:  # fmt: skip
    """Whether it is unsure, where `active`, that all conditions hold together for no values."""
    return _None(unit, fields).make(exprs, variables, parts, active, "0")[0]


class _Loop:
    """The text of loops over variables. Every part begins in the block that is being written, and
    leaves another in which it is known how many entries of the list there are."""

    def __init__(self, unit: Unit, fields: Fields) -> None:
        self.unit, self.text, self.fields = unit, fields.text, fields
        self.unsure = self.text.name("unsure")
        self._unsure_from: list[str] = []

    def make(
        self, exprs: Exprs, variables: list[ir.Var], parts: list[ir.Expr], due: str, start: str
    ) -> tuple[str, str]:
        """All of it, where `due`: whether it is unsure, and the number of entries after it."""
        t = self.text
        kept = self.fields.made()
        end = self._where(
            due, start, lambda: self._over(exprs.inside_of(), variables, parts, start)
        )
        self.fields.made(kept)
        if not self._unsure_from:
            return "false", end
        done, unsure = t.block, self.unsure
        joined = t.name("out")
        t.do(f"br label %{joined}")
        t.label(unsure)
        t.do(f"br label %{joined}")
        t.label(joined)
        return (
            t.phi("i1", ("false", done), ("true", unsure)),
            t.phi("i64", (end, done), (start, unsure)),
        )

    def _where(self, due: str, count: str, make: Callable[[], str]) -> str:
        """A part that is passed over where it is not due; the number of entries after it."""
        t = self.text
        if due == "true":
            return make()
        before = t.goes_on("asked")
        begin, out = t.name("all"), t.name("out")
        t.do(f"br i1 {due}, label %{begin}, label %{out}")
        t.label(begin)
        made = make()
        last = t.block
        t.do(f"br label %{out}")
        t.label(out)
        return t.phi("i64", (count, before), (made, last))

    def _stop_if(self, bad: str) -> None:
        """The whole event is the interpreter's where this holds."""
        if self.text.doubt(bad) == "false":
            return
        self._unsure_from.append(self.text.block)
        go = self.text.name("sure")
        self.text.do(f"br i1 {bad}, label %{self.unsure}, label %{go}")
        self.text.label(go)

    def _hit(self, exprs: Exprs, count: str) -> str:
        """All conditions hold for these values."""
        raise NotImplementedError

    # ---- one variable after the other -----------------------------------------------------------

    def _over(self, exprs: Exprs, left: list[ir.Var], parts: list[ir.Expr], count: str) -> str:
        """The text for the variables that are left; the number of entries after it."""
        ready = [p for p in parts if not vars_of(p) & set(left)]
        parts = [p for p in parts if p not in ready]
        due, bad = "true", "false"
        for part in ready:
            value = exprs.expr(part, due)
            bad = self.text.either(bad, self.text.both(due, value.bad))
            due = self.text.both(due, value.text)
        self._stop_if(bad)
        kept = self.fields.made()
        inner = exprs.inside_of() if due != "true" else exprs
        end = self._where(due, count, lambda: self._next(inner, left, parts, count))
        self.fields.made(kept)
        return end

    def _next(self, exprs: Exprs, left: list[ir.Var], parts: list[ir.Expr], count: str) -> str:
        if not left:
            return self._hit(exprs, count)
        for variable in left:
            for part in parts:
                value = _equal_to(part, variable, set(left))
                if value is None or value.type != variable.type:
                    continue
                one = exprs.expr(value)
                self._stop_if(one.bad)
                more = exprs.inside_of(**{variable.name: one})
                rest = [v for v in left if v != variable]
                return self._over(more, rest, [p for p in parts if p is not part], count)
        return self._range(exprs, left[0], left[1:], parts, count)

    def _range(
        self, exprs: Exprs, variable: ir.Var, rest: list[ir.Var], parts: list[ir.Expr], count: str
    ) -> str:
        """A loop over the values that a variable may have."""
        t, kind = self.text, variable.type
        size = size_of(kind)
        lows, highs, tests = limits([p for p in parts if not vars_of(p) & set(rest)], variable)
        window, places = window_of(self.unit, parts, variable)
        if (
            window is None or not isinstance(kind, BitsType)
            or (not places and not highs and size > _MOST_BLIND)
        ):  # fmt: skip
            self._stop_if("true")
            return count
        start, stop, bad = "0", str(size), "false"
        for bound, equal in lows:
            start, bad = self._bound(exprs, bound, not equal, "umax", start, bad)
        for bound, equal in highs:
            stop, bad = self._bound(exprs, bound, equal, "umin", stop, bad)
        end = t.op(f"call i64 @llvm.umin.i64(i64 {stop}, i64 {window})")
        touched = self._touched(exprs, variable, tests, places) if not rest else None
        if touched is None:
            bad = t.either(bad, t.op(f"icmp ugt i64 {stop}, {window}"))
        else:  # the first of those that nobody touched stands for all of them
            high = t.op(f"add i64 {touched}, 1")
            end = t.op(f"call i64 @llvm.umin.i64(i64 {end}, i64 {high})")
        self._stop_if(bad)
        before, head = t.goes_on("from"), t.goes_on("head")
        following = f"%{t.name('next')}"
        put = len(t.lines)
        t.lines += ["", ""]
        number, had = f"%{t.name('i')}", f"%{t.name('had')}"
        look, over = t.name("look"), t.name("over")
        t.do(f"br i1 {t.op(f'icmp ult i64 {number}, {end}')}, label %{look}, label %{over}")
        t.label(look)
        kept = self.fields.made()
        text = t.sized(number, 64, kind.width)
        inner = exprs.inside_of(**{variable.name: Val(text, kind.width)})
        inner.inside[text] = min(window, size)
        found = self._over(inner, rest, parts, had)
        self.fields.made(kept)
        if touched is not None:
            more = t.op(f"icmp ugt i64 {stop}, {t.op(f'add i64 {number}, 1')}")
            stands = t.both(t.op(f"icmp uge i64 {number}, {touched}"), more)
            self._stop_if(t.both(stands, t.op(f"icmp ne i64 {found}, {had}")))
        t.do(f"{following} = add i64 {number}, 1")
        t.lines[put] = f"  {number} = phi i64 [ {start}, %{before} ], [ {following}, %{t.block} ]"
        t.lines[put + 1] = f"  {had} = phi i64 [ {count}, %{before} ], [ {found}, %{t.block} ]"
        t.do(f"br label %{head}")
        t.label(over)
        return had

    def _bound(
        self, exprs: Exprs, bound: ir.Expr, more: bool, which: str, so_far: str, bad: str
    ) -> tuple[str, str]:
        """A limit, made tighter."""
        t, value = self.text, exprs.expr(bound)
        wide = t.sized(value.text, value.bits, 64)
        wide = t.op(f"add i64 {wide}, 1") if more else wide
        tighter = t.op(f"call i64 @llvm.{which}.i64(i64 {so_far}, i64 {wide})")
        return tighter, t.either(bad, value.bad)

    def _touched(
        self, exprs: Exprs, variable: ir.Var, tests: list[ir.Expr],
        places: list[tuple[ir.Cell, bool]],
    ) -> str | None:  # fmt: skip
        """From where on no cell was touched, and all are alike; None if they are not."""
        t = self.text
        cut = alike(self.unit, variable, tests) if places else None
        if cut is None or not all(last for _, last in places):
            return None
        high = str(cut)
        for name in _maps(tests, variable):
            listed = self.fields.listed(name)
            if listed is None:
                return None
            high = t.op(f"call i64 @llvm.umax.i64(i64 {high}, i64 {listed})")
        for cell, _ in places:
            table = self.unit.layout.tables[cell.state]
            base = exprs.base(table, [exprs.expr(i) for i in cell.indices[: table.slotted]])
            where = t.load(64, t.at(base, table.high), 8)
            high = t.op(f"call i64 @llvm.umax.i64(i64 {high}, i64 {where})")
        return high


class _Writes(_Loop):
    """Notes what an update writes."""

    def __init__(
        self, unit: Unit, fields: Fields, update: ir.Update, alone: bool, clause: int
    ) -> None:
        super().__init__(unit, fields)
        self.update, self.alone, self.clause = update, alone, clause

    def _hit(self, exprs: Exprs, count: str) -> str:
        t, unit, update = self.text, self.unit, self.update
        index = [exprs.expr(i) for i in update.indices]
        write = Write(update, index, exprs.expr(update.value))
        bad = t.either(unsure(unit, exprs, write), settles(unit, self.fields, exprs, write))
        if update.binders:
            bad = t.either(bad, t.op(f"icmp uge i64 {count}, {MOST_NOTED}"))
        self._stop_if(bad)
        due = changes(unit, exprs, write) if self.alone else "true"
        return self._where(due, count, lambda: write_down(unit, t, write, self.clause, count))


class _None(_Loop):
    """Nothing may come up."""

    def _hit(self, exprs: Exprs, count: str) -> str:
        self._stop_if("true")
        return count


def _maps(tests: list[ir.Expr], variable: ir.Var) -> list[str]:
    """The fields of the event that are maps, and have the variable as an index."""
    found: list[str] = []
    for node in tests:
        if isinstance(node, ir.MapInput) and variable in node.indices:
            found.append(node.name)
        found += _maps(list(children(node)), variable)
    return found


def _equal_to(part: ir.Expr, variable: ir.Var, open_: set[ir.Var]) -> ir.Expr | None:
    """What a variable has to equal for a condition to hold, where that has a value already."""
    if isinstance(part, ir.Op) and part.op == "eq":
        a, b = part.args
        for one, other in ((a, b), (b, a)):
            if one == variable and not vars_of(other) & open_:
                return other
    return None
