"""Colours, where there are any; the same text without them."""

from __future__ import annotations

import os

__all__ = ["Paint", "wants_color", "wrapped"]

_CODES = {"bold": "1", "dim": "2", "red": "1;31", "green": "1;32", "yellow": "1;33", "blue": "34"}


class Paint:
    """Paints words, or leaves them as they are."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, text: str, color: str) -> str:
        """The text in a colour."""
        return f"\x1b[{_CODES[color]}m{text}\x1b[0m" if self._on else text


def wants_color(stream: object) -> bool:
    """Colours only on a terminal that has them, and never against NO_COLOR."""
    isatty = getattr(stream, "isatty", None)
    if isatty is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(isatty())


def wrapped(text: str, indent: int, width: int = 100, first: int | None = None) -> str:
    """Words on lines of at most `width`; `first` is how far the first is indented already."""
    lines, room = [""], width - (indent if first is None else first)
    for word in text.split():
        line = lines[-1]
        if line and len(line) + 1 + len(word) > room:
            lines.append(word)
            room = width - indent
        else:
            lines[-1] = f"{line} {word}" if line else word
    return ("\n" + " " * indent).join(lines)
