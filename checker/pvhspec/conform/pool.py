"""Pieces of work in processes of their own, a few at a time; none of them outlives this one."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Any

from pvhspec.diagnostics import PvhError
from pvhspec.targets import TargetError

__all__ = ["Pool", "Told"]

_PR_SET_PDEATHSIG = 1
_PATIENCE = 5.0  # seconds an interrupted process is given to clean up
_libc = ctypes.CDLL(None)

#: What a piece of work came to: its key, and the result or the error that ended it.
Told = tuple[Any, Any]


class Pool:
    """A few processes, each for one piece of work. As a context, it ends them all."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most or max(1, os.cpu_count() or 1)
        self._context = get_context("fork")
        self._live: dict[Connection, tuple[ForkProcess, Any]] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def busy(self) -> int:
        """How many are at work."""
        return len(self._live)

    @property
    def room(self) -> bool:
        """Whether one more may begin."""
        return self.busy < self.most

    def start(self, key: Any, work: Callable[[], Any]) -> None:
        """Begin a piece of work."""
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(work, sender))
        process.start()
        sender.close()
        self._live[receiver] = (process, key)

    def next(self, timeout: float | None = None) -> list[Told]:
        """What has ended; waits for something to end, at most `timeout` seconds."""
        found: list[Told] = []
        for ready in connection.wait(list(self._live), timeout) if self._live else ():
            assert isinstance(ready, Connection)
            process, key = self._live[ready]
            try:
                result = ready.recv()
            except EOFError:
                result = TargetError("a run was killed", "is there enough memory?")
            finally:
                ready.close()
            del self._live[ready]
            process.join()
            found.append((key, result))
        return found

    def stop(self) -> None:
        """Interrupt what still runs, so that it cleans up behind itself; then insist."""
        live, self._live = self._live, {}
        for process, _ in live.values():
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGINT)
        until = time.monotonic() + _PATIENCE
        for receiver, (process, _) in live.items():
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            receiver.close()


def _work(work: Callable[[], Any], sender: Connection) -> None:
    """In a process of the pool."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    result: Any
    try:
        try:
            result = work()
        except (TargetError, PvhError, OSError) as error:
            result = error
        except Exception as error:  # a fault of ours: told once, by the process that can tell it
            result = RuntimeError(f"{type(error).__name__}: {error}")
        sender.send(result)
    except KeyboardInterrupt:
        os._exit(1)
