"""The columns of a batch as machine code gets them, and helpers that look into their lists.

It gets a table of pointers (`WORDS`), two for each column of numbers: the values, and a bit for
each row that is known. Of memory (`in`, `out`) and of tables it gets the parts of the lists.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pvhspec.traces.columns import COLUMNS
from pvhspec.traces.schema import Choice, Flag, Int, Type

__all__ = ["HELPERS", "LISTS", "MOST_ROWS", "PLAIN", "TABLES", "WORDS", "Columns"]

MOST_ROWS = 1 << 16
_PYTHON = 127  # a kind that native code leaves alone


def _bits(type_: Type) -> int | None:
    """The bits of a column of numbers, words (by their codes) or truths (a bitmap)."""
    match type_:
        case Int(bits):
            return bits
        case Flag():
            return 1
        case Choice():
            return 8
    return None


PLAIN = {name: bits for name, c in COLUMNS.items() if (bits := _bits(c.type)) is not None}
LISTS = ("in", "out")  # offsets, known, addresses, offsets of bytes, bytes
# Tables, or a part of the records in one: offsets, known, indices, values, known values; the bits.
TABLES = {
    "shared_info_pending": 64, "mask": 64, "vcpus.upcall_pending": 8, "vcpus.sel": 64,
}  # fmt: skip

WORDS: dict[str, int] = {}
for _name in PLAIN:
    WORDS[_name] = 2 * len(WORDS)
_AFTER = 2 * len(WORDS)
for _i, _name in enumerate((*LISTS, *TABLES)):
    WORDS[_name] = _AFTER + 5 * _i
_COUNT = _AFTER + 5 * (len(LISTS) + len(TABLES))


class Columns:
    """The columns of a batch, as pointers. What is not there is unknown."""

    _nothing = np.zeros(8 * MOST_ROWS + 64, np.uint8)
    _all = np.full(MOST_ROWS // 8 + 8, 255, np.uint8)

    def __init__(self, batch: Any, by_python: Any = None) -> None:
        self.rows = batch.num_rows
        assert self.rows <= MOST_ROWS
        self.words = np.zeros(_COUNT, np.uint64)
        self._kept: list[Any] = [batch]
        nothing = self._nothing.ctypes.data
        self.words[:] = nothing
        names = set(batch.schema.names)
        for name in names:
            if name in PLAIN:
                self._plain(WORDS[name], batch.column(name), PLAIN[name])
        for name in LISTS:
            if name in names:
                self._list(WORDS[name], batch.column(name))
        for name in TABLES:
            column, *part = name.split(".")
            if column in names:
                self._table(WORDS[name], batch.column(column), part)
        if by_python is not None:
            kinds = batch.column("kind").indices.to_numpy().copy()
            kinds[by_python] = _PYTHON
            self._kept.append(kinds)
            self.words[WORDS["kind"]] = kinds.ctypes.data

    def _plain(self, word: int, column: Any, bits: int) -> None:
        if hasattr(column, "indices"):
            column = column.indices
        known, data = column.buffers()
        self._kept.append(column)
        self.words[word + 1] = self._bitmap(known, column.offset, self.rows)
        if data is None:
            return
        if bits == 1:
            self.words[word] = self._bitmap(data, column.offset, self.rows)
        else:
            self.words[word] = data.address + column.offset * (bits // 8)

    def _bitmap(self, buffer: Any, offset: int, count: int) -> int:
        if buffer is None:
            every = self._all if count <= MOST_ROWS else np.full(count // 8 + 8, 255, np.uint8)
            self._kept.append(every)
            return int(every.ctypes.data)
        if offset % 8 == 0:
            return int(buffer.address + offset // 8)
        bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
        moved = np.packbits(bits[offset : offset + count], bitorder="little")
        moved = np.concatenate([moved, np.zeros(8, np.uint8)])
        self._kept.append(moved)
        return int(moved.ctypes.data)

    def _list(self, word: int, column: Any) -> None:
        known, offsets = column.buffers()[:2]
        held = column.values
        address, raw = held.field("address"), held.field("bytes")
        self._kept += [column, held, address, raw]
        if offsets is None:
            return
        self.words[word] = offsets.address + 4 * column.offset
        self.words[word + 1] = self._bitmap(known, column.offset, self.rows)
        numbers = address.buffers()[1]
        _, starts, data = raw.buffers()
        if numbers is not None:
            self.words[word + 2] = numbers.address + 8 * address.offset
        if starts is not None:
            self.words[word + 3] = starts.address + 4 * raw.offset
        if data is not None:
            self.words[word + 4] = data.address

    def _table(self, word: int, column: Any, part: list[str]) -> None:
        known, offsets = column.buffers()[:2]
        if offsets is None:
            return
        index, value = column.values.flatten()
        for name in part:  # where a record is not known, nothing of it is
            names = [value.type.field(n).name for n in range(value.type.num_fields)]
            value = value.flatten()[names.index(name)]
        self._kept += [column, index, value]
        self.words[word] = offsets.address + 4 * column.offset
        self.words[word + 1] = self._bitmap(known, column.offset, self.rows)
        numbers, values = index.buffers()[1], value.buffers()
        if numbers is None or values[1] is None:
            return
        self.words[word + 2] = numbers.address + 4 * index.offset
        self.words[word + 3] = values[1].address + value.type.bit_width // 8 * value.offset
        self.words[word + 4] = self._bitmap(values[0], value.offset, len(value))


# ---- helpers -----------------------------------------------------------------------------------


def _list(p: str, word: str, known: str, unknown: str) -> str:
    """The text by which a helper comes to the part of a list that is a row's, from `%first` to
    `%stop` where it was seen; then it goes on at `known`. `p` begins all names."""
    loads = "\n".join(
        f"  %{p}w{n} = getelementptr ptr, ptr %{p}mine, i64 {n}\n"
        f"  %{p}{name} = load ptr, ptr %{p}w{n}"
        for n, name in enumerate(("lists", "known", "keys", "starts", "bytes"))
    )
    return f"""
  %{p}mine = getelementptr ptr, ptr %cols, i64 {word}
{loads}
  %{p}byte = lshr i64 %row, 3
  %{p}kp = getelementptr i8, ptr %{p}known, i64 %{p}byte
  %{p}k = load i8, ptr %{p}kp
  %{p}bit = trunc i64 %row to i8
  %{p}low = and i8 %{p}bit, 7
  %{p}kb = lshr i8 %{p}k, %{p}low
  %{p}k1 = trunc i8 %{p}kb to i1
  br i1 %{p}k1, label %{p}go, label %{unknown}
{p}go:
  %{p}fp = getelementptr i32, ptr %{p}lists, i64 %row
  %{p}first = load i32, ptr %{p}fp
  %{p}ep = getelementptr i32, ptr %{p}fp, i64 1
  %{p}stop = load i32, ptr %{p}ep
  br label %{known}
