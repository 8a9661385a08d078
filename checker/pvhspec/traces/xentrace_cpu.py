"""One physical CPU's records in a trace of Xen: its windows read piece by piece into columns."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvhspec.traces.plain import Read
from pvhspec.traces.xentrace_starts import record_starts

__all__ = ["LOST", "SMALLEST", "Columns", "Cpu", "Numbers", "Read", "Stamps", "Words", "fill"]

LOST = 0x1F001
SMALLEST = 4 << 10  #: bytes a piece must have room for
_RUNSTATE = 0x21  # the class of the events that say who runs
_NOBODY = -1

Words: TypeAlias = NDArray[np.uint32]
Stamps: TypeAlias = NDArray[np.uint64]
Numbers: TypeAlias = NDArray[np.int64]


class Columns(NamedTuple):
    """Records with their words: `at` is where each begins in `words`."""

    order: Stamps
    tsc: Stamps
    who: Numbers
    offset: Numbers
    at: Numbers
    words: Words

    @classmethod
    def empty(cls) -> Columns:
        """No records."""
        none = np.empty(0, np.int64)
        stamps = np.empty(0, np.uint64)
        return cls(stamps, stamps, none, none, none, np.empty(0, np.uint32))

    def split(self, count: int) -> tuple[Columns, Columns]:
        """The first records, and the rest."""
        first = int(self.at[count]) if count < len(self.at) else len(self.words)
        before = (*(column[:count] for column in self[:5]), self.words[:first])
        after = (*(column[count:] for column in self[:4]), self.at[count:] - first)
        return Columns._make(before), Columns._make((*after, self.words[first:]))

    def then(self, more: Columns) -> Columns:
        """These, and then more."""
        columns = [np.concatenate(pair) for pair in zip(self[:4], more[:4], strict=True)]
        at = np.concatenate((self.at, more.at + len(self.words)))
        return Columns._make([*columns, at, np.concatenate((self.words, more.words))])


class _Part(NamedTuple):
    """Bytes that follow one another in a window, and whether the window ends with them."""

    at: int
    data: bytes
    last: bool


class Cpu:
    """A CPU's records that have been read and not been given away yet, in the order of its ring."""

    def __init__(self, number: int, windows: array[int]) -> None:
        self.number = number
        self._windows = windows
        self._next = 0  # index into `windows`
        self._skip = 0  # bytes of that window that have been read
        self.tsc = 0  # of the last record that was read, as are the others
        self.who = _NOBODY
        self.reached = 0  # the latest place in the order so far
        # What was given last, and what before it: where in the order, and whose turn it was of all
        # that stand there.
        self.given = self.earlier = (-1, number)
        self.key: Stamps = np.empty(0, np.uint64)  # places in the order, never falling
        self.columns = Columns.empty()

    @property
    def held(self) -> int:
        """Bytes of it in memory."""
        return 4 * len(self.columns.words)

    def until(self, key: int, side: Literal["left", "right"]) -> int:
        """How many records come before this place in the order, or up to it (`right`)."""
        return int(np.searchsorted(self.key, np.uint64(key), side))

    @property
    def read_all(self) -> bool:
        """Whether nothing is left in the file."""
        return self._next >= len(self._windows)

    def parts(self, read: Read, most: int) -> Iterator[_Part]:
        """The next bytes of its windows."""
        while most >= SMALLEST and self._next < len(self._windows):
            start, size = self._windows[self._next], self._windows[self._next + 1]
            at, left = start + self._skip, size - self._skip
            data = read(at, min(left, most))
            last = len(data) == left or len(data) < most  # less: the file has become shorter
            self._skip += len(data)
            if last:
                self._next, self._skip = self._next + 2, 0
            most -= len(data)
            yield _Part(at, data, last)

    def again(self, count: int) -> None:
        """So many bytes of the last part are the beginning of a record: they are read again."""
        self._skip -= count

    def add(self, new: Columns) -> None:
        """Records that follow those there are."""
        if not len(new.at):
            return
        key = np.maximum.accumulate(new.order)
        np.maximum(key, np.uint64(self.reached), out=key)
        self.reached = int(key[-1])
        self.key = np.concatenate((self.key, key)) if len(self.key) else key
        self.columns = self.columns.then(new) if len(self.columns.at) else new

    def before(self, key: int, ranks: Mapping[tuple[int, int], int]) -> tuple[int, int]:
        """What comes before its records of this place in the order, in `given`'s terms; `ranks`
        are the turns that are given out now."""
        index = int(np.searchsorted(self.key, np.uint64(key)))
        if index:
            place = int(self.key[index - 1])
            return place, ranks.get((self.number, place), 0)
        return self.earlier if self.given[0] == key else self.given

    def take(self, count: int, ranks: Mapping[tuple[int, int], int]) -> Columns:
        """The first records, which are given away."""
        columns, self.columns = self.columns.split(count)
        if count:
            last = int(self.key[count - 1])
            self.given, self.earlier = (last, ranks[self.number, last]), self.before(last, ranks)
            self.key = self.key[count:]
        return columns


