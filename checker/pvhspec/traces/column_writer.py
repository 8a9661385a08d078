"""Writes columnar traces, batch by batch: Arrow's file format and Parquet."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.column_files import need_pyarrow
from pvhspec.traces.columns import COLUMNS, METADATA_USED, arrow_schema, arrow_types
from pvhspec.traces.encode import encode_header
from pvhspec.traces.errors import reason
from pvhspec.traces.event import Header
from pvhspec.traces.schema import Choice
from pvhspec.traces.tabulate import ROWS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ArrowWriter", "ColumnWriter", "ParquetWriter"]

_GROUP = 4 * ROWS  # rows of a Parquet row group
# Often there is one of these, at the end of a long trace: their columns are there from the start,
# for a column that comes late has Arrow's file written again.
_LATE = ("end_reason", "text", "count")


class ColumnWriter:
    """Writes `NAME.part`, which is renamed to `NAME` when all is written, and else removed."""

    def __init__(self, path: str | Path, header: Header) -> None:
        need_pyarrow(str(path))
        self.path = str(path)
        self.events = 0
        self._header = json.dumps(encode_header(header)).encode()
        target = Path(self.path)
        self._part = target.with_name(f"{target.name}.part")
        self._stream: Any = None
        try:
            if self.path == "-" or (target.exists() and not target.is_file()):
                raise OSError("columns are written to a file")
            self._stream = self._part.open("xb")
        except (OSError, ValueError) as error:
            raise self._failed(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if raised[0] is None:
            self.close()
        else:
            self.abandon()

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch as `tabulate` makes them, and `ColumnReader` gives them."""
        try:
            self._write(batch)
        except OSError as error:
            self.abandon()
            raise self._failed(error) from None
        self.events += len(batch)

    def close(self) -> None:
        """Finish the file and give it its name."""
        if self._stream.closed:
            return
        try:
            self._finish()
            self._stream.close()
            self._part.replace(self.path)
        except OSError as error:
            self.abandon()
            raise self._failed(error) from None

    def abandon(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self._stream.close()
        with suppress(OSError):
            self._part.unlink()

    def _write(self, batch: pa.RecordBatch) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _failed(self, error: Exception) -> PvhError:
        return PvhError(Diagnostic(errors.CANNOT_WRITE, reason(error), path=self.path))


class _Late(ColumnWriter):
    """A format that must know first which columns there are. A file has those of what comes first;
    where another turns up later, what was written is written again with it."""

    _writer: Any = None
    _names: tuple[str, ...] = ()

    def _prepare(self, names: set[str], long: bool) -> None:
        """See to it that the file has these columns."""
        if self._writer is None:
            self._names = _in_order({"seq", "kind", *names, *(_LATE if long else ())})
            self._begin()
        elif not names <= set(self._names):
            self._writer.close()
            self._stream.close()
            old = self._part.with_name(f"{self._part.name}.old")
            self._part.rename(old)
            try:
                self._stream = self._part.open("xb")
                self._names = _in_order({*self._names, *names})
                self._begin()
                self._copy(old)
            finally:
                old.unlink()

    def _begin(self) -> None:
        raise NotImplementedError

    def _copy(self, old: Path) -> None:
        raise NotImplementedError


class ArrowWriter(_Late):
    """Arrow's file format, not compressed, so that it can be used where it is mapped."""

    def _write(self, batch: pa.RecordBatch) -> None:
        self._prepare(set(batch.schema.names), len(batch) >= ROWS)
        self._writer.write_batch(_widened(batch, self._names))

    def _begin(self) -> None:
        import pyarrow as pa

        schema = arrow_schema(list(self._names), self._header)
        self._writer = pa.ipc.new_file(self._stream, schema)

    def _copy(self, old: Path) -> None:
        import pyarrow as pa

        with pa.OSFile(str(old)) as source, pa.ipc.open_file(source) as written:
            for number in range(written.num_record_batches):
                self._writer.write_batch(_widened(written.get_batch(number), self._names))

    def _finish(self) -> None:
        self._prepare(set(), False)
        self._writer.close()


class ParquetWriter(_Late):
    """Parquet: row groups of a quarter of a million events, with statistics and page indices."""

    def __init__(self, path: str | Path, header: Header) -> None:
        super().__init__(path, header)
        self._waiting: list[Any] = []
        self._rows = 0
        self._used: list[list[str]] = []  # the columns in which there is something, by group

    def _write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._rows += len(batch)
        if self._rows >= _GROUP:
            self._group(long=True)

    def _group(self, long: bool) -> None:
        used = {name for batch in self._waiting for name in batch.schema.names}
        self._prepare(used, long)
        self._used.append(list(_in_order(used)))
        self._put(self._waiting)
        self._waiting.clear()
        self._rows = 0

    def _put(self, batches: list[Any]) -> None:
        import pyarrow as pa

        schema = arrow_schema(list(self._names), self._header)
        wide = [_widened(batch, self._names).cast(schema) for batch in batches]
        self._writer.write_table(pa.Table.from_batches(wide, schema), row_group_size=2 * _GROUP)

    def _begin(self) -> None:
        import pyarrow.parquet as pq

        schema = arrow_schema(list(self._names), self._header)
        # Numbers that only go up: their differences are small. A dictionary of them is lost work.
        rising = [n for n in ("seq", "ts", "ts_call", "begin", "end") if n in self._names]
        plain = {*rising, "origin", "text", "json"}
        leaves = [leaf for n in self._names if n not in plain for leaf in _leaves(schema, n)]
        self._writer = pq.ParquetWriter(
            self._stream,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=leaves,
            column_encoding={name: "DELTA_BINARY_PACKED" for name in rising},
            write_page_index=True,
            version="2.6",
        )

    def _copy(self, old: Path) -> None:
        import pyarrow.parquet as pq

        with pq.ParquetFile(old, pre_buffer=False) as written:
            for number in range(written.num_row_groups):
                group = written.iter_batches(ROWS, row_groups=[number])
                self._put([_again(batch) for batch in group])

    def _finish(self) -> None:
        if self._waiting or self._writer is None:
            self._group(long=False)
        self._writer.add_key_value_metadata({METADATA_USED: json.dumps(self._used)})
        self._writer.close()


def _again(batch: pa.RecordBatch) -> pa.RecordBatch:
    """What this module wrote, with its dictionaries as they were."""
    from pvhspec.traces.untabulate import checked

    return checked(batch, 0)


def _leaves(schema: pa.Schema, name: str) -> list[str]:
    import pyarrow as pa

    def below(type: pa.DataType, path: str) -> list[str]:
        if pa.types.is_list(type):
            return below(type.value_type, f"{path}.list.element")
        if pa.types.is_struct(type):
            return [leaf for part in type for leaf in below(part.type, f"{path}.{part.name}")]
        return [path]

    return below(schema.field(name).type, name)


def _in_order(names: set[str]) -> tuple[str, ...]:
    return tuple(name for name in COLUMNS if name in names)


def _widened(batch: pa.RecordBatch, names: tuple[str, ...]) -> pa.RecordBatch:
    """The batch with these columns, null where it has none."""
    import pyarrow as pa

    have = set(batch.schema.names)
    arrays = [
        batch.column(name) if name in have else _nulls(name, len(batch)) for name in names
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(list(names)))


@lru_cache(2 * len(COLUMNS))
def _nulls(name: str, rows: int) -> pa.Array:
    """A column of nulls. Batches share it: there are many, and they would fill the memory."""
    import pyarrow as pa

    column = COLUMNS[name]
    if isinstance(column.type, Choice):
        codes = pa.nulls(rows, pa.int8())
        return pa.DictionaryArray.from_arrays(codes, pa.array(column.words))
    return pa.nulls(rows, arrow_types()[name])
