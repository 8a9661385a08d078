"""Reads columnar traces: Arrow's file format, mapped into memory, and Parquet.

Nothing in such a file is believed before it was looked at (`untabulate.checked`), and what Arrow
says of a damaged one is told as one error. Memory does not grow with the trace: batches are read
one after the other, of Parquet only the columns in which there is something.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from io import BytesIO, FileIO
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, NoReturn

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.columns import COLUMNS, METADATA, METADATA_USED
from pvhspec.traces.decode import BadValue, decode_header
from pvhspec.traces.errors import reason
from pvhspec.traces.event import Event, Header, Place
from pvhspec.traces.schema import SCHEMA, Bytes, Choice, Flag, Int, Text

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ArrowReader", "ColumnReader", "ParquetReader", "need_pyarrow", "within"]

_ROWS = 1 << 16  # of a batch that is given


def need_pyarrow(path: str) -> None:
    """Raises PvhError where it is not installed; small traces do without."""
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        remedy = "pip install 'pvhspec[columns]'"
        message = "columnar traces need pyarrow, which is not installed"
        raise PvhError(Diagnostic(errors.NO_ARROW, message, remedy, path))


class ColumnReader:
    """A columnar trace being read; `batches` or the events, once."""

    format: ClassVar[str]

    def __init__(self, stream: BinaryIO, path: str) -> None:
        need_pyarrow(path)
        self.path = path
        self.truncated = False
        self.notices: list[Diagnostic] = []
        self._stream = stream
        self._part = 0
        self._map = self._mapped()
        self._failures = _failures()
        try:
            self._open(self._map)
            held = self._metadata().get(METADATA)
        except self._failures as error:
            self._damaged(error)
        self.header: Header = self._header(held)

    def __iter__(self) -> Iterator[Event]:
        from pvhspec.traces.untabulate import events_of

        for batch in self.batches():
            try:
                yield from events_of(batch)
            except (BadValue, ValueError, KeyError) as error:  # in lines that are kept whole
                self._bad(f"a line in the column `json` is no event: {error}")

    def batches(
        self, columns: Sequence[str] | None = None, events: range | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The rows, looked through, in batches; of `events`, those whose number is among them.

        With `columns` only these, and `seq` and `kind`; then what kinds demand of others is not
        looked at. A column that is not in a batch is unknown in it. Raises PvhError for what is
        wrong, after what comes before it.
        """
        from pvhspec.traces.untabulate import BadBatch, checked

        position, row = 0, 0
        try:
            for part in self._parts(events):
                for batch in self._read(part, columns):
                    try:
                        good = checked(batch, position, whole=columns is None)
                    except BadBatch as bad:
                        at = "" if bad.row is None else f"row {row + bad.row}: "
                        code = errors.MISSING_FIELD if bad.missing else errors.BAD_VALUE
                        self._bad(at + bad.message, code)
                    row += len(batch)
                    if len(good):
                        position = good.column("seq")[-1].as_py() + 1
                        if events is not None:
                            good = within(good, events)
                        if len(good):
                            yield good
                        self._forget(batch)
        except self._failures as error:
            self._damaged(error)
        finally:
            self.close()

    def place(self, event: Event) -> Place:
        """It has no lines; the number of an event says where it is."""
        return Place()

    def portion(self) -> float | None:
        """How much has been read, from 0 to 1."""
        return self._part / max(self._count(), 1)

    def close(self) -> None:
        """Close the file; batches that were given stay whole."""
        self._stream.close()

    # ---- what a format has ----------------------------------------------------------------------

    def _open(self, data: mmap.mmap | memoryview) -> None:
        raise NotImplementedError

    def _metadata(self) -> dict[bytes, bytes]:
        raise NotImplementedError

    def _count(self) -> int:
        raise NotImplementedError

    def _first(self, part: int) -> int:
        """A number that is not above that of the first event of a part."""
        raise NotImplementedError

    def _read(self, part: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        raise NotImplementedError

    def _forget(self, batch: pa.RecordBatch) -> None:
        """Give back the memory of what was read."""

    # ---- what they share ------------------------------------------------------------------------

    def _parts(self, events: range | None) -> Iterator[int]:
        first, last = 0, self._count()
        if events is not None:
            numbers = range(last)
            first = max(bisect_right(numbers, events.start, key=self._first) - 1, 0)
            last = bisect_right(numbers, max(events.stop - 1, 0), key=self._first)
        for part in range(first, last):
            self._part = part
            yield part
        self._part = self._count()

    def _mapped(self) -> mmap.mmap | memoryview:
        raw: Any = self._stream
        raw = getattr(raw, "raw", raw)
        if isinstance(raw, BytesIO):
            return memoryview(raw.getvalue())
        try:
            if not isinstance(raw, FileIO):
                raise OSError("it is compressed")
            if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
                raise OSError("it comes through a pipe")
            return mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            message = f"a columnar trace is read from a file as it is ({reason(error)})"
            remedy = "unpack it, or write it to a file, first"
            raise PvhError(Diagnostic(errors.CANNOT_READ, message, remedy, self.path)) from None

    def _header(self, held: bytes | None) -> Header:
        if held is None:
            remedy = "`pvhspec convert` makes such files"
            message = f"the metadata of this {self.format} file has no `{SCHEMA}`"
            raise PvhError(Diagnostic(errors.NO_HEADER, message, remedy, self.path))
        try:
            obj = json.loads(held)
            if not isinstance(obj, dict) or obj.get("schema") != SCHEMA:
                raise ValueError
            return decode_header(obj)
        except BadValue as bad:
            message = f"the header, `{'.'.join(bad.keys)}`: {bad.message}"
            raise PvhError(Diagnostic(errors.BAD_VALUE, message, path=self.path)) from None
        except (ValueError, RecursionError):
            message = f"the header in the metadata is no header of {SCHEMA}"
            raise PvhError(Diagnostic(errors.NO_HEADER, message, path=self.path)) from None

    def _bad(self, message: str, code: str = errors.BAD_VALUE) -> NoReturn:
        raise PvhError(Diagnostic(code, message[:300], path=self.path))

    def _damaged(self, error: BaseException) -> NoReturn:
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        message = f"the {self.format} file is damaged, or not whole: {said}"
        remedy = "convert the trace again from what it was made of"
        raise PvhError(Diagnostic(errors.DAMAGED, message, remedy, self.path)) from None


class ArrowReader(ColumnReader):
    """Arrow's file format. Batches are where the file is mapped, and are not copied."""

    format = "Arrow"

    def _open(self, data: mmap.mmap | memoryview) -> None:
        import pyarrow as pa

        self._buffer = pa.py_buffer(data)
        self._forgotten = 0
        self._file = pa.ipc.open_file(self._buffer)

    def _metadata(self) -> dict[bytes, bytes]:
        return self._file.schema.metadata or {}

    def _count(self) -> int:
        return int(self._file.num_record_batches)

    def _first(self, part: int) -> int:
        batch = self._file.get_batch(part)
        return int(batch.column("seq")[0].as_py() or 0) if len(batch) else 0

    def _read(self, part: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        batch = self._file.get_batch(part)
        if columns is not None:
            wanted = {"seq", "kind", *columns}
            batch = batch.select([name for name in batch.schema.names if name in wanted])
        for start in range(0, len(batch), _ROWS):
            yield batch.slice(start, _ROWS)

    def _forget(self, batch: pa.RecordBatch) -> None:
        """Pages that were read count as this process's memory until they are given back."""
        start, size = self._buffer.address, self._buffer.size
        ends = [
            held.address + held.size - start
            for column in batch.columns
            for held in column.buffers()
            if held is not None and start <= held.address < start + size
        ]
        end = max(ends, default=0) // mmap.PAGESIZE * mmap.PAGESIZE
        if end - self._forgotten >= 1 << 24 and isinstance(self._map, mmap.mmap):
            self._map.madvise(mmap.MADV_DONTNEED, self._forgotten, end - self._forgotten)
            self._forgotten = end


class ParquetReader(ColumnReader):
    """Parquet: a part is a row group."""

    format = "Parquet"

    def _open(self, data: mmap.mmap | memoryview) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(pa.py_buffer(data), pre_buffer=False)
        self._about = self._file.metadata
        self._names = [name.split(".")[0] for name in self._leaves()]
        self._told = self._said()

    def _said(self) -> list[list[str]]:
        """What the writer said of the row groups' columns, if it fits."""
        told = json.loads(self._metadata().get(METADATA_USED.encode(), b"[]"))
        if not isinstance(told, list) or len(told) != self._count():
            return []
        known = set(self._names) & COLUMNS.keys()
        return [[str(name) for name in names if name in known] for names in told]

    def _leaves(self) -> list[str]:
        schema = self._file.schema
        return [schema.column(n).path for n in range(len(schema))]

    def _metadata(self) -> dict[bytes, bytes]:
        return self._about.metadata or {}

    def _count(self) -> int:
        return int(self._about.num_row_groups)

    def _first(self, part: int) -> int:
        group = self._about.row_group(part)
        if "seq" in self._names:
            statistics = group.column(self._names.index("seq")).statistics
            if statistics is not None and statistics.has_min_max:
                return int(statistics.min)
        return 0

    def _read(self, part: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        wanted = [
            name
            for name in self._used(part)
            if columns is None or name in columns or name in ("seq", "kind")
        ]
        if "seq" not in wanted or "kind" not in wanted:
            wanted = ["seq", "kind", *wanted]
        yield from self._file.iter_batches(_ROWS, row_groups=[part], columns=wanted)
        if isinstance(self._map, mmap.mmap):  # or the whole file would count as memory
            self._map.madvise(mmap.MADV_DONTNEED)

    def _used(self, part: int) -> list[str]:
        """The columns of a row group in which there is something, or may be."""
        if part < len(self._told):
            return self._told[part]
        group = self._about.row_group(part)
        found = dict.fromkeys(name for name in self._names if name in COLUMNS)
        for number, name in enumerate(self._names):
            about = group.column(number)
            statistics = about.statistics
            if (
                isinstance(getattr(COLUMNS.get(name), "type", None), _SCALARS)
                and statistics is not None
                and statistics.has_null_count
                and statistics.null_count == about.num_values
            ):
                found.pop(name, None)
        return list(found)


_SCALARS = (Int, Flag, Text, Choice, Bytes)


def within(batch: pa.RecordBatch, events: range) -> pa.RecordBatch:
    """The rows of a batch whose number is among these."""
    import numpy as np

    seq = batch.column("seq").to_numpy()
    first, last = np.searchsorted(seq, [events.start, events.stop])
    return batch.slice(int(first), int(last - first))


def _failures() -> tuple[type[Exception], ...]:
    """What Arrow raises when a file is not what it should be."""
    import pyarrow as pa

    return (
        pa.ArrowException,
        OSError,
        ValueError,
        KeyError,
        IndexError,
        OverflowError,
        MemoryError,
    )
