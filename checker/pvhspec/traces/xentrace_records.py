"""The binary stream of Xen's `xentrace`: windows of physical CPUs, their records, one order.

A file is a row of windows, each the next piece of one CPU's ring. Records carry no domain: who ran
is told by the scheduler's records on the same CPU. All CPUs together are put in the order of their
time stamps, as `xenalyze` does it. Of a file only an index of its windows and one piece of each
CPU's current window are in memory.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Callable, Iterator
from functools import cache
from heapq import heapify, heappop, heapreplace
from itertools import count
from struct import Struct
from typing import NamedTuple

__all__ = [
    "CPU_CHANGE",
    "HVM_AND_PV",
    "LOST",
    "Record",
    "TooManyWindows",
    "Windows",
    "reader_of",
    "records",
]

CPU_CHANGE = b"\x03\xf0\x01\x20"  # event 0x1f003 with two words and no time stamp
LOST = 0x1F001
_RUNSTATE = 0x21000  # bits 12 and up of the events that say who runs
_MOST_CPUS = 4096
_MOST_WINDOWS = 1 << 22
_PIECES = 16 << 20  # bytes for the pieces of all CPUs together
_LARGEST_PIECE = 256 << 10

_CHANGE = Struct("<4sII")
_STAMPED = Struct("<IQ")
_LOST = Struct("<IHHQ")

Read = Callable[[int, int], bytes]


class Record(NamedTuple):
    """One record. `dom` and `vcpu` are None where the trace does not show who ran."""

    order: int  #: where it stands in time; of a `LOST` record, where the loss began
    tsc: int
    cpu: int
    event: int
    data: bytes
    dom: int | None
    vcpu: int | None
    offset: int


class TooManyWindows(Exception):
    """No real tool cuts a file into so many windows."""


class Windows:
    """Where each CPU's windows are in a file; `cut` says where the file breaks off."""

    def __init__(self, read: Read, size: int) -> None:
        self.cut: str | None = None
        self.cpus: dict[int, array[int]] = {}  #: offset, size, offset, size …
        at = windows = 0
        while at < size:
            head = read(at, _CHANGE.size)
            if len(head) < _CHANGE.size:
                self.cut = f"the file ends within the head of a window at byte {at}"
                break
            magic, cpu, length = _CHANGE.unpack(head)
            if magic != CPU_CHANGE or cpu >= _MOST_CPUS:
                self.cut = f"no window begins at byte {at}; what follows is left out"
                break
            at += _CHANGE.size
            if at + length > size:
                self.cut = f"the last window, at byte {at}, is not whole"
            held = min(length, size - at)
            if held:
                windows += 1
                if windows > _MOST_WINDOWS:
                    raise TooManyWindows
                self.cpus.setdefault(cpu, array("Q")).extend((at, held))
            at += length


# ---- the records of one CPU ---------------------------------------------------------------------
# Every 4 bytes are the head of a record: the number of its words is in bits 28-30, bit 31 says
# whether a time stamp comes first. A regular expression finds the ends of records ten times as
# fast as a loop in Python does; what nobody asked for it passes over without telling.


def _bodies(stamped: bool) -> bytes:
    kinds = []
    for words in range(8):
        first = words << 4 | (0x80 if stamped else 0)
        length = 4 * words + (8 if stamped else 0)
        low, high = re.escape(bytes([first])), re.escape(bytes([first | 0xF]))
        kinds.append(b"[%s-%s].{%d}" % (low, high, length))
    return b"(?:" + b"|".join(kinds) + b")"


_ANY_CLASS = b"[" + b"".join(re.escape(bytes([n << 4])) for n in range(16)) + b"]"
_WHO_RUNS = rb".[\x10-\x1f]\x02" + _ANY_CLASS  # 21xxx
_LOST_HEAD = rb"\x01\xf0\x01" + _ANY_CLASS
#: heads of all records of HVM guests but the emulated devices', and of PV guests' hypercalls
HVM_AND_PV = rb".[\x10-\x2f]\x08" + _ANY_CLASS + rb"|[\x0d\x0e][\x10\x20]\x20" + _ANY_CLASS


