"""Reports as files."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["written"]


def written(path: Path, text: str) -> None:
    """Write a file; it is there whole or not at all. What is no file (a device, a pipe) is written
    to as it is, and a link is followed. Raises OSError that names the file."""
    target = path.resolve()
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        if target.exists() and not target.is_file():
            with target.open("w", encoding="utf-8") as stream:
                stream.write(text)
            return
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
