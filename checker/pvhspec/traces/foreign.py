"""What readers of foreign formats have in common: one pass, flat memory, honest about what is lost.

A foreign format is never refused half-way: what is no record of it is passed over and counted, and
what cuts it short becomes the event `end` with the reason `cut`. Only a file that cannot be read
is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.decode import decode_header
from pvhspec.traces.errors import is_read_error, reason
from pvhspec.traces.event import Event, Header, Place
from pvhspec.traces.progress import portion_of
from pvhspec.traces.schema import SCHEMA

__all__ = ["MAX_LINE", "ForeignReader", "TextReader", "head_of", "number", "shown_file"]

MAX_LINE = 64 << 10  # bytes of one line; what is longer is passed over

_HEAD = 200  # bytes from which a reader may tell what the header says
_CUT_LINE = "the last line is not whole; the trace ends before it"


def shown_file(path: str) -> str:
    """A file's own name, for `origin`."""
    return path.rsplit("/", 1)[-1]


def number(text: str, base: int = 16, bits: int = 64) -> int | None:
    """The number a text stands for, None if it does not fit."""
    if len(text) > 24:
        return None
    value = int(text, base)
    return value if 0 <= value < 1 << bits else None


def head_of(stream: BinaryIO) -> bytes:
    """The first bytes, which stay unread."""
    peek = getattr(stream, "peek", None)
    return bytes(peek(_HEAD)[:_HEAD]) if peek is not None else b""


class ForeignReader:
    """A trace in another format. Iterate over it once; subclasses say what its events are."""

    method = "unknown"

    def __init__(self, stream: BinaryIO, path: str, header: Mapping[str, Any]) -> None:
        self.path = path
        self.name = shown_file(path)
        self.truncated = False
        self.notices: list[Diagnostic] = []
        self.stream = stream
        self.taken = self.size = (
            0  # bytes that were read, and are there, where order is the reader's
        )
        self._seq = 0
        self._passed_over = 0
        common = {
            "schema": SCHEMA,
            "origin": {"method": self.method, "file": self.name},
            "complete": dict.fromkeys(("events", "args", "results", "memory"), False),
        }
        self.header: Header = decode_header({**common, **header})

    def events(self) -> Iterator[Event]:
        """Everything in the file; sets `_cut` through `cut` where it breaks off."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Event]:
        try:
            yield from self.events()
        finally:
            self.close()
        if self._passed_over:
            message = f"{self._passed_over} {self._parts()} passed over: not of this format"
            self._warn(errors.PASSED_OVER, message)
        if self.truncated:
            yield self.event("end", {"reason": "cut", "text": self._cut_text})

    def place(self, event: Event) -> Place:
        """What its origin says: the byte its record starts at."""
        return Place(byte=self._at(event))

    def _at(self, event: Event) -> int | None:
        at = (event.origin or "").rpartition("@")[2]
        return int(at) if at.isdecimal() else None

    def portion(self) -> float | None:
        """How much has been read, from 0 to 1, None where that is not known."""
        return min(1.0, self.taken / self.size) if self.size else portion_of(self.stream)

    def close(self) -> None:
        """Close the file; what was not read is not read any more."""
        self.stream.close()

    _cut_text = _CUT_LINE

    def _parts(self) -> str:
        return "record was" if self._passed_over == 1 else "records were"

    def event(
        self,
        kind: str,
        fields: Mapping[str, Any],
        at: int | None = None,
        ts: int | None = None,
        vcpu: int | None = None,
        dom: int | None = None,
    ) -> Event:
        """The next event; `at` is its line or byte in the file."""
        seq = self._seq
        self._seq = seq + 1
        origin = None if at is None else f"{self.name}@{at}"
        return Event(kind, seq, fields, ts, dom, vcpu, origin)

    def cut(self, text: str) -> None:
        """The file breaks off here."""
        if not self.truncated:
            self.truncated = True
            self._cut_text = text
            self._warn(errors.TRUNCATED, text)

    def _warn(self, code: str, message: str) -> None:
        self.notices.append(Diagnostic(code, message, path=self.path, severity="warning"))

    def failed(self, error: Exception) -> None:
        """Reading raised this: a compressed file that was cut is a cut trace, no more."""
        if isinstance(error, EOFError):
            self.cut("the compressed file is cut")
            return
        if not is_read_error(error):
            raise error
        message = f"reading failed: {reason(error)}"
        raise PvhError(Diagnostic(errors.CANNOT_READ, message, path=self.path)) from None


class TextReader(ForeignReader):
    """A foreign format made of lines."""

    def place(self, event: Event) -> Place:
        """What its origin says: its line."""
        return Place(self._at(event))

    def _parts(self) -> str:
        return "line was" if self._passed_over == 1 else "lines were"

    def lines(self) -> Iterator[tuple[int, str]]:
        """Number and text of every whole line. One that ends the file without a newline is not
        whole: half a number would be a wrong number."""
        at = 0
        while True:
            line = self._read(MAX_LINE)
            if not line:
                return
            at += 1
            if line.endswith(b"\n"):
                yield at, line.decode("utf-8", "replace").rstrip("\r\n")
            elif len(line) < MAX_LINE:
                self.cut(_CUT_LINE)
                return
            else:
                self._passed_over += 1
                while line and not line.endswith(b"\n"):
                    line = self._read(MAX_LINE)

    def _read(self, most: int) -> bytes:
        try:
            return self.stream.readline(most)
        except Exception as error:
            self.failed(error)
            return b""