# ---- from bytes to columns ----------------------------------------------------------------------


def fill(cpus: list[Cpu], read: Read, most: int, broken: Callable[[int], None]) -> None:
    """Read the next piece of these CPUs, all in one go: arrays want to be long."""
    pieces = [(cpu, list(cpu.parts(read, most))) for cpu in cpus]
    data = b"".join(
        part.data[: len(part.data) & ~3] for _, parts in pieces for part in parts
    )  # fmt: skip
    words: Words = np.frombuffer(data, "<u4")
    edges = np.cumsum([0, *(len(p.data) >> 2 for _, parts in pieces for p in parts)])
    starts, after = record_starts(words, edges)
    heads = words[starts]
    first = np.searchsorted(starts, edges)  # of each part, the index of its first record
    index = 0
    for cpu, parts in pieces:
        begin = index
        offset = np.empty(first[index + len(parts)] - first[index], np.int64)
        for part in parts:
            low, high = first[index] - first[begin], first[index + 1] - first[begin]
            offset[low:high] = part.at
            offset[low:high] += (starts[first[index] : first[index + 1]] - edges[index]) * 4
            left = len(part.data) - 4 * int(after[index] - edges[index])
            if left and part.last:
                broken(part.at + len(part.data) - left)
            elif left:
                cpu.again(left)
            index += 1
        rows = slice(first[begin], first[index])
        base = int(edges[begin])
        own = words[base : edges[index]]
        cpu.add(_columns(cpu, heads[rows], starts[rows] - base, offset, own))


def _columns(cpu: Cpu, heads: Words, at: Numbers, offset: Numbers, words: Words) -> Columns:
    """Times and who ran, from the record before where a record does not say."""
    count = len(heads)
    stamps = np.flatnonzero(heads >> 31)
    times = _double(words, at[stamps] + 1)
    before = np.concatenate(([np.uint64(cpu.tsc)], times))
    order = tsc = np.repeat(before, np.diff(stamps, prepend=0, append=count))

    kind = heads >> 12 & 0xFFFF
    told = np.flatnonzero((kind == _RUNSTATE) | (kind == LOST >> 12))
    head = heads[told]
    data = at[told] + 1 + 2 * (head >> 31)
    lost = (head & 0x8FFFFFFF == 1 << 31 | LOST) & (head >> 28 & 7 == 4)
    runs = (head >> 12 & 0xFFFF == _RUNSTATE) & (head >> 28 & 7 != 0)
    change = head & 0xF
    stops = runs & (change == 1) & (head >> 8 & 0xF == 0)
    goes = runs & ((change == 2) | ((change == 1) & (head >> 4 & 0xF == 0)))
    if lost.any():
        order = tsc.copy()
        order[told[lost]] = _double(words, data[lost] + 2)
    tells = stops | goes | lost
    told, data, lost = told[tells], data[tells], lost[tells]
    word = words[data + lost].astype(np.int64)
    word[lost] = word[lost] << 16 & 0xFFFF0000 | word[lost] >> 16
    word[~(goes[tells] | lost)] = _NOBODY
    knows = np.concatenate(([cpu.who], word))  # a record is of whoever ran before it
    who = np.repeat(knows, np.diff(told, prepend=-1, append=count - 1))
    if count:
        cpu.tsc, cpu.who = int(before[-1]), int(knows[-1])
    return Columns(order, tsc, who, offset, at, words)


def _double(words: Words, at: Numbers) -> Stamps:
    """Double words, wherever they begin."""
    low: Stamps = words[at].astype(np.uint64)
    return low | words[at + 1].astype(np.uint64) << np.uint64(32)
