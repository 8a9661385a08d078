"""What can be wrong with a trace file: every code, and how each is worded."""

from __future__ import annotations

from collections.abc import Sequence

from pvhspec.diagnostics import Diagnostic, code

__all__ = ["Source", "is_read_error", "located", "reason"]

LINE_TOO_LONG = code("PVH901", "A line of a trace is longer than a reader holds in memory.")
NOT_A_TRACE = code("PVH902", "The file is not in a format that can be read as a trace.")
EMPTY = code("PVH903", "The trace is empty.")
CANNOT_READ = code("PVH904", "The file cannot be opened, or reading it failed.")
NOT_UTF8 = code("PVH905", "A line of a trace is not UTF-8.")
NOT_JSON = code("PVH906", "A line of a trace is not one JSON object.")
DUPLICATE_NAME = code("PVH907", "An object in a trace has the same name twice.")
NO_HEADER = code("PVH908", "The first line of a trace is not its header.")
OTHER_SCHEMA = code("PVH909", "The trace is written in another version of the schema.")
UNKNOWN_KIND = code("PVH910", "An event is of a kind the schema does not have.")
BAD_VALUE = code("PVH911", "A field of a trace has a value that is not of its type.")
MISSING_FIELD = code("PVH912", "An event lacks a field its kind must have.")
BAD_ORDER = code("PVH913", "The `seq` of an event is not larger than that of the one before.")
TRUNCATED = code("PVH914", "The trace is cut: its last line is not whole (warning).")
TOO_MANY = code("PVH915", "Reading stopped after too many errors.")
CANNOT_WRITE = code("PVH916", "The trace cannot be written.")
PASSED_OVER = code("PVH917", "Parts of a foreign trace were passed over (warning).")
NOT_STREAMABLE = code("PVH918", "A foreign trace is put together so that memory would not suffice.")
CONFLICT = code("PVH919", "Two captures of one run contradict each other (warning).")
NOT_ONE_RUN = code("PVH920", "Two traces that are to be merged share nothing.")
DAMAGED = code("PVH921", "A columnar trace, Arrow or Parquet, is damaged or not whole.")
NO_ARROW = code("PVH922", "Columnar traces need pyarrow, which is not installed.")

_SHOWN = 400  # characters of a line kept for the excerpt


class Source:
    """One line of a file, for diagnostics that point into it."""

    __slots__ = ("line", "path", "text")

    def __init__(self, path: str, line: int, text: str) -> None:
        self.path = path
        self.line = line
        self.text = text

    def error(
        self,
        code: str,
        message: str,
        remedy: str | None = None,
        span: tuple[int, int] | None = None,
    ) -> Diagnostic:
        """A diagnostic at these characters of the line, counted from 0; without a span, at it."""
        if span is None:
            return Diagnostic(code, message, remedy, self.path, self.line)
        first, last = span
        start = max(0, first - _SHOWN // 2)
        return Diagnostic(
            code,
            message,
            remedy,
            self.path,
            self.line,
            first + 1,
            last + 1,
            self.text[start : start + _SHOWN],
            source_start=start + 1,
        )


def located(text: str, keys: Sequence[str]) -> tuple[int, int]:
    """Where in a line the value is to which these names lead. A best effort, for the caret only."""
    at = 0
    for key in keys:
        found = text.find(f'"{key}"', at)
        if found < 0:
            break
        at = found + len(key) + 2
    if at == 0:
        return (0, 1)
    while at < len(text) and text[at] in ": \t":
        at += 1
    if at >= len(text):
        return (at - 1, at)
    last = at + 1
    if text[at] == '"':
        close = text.find('"', at + 1)
        last = close + 1 if close > 0 else last
    elif text[at] not in "[{":
        while last < len(text) and text[last] not in ",]} \t\r\n":
            last += 1
    return (at, last)


def is_read_error(error: Exception) -> bool:
    """True for what reading a file may raise; zlib's error is its own, and no OSError."""
    return isinstance(error, OSError | EOFError) or type(error).__module__ == "zlib"


def reason(error: Exception) -> str:
    """What the system said, without its number."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
