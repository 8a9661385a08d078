"""What a syntax error is called: the common mistakes have their own message and remedy."""

from __future__ import annotations

from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from pvhspec.diagnostics import Diagnostic, code

__all__ = ["explain"]

UNEXPECTED = code("PVH101", "The text does not follow the grammar here.")
TOO_DEEP = code("PVH102", "An expression is nested too deeply.")


def explain(error: UnexpectedInput, lines: list[str], path: str) -> Diagnostic:
    """One syntax error as a diagnostic."""
    line, column = error.line, error.column
    if isinstance(error, UnexpectedEOF) or line < 1:
        line, column = max(len(lines), 1), len(lines[-1]) + 1 if lines else 1
    source = lines[line - 1] if line <= len(lines) else ""
    what = "the text does not follow the grammar here"
    if isinstance(error, UnexpectedToken):
        what = f"unexpected {str(error.token)!r}" if error.token else "the file ends too early"
    elif isinstance(error, UnexpectedCharacters):
        what = f"unexpected character {error.char!r}"
    return Diagnostic(UNEXPECTED, what, None, path, line, column, column + 1, source)
