"""Collects what is wrong with a specification, many errors in one run."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pvhspec.diagnostics import Diagnostic
from pvhspec.syntax.ast import Span

__all__ = ["Reporter", "Stop", "closest"]


class Stop(Exception):
    """Leaves the clause that cannot be understood; its error has been reported."""


class Reporter:
    """The errors of one run, and the texts they point into."""

    def __init__(self, texts: dict[str, list[str]]) -> None:
        self.errors: list[Diagnostic] = []
        self._texts = texts

    def error(
        self, code: str, path: str, span: Span, message: str, remedy: str | None = None
    ) -> None:
        """Note an error at a place."""
        lines = self._texts.get(path, [])
        source = lines[span.line - 1] if 0 < span.line <= len(lines) else ""
        end = span.end_column if span.end_line == span.line else len(source) + 1
        found = Diagnostic(code, message, remedy, path, span.line, span.column, end, source)
        if found not in self.errors:  # what is used twice is still wrong once
            self.errors.append(found)

    def stop(
        self, code: str, path: str, span: Span, message: str, remedy: str | None = None
    ) -> Stop:
        """Note an error and return the exception that leaves the clause."""
        self.error(code, path, span, message, remedy)
        return Stop()


def closest(name: str, known: Iterable[str]) -> str | None:
    """A remedy that names what the author may have meant."""
    names = list(dict.fromkeys(known))
    match = [n for n in names if n.lower() == name.lower()]
    match = match or get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {match[0]}?" if match else None
