"""How fast, and how long still: for whoever waits at a terminal."""

from __future__ import annotations

import sys
from time import monotonic
from typing import TextIO

__all__ = ["Waiting", "pace"]

_QUIET_FOR = 0.5  # seconds before progress is shown
_EVERY = 0.1
_ENOUGH = 0.02  # of the whole: before that nobody can tell how long it takes


def pace(events: int, portion: float | None, seconds: float) -> str:
    """Events a second, and the time that is left if the rest is like what was."""
    if seconds <= 0:
        return ""
    told = f", {events / seconds:,.0f} a second"
    if portion is not None and portion >= _ENOUGH and portion < 1:
        left = seconds * (1 - portion) / portion
        minutes, rest = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        long = f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
        told += f", {long} left" if left >= 60 else f", {left:.0f} s left"
    return told


class Waiting:
    """One line on a terminal that says how far many traces are. `sizes` are the bytes of each
    (0 where that is not known); `terminal` None: nobody waits. `what`: traces, or
    pieces of one."""

    def __init__(
        self, sizes: list[int], terminal: TextIO | None = None, what: str = "traces"
    ) -> None:
        self._sizes, self._terminal, self._what = sizes, terminal, what
        self._at: dict[int, tuple[int, float]] = {}
        self._through: set[int] = set()
        self._since = monotonic()
        self._due, self._shown = self._since + _QUIET_FOR, False

    @classmethod
    def on_stderr(cls, sizes: list[int], what: str = "traces") -> Waiting:
        """On standard error, if that is a terminal."""
        terminal = sys.stderr is not None and sys.stderr.isatty()
        return cls(sizes, sys.stderr if terminal else None, what)

    @property
    def wanted(self) -> bool:
        """Whether anybody waits."""
        return self._terminal is not None

    def at(self, which: int, events: int, portion: float | None) -> None:
        """So far has a trace been read."""
        self._at[which] = (events, portion or 0.0)

    def through(self, which: int, events: int | None) -> None:
        """A trace is through; None: nobody knows how many events it had."""
        self._at[which] = (self._at.get(which, (0, 0.0))[0] if events is None else events, 1.0)
        self._through.add(which)

    def show(self) -> None:
        """Say how far everything is, if it is time to."""
        if self._terminal is None or monotonic() < self._due:
            return
        events = sum(events for events, _ in self._at.values())
        whole = sum(self._sizes)
        read = sum(self._sizes[which] * portion for which, (_, portion) in self._at.items())
        portion = read / whole if whole else None
        far = "" if portion is None else f", {portion:.0%}"
        told = (
            f"{len(self._through):,} of {len(self._sizes):,} {self._what}: {events:,} events{far}"
        )
        told += pace(events, portion, monotonic() - self._since)
        self._terminal.write(f"\r{told}\x1b[K")
        self._terminal.flush()
        self._due, self._shown = monotonic() + _EVERY, True

    def clear(self) -> None:
        """Take the line away: something else is to be printed."""
        if self._terminal is not None and self._shown:
            self._terminal.write("\r\x1b[K")
            self._terminal.flush()
            self._shown = False
