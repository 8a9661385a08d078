"""One boot with one program, judged: what a generated run knows of it."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvhspec.backends.binding import Binder, header_mode, header_version
from pvhspec.backends.interpreter.compiled import compiled_for
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.interpreter.orders import Orders
from pvhspec.backends.protocol import Fact, Judgement, Seen, Verdict
from pvhspec.ir.ir import Spec
from pvhspec.report.told import event_told
from pvhspec.report.verdict import Selection
from pvhspec.targets import Capture, Program, capture_xen
from pvhspec.targets.steps import Step
from pvhspec.traces import Event, ObjectTrace

__all__ = ["Boot", "Broken", "boot", "judged"]

_MOST = 6  # violations of one boot; after that too little is known of the state
_DOUBT_FOR = 2.0  # seconds a boot is judged on after its first violation
_TROUBLE = ("crash", "hang")


@dataclass(frozen=True, slots=True)
class Broken:
    """A violation: the clause, the step of the program, and what is told of it. `because` are the
    steps that made the state that it hangs on, `concerns` other clauses it may come from."""

    clause: str
    step: int | None
    event: str
    seen: str
    allowed: str
    state: tuple[Fact, ...] = ()
    because: tuple[int, ...] = ()
    concerns: tuple[str, ...] = ()


@dataclass(slots=True)
class Boot:
    """What came of a boot. Clauses are counted by events; `shown` are those whose effect was
    carried into what was judged later. `given` is what the trace's header says of the guest,
    `vendor` whose processor it ran on, by the specification's number.
    `trouble` is a crash or a hang, `cut` any other end that is not the program's own; `seconds` is
    how long the boot took, `whole` all of it. `steps` are kept where something is wrong."""

    release: str = ""
    text: str = ""
    given: dict[str, dict[str, Any]] = field(default_factory=dict)
    vendor: int | None = None
    calls: int = 0
    events: int = 0
    conforms: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    violates: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)
    trouble: str = ""
    cut: str = ""
    last_step: int | None = None
    steps: tuple[Step, ...] = ()
    console: str = ""
    seconds: float = 0.0
    whole: float = 0.0

    @property
    def names(self) -> set[str]:
        """What was wrong: clauses, and `crash` or `hang`."""
        ended = {self.trouble.partition(":")[0]} if self.trouble else set()
        return set(self.violates) | ended


class _Noting(dict[Any, Any]):
    """The writers of the store's cells, every clause among them counted; `writes` is the log of
    them all: for an index, the events that wrote a cell there."""

    def __init__(
        self, counts: Counter[str], writes: dict[tuple[int, ...], dict[int, None]]
    ) -> None:
        super().__init__()
        self._counts, self._writes = counts, writes

    def __setitem__(self, key: Any, value: tuple[int, str]) -> None:
        self._counts[value[1]] += 1
        if len(key[1]) > 1:  # not what belongs to the whole domain
            self._writes.setdefault(key[1], {})[value[0]] = None
        super().__setitem__(key, value)

    def __copy__(self) -> _Noting:
        """Of a state that is gone on with in several ways: nothing is counted anew."""
        other = _Noting(self._counts, self._writes)
        dict.update(other, self)
        return other


def boot(
    spec: Spec,
    image: Path | str,
    program: Program,
    *,
    width: int,
    vcpus: int,
    selection: Selection,
    timeout: float = 60.0,
    outside: bool = False,
) -> Boot:
    """Boot, run, judge; `outside` also looks at the entry from outside. Raises TargetError where it
    cannot be run."""
    capture = capture_xen(
        image, program, width=width, vcpus=vcpus, timeout=timeout, outside=outside
    )
    found = Boot()
    for _ in judged(spec, capture, selection, found):
        pass
    return found


def judged(
    spec: Spec, capture: Capture, selection: Selection, found: Boot
) -> Iterator[tuple[Event, list[Judgement]]]:
    """Every event with what is said of it, while `found` is filled in.

    It ends early after a violation: what follows is judged by a state that is in doubt.
    """
    trace = ObjectTrace(capture.header, capture.events)
    header = trace.header
    release, mode = header_version(header), header_mode(header)
    assert release is not None
    assert mode is not None
    found.release = header.hypervisor.version or ""
    found.text = str(capture.header["hypervisor"].get("text", ""))
    found.seconds = capture.seconds
    given = found.given = {name: dict(table) for name, table in header.given.items()}
    one = Machine(spec, release, mode, given=given, compiled=compiled_for(spec, release, mode))
    writes: dict[tuple[int, ...], dict[int, None]] = {}
    one.store.writers = _Noting(found.shown, writes)
    machine = Orders(one)
    binder = Binder(spec, release, mode, header.cpu_vendor)
    found.vendor = binder.constants.get("vendor")
    latest: list[Event] = []
    waiting: dict[int, tuple[Event, Seen]] = {}  # calls that are judged with later ones
    step_of: dict[int, int] = {}  # by event
    until: float | None = None

    def remembered() -> Iterator[Event]:
        for event in trace:
            latest[:] = (event,)
            yield event

    for seen in binder.bind(remembered()):
        event = latest[0]
        found.events += 1
        if event.kind == "hypercall":
            found.calls += 1
        if event.step is not None:
            found.last_step = step_of[seen.seq] = event.step
        waiting[seen.seq] = event, seen
        said = [j for j in machine.feed(seen) if selection.takes(j.clause)]
        for j in said:
            about = waiting[j.seq]
            match j.verdict:
                case Verdict.CONFORMS:
                    found.conforms[j.clause] += 1
                case Verdict.UNSEEN:
                    found.unseen[j.clause] += 1
                case Verdict.VIOLATES:
                    found.violates[j.clause] += 1
                    f = j.finding
                    texts = (f.seen, f.allowed) if f else ("", "")
                    told = event_told(*about)
                    because = _made_by(j.state, writes, step_of)
                    concerns = f.related if f else ()
                    broken = Broken(
                        j.clause, about[0].step, told, *texts, j.state, because, concerns
                    )
                    found.broken.append(broken)
        yield event, said
        if seen.span is None:
            waiting.clear()
        if found.broken:
            until = until or time.monotonic() + _DOUBT_FOR
            if len(found.broken) >= _MOST or time.monotonic() > until:
                break
    _ending(capture, found)


def _made_by(
    state: tuple[Fact, ...], writes: dict[tuple[int, ...], dict[int, None]], step_of: dict[int, int]
) -> tuple[int, ...]:
    """The steps that wrote a cell the verdict hangs on, or another at the same index."""
    events = {fact.event for fact in state if fact.event is not None}
    for fact in state:
        index = tuple(map(int, re.findall(r"\d+", fact.cell.partition("[")[2])))
        events.update(writes.get(index, ()))
    return tuple(sorted({step_of[event] for event in events if event in step_of}))


def _ending(capture: Capture, found: Boot) -> None:
    """How it ended, where that was not by itself."""
    end = capture.events[-1]
    reason, text = end.get("reason", ""), end.get("text", "")
    if reason in _TROUBLE:
        found.trouble = f"{reason}: {text}".rstrip(": ")
        found.console = capture.console
    elif reason != "shutdown" or found.last_step is None:
        found.cut = f"{reason}: {text}"
        found.console = capture.console
