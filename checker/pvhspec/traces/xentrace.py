"""Xen's `xentrace` binary as a trace: what its records say of guests, kind by kind.

The records hold no argument of a HVM guest's hypercall, no result and no memory, and of its number
the low 32 bits; a PV guest's are no more complete. Events of the devices that Xen emulates, of the
scheduler and of Xen's own memory are passed over: no kind of the schema is about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct, error
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.event import Event
from pvhspec.traces.foreign import ForeignReader
from pvhspec.traces.plain import plain_file
from pvhspec.traces.xentrace_cpu import LOST, Words
from pvhspec.traces.xentrace_records import (
    Batch,
    Mask,
    TooManyWindows,
    Windows,
    batches,
    hvm_and_pv,
)

__all__ = ["XentraceReader"]

_DEFAULT, _IDLE = 32768, 32767

Fields: TypeAlias = dict[str, Any]
_Vcpu: TypeAlias = tuple[int | None, int | None, int | None]


class XentraceReader(ForeignReader):
    """A trace that `xentrace` recorded. What was not a plain file is put into one first."""

    method = "xentrace"

    def __init__(self, stream: BinaryIO, path: str) -> None:
        super().__init__(stream, path, {"hypervisor": {"name": "xen"}, "clock": "tsc"})
        self._calls: dict[_Vcpu, tuple[Fields, int, int]] = {}

    def events(self) -> Iterator[Event]:
        """The events, in order of time over all CPUs."""
        with plain_file(self) as (read, size):
            try:
                windows = Windows(read, size)
            except TooManyWindows:
                message = "the file is cut into more windows than any real one"
                raise PvhError(Diagnostic(errors.NOT_STREAMABLE, message, path=self.path)) from None
            for batch in batches(windows, read, _taken, self._broken):
                yield from self._of(batch)
            for key, call in sorted(self._calls.items(), key=lambda item: item[1][2]):
                yield self._call(key, call, None)
            if windows.cut is not None:
                self.cut(windows.cut)

    def _broken(self, at: int) -> None:
        self._passed_over += 1

    def _of(self, batch: Batch) -> Iterator[Event]:
        calls = self._calls
        for order, tsc, cpu, event, data, dom, vcpu, offset in batch.records():
            if dom in (_DEFAULT, _IDLE):
                dom = vcpu = None
            if event == LOST:
                calls.clear()
                count = int.from_bytes(data[:4], "little")
                yield self.event("lost", {"count": count}, offset, order)
                continue
            if event == _VMMCALL or (calls and event in _EDGES):
                key = (dom, vcpu, cpu if dom is None else None)
                if event == _VMMCALL:
                    if len(data) < 4:
                        self._passed_over += 1
                        continue
                    call = {"nr": int.from_bytes(data[:4], "little"), "ts_call": tsc}
                    calls[key] = (call, offset, self._seq)
                    continue
                if key in calls:
                    yield self._call(key, calls.pop(key), tsc)
            kind, fields = _RECORDS[event]
            try:
                found = fields(data)
            except (error, IndexError):
                self._passed_over += 1
                continue
            yield self.event(kind, found, offset, tsc, vcpu, dom)

    def _call(self, key: _Vcpu, call: tuple[Fields, int, int], ts: int | None) -> Event:
        """A hypercall at its return: when the guest went on, or at the end of the trace."""
        fields, offset, _ = call
        dom, vcpu, _ = key
        return self.event("hypercall", fields, offset, ts, vcpu, dom)


# ---- what is in the words of each record --------------------------------------------------------

_VMMCALL = 0x82012
#: VMENTRY and VMEXIT: what ends a hypercall
_EDGES = frozenset((0x81001, 0x81401, 0x81002, 0x81102, 0x81003, 0x81103))
_W1, _W2, _W6 = Struct("<I"), Struct("<II"), Struct("<IIIIII")
_WQ = Struct("<IQ")


def _exit(arch: str, layout: Struct) -> Callable[[bytes], Fields]:
    def fields(data: bytes) -> Fields:
        code, rip = layout.unpack_from(data)
        return {"arch": arch, "code": code, "rip": rip}

    return fields


def _cpuid(data: bytes) -> Fields:
    names = ("leaf", "subleaf", "eax", "ebx", "ecx", "edx")
    return dict(zip(names, _W6.unpack_from(data), strict=True))


def _msr(op: str) -> Callable[[bytes], Fields]:
    def fields(data: bytes) -> Fields:
        index, value = _WQ.unpack_from(data)
        return {"op": op, "index": index, "value": value}

    return fields


def _cr(op: str, layout: Struct) -> Callable[[bytes], Fields]:
    def fields(data: bytes) -> Fields:
        number, value = layout.unpack_from(data)
        if number > 15:
            raise IndexError
        return {"op": op, "number": number, "value": value}

    return fields


def _io(op: str) -> Callable[[bytes], Fields]:
    def fields(data: bytes) -> Fields:
        (port,) = _W1.unpack_from(data)
        if port > 0xFFFF:
            raise IndexError
        found: Fields = {"op": op, "port": port}
        if len(data) == 8:  # without it the data was in memory, or still under way
            found["value"] = _W2.unpack_from(data)[1]
        return found

    return fields


def _interrupt(data: bytes) -> Fields:
    return {"what": "interrupt", "vector": _W1.unpack_from(data)[0]}


def _exception(data: bytes) -> Fields:
    vector, code = _W2.unpack_from(data)
    found: Fields = {"what": "exception", "vector": vector}
    if code != 0xFFFFFFFF:  # none
        found["error"] = code
    return found


def _page_fault(layout: Struct) -> Callable[[bytes], Fields]:
    def fields(data: bytes) -> Fields:
        return {"what": "exception", "vector": 14, "error": layout.unpack_from(data)[0]}

    return fields


def _nothing(data: bytes) -> Fields:
    return {}


def _pv_call(data: bytes) -> Fields:
    """Word 0: the number, and from bit 20 on two bits for the size of each argument."""
    (head,) = _W1.unpack_from(data)
    args: list[int | None] = []
    at = 4
    for place in range(6):
        size = head >> (20 + 2 * place) & 3
        if size == 0 or size == 3:
            args.append(None)
            continue
        length = 4 if size == 1 else 8
        if at + length > len(data):
            raise IndexError
        args.append(int.from_bytes(data[at : at + length], "little"))
        at += length
    while args and args[-1] is None:
        args.pop()
    found: Fields = {"nr": head & 0xFFFFF}
    if args:
        found["args"] = tuple(args)
    return found


_RECORDS: dict[int, tuple[str, Callable[[bytes], Fields]]] = {
    0x81001: ("vmentry", _nothing),
    0x81401: ("vmentry", _nothing),
    0x81002: ("vmexit", _exit("vmx", _W2)),
    0x81102: ("vmexit", _exit("vmx", _WQ)),
    0x81003: ("vmexit", _exit("svm", _W2)),
    0x81103: ("vmexit", _exit("svm", _WQ)),
    0x82002: ("inject", _page_fault(_W2)),
    0x82102: ("inject", _page_fault(_WQ)),
    0x82003: ("inject", _exception),
    0x82004: ("inject", _interrupt),
    0x82008: ("cr", _cr("read", _W2)),
    0x82108: ("cr", _cr("read", _WQ)),
    0x82009: ("cr", _cr("write", _W2)),
    0x82109: ("cr", _cr("write", _WQ)),
    0x8200C: ("msr", _msr("read")),
    0x8200D: ("msr", _msr("write")),
    0x8200E: ("cpuid", _cpuid),
    0x82016: ("io", _io("read")),
    0x82216: ("io", _io("write")),
    0x20100D: ("hypercall", _pv_call),
    0x20200E: ("hypercall", _pv_call),
}
_EVENTS = np.array([LOST, _VMMCALL, *_RECORDS], np.uint32)


def _taken(event: Words) -> Mask:
    """Records that stand for an event."""
    taken = hvm_and_pv(event)
    taken[taken] = np.isin(event[taken], _EVENTS)
    return taken
