"""The specification in other people's tests, by way of Hypothesis and pytest.

A state machine has a rule for every operation, drawn with what the specification compares each
argument with. What it is tested against is yours to say:

    from pvhspec.testing import assert_conforms, chapters, spec_machine

    TestModel = spec_machine("evtchn").TestCase                       # the model, against itself
    TestXen = spec_machine(xen="4.17").TestCase                       # a real Xen, all chapters
    TestOurs = spec_machine("evtchn", target=OurEmulator).TestCase    # your own: see `Target`
    TestAfter = spec_machine("evtchn", trace="boot.jsonl").TestCase   # on from a recorded trace

    def test_the_capture_of_last_night():
        assert_conforms("night.jsonl")

With `trace` the trace itself has to conform, and every execution begins in the state that it ended
in. `chapters()` lists what the first argument can be; without it, it is all of them together. How
many executions there are, and how long: `TestXen.settings = settings(max_examples=20)`, as for any
state machine of Hypothesis. With `xen` each execution is one boot (a second or two).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pvhspec.backends.binding import Binder, header_mode, header_version
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.machine.draw import chapter as chapter_of
from pvhspec.backends.machine.draw import offered
from pvhspec.backends.machine.model import Ask, Foretold, Model
from pvhspec.backends.machine.rules import ModelSystem, System, machine_class
from pvhspec.backends.protocol import Verdict
from pvhspec.diagnostics import PvhError
from pvhspec.ir.cache import load_spec
from pvhspec.names.gates import Version, parse_version

if TYPE_CHECKING:
    from hypothesis.stateful import RuleBasedStateMachine

    from pvhspec.ir.ir import Spec
    from pvhspec.judge import Source
    from pvhspec.targets.steps import Operand, Step
    from pvhspec.traces import Event

__all__ = ["Target", "XenSystem", "assert_conforms", "chapters", "spec_machine"]

Width = Literal[32, 64]
Trace = str | Path | tuple[Mapping[str, Any], Iterable[Mapping[str, Any]]]
_STRUCTURE = 0x1000  # where a call's structure is said to lie


class Target(Protocol):
    """A hypervisor of your own under test. One is made for each execution, and is fresh.

    `call` is given the `hypercall` event of traces/format.md without its results: `width`, `cpl`,
    `nr`, `args`, `arg_readable`, `arg_writable`, and `in`, the structure that the last argument
    points to, as [[address, hex]]. It gives back the results: `ret` (signed), and `out`, the same
    memory after the call. A result left out counts as not seen.
    """

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make the call."""
        ...


def chapters(release: str = "4.17", mode: str = "pvh_dom0", spec: Path | None = None) -> list[str]:
    """The chapters of the specification that have operations. Raises PvhError."""
    operations = offered(_loaded(spec), parse_version(release), mode)
    modelled = (op for op in operations if op.modelled and op.number is not None)
    return list(dict.fromkeys(chapter_of(op) for op in modelled))


def spec_machine(
    chapter: str | None = None,
    *,
    xen: str | Path | None = None,
    target: Callable[[], Target] | None = None,
    trace: Trace | None = None,
    release: str = "4.17",
    mode: str = "pvh_dom0",
    width: Width = 64,
    spec: Path | None = None,
) -> type[RuleBasedStateMachine]:
    """A Hypothesis `RuleBasedStateMachine` with a rule for every operation.

    `chapter` is one of `chapters()`; None is all of them together. What is tested is the model
    itself, or `xen` (a release or an image), or what `target` makes; `trace` (a file, or a header
    and events) says where it begins. `release` and `mode` are those of the model and of a target; a
    Xen and a trace say theirs. Raises PvhError for a specification with errors or a bad trace,
    TargetError where Xen cannot be run, AssertionError for a trace that does not conform.
    """
    if sum(given is not None for given in (xen, target, trace)) > 1:
        raise ValueError("one of xen, target and trace says what is tested")
    known = _loaded(spec)
    if chapter is not None and chapter not in chapters(release, mode, spec):
        raise ValueError(f"no chapter {chapter}: {', '.join(chapters(release, mode, spec))}")
    if xen is not None:
        from pvhspec.conform.generated import release_of

        release = release_of(known, str(xen))[0]
    start = _Start(known, parse_version(release), mode, width)
    if trace is not None:
        start = _after(known, trace, width)

    def system(model: Model) -> System:
        if xen is not None:
            return XenSystem(known, str(xen), width)
        if target is not None:
            return _TargetSystem(known, start, target())
        return ModelSystem(start.judge.fork(), model)

    return machine_class(start.model, width=width, only=chapter, system=system)


def assert_conforms(trace: Trace, *, spec: Path | None = None) -> None:
    """Fail, with the whole verdict, where a trace violates a clause. `trace` is a file that
    `pvhspec check` reads, or a header and events. Raises PvhError where it cannot be judged."""
    from pvhspec.judge import judge
    from pvhspec.report.paint import Paint
    from pvhspec.report.text import text_of

    known = _loaded(spec)
    report = judge(known, _opened(trace))
    assert not report.violates, text_of(report, known, paint=Paint(False))


