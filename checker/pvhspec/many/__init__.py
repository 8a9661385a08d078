"""Many traces: which files there are, judged on all cores or on a cluster, told in order."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from pvhspec.diagnostics import Diagnostic, code

__all__ = ["KILLED", "Result", "Watch", "killed"]

KILLED = code("PVH532", "The process that judged a trace was killed, twice.")

#: What became of a trace: a report, or the exception that ended it.
Result: TypeAlias = object


class Watch(Protocol):
    """Is told how far a trace has been read: events, and the portion of the file if known."""

    def __call__(self, events: int, portion: float | None) -> None: ...


def killed(path: str, why: str) -> Diagnostic:
    """A trace that cost two processes their lives."""
    remedy = "is there enough memory? --jobs 1 takes the least"
    return Diagnostic(KILLED, f"what judged it was killed, twice ({why})", remedy, path)
