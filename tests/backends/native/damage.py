"""Traces in memory, and what makes of a good one a broken or a lossy one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from pvhspec.diagnostics import Diagnostic
from pvhspec.traces import Event, Header, Place

__all__ = ["KINDS", "Made", "hurt"]

KINDS = ("conforming", "broken", "lossy")


class Made:
    """A trace in memory."""

    truncated = False

    def __init__(self, header: Header, events: list[Event]) -> None:
        self.header, self.events, self.path = header, events, "made"
        self.notices: list[Diagnostic] = []

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def place(self, event: Event) -> Place:
        """Its number stands for a line."""
        return Place(event.seq + 2)

    def portion(self) -> float | None:
        """Not known."""
        return None

    def close(self) -> None:
        """Nothing to close."""


def hurt(trace: Made, kind: str, rng: random.Random) -> Made:
    """The trace as it is, with a few fields that are other, or with parts that nobody saw."""
    if kind == "broken":
        return Made(trace.header, _broken(trace.events, rng))
    return Made(*_lossy(trace.header, trace.events, rng)) if kind == "lossy" else trace


def _broken(events: list[Event], rng: random.Random) -> list[Event]:
    found = list(events)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(found))
        found[at] = _changed(found[at], rng)
    return found


def _changed(event: Event, rng: random.Random) -> Event:
    fields = dict(event.fields)
    name = rng.choice(sorted(fields) or [""])
    value: Any = fields.get(name)
    if isinstance(value, bool):
        fields[name] = not value
    elif name == "ret":
        fields[name] = rng.choice((0, -1, -2, -3, -12, -14, -17, -22, -28, -38, -85, 5))
    elif name == "nr":
        fields[name] = rng.choice((12, 17, 32, 34, 60))
    elif name in ("in", "out"):
        ranges = list(value)
        which = rng.randrange(len(ranges)) if ranges else 0
        if ranges and ranges[which][1]:
            at, raw = ranges[which]
            where = rng.randrange(len(raw))
            raw = raw[:where] + bytes([rng.randrange(256)]) + raw[where + 1 :]
            ranges[which] = (at, raw)
        fields[name] = tuple(ranges)
    elif name == "args" and value:
        fields[name] = (rng.choice((0, 3, 4, 7, 10, 11, 99)), *value[1:])
    elif isinstance(value, int) and name not in ("width", "cpl"):
        fields[name] = value ^ 1 << rng.randrange(6)
    elif name in ("pending", "mask"):
        fields[name] = {0: value.get(0, 0) ^ 1 << rng.randrange(20)}
    return event._replace(fields=fields)


def _lossy(header: Header, events: list[Event], rng: random.Random) -> tuple[Header, list[Event]]:
    rate = rng.choice((0.05, 0.2, 0.5))
    found: list[Event] = []
    for event in events:
        if rng.random() < 0.02:
            found.append(Event("lost", len(found), {"count": 3}, None, 0, 0))
            continue
        fields = dict(event.fields)
        if event.kind == "hypercall":
            for name in ("ret", "out", "in", "args", "arg_readable", "arg_writable"):
                few = 1.0 if name in ("ret", "out") else 0.15
                if rng.random() < rate * few:
                    fields.pop(name, None)
            if rng.random() < rate * 0.1:
                fields.pop("cpl", None)
        elif rng.random() < rate and fields:
            name = rng.choice(sorted(fields))
            if name not in ("what", "kind"):
                fields.pop(name)
        found.append(event._replace(seq=len(found), fields=fields))
    if rng.random() < 0.2:
        cut = rng.randrange(len(found))
        found = found[cut:]
        header = header._replace(from_boot=False)
    if rng.random() < 0.2:
        given = {k: v for k, v in header.given.items() if rng.random() < 0.8}
        header = header._replace(given=given)
    return header, found
