"""One fault tried: does Xen still boot, can a guest see it, is it caught, and by which clause."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.faults.mutants import Mutant
from benchmarks.faults.symbols import Xen

from pvhspec.conform import Job
from pvhspec.ir.ir import Operation, Spec
from pvhspec.judge import judge
from pvhspec.programs import Layouts, show_step
from pvhspec.targets import BadImage, Capture, TargetError, capture_xen
from pvhspec.targets.steps import Hypercall
from pvhspec.traces import ObjectTrace

__all__ = ["Result", "key_of", "keys_of", "try_mutant"]

Keys = list[tuple[Any, ...]]
Outcome = Literal["no boot", "crash", "caught", "missed", "not visible"]
_TIMEOUT = 25.0  # seconds of one run; a good one takes two

#: What differs from run to run of one Xen.
_PASSING = frozenset({"ts", "ts_call", "origin", "seq", "clobbered", "dom"})
_CLOCK_LEAVES = frozenset({"0x40000003"})


@dataclass(slots=True)
class Result:
    """What came of a fault. `first` is the first step whose event differs, as text; `about` how the
    clauses begin that may rightly be named; `clauses` what was named, the first violation first,
    and `with_it` what the first violation names beside its clause."""

    mutant: str
    what: str
    outcome: Outcome
    seconds: float = 0.0
    program: str = ""
    clauses: tuple[str, ...] = ()
    seen: str = ""
    state: tuple[str, ...] = ()
    first: str = ""
    about: tuple[str, ...] = ()
    with_it: tuple[str, ...] = ()
    ended: str = ""

    @property
    def named(self) -> bool:
        """Whether the clause of the first violation is of the operation at fault."""
        return bool(self.clauses) and self._fits(self.clauses[0])

    @property
    def right(self) -> bool:
        """The same, or the clause it names as where it came from."""
        return self.named or any(map(self._fits, self.with_it[:1]))

    def _fits(self, clause: str) -> bool:
        return any(clause == a or clause.startswith(f"{a}.") for a in self.about)


#: The operation a function implements, where it is one alone; clauses about it begin so.
_OF_FUNCTION = {
    "evtchn_alloc_unbound": ("evtchn.bind.EVTCHNOP_alloc_unbound",),
    "evtchn_bind_interdomain": ("evtchn.bind.EVTCHNOP_bind_interdomain",),
    "evtchn_bind_virq": ("evtchn.bind.EVTCHNOP_bind_virq",),
    "evtchn_close": ("evtchn.use.EVTCHNOP_close", "evtchn.use.EVTCHNOP_reset"),
    "evtchn_send": ("evtchn.use.EVTCHNOP_send",),
    "evtchn_status": ("evtchn.use.EVTCHNOP_status",),
    "evtchn_bind_vcpu": ("evtchn.use.EVTCHNOP_bind_vcpu",),
    "evtchn_unmask": ("evtchn.use.EVTCHNOP_unmask",),
    "evtchn_2l_unmask": ("evtchn.use.EVTCHNOP_unmask",),
    "evtchn_reset": ("evtchn.use.EVTCHNOP_reset", "evtchn.use.EVTCHNOP_reset_cont"),
    "do_event_channel_op": ("evtchn",),
    "evtchn_2l_set_pending": ("evtchn.use.EVTCHNOP_send", "evtchn.two_level.words"),
    "hvm_vcpu_has_pending_irq": ("evtchn.delivery",),
    "hvm_set_callback_via": ("evtchn.delivery", "hypercall.hvm_op.HVMOP_set_param"),
    "evtchn_fifo_init_control": ("evtchn.fifo.EVTCHNOP_init_control",),
    "evtchn_fifo_expand_array": ("evtchn.fifo.EVTCHNOP_expand_array",),
    "evtchn_fifo_set_priority": ("evtchn.fifo.EVTCHNOP_set_priority",),
    "vcpu_mark_events_pending": ("evtchn.delivery", "evtchn.two_level.words.upcall_pending"),
    "cpuid_hypervisor_leaves": ("cpuid",),
    "guest_rdmsr_xen": ("cpuid.page",),
    "guest_wrmsr_xen": ("cpuid.page",),
    "svm_init_hypercall_page": ("cpuid.page.page",),
    "hvm_init_hypercall_page": ("cpuid.page",),
}


def key_of(event: dict[str, Any]) -> tuple[Any, ...]:
    """What of an event is the same in every run of one Xen."""
    kept = {k: v for k, v in event.items() if k not in _PASSING}
    if kept.get("leaf") in _CLOCK_LEAVES:
        kept = {"kind": "cpuid", "leaf": kept["leaf"]}
    if kept["kind"] == "shared_info":  # the wallclock, before and after the layout changes
        kept["pending"] = {k: v for k, v in kept["pending"].items() if k not in ("32", "33")}
    return tuple(sorted((k, repr(v)) for k, v in kept.items()))


def keys_of(capture: Capture) -> Keys:
    """What a run showed, without what differs each time."""
    return [key_of(event) for event in capture.events]


def try_mutant(
    xen: Xen, mutant: Mutant, jobs: Sequence[Job], stock: dict[str, Keys | None], spec: Spec
) -> Result:
    """Run the programs until one catches the fault. `stock` is what Xen without it shows, None
    where that differs from run to run: what differs then is no sign that the fault shows."""
    start = time.monotonic()
    result = Result(mutant.name, mutant.what, "not visible")
    with tempfile.TemporaryDirectory(prefix="pvhspec-fault-") as folder:
        image = xen.patched(mutant.instruction.address, mutant.code, Path(folder) / "xen")
        for job in _likely_first(jobs, mutant):
            try:
                capture = capture_xen(
                    image, job.program.program, width=job.width, vcpus=job.program.vcpus,
                    timeout=_TIMEOUT,
                )  # fmt: skip
            except (BadImage, TargetError) as error:
                result.outcome, result.ended = "no boot", error.message
                break
            function = mutant.instruction.function
            if _one(result, job, capture, stock[job.file_name], spec, function):
                break
    result.seconds = time.monotonic() - start
    return result


def _one(
    result: Result, job: Job, capture: Capture, stock: Keys | None, spec: Spec, function: str
) -> bool:
    """Take in one run; whether that was enough."""
    end = capture.events[-1]
    if not any(event["kind"] == "entry" and event["view"] == "guest" for event in capture.events):
        result.outcome, result.ended = "no boot", end.get("text", "")
        return True
    differs = None if stock is None else _first_difference(keys_of(capture), stock)
    if stock is not None and differs is None:
        return False  # what it showed was judged in the run without a fault
    report = judge(spec, ObjectTrace(capture.header, capture.events, job.name))
    if differs is None:
        differs = report.violations[0].seq if report.violations else len(capture.events) - 1
    if report.violations:
        first = report.violations[0]
        result.clauses = tuple(report.violates)
        result.with_it = first.finding.related if first.finding else ()
        result.seen = f"{first.finding.seen} | {first.finding.allowed}" if first.finding else ""
        result.state = tuple(map(str, first.state))
        result.outcome = "caught"
    if end["reason"] != "shutdown":
        result.ended = f"{end['reason']}: {end.get('text', '')}"
        if not report.violations:
            result.outcome = "crash"
    if stock is None and not report.violations and end["reason"] == "shutdown":
        return False
    if result.outcome == "not visible":
        result.outcome = "missed"
    if not result.program:
        result.program = job.file_name
        event = capture.events[min(differs, len(capture.events) - 1)]
        result.first, shows_in = _told(job, event, spec)
        result.about = _OF_FUNCTION.get(function, (shows_in,) if shows_in else ())
    return result.outcome in ("caught", "crash")


def _first_difference(found: Keys, stock: Keys) -> int | None:
    for at, (a, b) in enumerate(zip(found, stock, strict=False)):
        if a != b:
            return at
    return None if len(found) == len(stock) else min(len(found), len(stock))


def _told(job: Job, event: dict[str, Any], spec: Spec) -> tuple[str, str]:
    """The step that made an event, as text, and the clause's beginning it should be about."""
    step = event.get("step")
    layouts = Layouts(spec, job.width)
    steps = job.program.program.steps
    if step is None or step >= len(steps):
        return event["kind"], ""
    text = f"{job.name}:{job.program.lines[step]}: {show_step(steps[step], layouts)}"
    if event["kind"] == "cpuid":
        return text, "cpuid"
    if event["kind"] in ("msr", "hypercall_page"):
        return text, "cpuid.page"
    op = _operation(steps[step], layouts)
    if op is None or op.name != "EVTCHNOP_status":
        if op is not None:
            return text, op.id
        if isinstance(steps[step], Hypercall):
            return text, _table_entry(steps[step], spec)
    for before in range(step - 1, -1, -1):  # what only looks is not to blame
        op = _operation(steps[before], layouts)
        if op is not None and op.name != "EVTCHNOP_status":
            return f"{text}, after {show_step(steps[before], layouts)}", op.id
    return text, ""


