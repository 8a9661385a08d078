"""Jobs run in processes of their own, a few at a time; none of them outlives this one."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from pvhspec.conform.plan import Job
from pvhspec.diagnostics import PvhError
from pvhspec.ir.ir import Spec
from pvhspec.judge import judge
from pvhspec.report.verdict import Report, Selection
from pvhspec.targets import (
    Capture,
    TargetError,
    capture_kvm,
    capture_kvm_xen,
    capture_qemu,
    capture_xen,
)
from pvhspec.traces import ObjectTrace

__all__ = ["Outcome", "run_job", "run_jobs"]

_PR_SET_PDEATHSIG = 1
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 5.0  # seconds an interrupted process is given to end
_libc = ctypes.CDLL(None)


@dataclass(slots=True)
class Outcome:
    """What came of a job. `lines` says, for each event that is told of, which line of the program
    made it; `ended` is how the run ended where that was not by itself."""

    job: Job
    report: Report
    hypercalls: int = 0
    seconds: float = 0.0
    judged_in: float = 0.0
    ended: str = ""
    console: str = ""
    saved: str | None = None
    lines: dict[int, int] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether there is something to complain of."""
        return bool(self.report.violates or self.ended)


def run_job(
    job: Job,
    spec: Spec,
    *,
    selection: Selection | None = None,
    authority: str = "implemented",
    out: Path | None = None,
    timeout: float = 30.0,
) -> Outcome:
    """Boot, run, judge. Raises TargetError where it cannot be run."""
    capture = _capture(job, timeout)
    saved = _save(capture, out / f"{job.file_name}.jsonl") if out is not None else None
    began = time.monotonic()
    path = str(saved) if saved is not None else f"{job.name}, {job.width}-bit"
    trace = ObjectTrace(capture.header, capture.events, path, saved is not None)
    report = judge(spec, trace, authority=authority, selection=selection)
    end = capture.events[-1]
    ended = "" if end["reason"] == "shutdown" else f"{end['reason']}: {end.get('text', '')}"
    if ended and len(capture.events) > 1:
        ended += f" ({_last(job, capture)})"
    return Outcome(
        job,
        report,
        sum(event["kind"] == "hypercall" for event in capture.events),
        capture.seconds,
        time.monotonic() - began,
        ended,
        capture.console if ended else "",
        str(saved) if saved is not None else None,
        _lines(job, report),
    )


def _capture(job: Job, timeout: float) -> Capture:
    program, start = job.program.program, job.start
    match job.target:
        case "xen":
            return capture_xen(
                job.image, program, width=job.width, vcpus=job.program.vcpus, domu=job.domu,
                timeout=timeout,
            )  # fmt: skip
        case "kvm":
            return capture_kvm(program, width=job.width, start=start, timeout=timeout)
        case "kvm-xen":
            return capture_kvm_xen(
                program, width=job.width, vcpus=job.program.vcpus, timeout=timeout
            )
    return capture_qemu(
        job.image, program, width=job.width, memory_mib=start.memory_mib, vcpus=start.vcpus,
        initrd=start.initrd, cmdline=start.cmdline, timeout=timeout,
    )  # fmt: skip


def _lines(job: Job, report: Report) -> dict[int, int]:
    """The program's line for each event that is told of."""
    lines = job.program.lines
    steps = {moment.seq: moment.step for moment in report.moments.values()}
    return {seq: lines[s] for seq, s in steps.items() if s is not None and s < len(lines)}


def _last(job: Job, capture: Capture) -> str:
    """Where the program was when it all ended."""
    steps = [event["step"] for event in capture.events if event.get("step") is not None]
    if not steps or steps[-1] >= len(job.program.lines):
        return "before the program began"
    return f"the last step seen is at {job.program.path}:{job.program.lines[steps[-1]]}"


def _save(capture: Capture, path: Path) -> Path:
    """The trace, and the console beside it; a file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("w") as file:
            for item in (capture.header, *capture.events):
                file.write(f"{json.dumps(item, ensure_ascii=False)}\n")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
    if capture.console:
        path.with_suffix(".console.txt").write_text(capture.console)
    return path


# ---- several at a time ---------------------------------------------------------------------------


def run_jobs(
    jobs: Sequence[Job], run: Callable[[Job], Outcome], *, parallel: int | None = None
) -> Iterator[Outcome]:
    """The outcomes as they come. Raises what a job raised; leaves no process behind."""
    context = get_context("fork")
    most = parallel or max(1, os.cpu_count() or 1)
    waiting = list(jobs)
    live: dict[Connection, ForkProcess] = {}
    try:
        while waiting or live:
            while waiting and len(live) < most:
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(run, waiting.pop(0), sender))
                _start(process)
                sender.close()
                live[receiver] = process
            for ready in connection.wait(list(live)):
                assert isinstance(ready, Connection)
                process = live[ready]
                outcome = _received(ready)
                del live[ready]
                process.join()
                yield outcome
    finally:
        _stop(list(live.values()))


def _start(process: ForkProcess) -> None:
    """Start it; an interrupt waits until both sides can deal with it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)


def _work(run: Callable[[Job], Outcome], job: Job, sender: Connection) -> None:
    """In the process of a job."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    result: Any
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
        result = run(job)
    except KeyboardInterrupt:
        os._exit(1)
    except (TargetError, PvhError, OSError) as error:
        result = error
    except Exception as error:  # a fault of ours: told once, by the process that can tell it
        result = RuntimeError(f"{job.file_name}: {type(error).__name__}: {error}")
    try:
        sender.send(result)
    except KeyboardInterrupt:
        os._exit(1)


def _received(receiver: Connection) -> Outcome:
    try:
        result = receiver.recv()
    except EOFError:
        raise TargetError("a run was killed", "is there enough memory?") from None
    finally:
        receiver.close()
    if isinstance(result, Exception):
        raise result
    assert isinstance(result, Outcome)
    return result


def _stop(processes: list[ForkProcess]) -> None:
    """Interrupt what still runs, so that it cleans up behind itself; then insist."""
    for process in processes:
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGINT)
    until = time.monotonic() + _PATIENCE
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
