"""A long xentrace file out of a short one: the same again and again, later each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pvhspec.traces.xentrace_cpu import LOST
from pvhspec.traces.xentrace_starts import record_starts

__all__ = ["enlarge"]


def enlarge(source: Path, out: Path, size: int) -> int:
    """Write at least `size` bytes; how many records they are, windows' heads among them.

    The source must be whole: windows are taken for records that follow one another.
    """
    words = np.fromfile(source, "<u4")
    starts, _ = record_starts(words, np.array([0, len(words)]))
    heads = words[starts]
    stamps = starts[heads >> 31 != 0] + 1
    losses = starts[heads & 0xFFFFFFF == LOST] + 5
    places = np.concatenate((stamps, losses))
    times = words[places].astype(np.uint64) | words[places + 1].astype(np.uint64) << np.uint64(32)
    span = times[: len(stamps)].max() - times[: len(stamps)].min() + np.uint64(1000)
    written = rounds = 0
    with out.open("wb") as file:
        while written < size:
            written += file.write(words.tobytes())
            rounds += 1
            times += span
            words[places] = (times & np.uint64(0xFFFFFFFF)).astype(np.uint32)
            words[places + 1] = (times >> np.uint64(32)).astype(np.uint32)
    return rounds * len(starts)
