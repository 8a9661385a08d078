"""Xen's `xentrace` binary as a trace: what its records say of guests, kind by kind.

The records hold no argument of a HVM guest's hypercall, no result and no memory, and of its number
the low 32 bits; a PV guest's are no more complete. Events of the devices that Xen emulates, of the
scheduler and of Xen's own memory are passed over: no kind of the schema is about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct, error
from typing import Any, BinaryIO, TypeAlias

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.event import Event
from pvhspec.traces.foreign import ForeignReader
from pvhspec.traces.plain import plain_file
from pvhspec.traces.xentrace_cpu import LOST
from pvhspec.traces.xentrace_records import (
    Record,
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
            for batch in batches(windows, read, hvm_and_pv, self._broken):
                for record in batch.records():
                    yield from self._of(record)
            for key, call in sorted(self._calls.items(), key=lambda item: item[1][2]):
                yield self._call(key, call, None)
            if windows.cut is not None:
                self.cut(windows.cut)

    def _broken(self, at: int) -> None:
        self._passed_over += 1

    # ---- one record -------------------------------------------------------------------------

    def _of(self, record: Record) -> Iterator[Event]:
        event, data = record.event, record.data
        dom, vcpu = record.dom, record.vcpu
        if dom in (_DEFAULT, _IDLE):
            dom = vcpu = None
        key: _Vcpu = (dom, vcpu, record.cpu if dom is None else None)
        if event == LOST:
            self._calls.clear()
            count = int.from_bytes(data[:4], "little")
            yield self.event("lost", {"count": count}, record.offset, record.order)
            return
        if event in _EXITS or event & ~0x400 == _ENTRY:
            call = self._calls.pop(key, None)
            if call is not None:
                yield self._call(key, call, record.tsc)
        if event == _VMMCALL and len(data) >= 4:
            number = int.from_bytes(data[:4], "little")
            self._calls[key] = ({"nr": number, "ts_call": record.tsc}, record.offset, self._seq)
            return
        known = _RECORDS.get(event)
        if known is None:
            return
        kind, fields = known
        try:
            found = fields(data)
        except (error, IndexError):
            self._passed_over += 1
            return
        yield self.event(kind, found, record.offset, record.tsc, vcpu, dom)

    def _call(self, key: _Vcpu, call: tuple[Fields, int, int], ts: int | None) -> Event:
        """A hypercall at its return: when the guest went on, or at the end of the trace."""
        fields, offset, _ = call
        dom, vcpu, _ = key
        return self.event("hypercall", fields, offset, ts, vcpu, dom)


# ---- what is in the words of each record --------------------------------------------------------

_ENTRY, _VMMCALL = 0x81001, 0x82012
_EXITS = (0x81002, 0x81102, 0x81003, 0x81103)
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
