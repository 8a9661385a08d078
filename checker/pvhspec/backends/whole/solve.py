"""The verdict on a whole trace."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pvhspec.backends.protocol import Fact, Finding, Seen
from pvhspec.backends.whole.core import Core, Fresh, contradiction, retraced
from pvhspec.backends.whole.record import Recorder

__all__ = ["Whole", "decide"]


@dataclass(slots=True)
class Whole:
    """`conforms`: some execution shows all of the trace, and in each that does `needed` is so at
    those events. `violates`: there is none; `core` are events that say so, `at` is the last of
    them and `finding` what it fails at. `open`: not decided, for `why`."""

    status: Literal["conforms", "violates", "open"]
    needed: list[tuple[int, Fact]]
    at: int | None = None
    finding: Finding | None = None
    core: Core | None = None
    why: str = ""
    origin: str | None = None


def decide(
    machine: Recorder, events: Sequence[Seen], fresh: Fresh, every_event: bool, budget: float
) -> Whole:
    """The verdict on events that a machine has recorded. `fresh` makes others like it,
    `every_event` says whether none is missing; `budget` is in seconds, for the verdict and for
    the core together, and what the record left of it."""
    end = time.monotonic() + min(budget, machine.patience)
    if any(seen.span is not None for seen in events):
        return Whole("open", [], why="calls were made at the same time")
    machine.finish()
    finding, at = machine.violated, machine.violated_at
    if finding is None:
        answer = retraced(machine, end - time.monotonic())
        if answer.status == "found":
            return Whole("conforms", machine.needed)
        if answer.status == "open":
            return Whole("open", machine.needed, why=answer.why)
        finding, at = answer.finding, answer.at
    assert at is not None
    until = next(i for i, seen in enumerate(events) if seen is at)
    core = contradiction(fresh, events[: until + 1], every_event, end - time.monotonic())
    return Whole("violates", [], at.seq, finding, core, origin=at.origin)
