"""Joins two captures of one run: what either shows of an event that both saw.

A field that one of them knows is known; where both know it and they differ, that is a conflict, and
the field counts as unknown. What the result says of its completeness is what can be said of both
together: that all arguments are there, say, if each call is in a trace that has them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.align import SHARED, Pair, aligned
from pvhspec.traces.errors import CONFLICT
from pvhspec.traces.event import Complete, Event, Guest, Header, Hypervisor, Origin
from pvhspec.traces.formats import Trace

__all__ = ["Merge"]

_MOST_TOLD = 20  # conflicts that are told one by one
_ABOUT_THE_TRACE = frozenset({"note", "end", "lost"})
_TIMES = ("ts_call",)  # in the clock of their trace


@dataclass
class Merge:
    """Two traces that are put together; `open` opens each of them, twice.

    After `prepare`, `header` is that of the result; `events` gives it.
    """

    open: Callable[[int], Trace]
    both: Counter[str] = field(default_factory=Counter)  #: events in both, by kind
    alone: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))
    conflicts: int = 0
    told: list[Diagnostic] = field(default_factory=list)  #: conflicts, and notices of the traces
    header: Header = field(default_factory=Header)
    _quiet: bool = False
    _shared: frozenset[str] | set[str] = frozenset()

    def prepare(self) -> None:
        """Read both once, and find out what they share. Raises PvhError if that is nothing."""
        kinds = [Counter(event.kind for event in self.open(index)) for index in (0, 1)]
        self._shared = SHARED.keys() & kinds[0].keys() & kinds[1].keys()
        traces = self.open(0), self.open(1)
        path = traces[1].path
        for pair in self._pairs(traces):
            if pair.first is not None and pair.second is not None:
                self.both[pair.first.kind] += 1
                self._joined(pair.first, pair.second, path)
            else:
                one = pair.first or pair.second
                assert one is not None
                self.alone[pair.first is None][one.kind] += 1
        by = {"hypercall"} & self._shared or self._shared
        fewer = min(sum(count[kind] for kind in by) for count in kinds)
        shared = sum(self.both[kind] for kind in by)
        if 2 * shared <= fewer:
            what = "hypercalls" if by == {"hypercall"} else "events that may be shared"
            message = f"of {fewer} {what} only {shared} are also in {traces[0].path}"
            remedy = "two captures of one run share calls, CPUID, MSRs or entries"
            raise PvhError(Diagnostic(errors.NOT_ONE_RUN, message, remedy, path))
        self.header = self._header(traces[0].header, traces[1].header, path)
        if self.conflicts > _MOST_TOLD:
            more = f"{self.conflicts - _MOST_TOLD} more conflicts"
            self.told.append(Diagnostic(CONFLICT, more, path=path, severity="warning"))
        for trace in traces:
            self.told += trace.notices

    def events(self) -> Iterator[Event]:
        """The events of the result."""
        self._quiet = True  # what there is to tell was told by `prepare`
        ends: list[Event] = []
        seq = -1
        for seq, event in enumerate(self._merged(ends)):
            yield event._replace(seq=seq)
        for event in sorted(ends, key=lambda end: end.get("reason") == "cut")[:1]:
            yield event._replace(seq=seq + 1, ts=None)

    # ---- events ---------------------------------------------------------------------------------

    def _pairs(self, traces: tuple[Trace, Trace]) -> Iterator[Pair]:
        try:
            yield from aligned(*traces, self._shared)
        finally:
            for trace in traces:
                trace.close()

    def _merged(self, ends: list[Event]) -> Iterator[Event]:
        traces = self.open(0), self.open(1)
        for first, second in self._pairs(traces):
            if first is not None and second is not None:
                yield from self._joined(first, second, traces[1].path)
                continue
            one = first if first is not None else _without_times(second)
            if one.kind == "end":
                ends.append(one)
            else:
                yield one

    def _joined(self, first: Event, second: Event, path: str) -> list[Event]:
        """Both as one; as two if they saw it from different sides."""
        if _differ(first.get("view"), second.get("view")):
            return [first, _without_times(second)]
        fields: dict[str, Any] = {}
        other = _without_times(second).fields
        for name in [*first.fields, *(n for n in other if n not in first.fields)]:
            fields[name] = self._value(name, first, first.get(name), second, other.get(name), path)
        known = {name: value for name, value in fields.items() if value is not None}
        places = [place for place in (first.origin, second.origin) if place]
        ids = {
            name: mine if (mine := getattr(first, name)) is not None else getattr(second, name)
            for name in ("dom", "vcpu", "step")
        }
        return [first._replace(fields=known, origin=", ".join(places) or None, **ids)]

    def _value(
        self, name: str, first: Event, mine: Any, second: Event, other: Any, path: str
    ) -> Any:
        if mine is None or other is None or mine == other:
            return other if mine is None else mine
        if name == "args":
            return tuple(x if x is not None else y for x, y in zip_longest(mine, other))
        if name in ("in", "out"):
            rows = dict(mine)
            for address, content in other:
                here = rows.setdefault(address, content)
                shorter = min(len(here), len(content))
                if here[:shorter] != content[:shorter]:
                    del rows[address]
                    self._conflict(f"{name} at {address:#x}", first, second, here.hex(),
                                   content.hex(), path)  # fmt: skip
                elif len(content) > len(here):
                    rows[address] = content
            return tuple(sorted(rows.items()))
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            merged = {
                inner: self._value(
                    f"{name}.{inner}", first, mine.get(inner), second, other.get(inner), path
                )
                for inner in [*mine, *(i for i in other if i not in mine)]
            }
            return {inner: value for inner, value in merged.items() if value is not None}
        self._conflict(name, first, second, mine, other, path)
        return None

    def _conflict(
        self, name: str, first: Event, second: Event, mine: Any, other: Any, path: str
    ) -> None:
        if self._quiet:
            return
        self.conflicts += 1
        if self.conflicts > _MOST_TOLD:
            return
        what = f"{first.kind} {_number(first)}".strip()
        where = (
            f"{first.origin or f'event {first.seq}'} and {second.origin or f'event {second.seq}'}"
        )
        message = (
            f"{where}: {what}, `{name}` is {_shown(mine)} in one and {_shown(other)} in the other"
        )
        self.told.append(Diagnostic(CONFLICT, message, path=path, severity="warning"))

    # ---- the header -----------------------------------------------------------------------------

    def _header(self, first: Header, second: Header, path: str) -> Header:
        def one(name: str, mine: Any, other: Any) -> Any:
            if _differ(mine, other):
                self.conflicts += 1
                message = f"the header's {name} is {other}, and {mine} in the other trace"
                self.told.append(Diagnostic(CONFLICT, message, path=path, severity="warning"))
                return None
            return other if mine is None else mine

        a, b = first.hypervisor, second.hypervisor
        # KVM and the VMM on it are one hypervisor to the guest, and each has a version of its own.
        hypervisor = a if _differ(a.name, b.name) else Hypervisor(
            one("hypervisor", a.name, b.name),
            one("version", a.version, b.version),
            one("image", a.sha256, b.sha256),
        )  # fmt: skip
        tools = " and ".join(origin.method or "unknown" for origin in (first.origin, second.origin))
        files = ", ".join(o.file for o in (first.origin, second.origin) if o.file)
        given = dict(first.given)
        for name, table in second.given.items():
            cells = dict(given.get(name, {}))
            for index, value in table.items():
                cells[index] = one(f"given {name}[{index}]", cells.get(index), value)
            given[name] = {index: value for index, value in cells.items() if value is not None}
        return Header(
            origin=Origin("merge", tools, files or None),
            synthetic=first.synthetic or second.synthetic,
            hypervisor=hypervisor,
            guest=Guest(
                one("mode", first.guest.mode, second.guest.mode),
                one("guest", first.guest.sha256, second.guest.sha256),
            ),
            cpu_vendor=one("vendor", first.cpu_vendor, second.cpu_vendor),
            clock=first.clock,
            from_boot=first.from_boot,
            complete=self._complete(first.complete, second.complete),
            given=given,
        )

    def _complete(self, first: Complete, second: Complete) -> Complete:
        alone = [sum(n for kind, n in side.items() if kind in _CALLS) for side in self.alone]

        def has(name: str) -> bool:
            mine, other = bool(getattr(first, name)), bool(getattr(second, name))
            return (mine and (other or not alone[1])) or (other and not alone[0])

        kinds = [{k for k in side | self.both if k not in _ABOUT_THE_TRACE} for side in self.alone]
        mine, other = first.events, second.events
        if self.alone[0]["lost"] or self.alone[1]["lost"]:
            events = mine and other
        else:
            events = (mine and (other or kinds[1] <= kinds[0])) or (other and kinds[0] <= kinds[1])
        return Complete(
            events, has("args"), has("results"), has("memory"), first.domains or second.domains
        )


_CALLS = frozenset({"hypercall"})


def _without_times(event: Event | None) -> Event:
    """An event of the second trace: its clock is not the first's."""
    assert event is not None
    fields = {name: value for name, value in event.fields.items() if name not in _TIMES}
    return event._replace(fields=fields, ts=None)


def _number(event: Event) -> str:
    value = event.get("nr" if event.kind == "hypercall" else "leaf")
    return "" if value is None else str(value)


def _shown(value: Any) -> str:
    text = hex(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text if len(text) <= 40 else text[:40] + "…"


def _differ(x: object, y: object) -> bool:
    return x is not None and y is not None and x != y
