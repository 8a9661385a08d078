"""What a call may have changed, where nothing is known of what came of it.

A call whose result is taken away could be gone through in each way it may have gone; but after a
few of those nothing would be known any more. It is enough, and only ever allows more, to say of
each cell that an update of it may have hit: it has its value still, or the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pvhspec.backends.interpreter.evaluate import Compiler
from pvhspec.backends.interpreter.path import Path
from pvhspec.backends.interpreter.store import Store
from pvhspec.backends.interpreter.values import ANY, is_known
from pvhspec.ir.ir import (
    Cell,
    Const,
    Expr,
    Input,
    Is,
    Load,
    Make,
    MapInput,
    Op,
    Quant,
    Spec,
    Update,
    Var,
)
from pvhspec.ir.walk import children

__all__ = ["Weak", "Weakener"]

_EVERY = frozenset({-1})  # variants: any

Smear = tuple[str, tuple[Any, ...], Any]


@dataclass(slots=True)
class Weak:
    """Writes that may have happened (an index None stands for all), and states of which nothing
    is known any more."""

    smears: list[Smear] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    def add(self, other: Weak) -> None:
        """Both."""
        self.smears += [s for s in other.smears if s not in self.smears]
        self.lost |= other.lost


class Weakener:
    """Finds what updates may do, by the fields of the events alone.

    Events are given in order, for one thing is remembered of them: of which variants the cells of
    a state may be by now. An update that is only for another variant does not happen.
    """

    def __init__(self, spec: Spec, compiler: Compiler, all_domains: bool) -> None:
        self._spec = spec
        self._compiler = compiler
        self._all_domains = all_domains
        self._nowhere = Store({}, {}, {})
        self._variants = {
            s.name: _EVERY
            if s.init is None or s.given or (s.drift is not None and not all_domains)
            else _first_variants(s.init)
            for s in spec.states.values()
        }

    def of(self, updates: Iterable[Update], fields: Mapping[str, Any]) -> Weak:
        """What these updates may do."""
        found = Weak()
        for update in updates:
            if update.target.startswith("out.") or not self._may_happen(update.guard):
                continue
            index = tuple(self._value(i, fields) for i in update.indices)
            pattern = tuple(i if is_known(i) else None for i in index)
            smear = (update.target, pattern, self._value(update.value, fields))
            if smear not in found.smears:
                found.smears.append(smear)
        for state, _, value in found.smears:
            self._variants[state] |= {value[0]} if isinstance(value, tuple) else _EVERY
        return found

    def lose(self, states: Iterable[str]) -> None:
        """Nothing is known of these states."""
        for state in states:
            self._variants[state] = _EVERY

    def _may_happen(self, guard: Expr) -> bool:
        parts = guard.args if isinstance(guard, Op) and guard.op == "and" else (guard,)
        return not any(
            isinstance(part, Is)
            and isinstance(part.value, Cell)
            and self._variants[part.value.state].isdisjoint({part.variant, *_EVERY})
            for part in parts
        )

    def drifted(self) -> Weak:
        """What the world outside may have changed while nobody looked."""
        found = Weak()
        for state in self._spec.states.values():
            unseen = state.drift_kind == "change unseen"
            if state.drift is None or (unseen and self._all_domains):
                continue
            if state.drift_kind == "rise":
                found.smears.append((state.name, (None,) * len(state.indices), True))
            else:
                found.lost.add(state.name)
        return found

    def _value(self, node: Expr, fields: Mapping[str, Any]) -> Any:
        if isinstance(node, Make):
            return (node.variant, *(self._value(a, fields) for a in node.args))
        if not _by_fields(node, fields):
            return ANY
        return self._compiler.expr(node)(Path(self._nowhere, fields, []))


def _first_variants(node: Expr) -> frozenset[int]:
    """The variants that an initial value may be of."""
    if isinstance(node, Make):
        return frozenset({node.variant})
    if isinstance(node, Const) and isinstance(node.value, tuple):
        return frozenset({node.value[0]}) if isinstance(node.value[0], int) else _EVERY
    if isinstance(node, Op) and node.op == "ite":
        return _first_variants(node.args[1]) | _first_variants(node.args[2])
    return _EVERY


def _by_fields(node: Expr, fields: Mapping[str, Any]) -> bool:
    """Whether an expression hangs on nothing but fields that are known."""
    if isinstance(node, Input):
        return fields.get(node.name) is not None
    if isinstance(node, Cell | Load | MapInput | Quant | Var):
        return False
    return all(_by_fields(child, fields) for child in children(node))
