"""Traces judged in processes of their own, as many as there are cores.

A process judges one trace after the other and is told which by number, so that nothing but numbers
goes to it: it is a fork, and has the specification and the options already. What comes back is
told in the order of the traces. A process that dies has one trace with it, which is known; that
trace is tried once more when all others are through, alone, so that it has what memory there is.
Processes end with this one, however it ends.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from time import monotonic
from types import TracebackType

from pvhspec.diagnostics import PvhError
from pvhspec.many import Result, Watch, killed
from pvhspec.many.pace import Waiting

__all__ = ["Work", "all_cores", "beginning", "judged_here", "packed"]

#: Judges one trace; raises what ends it.
Work = Callable[[str, Watch | None], Result]

_PR_SET_PDEATHSIG = 1
_PATIENCE = 0.25  # seconds between looks at what is shown on a terminal
_TOLD_EVERY = 0.2  # seconds between two words of a process on how far it is
_NO_MEMORY = "out of memory"


def all_cores() -> int:
    """How many processes can work at once."""
    return max(1, len(os.sched_getaffinity(0)))


def beginning(sizes: Sequence[int], jobs: int) -> list[int]:
    """In which order to begin: as given, but what takes longer than its share comes first."""
    share = sum(sizes) / max(1, 2 * jobs)
    long = [which for which, size in enumerate(sizes) if size > share]
    return [*long, *(which for which in range(len(sizes)) if which not in set(long))]


def judged_here(
    paths: Sequence[str], work: Work, jobs: int, waiting: Waiting, order: Sequence[int]
) -> Generator[Result, None, None]:
    """What becomes of each trace, in the order of `paths`; `order` is that of beginning."""
    todo, again = deque(order), deque[int]()
    found: dict[int, Result] = {}
    told = 0
    with _Processes(paths, work, waiting) as processes:
        while told < len(paths):
            while todo and processes.busy < jobs:
                processes.begin(todo.popleft())
            if again and not todo and not processes.busy:
                processes.begin(again.popleft(), last=True)
            for which, result, last in processes.next(_PATIENCE if waiting.wanted else None):
                if isinstance(result, _Died):
                    if not last and paths[which] != "-":  # what was read of that is gone
                        again.append(which)
                        continue
                    result = PvhError(killed(paths[which], result.why))
                found[which] = result
                waiting.through(which, getattr(result, "events", None))
            waiting.show()
            while told in found:
                waiting.clear()
                yield found.pop(told)
                told += 1


class _Died:
    """A process that is no more, or that had no memory left."""

    def __init__(self, why: str) -> None:
        self.why = why


class _Process:
    """One process: where it is told what to do, where it answers, and what it does now."""

    def __init__(self, process: ForkProcess, orders: Connection, answers: Connection) -> None:
        self.process, self.orders, self.answers = process, orders, answers
        self.which: int | None = None
        self.last = False

    def end(self) -> int | None:
        """End it at once: it has nothing to clean up. Its exit code."""
        self.process.kill()
        self.process.join()
        self.orders.close()
        self.answers.close()
        return self.process.exitcode


class _Processes:
    """The processes; as a context, it ends them all."""

    def __init__(self, paths: Sequence[str], work: Work, waiting: Waiting) -> None:
        self._paths, self._work, self._waiting = paths, work, waiting
        self._context = get_context("fork")
        self._live: list[_Process] = []
        self._stdin = os.dup(0) if "-" in paths else None

    def __enter__(self) -> _Processes:
        gc.freeze()  # so that what the processes share is not written to, and stays shared
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        for one in self._live:
            one.end()
        self._live.clear()
        gc.unfreeze()
        if self._stdin is not None:
            os.close(self._stdin)

    @property
    def busy(self) -> int:
        """How many are at work."""
        return sum(one.which is not None for one in self._live)

    def begin(self, which: int, last: bool = False) -> None:
        """Have a trace judged by a process that is free, or by a new one. `last`: it has all to
        itself, so the others end first."""
        if last:
            for one in self._live:
                one.end()
            self._live.clear()
        free = next((one for one in self._live if one.which is None), None) or self._new()
        free.which, free.last = which, last
        with suppress(BrokenPipeError):  # it died of itself; its answers end, too
            free.orders.send(which)

    def next(self, timeout: float | None) -> list[tuple[int, Result, bool]]:
        """What has come to an end: which trace, what became of it, whether it was tried last."""
        told: list[tuple[int, Result, bool]] = []
        at_work = {one.answers: one for one in self._live if one.which is not None}
        for ready in connection.wait(list(at_work), timeout):
            assert isinstance(ready, Connection)
            one = at_work[ready]
            assert one.which is not None
            try:
                answer = ready.recv()
            except (EOFError, ConnectionResetError, pickle.UnpicklingError):
                self._live.remove(one)
                told.append((one.which, _Died(_cause(one.end())), one.last))
                continue
            if isinstance(answer, tuple):
                self._waiting.at(one.which, *answer)
                continue
            told.append((one.which, answer, one.last))
            one.which = None
            if isinstance(answer, _Died):
                self._live.remove(one)
                one.end()
        return told

    def _new(self) -> _Process:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        their_orders, orders = self._context.Pipe(duplex=False)
        answers, their_answers = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=self._loop, args=(their_orders, their_answers, [orders, answers], os.getpid())
        )
        process.start()
        their_orders.close()
        their_answers.close()
        self._live.append(_Process(process, orders, answers))
        return self._live[-1]

    # ---- in the other process ------------------------------------------------------------------

    def _loop(
        self, orders: Connection, answers: Connection, ours: list[Connection], parent: int
    ) -> None:
        """Judge what is told until there is nobody any more who would."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this one ends it
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        for one in self._live:
            ours += (one.orders, one.answers)
        for connected in ours:
            connected.close()
        if self._stdin is not None:
            sys.stdin = os.fdopen(self._stdin)
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):
            while True:
                answers.send_bytes(self._answer(orders.recv(), answers))
        os._exit(0)

    def _answer(self, which: int, answers: Connection) -> bytes:
        due = monotonic() + _TOLD_EVERY

        def watch(events: int, portion: float | None) -> None:
            nonlocal due
            if monotonic() >= due:
                answers.send((events, portion))
                due = monotonic() + _TOLD_EVERY

        result: Result
        try:
            result = self._work(self._paths[which], watch if self._waiting.wanted else None)
        except MemoryError:
            result = _Died(_NO_MEMORY)
        except Exception as error:
            result = error
        return packed(result)


def packed(result: Result) -> bytes:
    """A result as it travels; a fault that cannot be sent is told in words."""
    try:
        data = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
        if isinstance(result, Exception):
            pickle.loads(data)
    except Exception:
        words = RuntimeError(f"{type(result).__name__}: {result}")
        return pickle.dumps(words, pickle.HIGHEST_PROTOCOL)
    return data


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        with suppress(ValueError):
            return signal.Signals(-exit_code).name
    return f"exit status {exit_code}"
