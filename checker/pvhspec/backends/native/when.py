"""Updates by their conditions: what an event does not come to is passed over as a whole.

Bits are computed without jumps elsewhere; but most of what an operation may change hangs on few
conditions that seldom hold (FIFO queues, say), and is most of its text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pvhspec.backends.native.exprs import Exprs, Unit
from pvhspec.backends.native.inputs import Fields
from pvhspec.ir import ir
from pvhspec.ir.walk import conjuncts, vars_of

__all__ = ["So", "gathered"]


@dataclass(slots=True)
class So:
    """What is known so far: whether something was unsure, and how many entries the list has."""

    bad: str
    count: str


# Of an update: what becomes of it where it is due.
Leaf = Callable[[Exprs, ir.Update, So], None]
_Item = tuple[list[ir.Expr], ir.Update]


def gathered(
    unit: Unit, fields: Fields, exprs: Exprs, updates: list[tuple[ir.Update, str]], leaf: Leaf,
    so: So,
) -> None:  # fmt: skip
    """The text of all updates in their order, of each `leaf` where it is due; `so` goes on."""
    at = 0
    while at < len(updates):
        active = updates[at][1]
        end = next((n for n in range(at, len(updates)) if updates[n][1] != active), len(updates))
        items: list[_Item] = []
        for update, _ in updates[at:end]:
            free = [p for p in conjuncts(update.guard) if not vars_of(p) & set(update.binders)]
            items.append((free, update))
        tree = _Tree(unit, fields, leaf, so)
        tree.where(exprs, active, lambda e, i=items, t=tree: t.some(e, i))  # type: ignore[misc]
        at = end


class _Tree:
    def __init__(self, unit: Unit, fields: Fields, leaf: Leaf, so: So) -> None:
        self.unit, self.text, self.fields = unit, fields.text, fields
        self.leaf, self.so = leaf, so

    def some(self, exprs: Exprs, items: list[_Item]) -> None:
        """Those that begin with the same condition together."""
        at = 0
        while at < len(items):
            parts, update = items[at]
            if not parts:
                self.leaf(exprs, update, self.so)
                at += 1
                continue
            first = self.unit.key(parts[0])
            end = at + 1
            while end < len(items) and items[end][0] and self.unit.key(items[end][0][0]) == first:
                end += 1
            inner = [(p[1:], u) for p, u in items[at:end]]
            value = exprs.expr(parts[0])
            self.so.bad = self.text.either(self.so.bad, self.text.doubt(value.bad))
            make = self.some if len(inner) > 1 else self._one
            self.where(exprs, value.text, lambda e, i=inner, m=make: m(e, i), parts[0])  # type: ignore[misc]
            at = end

    def _one(self, exprs: Exprs, items: list[_Item]) -> None:
        """The rest of one update's conditions at once."""
        t, ((parts, update),) = self.text, items
        due = "true"
        for part in parts:
            value = exprs.expr(part, due)
            self.so.bad = t.either(self.so.bad, t.doubt(t.both(due, value.bad)))
            due = t.both(due, value.text)
        self.where(exprs, due, lambda e: self.leaf(e, update, self.so), *parts)

    def where(self, exprs: Exprs, due: str, make: Callable[[Exprs], None], *parts: ir.Expr) -> None:
        """A part that is passed over where it is not due, that is where one of the conditions does
        not hold."""
        t, so = self.text, self.so
        if due in ("true", "false"):
            if due == "true":
                make(exprs)
            return
        before, had = t.goes_on("asked"), So(so.bad, so.count)
        begin, out = t.name("due"), t.name("out")
        t.do(f"br i1 {due}, label %{begin}, label %{out}")
        t.label(begin)
        kept = self.fields.made()
        inside = exprs.inside_of()
        for part in parts:
            inside.learn(part)
        make(inside)
        self.fields.made(kept)
        last = t.block
        t.do(f"br label %{out}")
        t.label(out)

        def either_way(kind: str, inside: str, outside: str) -> str:
            if inside == outside:
                return inside
            return t.phi(kind, (inside, last), (outside, before))

        so.bad = either_way("i1", so.bad, had.bad)
        so.count = either_way("i64", so.count, had.count)
