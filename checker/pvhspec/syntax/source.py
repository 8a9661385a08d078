"""Bytes to text that a parser may be given: every file that is not text is named, at once."""

from __future__ import annotations

import re
from pathlib import Path

from pvhspec.diagnostics import Diagnostic, code

__all__ = ["MOST_CHARACTERS", "check_text", "read_text"]

UNREADABLE = code("PVH103", "A file cannot be read.")
TOO_LARGE = code("PVH104", "A file is larger than any specification should be.")
NOT_UTF8 = code("PVH105", "A file is not UTF-8 text.")
CONTROL = code("PVH106", "A file holds a control character: it is not text.")

MOST_CHARACTERS = 1 << 18
_SPLIT = "split it: a module is one file that a person reads in one sitting"
# Control characters, and what some editors take for the end of a line and others do not.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def read_text(path: Path) -> tuple[str | None, list[Diagnostic]]:
    """A file's text, or why there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(4 * MOST_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return None, [Diagnostic(UNREADABLE, f"cannot be read: {why}", path=str(path))]
    if len(data) > 4 * MOST_CHARACTERS:
        return None, [Diagnostic(TOO_LARGE, "more than 256 KiB", _SPLIT, str(path))]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        what = f"byte {data[error.start]:#04x} is not UTF-8"
        remedy = "save the file as UTF-8 text"
        return None, [Diagnostic(NOT_UTF8, what, remedy, str(path), line, column)]
    errors = check_text(text, str(path))
    return (None if errors else text.replace("\r\n", "\n")), errors


def check_text(text: str, path: str) -> list[Diagnostic]:
    """At most one error: the text is too long, or is no text."""
    if len(text) > MOST_CHARACTERS:
        return [Diagnostic(TOO_LARGE, "more than 256 KiB", _SPLIT, path)]
    found = _CONTROL.search(text)
    if found is None:
        return []
    at = found.start()
    begin = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    source = text[begin : end if end >= 0 else len(text)]
    what = f"the character U+{ord(found.group()):04X} has no place in a text"
    line, column = text.count("\n", 0, at) + 1, at - begin + 1
    return [Diagnostic(CONTROL, what, "remove it", path, line, column, column + 1, source)]
