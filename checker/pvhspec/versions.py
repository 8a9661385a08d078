"""A trace against all releases and modes at once: which of them allow it, and what the others
forbid.

One execution stands for all places that have seen the same so far. Where an event is told apart by
them it is forked, and those that know the same afterwards go on as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pvhspec.backends.binding import Binder, header_version
from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.interpreter.orders import Orders
from pvhspec.backends.places import Place, Places
from pvhspec.backends.protocol import Judgement, Verdict
from pvhspec.ir.ir import Spec
from pvhspec.judge import Source
from pvhspec.names.gates import Version
from pvhspec.report.told import event_parts
from pvhspec.report.verdict import Selection
from pvhspec.traces import Event, Header

__all__ = ["Answer", "Denial", "versions"]

_MOST_WAITING = 4096  # events of calls at the same time that can be told again
_LOOK_ROUND = 256  # events after which executions that have grown alike are looked for


@dataclass(frozen=True, slots=True)
class Denial:
    """The first that forbids a trace: a clause, the event, what was seen, and what is allowed."""

    clause: str
    seq: int
    event: str
    seen: str
    allowed: str


@dataclass(slots=True)
class Answer:
    """What a release and a mode make of a trace. `denial` None: they allow it; `decided` are the
    clauses it was held to until then."""

    release: Version
    mode: str
    denial: Denial | None = None
    decided: set[str] = field(default_factory=set)


def versions(
    spec: Spec,
    trace: Source,
    *,
    authority: str = "implemented",
    selection: Selection | None = None,
) -> list[Answer]:
    """What every release and mode of the specification makes of a trace, in their order."""
    run = _Run(spec, trace.header, authority, selection or Selection())
    for event in trace:
        run.feed(event)
        if not run.strands:
            break
    run.finish()
    return [*run.answers.values()]


@dataclass(slots=True)
class _Strand:
    """One execution, for places that have seen the same so far; the rules are the first's."""

    places: list[Place]
    machine: Orders
    decided: set[str]


class _Run:
    def __init__(self, spec: Spec, header: Header, authority: str, selection: Selection) -> None:
        self._spec, self._header = spec, header
        self._authority, self._selection = authority, selection
        self._places = Places(spec)
        self._compiled: dict[Place, Compiled] = {}
        self._waiting: dict[int, str] = {}
        own = header_version(header)
        self.answers: dict[Place, Answer] = {}
        for mode in spec.modes:
            for release in spec.releases:
                # Of the release it was recorded on, the very one.
                told = own if own is not None and own[:2] == release[:2] else release
                self.answers[told, mode] = Answer(release, mode)
        everywhere = [*self.answers]
        self._memory = Binder(spec, *everywhere[0], header.cpu_vendor)
        self._binders: dict[Place, Binder] = {}
        self.strands = [self._begun(each) for each in self._places.always(everywhere)]
        self._count = 0

    def feed(self, event: Event) -> None:
        """Judge one event by all that do not forbid the trace yet."""
        self._memory.remember(event)
        if event.kind == "mem":
            return
        self._count += 1
        strands: list[_Strand] = []
        for strand in self.strands:
            parts = self._split(strand, event)
            left = [part for part in parts if self._fed(part, event)]
            strands += _joined(left) if len(parts) > 1 else left
        if self._count % _LOOK_ROUND == 0:
            strands = _joined(strands)
        self.strands = strands

    def finish(self) -> None:
        """The trace is at its end."""
        for strand in self.strands:
            self._take(strand, strand.machine.finish(), None)

    def _split(self, strand: _Strand, event: Event) -> list[_Strand]:
        first, *others = self._places.apart(strand.places, event)
        made = [
            _Strand(each, strand.machine.fork(self._rules(each[0])), set(strand.decided))
            for each in others
        ]
        strand.places = first
        return [strand, *made]

    def _fed(self, strand: _Strand, event: Event) -> bool:
        """Whether the places allow this, too."""
        for seen in self._binder(strand.places[0]).each(event):
            if seen.kind == "lost" or not self._header.complete.events:
                strand.machine.forget()
            if seen.span is not None and len(self._waiting) < _MOST_WAITING:
                self._waiting[seen.seq] = event_parts(event, seen)[0]
            if not self._take(strand, strand.machine.feed(seen), event):
                return False
        return True

    def _take(self, strand: _Strand, said: Iterable[Judgement], event: Event | None) -> bool:
        for j in said:
            if not self._selection.takes(j.clause):
                continue
            if j.verdict is Verdict.VIOLATES:
                denial = self._denial(strand, j, event)
                for place in strand.places:
                    self.answers[place].denial = denial
                return False
            if j.verdict is Verdict.CONFORMS and j.clause not in strand.decided:
                strand.decided.add(j.clause)
                for place in strand.places:
                    self.answers[place].decided.add(j.clause)
        return True

    def _denial(self, strand: _Strand, j: Judgement, event: Event | None) -> Denial:
        what = self._waiting.get(j.seq, "")
        if event is not None and event.seq == j.seq:
            what = event_parts(event, self._binder(strand.places[0]).one(event))[0]
        found = j.finding
        seen, allowed = ("", "") if found is None else (found.seen, found.allowed)
        return Denial(j.clause, j.seq, what, seen, allowed)

    # ---- what a place has --------------------------------------------------------------------

    def _begun(self, places: list[Place]) -> _Strand:
        options: dict[str, Any] = {
            "authority": self._authority,
            "given": {name: dict(table) for name, table in self._header.given.items()},
            "from_boot": self._header.from_boot,
            "all_domains": self._header.complete.domains,
            "compiled": self._rules(places[0]),
        }
        return _Strand(places, Orders(Machine(self._spec, *places[0], **options)), set())

    def _rules(self, place: Place) -> Compiled:
        if place not in self._compiled:
            self._compiled[place] = Compiled(self._spec, *place, self._authority)
        return self._compiled[place]

    def _binder(self, place: Place) -> Binder:
        """What is not Xen shows its guest whatever release it was told to."""
        if place not in self._binders:
            xen = self._spec.groups.get("xen", frozenset(self._spec.modes))
            self._binders[place] = self._memory.beside(*place, place[1] in xen)
        return self._binders[place]


def _joined(strands: list[_Strand]) -> list[_Strand]:
    """Those that know the same go on as one."""
    kept: list[_Strand] = []
    for strand in strands:
        same = next((other for other in kept if other.machine.is_as(strand.machine)), None)
        if same is None:
            kept.append(strand)
        else:
            same.places += strand.places
            same.decided &= strand.decided
    return kept
