"""Writes the project's own format so that nothing captured is lost, whatever happens next."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.encode import encode_event, encode_header
from pvhspec.traces.errors import reason
from pvhspec.traces.event import Event, Header

__all__ = ["TraceWriter", "dump_event", "dump_header"]


class TraceWriter:
    """Writes a trace to a file, or to standard output (`-`).

    Lines go to `NAME.part`, which at every moment is a valid trace, and is renamed to `NAME` on
    leaving the `with` block, by an exception too; an `end` event with the reason `cut` then says
    so. A process that is killed leaves `NAME.part`, and the next run does not overwrite it.
    `live` hands every event to the system at once; without it, events go in blocks.
    """

    def __init__(self, path: str | Path, header: Header, *, live: bool = True) -> None:
        self.path = str(path)
        self._live = live
        self._seq = 0
        self._part: Path | None = None
        self._stream = self._open()
        try:
            self._write(dump_header(header))
            self._stream.flush()
        except OSError as error:
            self._abandon()
            raise self._failed(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, *_: object
    ) -> None:
        if kind is not None and not (isinstance(error, PvhError) and self._stream.closed):
            self.emit("end", reason="cut", text=f"the recording was stopped: {kind.__name__}")
        self.close()

    def write(self, event: Event) -> None:
        """Write an event as it is, its number included."""
        try:
            self._write(dump_event(event))
            if self._live:
                self._stream.flush()
        except OSError as error:
            self._abandon()
            raise self._failed(error) from None
        self._seq = event.seq + 1

    def emit(
        self,
        kind: str,
        *,
        ts: int | None = None,
        dom: int | None = None,
        vcpu: int | None = None,
        origin: str | None = None,
        **fields: Any,
    ) -> Event:
        """Write an event with the next number; fields that are None are unknown."""
        known = {name: value for name, value in fields.items() if value is not None}
        event = Event(kind, self._seq, known, ts, dom, vcpu, origin)
        self.write(event)
        return event

    def close(self) -> None:
        """Finish the file and give it its name."""
        if self._stream.closed:
            return
        try:
            self._stream.flush()
            if self._part is None:
                if self.path != "-":
                    self._stream.close()
                return
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._part.replace(self.path)
        except OSError as error:
            self._abandon()
            raise self._failed(error) from None

    def discard(self) -> None:
        """Leave no file behind."""
        self._abandon()
        if self._part is not None:
            with suppress(OSError):
                self._part.unlink()

    def _write(self, line: bytes) -> None:
        self._stream.write(line)

    def _open(self) -> BinaryIO:
        target = Path(self.path)
        try:
            if self.path == "-":
                return sys.stdout.buffer
            if target.is_dir():
                raise IsADirectoryError(21, "is a directory")
            if target.exists() and not target.is_file():  # a pipe, /dev/stdout
                return target.open("wb")
            for number in range(1, 1000):
                suffix = ".part" if number == 1 else f".{number}.part"
                self._part = target.with_name(target.name + suffix)
                try:
                    return self._part.open("xb")
                except FileExistsError:
                    continue
            raise FileExistsError(17, f"too many {target.name}.*.part files are in the way")
        except (OSError, ValueError) as error:
            raise self._failed(error) from None

    def _abandon(self) -> None:
        with suppress(OSError):  # the same error again; what is in the file stays
            self._stream.close()

    def _failed(self, error: Exception) -> PvhError:
        kept = None
        if self._seq and self._part is not None:
            kept = f"what was recorded until then is in {self._part}"
        return PvhError(Diagnostic(errors.CANNOT_WRITE, reason(error), kept, self.path))


def dump_event(event: Event) -> bytes:
    """The line of an event, with its newline."""
    return _line(encode_event(event))


def dump_header(header: Header) -> bytes:
    """The line of a header, with its newline."""
    return _line(encode_header(header))


def _line(obj: dict[str, Any]) -> bytes:
    try:
        return _readable(obj).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair is no UTF-8, but can be escaped
        return _escaped(obj).encode() + b"\n"


_readable = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_escaped = json.JSONEncoder(ensure_ascii=True, allow_nan=False).encode
