"""Formats that are read out of order need a plain file: what is none is put into one first."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeAlias

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.errors import reason
from pvhspec.traces.foreign import ForeignReader

__all__ = ["Read", "plain_file", "reader_of"]

Read: TypeAlias = Callable[[int, int], bytes]
_SPOOL = 1 << 16
_NO_FILE_SO_LONG = 1 << 62  # what the system takes for a place in a file


def reader_of(descriptor: int, base: int) -> Read:
    """Reads at any place of an open file, whatever its position."""

    def read(at: int, length: int) -> bytes:
        return os.pread(descriptor, length, base + at) if at < _NO_FILE_SO_LONG else b""

    return read


@contextmanager
def plain_file(reader: ForeignReader) -> Iterator[tuple[Read, int]]:
    """How to read the reader's file at any place, and its size in bytes.

    A pipe or a compressed file is put into a temporary file. Raises PvhError where that, or reading
    within the block, fails.
    """
    stream = reader.stream
    raw = getattr(stream, "raw", None)
    if isinstance(raw, io.FileIO) and stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        yield from _read(reader, raw.fileno(), stream.tell())
        return
    with _spooled(reader, stream) as spooled:
        yield from _read(reader, spooled.fileno(), 0)


def _read(reader: ForeignReader, descriptor: int, base: int) -> Iterator[tuple[Read, int]]:
    anywhere = reader_of(descriptor, base)
    reader.size = os.fstat(descriptor).st_size - base

    def read(at: int, length: int) -> bytes:
        data = anywhere(at, length)
        reader.taken += len(data)
        return data

    try:
        yield read, reader.size
    except OSError as problem:
        reader.failed(problem)


def _spooled(reader: ForeignReader, stream: BinaryIO) -> Any:
    try:
        spooled = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever asked for it
        try:
            while part := _part(reader, stream):
                spooled.write(part)
            spooled.flush()
        except OSError:
            spooled.close()
            raise
    except OSError as problem:
        message = f"the trace cannot be put into a temporary file: {reason(problem)}"
        raise PvhError(Diagnostic(errors.CANNOT_READ, message, path=reader.path)) from None
    return spooled


def _part(reader: ForeignReader, stream: BinaryIO) -> bytes:
    try:
        return bytes(stream.read1(_SPOOL))  # type: ignore[attr-defined]
    except Exception as problem:
        reader.failed(problem)
        return b""