@cache
def _pattern(wanted: bytes | None) -> re.Pattern[bytes]:
    """One match: any number of records nobody wants, then, as its group, one that is wanted."""
    record = b"...(?:" + _bodies(True) + b"|" + _bodies(False) + b")"
    if wanted is None:
        return re.compile(b"(?s)(" + record + b")")
    head = b"(?:" + b"|".join((_WHO_RUNS, _LOST_HEAD, wanted)) + b")"
    return re.compile(
        b"(?s)(?:(?!" + head + b")" + record + b")*+((?=" + head + b")" + record + b")?"
    )


def _last_stamp(data: bytes, at: int, end: int) -> int | None:
    """The time of the last record in this piece that has one."""
    last = None
    for found in _pattern(None).finditer(data, at, end):
        if data[found.start() + 3] & 0x80:
            last = found.start()
    return None if last is None else int.from_bytes(data[last + 4 : last + 12], "little")


def _records_of(
    cpu: int,
    windows: array[int],
    read: Read,
    piece: int,
    wanted: bytes | None,
    broken: Callable[[int], None],
) -> Iterator[Record]:
    """One CPU's records in the order of its ring."""
    scanner = _pattern(wanted).scanner  # type: ignore[attr-defined]
    stamped, new = _STAMPED.unpack_from, Record._make
    order = tsc = 0
    dom: int | None = None
    vcpu: int | None = None
    for index in range(0, len(windows), 2):
        at, left = windows[index], windows[index + 1]
        data = b""
        while left:
            more = read(at + len(data), min(piece, left))
            if not more:
                break
            left -= len(more)
            data += more
            done = 0
            match = scanner(data).match
            while (found := match()) is not None:
                start, done = found.start(1), found.end()
                if (start < 0 or not data[start + 3] & 0x80) and found.start() < done:
                    stamp = _last_stamp(data, found.start(), done if start < 0 else start)
                    order = tsc = tsc if stamp is None else stamp
                if start < 0:
                    break
                raw = data[start:done]
                if raw[3] & 0x80:
                    head, tsc = stamped(raw)
                    payload = raw[12:]
                    order = tsc
                else:
                    head = int.from_bytes(raw[:4], "little")
                    payload = raw[4:]
                event = head & 0xFFFFFFF
                start += at
                if event == LOST and len(payload) == 16 and raw[3] & 0x80:
                    _, next_dom, next_vcpu, began = _LOST.unpack(payload)
                    yield new((began, tsc, cpu, event, payload, dom, vcpu, start))
                    dom, vcpu = next_dom, next_vcpu
                    continue
                if event & 0xFFFF000 != _RUNSTATE:
                    yield new((order, tsc, cpu, event, payload, dom, vcpu, start))
                    continue
                if wanted is None:
                    yield new((order, tsc, cpu, event, payload, dom, vcpu, start))
                if len(payload) >= 4:
                    if event & 0xF == 1 and not event >> 8 & 0xF:  # was running
                        dom = vcpu = None
                    if event & 0xF == 2 or (event & 0xF == 1 and not event >> 4 & 0xF):
                        vcpu = payload[0] | payload[1] << 8
                        dom = payload[2] | payload[3] << 8
            at += done
            data = data[done:]
        if data:
            broken(at)


def records(
    windows: Windows, read: Read, wanted: bytes | None, broken: Callable[[int], None]
) -> Iterator[Record]:
    """All records in order of time, or those whose heads match `wanted` and those that say what
    was lost. `broken` is told of places where a window ends within a record."""
    piece = max(4096, min(_LARGEST_PIECE, _PIECES // max(1, len(windows.cpus))))
    # Of equal times the CPU that was read last comes first, as in xenalyze: hence `-turn`.
    turns = count()
    heap: list[tuple[int, int, Record, Iterator[Record]]] = []
    for cpu in sorted(windows.cpus):
        source = _records_of(cpu, windows.cpus[cpu], read, piece, wanted, broken)
        first = next(source, None)
        if first is not None:
            heap.append((first.order, -next(turns), first, source))
    heapify(heap)
    while len(heap) > 1:
        _, _, record, source = heap[0]
        until = min(heap[1][0], heap[2][0]) if len(heap) > 2 else heap[1][0]
        yield record
        for record in source:
            if record.order > until:
                heapreplace(heap, (record.order, -next(turns), record, source))
                break
            yield record
        else:
            heappop(heap)
    for _, _, record, source in heap:
        yield record
        yield from source


def reader_of(descriptor: int, base: int) -> Read:
    """Reads at any place of an open file, whatever its position."""

    def read(at: int, length: int) -> bytes:
        return os.pread(descriptor, length, base + at)

    return read
