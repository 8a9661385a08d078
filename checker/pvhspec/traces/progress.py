"""How much of a file has been read, for whoever waits."""

from __future__ import annotations

import os
import stat
from io import FileIO
from typing import Any

__all__ = ["portion_of"]


def portion_of(stream: Any) -> float | None:
    """From 0 to 1, for a file read from its beginning, compressed or not; None for a pipe."""
    while stream is not None and not isinstance(stream, FileIO):
        stream = getattr(stream, "raw", None) or getattr(stream, "fileobj", None)
    if stream is None or stream.closed:
        return None
    about = os.fstat(stream.fileno())
    if not stat.S_ISREG(about.st_mode) or not about.st_size:
        return None
    return min(1.0, stream.tell() / about.st_size)
