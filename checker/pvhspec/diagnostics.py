"""The one shape of every error in the project, and the register of their codes.

An error is a value: where it is, which code it has, what is wrong and what to do about it. Many
are collected in one run. `PvhError` only carries them out of a deep place; the command line
catches it and prints what it carries.

Codes: 1xx syntax, 2xx names, 3xx types, 4xx citations, 5xx-8xx the tools, 9xx traces. Each is
registered beside the code that raises it::

    NOT_CLOSED = code("PVHnnn", "A string is not closed.")
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["CODES", "Diagnostic", "PvhError", "code", "printable", "render_all"]

# What each code means, in one line. Filled by the modules that raise them, as they are imported.
CODES: dict[str, str] = {}

_WINDOW = 96  # columns of a source line that are shown; longer lines are cut around the caret
_RED, _BLUE, _BOLD, _RESET = "\x1b[31m", "\x1b[34m", "\x1b[1m", "\x1b[0m"


def code(name: str, meaning: str) -> str:
    """Register an error code with the one line that documents it, and return it."""
    if len(name) != 6 or not name.startswith("PVH") or not name[3:].isdigit():
        raise ValueError(f"{name!r} is not of the form PVHnnn")
    if name in CODES:
        raise ValueError(f"{name} is already taken: {CODES[name]}")
    CODES[name] = meaning
    return name


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong. Lines and columns count from 1, columns in characters.

    `end_column` is the first column after the marked text. `source_line` is the text of the line,
    or of a part of it that starts at column `source_start`.
    """

    code: str
    message: str
    remedy: str | None = None
    path: str | None = None
    line: int | None = None
    column: int | None = None
    end_column: int | None = None
    source_line: str | None = None
    severity: Literal["error", "warning"] = "error"
    source_start: int = 1

    @property
    def where(self) -> str:
        """`file:line:column`, as far as it is known."""
        parts = [printable(self.path) if self.path else ""]
        if self.line is not None:
            parts.append(str(self.line))
            if self.column is not None:
                parts.append(str(self.column))
        return ":".join(parts)

    @property
    def sort_key(self) -> tuple[str, int, int, str]:
        """Orders diagnostics as a reader meets them: by file, line, column."""
        return (self.path or "", self.line or 0, self.column or 0, self.code)

    def headline(self) -> str:
        """The first line: `file:line:column: PVHnnn message`."""
        kind = "warning: " if self.severity == "warning" else ""
        text = f"{self.code} {kind}{printable(self.message)}"
        return f"{self.where}: {text}" if self.where else text

    def render(self, color: bool = False) -> str:
        """The headline, the source line with a caret under the place, and the remedy."""
        head = self.headline()
        if color:
            place, sep, rest = head.partition(f": {self.code} ")
            if sep:
                head = f"{_BOLD}{place}:{_RESET} {_RED}{self.code}{_RESET} {_BOLD}{rest}{_RESET}"
        lines = [head]
        if self.source_line is not None and self.source_line.strip():
            lines.extend(self._excerpt(color))
        if self.remedy:
            hint = "  help: "
            body = ("\n" + " " * len(hint)).join(map(printable, self.remedy.split("\n")))
            lines.append((f"{_BLUE}{hint}{_RESET}" if color else hint) + body)
        return "\n".join(lines)

    def _excerpt(self, color: bool) -> list[str]:
        text = (self.source_line or "").rstrip("\r\n")
        first = max((self.column or 1) - self.source_start, 0)
        last = max((self.end_column or 0) - self.source_start, first + 1)
        begin = 0
        if len(text) > _WINDOW:
            begin = max(0, min(first - _WINDOW // 3, len(text) - _WINDOW))
        end = begin + _WINDOW
        left = "…" if begin > 0 or self.source_start > 1 else ""
        right = "…" if end < len(text) else ""
        before = left + printable(text[begin:first].replace("\t", " "))
        marked = printable(text[first : min(last, end)].replace("\t", " "))
        after = printable(text[min(last, end) : end].replace("\t", " ")) + right
        shown = [f"  | {before}{marked}{after}"]
        if self.column is not None:
            caret = "^" * max(_width(marked), 1)
            if color:
                caret = f"{_RED}{caret}{_RESET}"
            shown.append(f"  | {' ' * _width(before)}{caret}")
        return shown

    def __str__(self) -> str:
        return self.headline()


class PvhError(Exception):
    """Leaves a deep place with the diagnostics that say why."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics: tuple[Diagnostic, ...] = diagnostics

    def __str__(self) -> str:
        return "\n".join(d.headline() for d in self.diagnostics)


def render_all(diagnostics: Iterable[Diagnostic], color: bool = False) -> str:
    """All of them, in the order of the source, without repeats."""
    unique = dict.fromkeys(sorted(diagnostics, key=lambda d: d.sort_key))
    return "\n".join(d.render(color) for d in unique)


def printable(text: str) -> str:
    """The text with control characters shown as escapes: a trace must not drive a terminal."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in text
    )


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