class XenSystem:
    """A real Xen: calls are gathered, and run and judged when the execution is over."""

    def __init__(self, spec: Spec, image: str, width: Width) -> None:
        from pvhspec.programs import Layouts
        from pvhspec.programs.shared import Words, map_shared_info

        self._spec, self._image, self._width = spec, image, width
        self._layouts = Layouts(spec, width)
        self._steps: list[Step] = map_shared_info(0, Words(width))
        self._before = len(self._steps)

    def call(self, ask: Ask, told: Foretold) -> list[str]:
        """Remember the call."""
        from pvhspec.conform.render import step_of

        self._steps.append(step_of(ask, self._layouts))
        return []

    def finish(self) -> list[str]:
        """Run what was gathered; what Xen did that is not allowed."""
        from pvhspec.conform.boots import boot
        from pvhspec.report.verdict import Selection
        from pvhspec.targets import Program
        from pvhspec.targets.steps import Shared

        if len(self._steps) == self._before:
            return []
        program = Program((*self._steps, Shared(1, 64), Shared(1, 32)))
        came = boot(
            self._spec, self._image, program, width=self._width, vcpus=1, selection=Selection()
        )
        found = [f"{b.clause}: {b.event}: seen {b.seen}, allowed {b.allowed}" for b in came.broken]
        return found + [text for text in (came.trouble, came.cut) if text]


# ---- what executions begin with ------------------------------------------------------------------


class _Start:
    """The model and the judge as every execution begins with them."""

    def __init__(
        self,
        spec: Spec,
        version: Version,
        mode: str,
        width: Width,
        given: Mapping[str, Mapping[str, Any]] | None = None,
        vendor: str = "AuthenticAMD",
    ) -> None:
        facts = None if given is None else {name: dict(table) for name, table in given.items()}
        self.version, self.mode, self.width, self.vendor = version, mode, width, vendor
        self.model = Model(spec, version, mode, width=width, given=facts, vendor=vendor)
        self.judge = Machine(spec, version, mode, given=facts)


def _after(spec: Spec, trace: Trace, width: Width) -> _Start:
    """The state that a trace ends in, which has to conform."""
    opened = _opened(trace)
    events = list(opened)
    header = opened.header
    kept = _Kept(opened, events)
    from pvhspec.judge import judge

    report = judge(spec, kept)
    broken = "; ".join(f"{j.clause}: {j.finding and j.finding.seen}" for j in report.violations)
    assert not report.violates, f"the trace does not conform: {broken}"
    version = header_version(header) or spec.releases[-1]
    mode = header_mode(header)
    assert mode is not None
    vendor = header.cpu_vendor or "AuthenticAMD"
    start = _Start(spec, version, mode, width, header.given, vendor)
    for event in events:
        start.model.happen(event)
    for seen in Binder(spec, version, mode, vendor).bind(iter(events)):
        for _ in start.judge.feed(seen):
            pass
    return start


@dataclass
class _Kept:
    """A trace that was read to its end, to be read again."""

    opened: Source
    events: list[Event]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.opened, name)

    def __iter__(self) -> Any:
        return iter(self.events)


def _opened(trace: Trace) -> Any:
    from pvhspec.traces import ObjectTrace, open_trace

    if isinstance(trace, tuple):
        return ObjectTrace(*trace)
    return open_trace(trace)


def _loaded(path: Path | None) -> Spec:
    found, errors = load_spec(path)
    if found is None:
        raise PvhError(*errors)
    return found


# ---- somebody's own hypervisor -------------------------------------------------------------------


class _TargetSystem:
    """What a `Target` answers, judged call by call."""

    def __init__(self, spec: Spec, start: _Start, target: Target) -> None:
        from pvhspec.programs import Layouts

        self._target, self._width = target, start.width
        self._layouts = Layouts(spec, start.width)
        self._judge = start.judge.fork()
        self._binder = Binder(spec, start.version, start.mode, start.vendor)
        self._seq = 0

    def call(self, ask: Ask, told: Foretold) -> list[str]:
        """Make the call and judge what came of it."""
        from pvhspec.traces import ObjectTrace

        request = self._request(ask)
        event = {**request, **self._target.call(dict(request)), "seq": self._seq}
        self._seq += 1
        trace = ObjectTrace({"schema": "pvh-trace/1"}, [event], "what the target answered")
        return [
            f"{j.clause}: seen {j.finding.seen}, allowed {j.finding.allowed}"
            for seen in self._binder.bind(iter(trace))
            for j in self._judge.feed(seen)
            if j.verdict is Verdict.VIOLATES and j.finding is not None
        ]

    def finish(self) -> list[str]:
        """Nothing is left to say."""
        return []

    def _request(self, ask: Ask) -> dict[str, Any]:
        from pvhspec.conform.render import step_of

        step = step_of(ask, self._layouts)
        request: dict[str, Any] = {
            "kind": "hypercall", "dom": 0, "vcpu": 0, "width": self._width, "cpl": ask.cpl,
            "via": "direct", "nr": step.nr, "args": [_address(a) for a in step.args],
            "arg_readable": ask.memory != "unreadable", "arg_writable": ask.memory == "ordinary",
        }  # fmt: skip
        if ask.memory != "unreadable":
            request["in"] = [[hex(_STRUCTURE), buffer.data.hex()] for buffer in step.buffers[:1]]
        return request


def _address(argument: Operand) -> int:
    return argument if isinstance(argument, int) else _STRUCTURE
