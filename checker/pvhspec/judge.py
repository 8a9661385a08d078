"""A trace against the specification: reads it, judges it event by event, gathers the report."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict, Unpack

from pvhspec.backends.binding import Binder, header_mode, header_version
from pvhspec.backends.interpreter.compiled import compiled_for
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.interpreter.orders import Orders
from pvhspec.backends.protocol import Judgement, Seen
from pvhspec.backends.whole.record import Recorder
from pvhspec.backends.whole.solve import decide
from pvhspec.diagnostics import Diagnostic, PvhError, code
from pvhspec.ir.ir import Spec
from pvhspec.names.gates import Version, shown_version
from pvhspec.report.told import event_parts
from pvhspec.report.verdict import Moment, Report, Selection, applicable
from pvhspec.traces import Event, Header, Place

__all__ = ["REMEMBERED", "Engine", "Judging", "Source", "Terms", "judge"]

Engine = Literal["auto", "interpreter", "native"]
_LARGE = 4 << 20  # bytes of a trace from which on machine code is worth its start

REMEMBERED = 20_000  # events that a violation's timeline can reach back to

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


class Terms(TypedDict, total=False):
    """What a trace is judged by. `version` and `mode` stand in for what its header does not say.
    `solve`: decide the whole, too, in so many seconds; the trace is then kept in memory."""

    authority: str
    selection: Selection | None
    version: Version | None
    mode: str | None
    solve: float | None


def judge(
    spec: Spec, trace: Source, *, engine: Engine = "interpreter", **terms: Unpack[Terms]
) -> Report:
    """Judge one trace. `engine`: what judges it; the report is the same.

    Raises PvhError for what is wrong with the trace itself.
    """
    judging = Judging(spec, trace, **terms)
    plain = terms.get("solve") is None
    if engine != "interpreter" and plain and _columns(judging, trace, engine):
        from pvhspec.judge_columns import judge_columns
        from pvhspec.scan.source import ColumnSource

        inner: Any = getattr(trace, "inner", trace)
        return judge_columns(spec, judging, ColumnSource(inner))
    for seen in judging.seen():
        judging.take(seen)
    return judging.end()


def _columns(judging: Judging, trace: Source, engine: Engine) -> bool:
    """Whether machine code judges a trace."""
    if engine == "native":
        return True
    # Where events may be missing everywhere nothing is known for long; else size counts.
    if not trace.header.complete.events or find_spec("llvmlite") is None:
        return False
    if find_spec("pyarrow") is None:
        return False
    try:
        size = Path(trace.path).stat().st_size
    except OSError:
        return False
    dense = trace.path.endswith((".gz", ".zst", ".arrow", ".parquet"))
    return size > (_LARGE // 16 if dense else _LARGE)


class Judging:
    """A trace that is being judged. Raises PvhError where its header does not say enough."""

    def __init__(
        self,
        spec: Spec,
        trace: Source,
        *,
        authority: str = "implemented",
        selection: Selection | None = None,
        version: Version | None = None,
        mode: str | None = None,
        solve: float | None = None,
    ) -> None:
        self.trace, self.chosen, self._solve = trace, selection or Selection(), solve
        header = trace.header
        release, kind = _where(spec, trace, version, mode)
        self.release, self.mode = release, kind
        self.compiled = compiled_for(spec, release, kind, authority)
        self.report = Report(
            trace.path,
            header.hypervisor.name or "unknown",
            header.hypervisor.version or shown_version(release),
            kind,
            authority,
            header.origin.method or "unknown",
            header.synthetic,
        )
        self.report.applicable = applicable(spec, release, kind, authority, self.chosen)
        options: dict[str, Any] = {
            "authority": authority,
            "given": {name: dict(table) for name, table in header.given.items()},
            "from_boot": header.from_boot,
            "all_domains": header.complete.domains,
            "compiled": self.compiled,
        }
        self._kept: list[Seen] = []
        self._fresh = partial(Recorder, spec, release, kind, **options)
        self._recorder = self._fresh() if solve is not None else None
        if self._recorder is not None and solve is not None:
            self._recorder.patience = solve
        self.machine = Orders(self._recorder or Machine(spec, release, kind, **options))
        # A hypervisor that plays Xen shows its guest whatever release it was told to.
        told = version is not None or header.hypervisor.name in (None, "xen")
        self.binder = Binder(spec, release, kind, header.cpu_vendor, told)
        self._latest: list[Event] = []
        self.moments: deque[Moment] = deque(maxlen=REMEMBERED if solve is None else None)

    def seen(self, events: Iterable[Event] | None = None) -> Iterator[Seen]:
        """The events as they are judged; each is to be taken, or passed over, before the next."""

        def remembered() -> Iterator[Event]:
            for event in self.trace if events is None else events:
                self._latest[:] = (event,)
                self.report.events += 1
                yield event

        return self.binder.bind(remembered())

    def pass_over(self, seen: Seen) -> None:
        """Only remember an event, for the timeline of a violation that comes after it."""
        event = self._latest[0]
        parts = event_parts(event, seen)
        place = self.trace.place(event)
        self.moments.append(Moment(seen.seq, ", ".join(parts), parts[0], place, event.step))

    def take(self, seen: Seen) -> list[Judgement]:
        """Judge an event; the violations that are kept."""
        if seen.kind == "lost" or not self.trace.header.complete.events:
            self.machine.forget()
        self.pass_over(seen)
        if self._recorder is not None:
            self._kept.append(seen)
        return self._told(self.machine.feed(seen))

    def finish(self) -> list[Judgement]:
        """What is to be said of calls that wait for others; the violations that are kept."""
        return self._told(self.machine.finish())

    def _told(self, judgements: Iterable[Judgement]) -> list[Judgement]:
        kept = self.report.add(judgements, self.chosen)
        self.report.keep(kept, self.moments)
        return kept

    def end(self) -> Report:
        """What is said of the trace, which is through."""
        self.finish()
        report = self.report
        report.open_debts = [d for d in self.machine.open_debts() if self.chosen.takes(d[0])]
        if self._recorder is not None and self._solve is not None:
            every_event = self.trace.header.complete.events
            whole = decide(self._recorder, self._kept, self._fresh, every_event, self._solve)
            report.settle(whole, self.moments)
        report.truncated = self.trace.truncated
        report.notices = [n.headline() for n in self.trace.notices]
        return report


def _where(
    spec: Spec, trace: Source, version: Version | None, mode: str | None
) -> tuple[Version, str]:
    """The release and the mode that a trace is judged by."""
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
    return release, kind