"""


def _range(p: str, number: str) -> str:
    """The text for one range of memory: where it starts, how long it is, and its bytes."""
    return f"""
  %{p}wide = sext i32 {number} to i64
  %{p}ap = getelementptr i64, ptr %{p}keys, i64 %{p}wide
  %{p}start = load i64, ptr %{p}ap
  %{p}op = getelementptr i32, ptr %{p}starts, i64 %{p}wide
  %{p}o = load i32, ptr %{p}op
  %{p}qp = getelementptr i32, ptr %{p}op, i64 1
  %{p}q = load i32, ptr %{p}qp
  %{p}len32 = sub i32 %{p}q, %{p}o
  %{p}len = zext i32 %{p}len32 to i64
  %{p}from = sext i32 %{p}o to i64
  %{p}at = getelementptr i8, ptr %{p}bytes, i64 %{p}from
"""


# The one range of a row that holds some bytes, null where none does; whether a call has changed
# bytes outside its structure; whether two pieces of memory are not the same; where an index stands
# in a row's table (-1: nowhere, -2: the table was not seen); and its highest index, plus 1.
HELPERS = f"""
define internal ptr @bytes_at(ptr noalias %cols, i64 %word, i64 %row, i64 %at, i64 %size) {{
entry:
{_list("", "%word", "head", "none")}
head:
  %i = phi i32 [ %first, %go ], [ %next, %on ]
  %more = icmp slt i32 %i, %stop
  br i1 %more, label %look, label %none
look:
{
    _range("r", "%i")
    .replace("%rkeys", "%keys")
    .replace("%rstarts", "%starts")
    .replace("%rbytes", "%bytes")
}
  %in = sub i64 %at, %rstart
  %after = icmp ule i64 %rstart, %at
  %need = add i64 %in, %size
  %fits = icmp ule i64 %need, %rlen
  %sane = icmp ule i64 %in, %rlen
  %ok0 = and i1 %after, %fits
  %ok = and i1 %ok0, %sane
  br i1 %ok, label %found, label %on
on:
  %next = add i32 %i, 1
  br label %head
found:
  %b = getelementptr i8, ptr %rat, i64 %in
  ret ptr %b
none:
  ret ptr null
}}

