"""One run of a target: what every target hands back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvhspec.targets.qemu import Ended

__all__ = ["Capture", "chunks", "finish"]

_LAST_LINES = 3
_CHUNK = 1 << 16  # bytes


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


def chunks(path: Path) -> Iterator[bytes]:
    """A file's bytes, a piece at a time."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def finish(
    events: list[dict[str, Any]],
    ended: Ended,
    finished: bool,
    *,
    ending: tuple[str, str] = ("", ""),
    console: str = "",
) -> None:
    """Number the events, and say in the last one, `end`, how the run ended.

    `finished` is whether the guest said that it was done. Where it did not, `ending` is what the
    hypervisor told of it, (reason, text); else the reason is `hang` (the time limit struck) or
    `cut`.
    """
    for seq, event in enumerate(events):
        event["seq"] = seq
    if finished:
        return
    end = events[-1]
    if ending[0]:
        end["reason"], end["text"] = ending
    elif ended.stopped == "time":
        end["reason"] = "hang"
        end["text"] = "no end within the time limit"
    else:
        end["text"] = f"QEMU ended with status {ended.status} before the guest said it was done"
    started = any(event["kind"] == "entry" for event in events)
    if not started:
        last = " / ".join(console.strip().splitlines()[-_LAST_LINES:])
        end["text"] += "; the guest was never started" + (f"; console: {last}" if last else "")
