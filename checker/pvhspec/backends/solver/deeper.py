"""k-induction: where a state that keeps all invariants has a step to one that does not, whether
that state can have been come to at all.

Whatever breaks an invariant first has a shortest way from boot, on which every step changes a cell
that has a bearing on it. So it is enough that no such way of fewer than `k` steps from boot breaks
it, and none of `k` steps from any state, all invariants holding before each. Which of many like
cells has a bearing is not looked into: this is for what counts or takes turns, not for tables.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import z3

from pvhspec.backends.solver.claims import aim
from pvhspec.backends.solver.combos import Combo, expressions
from pvhspec.backends.solver.goals import changes, specials
from pvhspec.backends.solver.ground import Frame, Ground, Unsupported
from pvhspec.backends.solver.obligation import Drifted, Search
from pvhspec.backends.solver.reach import reads_of, relevant
from pvhspec.backends.solver.step import call, event
from pvhspec.backends.solver.views import AnyState, Boot
from pvhspec.ir.ir import Invariant, Observation, Operation, Spec, State

__all__ = ["MOST", "deepest"]

MOST = 3  # steps

_Item = Operation | Observation | State


def deepest(
    spec: Spec, invariant: Invariant, guilty: Iterable[tuple[str, tuple[Combo, ...]]], budget: float
) -> int | None:
    """The least `k`, of 2 to `MOST`, by which an invariant holds though some steps break it in
    states that keep all; None: there is none, or it was not found in `budget` seconds.

    `guilty`: ids of those steps (a state's name: its change from outside), and where they do.
    """
    end = time.process_time() + budget
    places: dict[str, set[Combo]] = {}
    for name, group in guilty:
        places.setdefault(name, set()).update(group)
    paths = [_Paths(spec, invariant, names, end) for names in _alike(spec, places)]
    for k in range(2, MOST + 1):
        if all(p.kept_after(k) and p.kept_from_boot(k) for p in paths):
            return k
    return None


def _alike(
    spec: Spec, places: dict[str, set[Combo]]
) -> Iterator[tuple[Combo, list[Operation | Observation], set[str]]]:
    """Every set of steps there is in some release and mode, once, with the guilty ones."""
    known: set[str] = set()
    for where in sorted(set().union(*places.values())):
        items = specials(spec, where)
        names = {n for n, of in places.items() if where in of}
        bodies = [aim(i, *where) for i in spec.invariants]
        content = repr((items, bodies, sorted(names)))
        if content not in known:
            known.add(content)
            yield where, items, names


class _Paths:
    """Ways of a few steps in one release and mode."""

    def __init__(
        self,
        spec: Spec,
        invariant: Invariant,
        place: tuple[Combo, list[Operation | Observation], set[str]],
        end: float,
    ) -> None:
        where, items, self._guilty = place
        self._states, self._end = spec.states, end
        self._goal = aim(invariant, *where).goal
        self._known = [aim(i, *where).goal for i in spec.invariants]
        wanted = reads_of(iter((self._goal,)))
        chosen = relevant(spec, items, wanted, expressions)
        nodes = [e for item in chosen for e in expressions(item)]
        self._bearing = wanted | reads_of(iter(nodes))
        size = -1
        drifts: list[State] = []
        while size != len(self._bearing):
            size = len(self._bearing)
            drifts = [
                s for s in spec.states.values()
                if s.name in self._bearing and s.drift is not None
                and s.drift_kind != "change unseen"
            ]  # fmt: skip
            self._bearing |= reads_of(s.drift for s in drifts if s.drift is not None)
        self._items: list[_Item] = [*chosen, *drifts]

    def kept_after(self, k: int) -> bool:
        """Whether every `k` steps whose last is a guilty one keep it."""
        last = [i for i in self._items if _id(i) in self._guilty]
        ways = product(*[self._items] * (k - 1), last)
        return len(last) == len(self._guilty) and all(self._kept(w, boot=False) for w in ways)

    def kept_from_boot(self, k: int) -> bool:
        """Whether fewer than `k` steps from boot keep it."""
        ways = (w for n in range(1, k) for w in product(self._items, repeat=n))
        return all(self._kept(w, boot=True) for w in ways)

    def _kept(self, way: tuple[_Item, ...], *, boot: bool) -> bool:
        ground = Ground(self._states)
        view: Any = Boot(ground, usual=False) if boot else AnyState(ground, "")
        try:
            for number, item in enumerate(way):
                for fact in self._known:
                    ground.assume(fact, Frame("", view, {}))
                view = self._step(ground, view, item, f"s{number}.")
            ground.deny(self._goal, Frame("", view, {}))
            return Search(ground, self._end - time.process_time()).run([])[0] is False
        except Unsupported:
            return False

    def _step(self, ground: Ground, view: Any, item: _Item, prefix: str) -> Any:
        """The state after a step that changes something of a bearing."""
        frame = Frame(prefix, view, {})
        if isinstance(item, State):
            drifted = Drifted(ground, view, item)
            ground.constraints.append(drifted.changed)
            return drifted
        if isinstance(item, Operation):
            made = call(ground, item, frame, lowest=False)
            ground.constraints.append(made.allowed)
            told = [(made.effects, u) for u in item.updates if u.target in self._bearing]
            told += [(made.reached, u) for u in item.always if u.target in self._bearing]
            some = [z3.And(when, changes(ground, u, made.frame)) for when, u in told]
            ground.constraints.append(z3.Or(*some))
            return made.after
        after = event(ground, item, frame)
        updates = [u for u in item.updates if u.target in self._bearing]
        ground.constraints.append(z3.Or(*(changes(ground, u, frame) for u in updates)))
        return after


def _id(item: _Item) -> str:
    return item.name if isinstance(item, State) else item.id
