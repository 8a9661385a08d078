"""One run of a target: what every target hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Capture:
    """A trace and how it came about.

    `header` and `events` are as traces/format.md has them (`seq` set, the last event is `end`);
    `console` is the hypervisor's own console text, `seconds` the wall time of the run.
    """

    header: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    console: str = ""
    seconds: float = 0.0