def _table_entry(step: object, spec: Spec) -> str:
    """What says something of a call that is none of the operations."""
    for op in spec.operations:
        if isinstance(step, Hypercall) and op.number == step.nr and op.name.endswith(".other"):
            known = op.id.removesuffix(".other")
            return known if op.commands else "hypercall"
    return "hypercall.convention"


def _operation(step: object, layouts: Layouts) -> Operation | None:
    if not isinstance(step, Hypercall):
        return None
    layout = layouts.of(step.nr, step.args)
    return layout.op if layout is not None else None


def _likely_first(jobs: Sequence[Job], mutant: Mutant) -> Iterator[Job]:
    """The programs that can have to do with the function, the likeliest first."""
    name = mutant.instruction.function
    channels = "evtchn" in name or "event" in name
    if "fifo" in name:
        words = ["evtchn_fifo"]
    elif channels:
        words = ["evtchn", "evtchn_vcpus", "evtchn_fifo", "evtchn_upcall", "evtchn_full"]
    elif name == "hvm_hypercall":
        words = ["entry", "evtchn", "evtchn_full"]
    else:
        words = ["entry", "evtchn_latch"]
    if all(job.name.startswith("generated") for job in jobs):
        yield from jobs
    for word in words:
        yield from (job for job in jobs if job.name == word)
