"""What can be wrong with a program's text: every code, and how an error points at its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from pvhspec.diagnostics import Diagnostic, code

__all__ = ["Bad", "Place", "Texts", "alike"]

BAD_TOKEN = code("PVH601", "Characters that mean nothing in a program.")
BAD_STEP = code("PVH602", "A line of a program is not a step that can be understood.")
UNKNOWN_NAME = code("PVH603", "A name that neither the specification nor the program gives.")
NO_FIELD = code("PVH604", "A call is given something that it does not take.")
BAD_NUMBER = code("PVH605", "A value that cannot stand here: too large, or not known beforehand.")
BAD_BLOCK = code("PVH606", "A block of a program that is not closed, or closed twice.")
TOO_MUCH = code("PVH607", "A program that asks for more than the probe has room for.")


@dataclass(frozen=True, slots=True)
class Place:
    """Characters of a line: `line` from 1, `first` and `last` from 0."""

    line: int
    first: int
    last: int


class Bad(Exception):
    """One thing that is wrong with one statement; it ends that statement only."""

    def __init__(self, code: str, place: Place, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.code, self.place, self.message, self.remedy = code, place, message, remedy


class Texts:
    """The lines of a program, for errors that point into them."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.split("\n")

    def diagnostic(self, bad: Bad) -> Diagnostic:
        """An error with its line and a caret."""
        at = bad.place
        line = self.lines[at.line - 1] if at.line <= len(self.lines) else None
        return Diagnostic(
            bad.code, bad.message, bad.remedy, self.path, at.line, at.first + 1, at.last + 1, line
        )


def alike(name: str, known: Iterable[str]) -> str | None:
    """A remedy that names what may have been meant."""
    close = get_close_matches(name, list(known), 3, 0.6)
    return f"did you mean {' or '.join(close)}?" if close else None
