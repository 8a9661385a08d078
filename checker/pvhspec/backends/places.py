"""Releases and modes, side by side: when does the specification make a difference between them?

What one event is about is an operation or some `on` blocks. Two places for which every gate in
those is open alike, or closed alike, see the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from pvhspec.backends.dispatch import Dispatch
from pvhspec.ir.ir import Gate, Input, Spec
from pvhspec.names.gates import Version
from pvhspec.traces import Event

__all__ = ["Place", "Places", "nodes"]

Place = tuple[Version, str]


class Places:
    """Tells places apart, by what events are about."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._xen = spec.groups.get("xen")
        self._needs: dict[str, _Needs] = {}
        self._dispatch: dict[Place, Dispatch] = {}
        self._signs: dict[tuple[object, ...], dict[Place, object]] = {}

    def always(self, places: Sequence[Place]) -> list[list[Place]]:
        """Those together that begin alike, and for which the same is owed."""
        needs = _Needs((*self._spec.states.values(), *self._spec.obligations), self._xen)
        return _together((place, needs.at(place)) for place in places)

    def apart(self, places: Sequence[Place], event: Event) -> list[list[Place]]:
        """Those together that see an event alike; the first place is in the first list."""
        if len(places) == 1:
            return [[*places]]
        args = event.get("args")
        key = (event.kind, event.get("nr"), args[0] if args else None)
        signs = self._signs.setdefault(key, {})
        for place in places:
            if place not in signs:
                signs[place] = self._sign(place, event)
        return _together((place, signs[place]) for place in places)

    def _sign(self, place: Place, event: Event) -> tuple[object, ...]:
        parts = [self._of(b.id, b).at(place) for b in self._spec.observations
                 if b.event == event.kind]  # fmt: skip
        number = event.get("nr")
        if event.kind != "hypercall" or number is None:
            return (*parts,)
        dispatch = self._dispatch.get(place)
        if dispatch is None:
            dispatch = self._dispatch[place] = Dispatch(self._spec, *place)
        op = dispatch.operation(number, event.get("args") or ())
        return (*parts, *((op.id, self._of(op.id, op).at(place)) if op is not None else ()))

    def _of(self, name: str, item: object) -> _Needs:
        if name not in self._needs:
            self._needs[name] = _Needs(item, self._xen)
        return self._needs[name]


class _Needs:
    """The gates in a part of the specification, and whether it asks for the release itself."""

    def __init__(self, part: object, xen: frozenset[str] | None) -> None:
        self._xen = xen  # modes in which the guest is told the release
        gates: dict[Gate, None] = {}
        self._release = False
        for node in nodes(part):
            if isinstance(node, Gate):
                gates[node] = None
            elif isinstance(node, Input) and node.name == "release":
                self._release = True
        self._gates = [gate for gate in gates if not gate.always]

    def at(self, place: Place) -> tuple[object, ...]:
        """All that this part knows of a place."""
        told = self._release and (self._xen is None or place[1] in self._xen)
        release = place[0][:2] if told else None
        return release, *(gate.open(*place) for gate in self._gates)


def _together(signed: Iterable[tuple[Place, object]]) -> list[list[Place]]:
    found: dict[object, list[Place]] = {}
    for place, sign in signed:
        found.setdefault(sign, []).append(place)
    return [*found.values()]


def nodes(node: Any) -> Iterator[object]:
    """A representation and everything in it."""
    if isinstance(node, tuple):
        for part in node:
            yield from nodes(part)
    elif isinstance(node, Gate):
        yield node
    elif is_dataclass(node):
        yield node
        for each in fields(node):
            yield from nodes(getattr(node, each.name))
