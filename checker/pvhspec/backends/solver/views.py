"""The state at a moment: one that nothing is known of, the one at boot, and one after updates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import z3

from pvhspec.backends.solver.ground import Frame, Ground, View
from pvhspec.backends.solver.rewrite import substitute, walk
from pvhspec.backends.solver.sorts import Term, bound, in_range
from pvhspec.ir import build
from pvhspec.ir.ir import Expr, Op, Quant, State, Update, Var
from pvhspec.types.types import BOOL

__all__ = ["After", "AnyState", "Boot", "Write"]


def _inside(state: State, index: tuple[Term, ...]) -> Term:
    within = [
        z3.ULT(term, limit)
        for var, term in zip(state.indices, index, strict=True)
        if (limit := bound(var.type)) is not None
    ]
    return z3.And(*within) if within else z3.BoolVal(True)


class _Memory:
    """Cells as an uninterpreted function; what was read is remembered."""

    def __init__(self, ground: Ground, name: str) -> None:
        self._ground = ground
        self._name = name
        self.cells: dict[tuple[str, tuple[int, ...]], tuple[tuple[Term, ...], Term]] = {}

    def _free(self, state: str, index: tuple[Term, ...]) -> tuple[Term, bool]:
        """The value of a cell nothing is known of, and whether it is read for the first time."""
        key = (state, tuple(i.get_id() for i in index))
        if key in self.cells:
            return self.cells[key][1], False
        decl = self._ground.states[state]
        sorts = [i.sort() for i in index]
        term = z3.Function(f"{self._name}{state}", *sorts, self._ground.sorts.sort(decl.type))(
            *index
        )
        self.cells[key] = (index, term)
        within = in_range(self._ground.sorts, decl.type, term)
        if not z3.is_true(within):
            self._ground.constraints.append(z3.Implies(_inside(decl, index), within))
        return term, True

    def _initial(self, state: State, index: tuple[Term, ...], view: View) -> Term | None:
        if state.init is None:
            return None
        names = {v.name: t for v, t in zip(state.indices, index, strict=True)}
        return self._ground.expr(state.init, Frame(self._name, view, {}, names))


class AnyState(_Memory):
    """Any state at all; but there is nothing outside the range of an index."""

    def read(self, state: str, index: tuple[Term, ...]) -> Term:
        """The value of a cell."""
        term, new = self._free(state, index)
        if new:
            decl = self._ground.states[state]
            inside = _inside(decl, index)
            initial = None if z3.is_true(inside) else self._initial(decl, index, self)
            if initial is not None:
                self._ground.constraints.append(z3.Or(inside, term == initial))
        return term


class Boot(_Memory):
    """The state at boot. `usual`: what a toolstack may set is as the specification says."""

    def __init__(self, ground: Ground, usual: bool) -> None:
        super().__init__(ground, "boot.")
        self._usual = usual

    def read(self, state: str, index: tuple[Term, ...]) -> Term:
        """The value of a cell."""
        decl = self._ground.states[state]
        if self._usual or not decl.given:
            initial = self._initial(decl, index, self)
            if initial is not None:
                return initial
        return self._free(state, index)[0]


@dataclass(eq=False)
class Write:
    """An update that happens where `when` holds."""

    update: Update
    frame: Frame
    when: Term


class After:
    """The state after a list of updates, the last write of a cell counting."""

    def __init__(self, ground: Ground, before: View, writes: list[Write]) -> None:
        self._ground = ground
        self._before = before
        self._writes: dict[str, list[Write]] = {}
        self._read: dict[tuple[str, tuple[int, ...]], tuple[tuple[Term, ...], Term]] = {}
        for write in writes:
            self._writes.setdefault(write.update.target, []).append(write)

    def changes(self, state: str) -> bool:
        """Whether any update is of this state."""
        return state in self._writes

    def seen(self) -> Iterator[tuple[str, tuple[Term, ...], Term]]:
        """The cells that were asked for, and their terms."""
        for (state, _), (index, term) in self._read.items():
            yield state, index, term

    def read(self, state: str, index: tuple[Term, ...]) -> Term:
        """The value of a cell."""
        key = (state, tuple(i.get_id() for i in index))
        if key in self._read:
            return self._read[key][1]
        value = self._before.read(state, index)
        for write in self._writes.get(state, ()):
            hit, new = self._hit(write, index)
            value = z3.If(hit, new, value)
        self._read[key] = (index, value)
        return value

    def _hit(self, write: Write, index: tuple[Term, ...]) -> tuple[Term, Term]:
        """When an update writes a cell, and what."""
        update, ground = write.update, self._ground
        binders = {v.name: v for v in update.binders}
        bound_: dict[str, Term] = {}
        left: list[tuple[Expr, Term]] = []
        tests: list[Term] = [write.when]
        for node, term in zip(update.indices, index, strict=True):
            found = self._binder(node, term, write.frame, binders)
            if found is None or found[0] in bound_:
                left.append((node, term))
                continue
            name, value = found
            bound_[name] = value
            limit = bound(binders[name].type)
            if limit is not None:
                tests.append(z3.ULT(value, limit))
        frame = write.frame.inside(bound_) if bound_ else write.frame
        others = tuple(v for v in update.binders if v.name not in bound_)
        if others:
            frame = self._some(others, left, write, frame)
        for node, term in left:
            here = ground.expr(node, frame)
            if not here.eq(term):
                ground.offer(node.type, here)
                tests.append(here == term)
        tests.append(ground.expr(update.guard, frame))
        return z3.And(*tests), ground.expr(update.value, frame)

    def _some(
        self, others: tuple[Var, ...], left: list[tuple[Expr, Term]], write: Write, frame: Frame
    ) -> Frame:
        """With values for variables that no index is: ones that write the cell, if any do."""
        ground = self._ground
        places = {f"at.{n}": term for n, (_, term) in enumerate(left)}
        same = [
            build.eq(node, Var(at, node.type)) for (node, _), at in zip(left, places, strict=True)
        ]
        here = build.all_of([*same, write.update.guard])
        renamed = {v.name: Var(f"{v.name}.other", v.type) for v in others}
        there = substitute(here, dict(renamed))
        frame = frame.inside({**{v.name: ground.fresh(v.name, v.type) for v in others}, **places})
        no_others = Quant("forall", tuple(renamed.values()), build.implies(there, here), BOOL)
        ground.assume(no_others, frame, write.when)
        return frame

    def _binder(
        self, node: Expr, term: Term, frame: Frame, binders: dict[str, Var]
    ) -> tuple[str, Term] | None:
        """The variable an index is, or is but for something added, and its value in a cell."""
        match node:
            case Var(name=name) if name in binders:
                return name, term
            case Op(op="add", args=(Var(name=name), other)) if name in binders:
                if not any(isinstance(n, Var) and n.name in binders for n in walk(other)):
                    return name, term - self._ground.expr(other, frame)
        return None
