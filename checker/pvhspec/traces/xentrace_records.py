"""The binary stream of Xen's `xentrace`: windows of physical CPUs, their records, one order.

A file is a row of windows, each the next piece of one CPU's ring. Records carry no domain: who ran
is told by the scheduler's records on the same CPU. All CPUs together are put in the order of their
time stamps, as `xenalyze` does it. Of a file only an index of its windows and one piece of each
CPU's current windows are in memory. Records are columns of numpy arrays from the file on to whoever
wants some of them: a loop in Python over each takes many times as long.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from itertools import count
from struct import Struct
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvhspec.traces.xentrace_cpu import LOST, SMALLEST, Cpu, Numbers, Read, Stamps, Words, fill

__all__ = [
    "LOST",
    "Batch",
    "Mask",
    "Read",
    "Record",
    "TooManyWindows",
    "Windows",
    "batches",
    "everything",
    "hvm_and_pv",
]

CPU_CHANGE = b"\x03\xf0\x01\x20"  # event 0x1f003 with two words and no time stamp
_MOST_CPUS = 4096
_MOST_WINDOWS = 1 << 22
_PIECES = 2 << 20  # bytes that are taken from the file at a time, of all CPUs together
_LARGEST = 1 << 20  # bytes of one CPU's piece

_CHANGE = Struct("<4sII")

Mask: TypeAlias = NDArray[np.bool_]


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


class Batch(NamedTuple):
    """Records in the order of time, a column for each thing that is known of them."""

    order: Stamps
    tsc: Stamps
    cpu: Numbers
    event: Words
    who: Numbers  #: domain << 16 | vCPU, -1 where it is unknown
    offset: Numbers  #: in the file
    size: Numbers  #: how many words of data a record has
    words: Words  #: of all records
    at: Numbers  #: where each has its data in there

    def data(self) -> Words:
        """Seven words for each record, of which `size` are its own."""
        data: Words = self.words[self.at[:, None] + np.arange(7)]
        return data

    def records(self) -> Iterator[Record]:
        """One tuple for each record."""
        data, new = self.data().astype("<u4").tobytes(), Record._make
        columns: tuple[NDArray[Any], ...] = (
            self.order, self.tsc, self.cpu, self.event, self.size, self.who, self.offset,
        )  # fmt: skip
        at = 0
        for order, tsc, cpu, event, size, who, offset in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            dom, vcpu = (None, None) if who < 0 else (who >> 16, who & 0xFFFF)
            yield new((order, tsc, cpu, event, data[at : at + 4 * size], dom, vcpu, offset))
            at += 28


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


def everything(event: Words) -> Mask:
    """All records."""
    return np.ones(len(event), bool)


def hvm_and_pv(event: Words) -> Mask:
    """Records of HVM guests but the emulated devices', PV guests' hypercalls, and losses."""
    kind = event >> 12
    calls = (event == 0x20100D) | (event == 0x20200E)
    wanted: Mask = (kind == 0x81) | (kind == 0x82) | calls | (event == LOST)
    return wanted


def batches(
    windows: Windows,
    read: Read,
    wanted: Callable[[Words], Mask],
    broken: Callable[[int], None],
) -> Iterator[Batch]:
    """The records whose events are `wanted`, in order of time. `broken` is told of places where a
    window ends within a record."""
    cpus = [Cpu(number, windows.cpus[number]) for number in sorted(windows.cpus)]
    most = max(SMALLEST, min(_LARGEST, _PIECES // max(1, len(cpus))))
    turns = count()
    while True:
        hungry = [cpu for cpu in cpus if not cpu.read_all and cpu.held < most]
        if any(cpu.held < most // 2 for cpu in hungry):
            fill(hungry, read, most, broken)
        cpus = [cpu for cpu in cpus if len(cpu.key) or not cpu.read_all]
        if not cpus:
            return
        going_on = [cpu for cpu in cpus if not cpu.read_all]
        if not all(len(cpu.key) for cpu in going_on):
            continue  # a piece without any record
        if going_on:
            until = min(cpu.reached for cpu in going_on)
            counts = [cpu.until(until, "left") for cpu in cpus]
            if not any(counts):
                # A piece in which time stands still is given before the rest of it is known.
                tied = [cpu for cpu in cpus if cpu.until(until, "right")]
                ahead = max(tied, key=lambda cpu: cpu.before(until, {}))
                counts = [cpu.until(until, "right") if cpu is ahead else 0 for cpu in cpus]
        else:
            counts = [len(cpu.key) for cpu in cpus]
        yield _merged(cpus, counts, wanted, turns)


def _merged(
    cpus: list[Cpu],
    counts: list[int],
    wanted: Callable[[Words], Mask],
    turns: Iterator[int],
) -> Batch:
    """The first records of each CPU, in one order."""
    key = np.concatenate([cpu.key[:many] for cpu, many in zip(cpus, counts, strict=True)])
    of = np.repeat(np.arange(len(cpus)), counts)
    place = np.argsort(key, kind="stable")
    ranks = _turns(cpus, counts, key, of, place, turns)
    taken = [cpu.take(many, ranks) for cpu, many in zip(cpus, counts, strict=True)]
    order, tsc, who, offset = (
        np.concatenate(column) for column in list(zip(*taken, strict=True))[:4]
    )
    bases = np.cumsum([0, *(len(columns.words) for columns in taken)])
    at = np.concatenate([c.at + base for c, base in zip(taken, bases[:-1], strict=True)])
    words = np.concatenate([*(columns.words for columns in taken), np.zeros(10, np.uint32)])
    head = words[at]
    place = place[wanted(head & 0xFFFFFFF)[place]]
    head, cpu = head[place], np.array([c.number for c in cpus], np.int64)[of[place]]
    return Batch(
        order[place], tsc[place], cpu, head & 0xFFFFFFF, who[place], offset[place],
        (head >> 28 & 7).astype(np.int64), words, at[place] + 1 + 2 * (head >> 31),
    )  # fmt: skip


def _turns(
    cpus: list[Cpu],
    counts: list[int],
    key: Stamps,
    of: Numbers,
    place: Numbers,
    turns: Iterator[int],
) -> dict[tuple[int, int], int]:
    """Puts records of the same time in order, in `place`: of equal times the CPU that was read last
    comes first, as in xenalyze. Gives each CPU its turn there, and at the end of all."""
    ranks: dict[tuple[int, int], int] = {}
    sorted_key, sorted_of = key[place], of[place]
    tied = (sorted_key[1:] == sorted_key[:-1]) & (sorted_of[1:] != sorted_of[:-1])
    for time in np.unique(sorted_key[1:][tied]).tolist():
        low, high = (
            int(np.searchsorted(sorted_key, np.uint64(time), s)) for s in ("left", "right")
        )
        rows = place[low:high].copy()
        here = [cpus[index] for index in np.unique(sorted_of[low:high]).tolist()]
        here.sort(key=lambda cpu: cpu.before(time, ranks), reverse=True)
        groups = []
        for cpu in here:
            groups.append(rows[sorted_of[low:high] == cpus.index(cpu)])
            ranks[cpu.number, time] = next(turns)
        place[low:high] = np.concatenate(groups)
    for cpu, many in zip(cpus, counts, strict=True):
        if many:
            ranks.setdefault((cpu.number, int(cpu.key[many - 1])), next(turns))
    return ranks