define internal i1 @strays(ptr noalias %cols, i64 %row, i64 %own, i64 %size) {{
entry:
{_list("a", str(WORDS["in"]), "a.known", "no")}
a.known:
{_list("b", str(WORDS["out"]), "outer", "no")}
outer:
  %i = phi i32 [ %bfirst, %bgo ], [ %i1, %outer.on ]
  %i.more = icmp slt i32 %i, %bstop
  br i1 %i.more, label %after, label %no
after:
{_range("b", "%i")}
  br label %inner
inner:
  %j = phi i32 [ %afirst, %after ], [ %j1, %inner.on ]
  %j.more = icmp slt i32 %j, %astop
  br i1 %j.more, label %before, label %outer.on
before:
{_range("a", "%j")}
  %same = icmp eq i64 %astart, %bstart
  br i1 %same, label %pair, label %inner.on
pair:
  %least = call i64 @llvm.umin.i64(i64 %alen, i64 %blen)
  br label %bytes
bytes:
  %k = phi i64 [ 0, %pair ], [ %k1, %bytes.on ]
  %k.more = icmp ult i64 %k, %least
  br i1 %k.more, label %byte, label %inner.on
byte:
  %place = add i64 %bstart, %k
  %off = sub i64 %place, %own
  %inside = icmp ult i64 %off, %size
  %pa = getelementptr i8, ptr %aat, i64 %k
  %pb = getelementptr i8, ptr %bat, i64 %k
  %va = load i8, ptr %pa
  %vb = load i8, ptr %pb
  %equal = icmp eq i8 %va, %vb
  %fine = or i1 %inside, %equal
  br i1 %fine, label %bytes.on, label %yes
bytes.on:
  %k1 = add i64 %k, 1
  br label %bytes
inner.on:
  %j1 = add i32 %j, 1
  br label %inner
outer.on:
  %i1 = add i32 %i, 1
  br label %outer
yes:
  ret i1 true
no:
  ret i1 false
}}

define internal i1 @differ(ptr %a, ptr %b, i64 %size) {{
entry:
  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %k1, %look ]
  %more = icmp ult i64 %k, %size
  br i1 %more, label %look, label %no
look:
  %pa = getelementptr i8, ptr %a, i64 %k
  %pb = getelementptr i8, ptr %b, i64 %k
  %va = load i8, ptr %pa
  %vb = load i8, ptr %pb
  %same = icmp eq i8 %va, %vb
  %k1 = add i64 %k, 1
  br i1 %same, label %head, label %yes
yes:
  ret i1 true
no:
  ret i1 false
}}

define internal i64 @place_of(ptr noalias %cols, i64 %word, i64 %row, i32 %index) {{
entry:
{_list("", "%word", "head", "none")}
head:
  %i = phi i32 [ %stop, %go ], [ %at, %look ]
  %more = icmp sgt i32 %i, %first
  br i1 %more, label %look, label %nowhere
look:
  %at = sub i32 %i, 1
  %wide = sext i32 %at to i64
  %ap = getelementptr i32, ptr %keys, i64 %wide
  %key = load i32, ptr %ap
  %is = icmp eq i32 %key, %index
  br i1 %is, label %found, label %head
found:
  ret i64 %wide
nowhere:
  ret i64 -1
none:
  ret i64 -2
}}

define internal i64 @listed(ptr noalias %cols, i64 %word, i64 %row) {{
entry:
{_list("", "%word", "head", "none")}
head:
  %i = phi i32 [ %first, %go ], [ %next, %look ]
  %most = phi i64 [ 0, %go ], [ %now, %look ]
  %more = icmp slt i32 %i, %stop
  br i1 %more, label %look, label %done
look:
  %wide = sext i32 %i to i64
  %ap = getelementptr i32, ptr %keys, i64 %wide
  %key = load i32, ptr %ap
  %index = zext i32 %key to i64
  %above = add i64 %index, 1
  %now = call i64 @llvm.umax.i64(i64 %most, i64 %above)
  %next = add i32 %i, 1
  br label %head
done:
  ret i64 %most
none:
  ret i64 0
}}
"""
