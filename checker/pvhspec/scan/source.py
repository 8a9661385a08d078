"""One way to read any trace as batches of columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pvhspec.diagnostics import PvhError
from pvhspec.traces import Event, Place, Trace, open_trace
from pvhspec.traces.column_files import ColumnReader, need_pyarrow, within
from pvhspec.traces.reader import JsonLinesReader

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ColumnSource", "open_columns"]


class ColumnSource:
    """A trace as batches: what `Trace` has, and `batches`. Read it once, this way or that.

    `engine` says what reads it: `mapped` (Arrow), `parquet`, `compiled` (JSON Lines), or `events`
    (anything, event by event).
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.path, self.header, self.notices = trace.path, trace.header, trace.notices
        self._place: Callable[[int], Place] = lambda row: Place()
        self.engine = "events"
        if isinstance(trace, ColumnReader):
            self.engine = "mapped" if trace.format == "Arrow" else "parquet"
        elif isinstance(trace, JsonLinesReader) and find_spec("llvmlite") is not None:
            self.engine = "compiled"

    @property
    def truncated(self) -> bool:
        """Whether the trace was found to be cut."""
        return self.trace.truncated

    def batches(self, events: range | None = None) -> Iterator[pa.RecordBatch]:
        """The events in batches, or of `events` those whose number is among them. Raises PvhError
        for what is wrong, after what can be read."""
        need_pyarrow(self.path)
        trace: Any = self.trace
        if isinstance(trace, ColumnReader):
            return trace.batches(events=events)
        found = self._found()
        if events is None:
            return found
        return (part for batch in found if len(part := within(batch, events)))

    def _found(self) -> Iterator[pa.RecordBatch]:
        trace: Any = self.trace
        if self.engine == "compiled":
            from pvhspec.scan.lines import ColumnLinesReader

            lines = self.trace = ColumnLinesReader.of(trace)
            self._place = lines.place_of
            return lines.batches()
        return self._of_events()

    def place(self, row: int) -> Place:
        """Where a row of the batch that was given last stands in what is read."""
        return self._place(row)

    def places(self) -> Callable[[int], Place]:
        """The same, as a function that stays good when the next batch is given."""
        trace: Any = self.trace
        return trace.places() if self.engine == "compiled" else self._place

    def portion(self) -> float | None:
        """How much has been read, from 0 to 1, None where that is not known."""
        return self.trace.portion()

    def close(self) -> None:
        """Close the file."""
        self.trace.close()

    def _of_events(self) -> Iterator[pa.RecordBatch]:
        from pvhspec.traces.tabulate import Block

        block = Block()
        places: list[Place] = []
        wrong: PvhError | None = None
        events: Iterator[Event] = iter(self.trace)
        while True:
            try:
                event = next(events, None)
            except PvhError as error:
                event, wrong = None, error
            if event is None or not block.put(event):
                if block.count:
                    self._place = places.__getitem__
                    yield block.take()
                    places = []
                if event is None:
                    break
                block.put(event)
            places.append(self.trace.place(event))
        if wrong is not None:
            raise wrong


def open_columns(
    path: str | Path, format: str | None = None, content: BinaryIO | None = None
) -> ColumnSource:
    """The trace in this file as columns; see `open_trace`."""
    return ColumnSource(open_trace(path, format, content))
