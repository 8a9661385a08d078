"""Events into columns: rows that are filled, and made into an Arrow batch when there are enough.

The block is flat arrays, used again for every batch, so that memory stays where it is and compiled
code can fill them too (`pvhspec.scan`). A row of a column that is not `known` is unknown, whatever
else stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pvhspec.traces.columns import COLUMNS, KIND_CODES, Column, arrow_schema, arrow_types, column_of
from pvhspec.traces.event import Event
from pvhspec.traces.schema import (
    KINDS,
    Bytes,
    Choice,
    Flag,
    Int,
    Items,
    Record,
    Rows,
    Table,
    Text,
    Type,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["HEAP", "ITEMS", "LISTS", "ROWS", "TEXTS", "WORDS", "Block", "batches"]

ROWS = 1 << 16  #: events in a block
HEAP = 8 << 20  #: bytes of text or memory in a column of a block; a line has at most half of it
ITEMS = 8 * ROWS  #: items in a column of lists

_Put: TypeAlias = Callable[["Block", int, Any], None]

# Columns by how a block holds them. A list has its items' numbers in `item_words`, and their bytes
# in a heap of its own, behind those of TEXTS.
WORDS = [n for n, c in COLUMNS.items() if isinstance(c.type, Int | Flag | Choice)]
TEXTS = [n for n, c in COLUMNS.items() if isinstance(c.type, Text | Bytes)]
LISTS = ["in", "out", "clobbered"]
_NESTED = [n for n in COLUMNS if n not in WORDS and n not in TEXTS and n not in LISTS]
_SLOT = {name: n for names in (WORDS, TEXTS, LISTS) for n, name in enumerate(names)}
_KNOWN = {name: n for n, name in enumerate([*WORDS, *TEXTS, *LISTS])}


class Block:
    """Rows that are being filled."""

    def __init__(self, rows: int = ROWS, heap: int = HEAP, items: int = ITEMS) -> None:
        self.rows, self.room, self.items = rows, heap, items
        self.count = 0
        self.words = np.zeros(len(WORDS) * rows, np.int64)
        self.known = np.zeros((len(WORDS) + len(TEXTS) + len(LISTS)) * rows, np.uint8)
        self.lengths = np.zeros(len(TEXTS) * rows, np.int64)  # of texts, in bytes
        self.counts = np.zeros(len(LISTS) * rows, np.int64)  # of items
        self.item_words = np.zeros(len(LISTS) * items, np.int64)
        self.item_lengths = np.zeros(len(LISTS) * items, np.int64)
        self.heap = np.empty((len(TEXTS) + len(LISTS)) * heap, np.uint8)
        self.tails = np.zeros(len(TEXTS) + 2 * len(LISTS), np.int64)  # of heaps, then of items
        self.lines = np.zeros(rows, np.int64)  # of the file, where it has lines
        self._nested: dict[str, list[tuple[int, Any]]] = {name: [] for name in _NESTED}

    # ---- one event ------------------------------------------------------------------------------

    def put(self, event: Event, line: int = 0) -> bool:
        """Add an event. False: there is no room, and nothing was added; `take` makes room."""
        if self.count >= self.rows or not self._fits(event):
            return False
        row = self.count
        kind, seq, fields, ts, dom, vcpu, origin, step = event
        self._word("seq", row, seq)
        self._word("kind", row, KIND_CODES[kind])
        for name, value in (("ts", ts), ("dom", dom), ("vcpu", vcpu), ("step", step)):
            if value is not None:
                self._word(name, row, value)
        plan = _PLANS[kind]
        try:
            if origin is not None:
                self._bytes("origin", row, origin.encode())
            for name, value in fields.items():
                plan[name](self, row, value)
        except UnicodeEncodeError:
            self._whole(event, row)
        self.lines[row] = line
        self.count += 1
        return True

    def _whole(self, event: Event, row: int) -> None:
        """Half a surrogate pair is no UTF-8: the line is kept, and columns as far as they go."""
        from pvhspec.traces.writer import dump_event

        for name, value in event.fields.items():
            try:
                _PLANS[event.kind][name](self, row, value)
            except UnicodeEncodeError:
                continue
        self._bytes("json", row, dump_event(event).rstrip())

    def _fits(self, event: Event) -> bool:
        """Whether there is room for the lists and the bytes of an event, whatever they are."""
        if not self.count:
            return True
        size, items = 0, 0
        for value in (event.origin, *event.fields.values()):
            if isinstance(value, str | bytes):
                size += 8 * len(value)  # as JSON with escapes, if need be
            elif isinstance(value, tuple):
                items += len(value)
                size += sum(4 * len(x) for x in value if isinstance(x, str))
                size += sum(len(x[1]) for x in value if isinstance(x, tuple) and x[1] is not None
                            and isinstance(x[1], bytes))  # fmt: skip
        tails = self.tails
        heaps = len(TEXTS) + len(LISTS)
        return (
            int(tails[:heaps].max()) + size <= self.room
            and int(tails[heaps:].max()) + items <= self.items
        )

    def _word(self, name: str, row: int, value: int) -> None:
        at = _SLOT[name] * self.rows + row
        self.words[at] = value if value < 1 << 63 else value - (1 << 64)
        self.known[at] = 1  # words come first among what is known

    def _bytes(self, name: str, row: int, value: bytes) -> None:
        slot = _SLOT[name]
        self._append(slot, value)
        self.lengths[slot * self.rows + row] = len(value)
        self.known[_KNOWN[name] * self.rows + row] = 1

    def _append(self, heap: int, value: bytes) -> None:
        start, end = int(self.tails[heap]), int(self.tails[heap]) + len(value)
        if end > self.room:
            self._grow(heap, end)
        at = heap * self.room
        self.heap[at + start : at + end] = np.frombuffer(value, np.uint8)
        self.tails[heap] = end

    def _grow(self, heap: int, needed: int) -> None:
        """One event that is larger than a block holds."""
        heaps = len(TEXTS) + len(LISTS)
        old = self.heap.reshape(heaps, self.room)
        self.heap = np.empty(heaps * 2 * needed, np.uint8)
        for n, tail in enumerate(self.tails[:heaps].tolist()):
            self.heap[n * 2 * needed : n * 2 * needed + tail] = old[n, :tail]
        self.room = 2 * needed

    def _list(self, name: str, row: int, items: list[tuple[int, bytes]]) -> None:
        slot, heap = _SLOT[name], len(TEXTS) + _SLOT[name]
        tail = int(self.tails[len(TEXTS) + len(LISTS) + slot])
        if tail + len(items) > self.items:
            self._more_items(tail + len(items))
        at = slot * self.items + tail
        for word, content in items:
            self._append(heap, content)
            self.item_words[at] = word if word < 1 << 63 else word - (1 << 64)
            self.item_lengths[at] = len(content)
            at += 1
        self.tails[len(TEXTS) + len(LISTS) + slot] = tail + len(items)
        self.counts[slot * self.rows + row] = len(items)
        self.known[_KNOWN[name] * self.rows + row] = 1

    def _more_items(self, needed: int) -> None:
        for name in ("item_words", "item_lengths"):
            wide = np.zeros((len(LISTS), 2 * needed), np.int64)
            wide[:, : self.items] = getattr(self, name).reshape(len(LISTS), self.items)
            setattr(self, name, wide.reshape(-1))
        self.items = 2 * needed

    def nest(self, name: str, row: int, value: Any) -> None:
        """A value of a nested type, as Arrow takes it."""
        self._nested[name].append((row, value))

    # ---- the batch ------------------------------------------------------------------------------

    def take(self) -> pa.RecordBatch:
        """The rows so far as a batch that owns its memory; the block is empty after it."""
        import pyarrow as pa

        rows = self.count
        known = self.known.reshape(-1, self.rows)[:, :rows]
        used: npt.NDArray[np.bool_] = np.asarray(known.any(axis=1))
        arrays, names = [], []
        for name, column in COLUMNS.items():
            if name in _NESTED:
                held = self._nested[name]
                if held:
                    arrays.append(_nested_array(column, held, rows))
                    names.append(name)
            elif used[_KNOWN[name]] or name in ("seq", "kind"):
                arrays.append(self._array(column, known[_KNOWN[name]], rows))
                names.append(name)
        known[used] = 0
        for held in self._nested.values():
            held.clear()
        self.tails[:] = 0
        self.count = 0
        return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(names))

    def _array(self, column: Column, known: npt.NDArray[np.uint8], rows: int) -> pa.Array:
        import pyarrow as pa

        name, slot = column.name, _SLOT[column.name]
        valid, nulls = _validity(known)
        if name in WORDS:
            words = self.words[slot * self.rows : slot * self.rows + rows]
            if nulls:
                words = np.where(known, words, 0)
            return _word_array(column, words, valid, nulls, rows)
        if name in TEXTS:
            lengths = self.lengths[slot * self.rows : slot * self.rows + rows]
            heap = self._heap(slot)
            return _text_array(arrow_types()[column.name], lengths, known, heap, valid, nulls)
        counts = self.counts[slot * self.rows : slot * self.rows + rows]
        total = int(self.tails[len(TEXTS) + len(LISTS) + slot])
        at = slot * self.items
        lengths = self.item_lengths[at : at + total]
        kind = arrow_types()[column.name]
        heap = self._heap(len(TEXTS) + slot)
        if isinstance(column.type, Rows):
            first = pa.py_buffer(self.item_words[at : at + total].copy())
            held = pa.StructArray.from_arrays(
                [
                    pa.Array.from_buffers(pa.uint64(), total, [None, first], 0),
                    _text_array(pa.binary(), lengths, None, heap, None, 0),
                ],
                fields=list(kind.value_type),
            )
        else:
            some = np.equal(self.item_words[at : at + total], 0)
            some_valid, some_nulls = _validity(some.view(np.uint8))
            held = _text_array(pa.utf8(), lengths, None, heap, some_valid, some_nulls)
        offsets = _offsets(counts, known)
        return pa.Array.from_buffers(kind, rows, [valid, offsets], nulls, children=[held])

    def _heap(self, number: int) -> npt.NDArray[np.uint8]:
        at = number * self.room
        return self.heap[at : at + int(self.tails[number])]


def batches(events: Iterable[Event], rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """Events as batches, each as it is full; what comes after an error is not lost before it."""
    block = Block(rows)
    for event in events:
        if not block.put(event):
            yield block.take()
            block.put(event)
    if block.count:
        yield block.take()


# ---- arrays -------------------------------------------------------------------------------------


def _validity(known: npt.NDArray[np.uint8]) -> tuple[pa.Buffer | None, int]:
    import pyarrow as pa

    nulls = len(known) - int(np.count_nonzero(known))
    return (pa.py_buffer(np.packbits(known, bitorder="little")) if nulls else None), nulls


def _offsets(lengths: npt.NDArray[Any], known: npt.NDArray[Any] | None) -> pa.Buffer:
    import pyarrow as pa

    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths if known is None else lengths * known, out=offsets[1:])
    return pa.py_buffer(offsets)


def _text_array(
    kind: pa.DataType,
    lengths: npt.NDArray[Any],
    known: npt.NDArray[Any] | None,
    heap: npt.NDArray[np.uint8],
    valid: pa.Buffer | None,
    nulls: int,
) -> pa.Array:
    import pyarrow as pa

    buffers = [valid, _offsets(lengths, known), pa.py_buffer(heap.copy())]
    return pa.Array.from_buffers(kind, len(lengths), buffers, nulls)


def _word_array(
    column: Column,
    words: npt.NDArray[np.int64],
    valid: pa.Buffer | None,
    nulls: int,
    rows: int,
) -> pa.Array:
    import pyarrow as pa

    kind = arrow_types()[column.name]
    if isinstance(column.type, Flag):
        bits = np.packbits(words.astype(np.bool_), bitorder="little")
        return pa.Array.from_buffers(kind, rows, [valid, pa.py_buffer(bits)], nulls)
    if isinstance(column.type, Choice):
        codes = pa.py_buffer(words.astype(np.int8))
        indices = pa.Array.from_buffers(pa.int8(), rows, [valid, codes], nulls)
        return pa.DictionaryArray.from_arrays(indices, pa.array(column.words), safe=False)
    assert isinstance(column.type, Int)
    narrow = words.astype(f"{'i' if column.type.signed else 'u'}{column.type.bits // 8}")
    return pa.Array.from_buffers(kind, rows, [valid, pa.py_buffer(narrow)], nulls)


def _nested_array(column: Column, held: list[tuple[int, Any]], rows: int) -> pa.Array:
    import pyarrow as pa

    kind = arrow_types()[column.name]
    counts, known = np.zeros(rows, np.int64), np.zeros(rows, np.uint8)
    items: list[Any] = []
    for row, value in held:
        known[row], counts[row] = 1, len(value)
        items += value
    valid, nulls = _validity(known)
    values = pa.array(items, kind.value_type)
    buffers = [valid, _offsets(counts, known)]
    return pa.Array.from_buffers(kind, rows, buffers, nulls, children=[values])


# ---- plans: what puts a field of a kind where it belongs -----------------------------------------


def _plan(kind: str, field: str, type: Type) -> _Put:
    name = column_of(kind, field)
    column = COLUMNS[name]
    match type:
        case Int() | Flag():
            return lambda block, row, value: block._word(name, row, value)
        case Choice():
            codes = {word: code for code, word in enumerate(column.words)}
            return lambda block, row, value: block._word(name, row, codes[value])
        case Text():
            return lambda block, row, value: block._bytes(name, row, value.encode())
        case Bytes():
            return lambda block, row, value: block._bytes(name, row, value)
        case Items(_, at_most) if at_most is not None:
            return _arguments(name)
        case Items():
            return lambda block, row, value: block._list(
                name, row, [(int(x is None), (x or "").encode()) for x in value]
            )
        case Rows() if name in LISTS:
            return lambda block, row, value: block._list(name, row, value)
        case Rows(columns):
            first, second = (c.name for c in columns)
            return lambda block, row, value: block.nest(
                name, row, [{first: a, second: b} for a, b in value]
            )
        case Record():
            return lambda block, row, value: block.nest(name, row, [_nested(type, value)])
        case Table():
            return lambda block, row, value: block.nest(name, row, _nested(type, value))
        case _:
            raise AssertionError(f"{kind}.{field}")


def _arguments(name: str) -> _Put:
    one = name.removesuffix("s")

    def put(block: Block, row: int, value: tuple[int | None, ...]) -> None:
        block._word(name, row, len(value))
        for n, x in enumerate(value):
            if x is not None:
                block._word(f"{one}{n}", row, x)

    return put


def _nested(type: Type, value: Any) -> Any:
    """A value as Arrow takes it: records as objects, tables as lists of them."""
    match type:
        case Record(fields):
            return {f.name: _nested(f.type, value[f.name]) for f in fields if f.name in value}
        case Table(inner):
            return [
                {"index": index, "value": None if x is None else _nested(inner, x)}
                for index, x in sorted(value.items())
            ]
        case _:
            return value


_PLANS: dict[str, dict[str, _Put]] = {
    kind.name: {f.name: _plan(kind.name, f.name, f.type) for f in kind.fields}
    for kind in KINDS.values()
}
