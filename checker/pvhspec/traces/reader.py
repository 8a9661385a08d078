"""Reads the project's own format, JSON Lines, one line in memory at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.decode import BadValue, decode_event, decode_header
from pvhspec.traces.errors import Source, is_read_error, located, reason
from pvhspec.traces.event import Event, Header, Place
from pvhspec.traces.progress import portion_of
from pvhspec.traces.schema import KINDS, SCHEMA

__all__ = ["MAX_ERRORS", "MAX_LINE", "JsonLinesReader"]

MAX_LINE = 4 << 20  # bytes; enough for a `mem` event of almost 2 MiB
MAX_ERRORS = 20

_CUT = "the last line is not whole; the trace ends before it"


class JsonLinesReader:
    """A trace being read. Iterate over it once.

    Every event that can be read is given; what is wrong is collected. When the file is through,
    `PvhError` is raised if anything was wrong, so that no verdict is built on half a trace. A cut
    last line is nothing wrong: an `end` event with the reason `cut` stands in its place,
    `truncated` is set, and `notices` says so.
    """

    def __init__(self, stream: BinaryIO, path: str, max_line: int = MAX_LINE) -> None:
        self.path = path
        self.truncated = False
        self.notices: list[Diagnostic] = []
        self._stream = stream
        self._max_line = max_line
        self._line = 0
        self._errors: list[Diagnostic] = []
        self.header: Header = self._read_header()

    def __iter__(self) -> Iterator[Event]:
        position = 0
        try:
            while (line := self._next_line()) is not None:
                if line.isspace():
                    continue
                event = self._event(line, position)
                if event is not None:
                    yield event
                    position = event.seq + 1
        except PvhError as stop:
            raise PvhError(*self._errors, *stop.diagnostics) from None
        finally:
            self.close()
        if self.truncated:
            yield self.cut_end(position)
        if self._errors:
            raise PvhError(*self._errors)

    def place(self, event: Event) -> Place:
        """The line of the event that was given last; what stands for a cut has none."""
        return Place() if self.truncated else Place(self._line)

    def portion(self) -> float | None:
        """How much has been read, from 0 to 1, None where that is not known."""
        return portion_of(self._stream)

    @staticmethod
    def cut_end(position: int) -> Event:
        """What stands for the rest of a trace that is cut."""
        return Event("end", position, {"reason": "cut", "text": _CUT})

    def close(self) -> None:
        """Close the file; events that were not read are not read any more."""
        self._stream.close()

    # --- lines

    def _next_line(self) -> bytes | None:
        """The next line, or None at the end. Sets `truncated` where the source breaks off."""
        if self.truncated:
            return None
        try:
            line = self._stream.readline(self._max_line + 1)
        except EOFError:  # a compressed file that was cut
            self._cut(Source(self.path, self._line + 1, ""))
            return None
        except Exception as error:
            if not is_read_error(error):
                raise
            self._stop(errors.CANNOT_READ, f"reading failed: {reason(error)}")
        if not line:
            return None
        self._line += 1
        if len(line) > self._max_line:
            self._stop(
                errors.LINE_TOO_LONG,
                f"the line is longer than {_size(self._max_line)}",
                "one event stands on one line; split long memory into several `mem` events",
            )
        return line

    def _object(self, line: bytes) -> tuple[dict[str, Any], Source] | None:
        """The line as a JSON object, or None if it is not one; what is wrong is kept."""
        whole = line.endswith(b"\n")
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            before = line[: error.start].decode()
            shown = line.decode(errors="replace").rstrip("\r\n")
            source = Source(self.path, self._line, shown)
            if not whole and error.end == len(line):
                self._cut(source)
            else:
                self._wrong(
                    source.error(
                        errors.NOT_UTF8,
                        f"byte 0x{line[error.start]:02x} is not UTF-8",
                        span=(len(before), len(before) + 1),
                    )
                )
            return None
        source = Source(self.path, self._line, text.rstrip("\r\n"))
        try:
            obj = _parse(text)
        except _NameTwice as error:
            span = _second(text, error.name)
            message = f'the name "{error.name}" is here twice'
            self._wrong(source.error(errors.DUPLICATE_NAME, message, span=span))
            return None
        except (json.JSONDecodeError, RecursionError, ValueError) as error:
            if not whole:
                self._cut(source)
            else:
                self._wrong(_not_json(source, error))
            return None
        if obj.__class__ is not dict:
            self._wrong(
                source.error(errors.NOT_JSON, "expected one JSON object on a line", span=(0, 1))
            )
            return None
        return obj, source

    # --- what lines mean

    def _read_header(self) -> Header:
        line = self._next_line()
        while line is not None and line.isspace():
            line = self._next_line()
        if line is None:
            self._stop(errors.EMPTY, "the trace is empty", "it starts with its header, a JSON line")
        line = line.removeprefix(b"\xef\xbb\xbf")
        read = self._object(line)
        if read is None:
            if self.truncated:
                self.notices.clear()
                self._stop(errors.NO_HEADER, "the file is cut within its first line, the header")
            raise PvhError(*self._errors)
        obj, source = read
        remedy = f'the first line is the header: {{"schema": "{SCHEMA}", …}}'
        if "schema" not in obj:
            raise PvhError(
                source.error(errors.NO_HEADER, "the first line has no `schema`", remedy, (0, 1))
            )
        schema = obj["schema"]
        if schema != SCHEMA:
            known = isinstance(schema, str) and schema.startswith("pvh-trace/")
            name = schema[:60] if isinstance(schema, str) else "that"
            raise PvhError(
                source.error(
                    errors.OTHER_SCHEMA if known else errors.NO_HEADER,
                    f"this program reads {SCHEMA}, not {name}",
                    "a newer pvhspec may read it" if known else remedy,
                    located(source.text, ("schema",)),
                )
            )
        try:
            return decode_header(obj)
        except BadValue as bad:
            raise PvhError(_bad_value(source, bad)) from None

    def _event(self, line: bytes, position: int) -> Event | None:
        read = self._object(line)
        if read is None:
            return None
        obj, source = read
        kind = obj.get("kind")
        if kind.__class__ is not str or kind not in KINDS:
            self._wrong(_bad_kind(source, obj))
            return None
        try:
            event = decode_event(obj, position)
        except BadValue as bad:
            self._wrong(_bad_value(source, bad))
            return None
        if event.seq < position:
            self._wrong(
                source.error(
                    errors.BAD_ORDER,
                    f"`seq` is {event.seq}, and {position - 1} was before it",
                    "events are numbered from 0 in the order of the file; `seq` may be left out",
                    located(source.text, ("seq",)),
                )
            )
            return None
        return event

    # --- what is wrong

    def _cut(self, source: Source) -> None:
        self.truncated = True
        self.notices.append(
            Diagnostic(errors.TRUNCATED, _CUT, path=self.path, line=source.line, severity="warning")
        )

    def _wrong(self, diagnostic: Diagnostic) -> None:
        self._errors.append(diagnostic)
        if len(self._errors) >= MAX_ERRORS:
            self._stop(errors.TOO_MANY, f"reading stopped after {MAX_ERRORS} errors")

    def _stop(self, code: str, message: str, remedy: str | None = None) -> NoReturn:
        line = self._line or None
        raise PvhError(Diagnostic(code, message, remedy, self.path, line))


class _NameTwice(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    obj = dict(pairs)
    if len(obj) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _NameTwice(name)
            seen.add(name)
    return obj


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_parse = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode


def _not_json(source: Source, error: Exception) -> Diagnostic:
    if isinstance(error, json.JSONDecodeError):
        what = error.msg[:1].lower() + error.msg[1:]
        span = (error.pos, error.pos + 1)
        return source.error(errors.NOT_JSON, f"not JSON: {what}", span=span)
    if isinstance(error, RecursionError):
        return source.error(errors.NOT_JSON, "objects or lists are nested too deep", span=(0, 1))
    if "digits" in str(error):
        return source.error(errors.NOT_JSON, "a number has too many digits", span=(0, 1))
    return source.error(errors.NOT_JSON, f"not JSON: {error}", span=(0, 1))


def _bad_value(source: Source, bad: BadValue) -> Diagnostic:
    if bad.missing:
        return source.error(errors.MISSING_FIELD, bad.message, span=(0, 1))
    place = ".".join(key if len(key) <= 40 else key[:40] + "…" for key in bad.keys)
    span = located(source.text, bad.keys)
    return source.error(errors.BAD_VALUE, f"`{place}`: {bad.message}", span=span)


def _bad_kind(source: Source, obj: dict[str, Any]) -> Diagnostic:
    if "kind" not in obj:
        remedy = "a header stands only on the first line" if "schema" in obj else None
        return source.error(errors.MISSING_FIELD, "an event needs `kind`", remedy, (0, 1))
    kind = obj["kind"]
    span = located(source.text, ("kind",))
    known = f"the kinds are {', '.join(KINDS)}"
    if not isinstance(kind, str):
        return source.error(errors.BAD_VALUE, "`kind`: expected a string", known, span)
    from difflib import get_close_matches

    close = get_close_matches(kind[:40], KINDS, 1)
    remedy = f"did you mean `{close[0]}`?" if close else known
    shown = kind if len(kind) <= 40 else kind[:40] + "…"
    return source.error(errors.UNKNOWN_KIND, f"there is no kind `{shown}`", remedy, span)


def _second(text: str, name: str) -> tuple[int, int]:
    quoted = f'"{name}"'
    first = text.find(quoted)
    second = text.find(quoted, first + 1)
    at = max(second, first, 0)
    return (at, at + len(quoted))


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count} bytes"
