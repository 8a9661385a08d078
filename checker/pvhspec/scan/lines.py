"""Reads JSON Lines into columns: compiled code for what it is sure of, the reader for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO, FileIO
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pvhspec.diagnostics import PvhError
from pvhspec.scan.compiled import scan
from pvhspec.scan.tables import AT, FULL, LINE, POSITION, ROW, STATE, STOP, tables
from pvhspec.traces.event import Event, Place
from pvhspec.traces.reader import JsonLinesReader
from pvhspec.traces.tabulate import LISTS, TEXTS, WORDS, Block

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ColumnLinesReader"]

_CHUNK = 1 << 19  # bytes that are scanned at once; every heap of a block has room for them
_PACKED = 8192  # of a compressed file, at once: as the reader reads it, so that a cut is the same
_BEYOND = 64  # bytes behind them that compiled code may look at


class ColumnLinesReader(JsonLinesReader):
    """The same trace as the reader's, with the same complaints, as batches."""

    _lines: Any = ()

    @classmethod
    def of(cls, reader: JsonLinesReader) -> ColumnLinesReader:
        """What another reader has opened, and has read no event of."""
        lines = cls.__new__(cls)
        lines.__dict__.update(reader.__dict__)
        return lines

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The events in batches. Raises PvhError for what is wrong, after the last of them."""
        window = _Window(self._stream)
        self._stream = window  # type: ignore[assignment]  # what the reader asks of it, it has
        scanner = _Scanner(self._line)
        errors: tuple[Any, ...] = ()
        try:
            while True:
                start, stop = window.whole()
                if start < stop:
                    window.at, full = scanner.scan(window.data, start, stop)
                    if full:
                        yield self._taken(scanner)
                        continue
                    if window.at == stop:
                        continue
                self._line = scanner.line
                line = self._next_line()
                if line is None:
                    break
                scanner.line = self._line
                if line.isspace():
                    continue
                event = self._event(line, scanner.position)
                if event is not None and not scanner.put(event, self._line):
                    yield self._taken(scanner)
                    scanner.put(event, self._line)
        except PvhError as stopped:
            errors = stopped.diagnostics
        finally:
            self.close()
        if self.truncated:
            end = self.cut_end(scanner.position)
            if not scanner.put(end, 0):
                yield self._taken(scanner)
                scanner.put(end, 0)
        if scanner.block.count:
            yield self._taken(scanner)
        if self._errors or errors:
            raise PvhError(*self._errors, *errors)

    def place_of(self, row: int) -> Place:
        """Where a row of the batch that was given last stands; what stands for a cut has none."""
        return self.places()(row)

    def places(self) -> Callable[[int], Place]:
        """The same, as a function that stays good when the next batch is given."""
        lines = self._lines

        def place(row: int) -> Place:
            line = int(lines[row])
            return Place(line) if line else Place()

        return place

    def _taken(self, scanner: _Scanner) -> pa.RecordBatch:
        self._lines = scanner.block.lines[: scanner.block.count].copy()
        return scanner.take()


class _Scanner:
    """A block, and the kernel that fills it."""

    def __init__(self, line: int) -> None:
        self.block = Block()
        self._scan = scan()
        self._state: npt.NDArray[np.int64] = np.zeros(STATE, np.int64)
        self._state[LINE] = line
        self._tables = list(tables().values())
        self._point()

    def _point(self) -> None:
        """Where the arrays of the block are, after they have moved."""
        block = self.block
        count = len(TEXTS) + 2 * len(LISTS)
        self._tails = np.zeros(2 * count, np.int64)  # and behind them, what they were before a line
        self._tails[:count] = block.tails
        block.tails = self._tails[:count]
        sizes = [block.rows, block.room, block.items, len(TEXTS), len(LISTS), len(WORDS)]
        self._shape: npt.NDArray[np.int64] = np.array(sizes, np.int64)
        self._arrays = [
            *self._tables, self._shape, block.words, block.known, block.lengths, block.counts,
            block.item_words, block.item_lengths, block.heap, self._tails, block.lines, self._state,
        ]  # fmt: skip
        self._pointers = [array.ctypes.data for array in self._arrays]
        self._heap = block.heap

    @property
    def line(self) -> int:
        """The line that was read last."""
        return int(self._state[LINE])

    @line.setter
    def line(self, line: int) -> None:
        self._state[LINE] = line

    @property
    def position(self) -> int:
        """The number that the next event has, if it says none."""
        return int(self._state[POSITION])

    def scan(self, data: bytearray, start: int, stop: int) -> tuple[int, bool]:
        """Scan whole lines: how far it came, and whether the block must be taken first."""
        block, state = self.block, self._state
        used = block.tails
        if (
            int(used[: -len(LISTS)].max()) + stop - start > block.room
            or int(used[-len(LISTS) :].max()) + (stop - start) // 3 > block.items
        ):
            return start, True
        if block.heap is not self._heap or block.item_words is not self._arrays[-6]:
            self._point()
        state[AT], state[STOP], state[ROW] = start, stop, block.count
        came = self._scan(np.frombuffer(data, np.uint8).ctypes.data, *self._pointers)
        block.count = int(state[ROW])
        return int(state[AT]), came == FULL

    def put(self, event: Event, line: int) -> bool:
        """Add an event that was read otherwise; False if there is no room."""
        if not self.block.put(event, line):
            return False
        self._state[POSITION] = event.seq + 1
        return True

    def take(self) -> pa.RecordBatch:
        """What is in the block."""
        return self.block.take()


class _Window:
    """A stream of which a part is in memory: whole lines at once, or one line as any stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self.raw = stream  # as portion_of looks for it
        self.data = bytearray(_BEYOND)
        self.at = 0
        self._end = 0
        self._over = False
        self._failed: Exception | None = None
        inner = getattr(stream, "raw", None)
        self._size = _CHUNK if isinstance(inner, FileIO | BytesIO) else _PACKED

    def whole(self) -> tuple[int, int]:
        """From where to where there are whole lines in `data`, a chunk at most; nothing if there
        are none, or the line is longer than that."""
        if not self._over and self._end - self.at < _CHUNK:
            self._fill()
        stop = self.data.rfind(b"\n", self.at, min(self._end, self.at + _CHUNK)) + 1
        return self.at, max(stop, self.at)

    def readline(self, limit: int) -> bytes:
        """The next line, or so much of it; what is wrong with the stream, when it is met."""
        while True:
            found = self.data.find(b"\n", self.at, min(self._end, self.at + limit)) + 1
            if not found and self._end - self.at >= limit:
                found = self.at + limit
            if not found and self._over:
                if self._failed is not None:
                    raise self._failed
                line = bytes(self.data[self.at : self._end])
                self.at = self._end
                return line
            if found:
                line = bytes(self.data[self.at : found])
                self.at = found
                return line
            self._fill()

    def close(self) -> None:
        """Close the stream."""
        self.raw.close()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self.raw.closed

    def _fill(self) -> None:
        """Read on, by a chunk."""
        pieces = [self.data[self.at : self._end]]
        held = 0
        while held < _CHUNK:
            try:
                piece = self.raw.read1(self._size)  # type: ignore[attr-defined]
            except Exception as error:
                self._failed, piece = error, b""
            if not piece:
                self._over = True
                break
            pieces.append(piece)
            held += len(piece)
        self.data = bytearray().join([*pieces, bytes(_BEYOND)])
        self._end = len(self.data) - _BEYOND
        self.at = 0
