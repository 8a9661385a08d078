"""A trace against the specification: reads it, judges it event by event, gathers the report."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

from pvhspec.backends.binding import Binder, header_mode, header_version
from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.interpreter.orders import Orders
from pvhspec.backends.protocol import Seen
from pvhspec.backends.whole.record import Recorder
from pvhspec.backends.whole.solve import decide
from pvhspec.diagnostics import Diagnostic, PvhError, code
from pvhspec.ir.ir import Spec
from pvhspec.names.gates import Version, shown_version
from pvhspec.report.told import event_parts
from pvhspec.report.verdict import Moment, Report, Selection, applicable
from pvhspec.traces import Event, Header, Place

__all__ = ["Source", "judge"]

_REMEMBERED = 20_000  # events that a violation's timeline can reach back to

NO_RELEASE = code("PVH950", "The trace does not say which release of the hypervisor it shows.")
NO_MODE = code("PVH951", "The trace does not say which mode the guest ran in, or an unknown one.")


class Source(Protocol):
    """What is read: a header and events."""

    header: Header
    path: str
    notices: list[Diagnostic]

    @property
    def truncated(self) -> bool:
        """Whether it was found to be cut."""
        ...

    def __iter__(self) -> Iterator[Event]: ...

    def place(self, event: Event) -> Place:
        """Where the event that was given last stands in what is read."""
        ...


def judge(
    spec: Spec,
    trace: Source,
    *,
    authority: str = "implemented",
    selection: Selection | None = None,
    version: Version | None = None,
    mode: str | None = None,
    solve: float | None = None,
) -> Report:
    """Judge one trace. `version` and `mode` stand in for what its header does not say. `solve`:
    decide the whole, too, in so many seconds; the trace is then kept in memory.

    Raises PvhError for what is wrong with the trace itself.
    """
    chosen = selection or Selection()
    header = trace.header
    release = version or header_version(header)
    kind = mode or header_mode(header)
    errors: list[Diagnostic] = []
    if kind not in spec.modes:
        known = ", ".join(spec.modes)
        what = "the trace does not say the guest's mode" if kind is None else f"no mode {kind}"
        remedy = f"say it with --mode: {known}" if mode is None else f"the modes are {known}"
        errors.append(Diagnostic(NO_MODE, what, remedy, trace.path))
    if release is None and header.hypervisor.name in (None, "xen"):
        what = "the trace does not say the release of Xen"
        remedy = "say it with --release, as in --release 4.17.7"
        errors.append(Diagnostic(NO_RELEASE, what, remedy, trace.path))
    if errors:
        raise PvhError(*errors)
    assert kind is not None
    if release is None or header.hypervisor.name not in (None, "xen"):
        release = version or spec.releases[-1]
    report = Report(
        trace.path,
        header.hypervisor.name or "unknown",
        header.hypervisor.version or shown_version(release),
        kind,
        authority,
        header.origin.method or "unknown",
        header.synthetic,
    )
    report.applicable = applicable(spec, release, kind, authority, chosen)
    options: dict[str, Any] = {
        "authority": authority,
        "given": {name: dict(table) for name, table in header.given.items()},
        "from_boot": header.from_boot,
        "all_domains": header.complete.domains,
        "compiled": _compiled(spec, release, kind, authority),
    }
    kept: list[Seen] = []
    recorder = Recorder(spec, release, kind, **options) if solve is not None else None
    if recorder is not None and solve is not None:
        recorder.patience = solve
    machine = Orders(recorder or Machine(spec, release, kind, **options))
    # A hypervisor that plays Xen shows its guest whatever release it was told to.
    told = version is not None or header.hypervisor.name in (None, "xen")
    binder = Binder(spec, release, kind, header.cpu_vendor, told)
    latest: list[Event] = []
    moments: deque[Moment] = deque(maxlen=_REMEMBERED if solve is None else None)

    def remembered() -> Iterator[Event]:
        for event in trace:
            latest[:] = (event,)
            report.events += 1
            yield event

    for seen in binder.bind(remembered()):
        if seen.kind == "lost" or not header.complete.events:
            machine.forget()
        event = latest[0]
        parts = event_parts(event, seen)
        place = trace.place(event)
        moments.append(Moment(seen.seq, ", ".join(parts), parts[0], place, event.step))
        report.keep(report.add(machine.feed(seen), chosen), moments)
        if recorder is not None:
            kept.append(seen)
    report.keep(report.add(machine.finish(), chosen), moments)
    report.open_debts = [d for d in machine.open_debts() if chosen.takes(d[0])]
    if recorder is not None and solve is not None:
        fresh = partial(Recorder, spec, release, kind, **options)
        whole = decide(recorder, kept, fresh, header.complete.events, solve)
        report.settle(whole, moments)
    report.truncated = trace.truncated
    report.notices = [n.headline() for n in trace.notices]
    return report


# The last that was made: traces that are judged one after the other are mostly of one kind.
_ready: dict[tuple[Version, str, str], Compiled] = {}


def _compiled(spec: Spec, release: Version, mode: str, authority: str) -> Compiled:
    """The specification made ready for a release, mode and authority."""
    where = (release, mode, authority)
    if where not in _ready or _ready[where].spec is not spec:
        _ready.clear()
        _ready[where] = Compiled(spec, *where)
    return _ready[where]
