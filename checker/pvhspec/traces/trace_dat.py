"""`trace.dat` of trace-cmd, versions 6 and 7: KVM's events in the binary of the ring buffer.

The formats of the events are in the file, so what a field is and where is taken from there. Of the
file only the formats of KVM's events and one page, or one compressed chunk, of each CPU are in
memory. The kernel's release is in the file, too: it tells whether all arguments of a hypercall are
to be trusted.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from itertools import count

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.event import Event
from pvhspec.traces.kvm_events import KINDS_OF, Fields, KvmReader, release_in
from pvhspec.traces.plain import plain_file
from pvhspec.traces.ring_buffer import Entry, EventFormat, entries
from pvhspec.traces.trace_dat_file import BadTraceDat, Stream, TraceDat

__all__ = ["TraceDatReader"]


class TraceDatReader(KvmReader):
    """What trace-cmd recorded of KVM."""

    def events(self) -> Iterator[Event]:
        """The events, in order of time over all CPUs."""
        with plain_file(self) as (read, size):
            try:
                file = TraceDat(read, size)
            except BadTraceDat as bad:
                message = f"this trace.dat cannot be read: {bad}"
                raise PvhError(Diagnostic(errors.NOT_A_TRACE, message, path=self.path)) from None
            self.release = release_in(file.release)
            if file.overrun:
                yield self.lost(None, file.overrun)
            formats = {f.number: f for f in file.formats if f.name in KINDS_OF}
            turns = count()
            sources = [self._of(file, stream, turns) for stream in file.streams]
            for at, (_, _, entry) in enumerate(heapq.merge(*sources), 1):
                if entry.lost is not None:
                    yield self.lost(at, entry.lost)
                else:
                    yield from self._event(at, entry, formats)
            yield from self.left()

    def _of(
        self, file: TraceDat, stream: Stream, turns: Iterator[int]
    ) -> Iterator[tuple[int, int, Entry]]:
        try:
            for page in file.pages(stream):
                for entry in entries(page, file.layout):
                    yield entry.ts, next(turns), entry
        except BadTraceDat as bad:
            self.cut(f"the data of CPU {stream.cpu} ends early: {bad}")

    def _event(self, at: int, entry: Entry, formats: Mapping[int, EventFormat]) -> Iterator[Event]:
        form = formats.get(int.from_bytes(entry.data[:2], "little"))
        if form is None:
            return
        values = form.values(entry.data)
        pid = values.get("common_pid", -1)
        vcpu = values.get("vcpu_id")
        if entry.ts >> 64 or (vcpu is not None and not 0 <= vcpu < 1 << 31):
            self._passed_over += 1
            return
        try:
            fields = _FIELDS[form.name](values)
        except KeyError:
            fields = None
        yield from self.told(at, pid, entry.ts, form.name, vcpu, fields)


# ---- what is in each event ----------------------------------------------------------------------

_Values = Mapping[str, int]


def _entry(values: _Values) -> Fields:
    return {"rip": values["rip"]} if "rip" in values else {}


def _exit(values: _Values) -> Fields:
    isa = values.get("isa")
    code = values["exit_reason"]
    fields: Fields = {"rip": values["guest_rip"]}
    fields |= {name: values[name] for name in ("info1", "info2") if name in values}
    if isa in (1, 2):
        fields["arch"] = "vmx" if isa == 1 else "svm"
        fields["code"] = code & 0xFFFF if isa == 1 else code
    return fields


def _hypercall(values: _Values) -> Fields:
    fields: Fields = {"nr": values["nr"], "args": tuple(values[f"a{n}"] for n in range(6))}
    if values.get("cpl", 4) < 4:
        fields["cpl"] = values["cpl"]
    return fields


def _cpuid(values: _Values) -> Fields | None:
    fields: Fields = {"leaf": values["function"]}
    fields |= {f"e{name}": values[f"r{name}"] for name in ("ax", "bx", "cx", "dx")}
    if "index" in values:
        fields["subleaf"] = values["index"]
    return fields if all(value < 1 << 32 for value in fields.values()) else None


def _msr(values: _Values) -> Fields:
    write, fault = bool(values["write"]), bool(values.get("exc", 0))
    op = "write" if write else "read"
    fields: Fields = {"op": op, "index": values["ecx"], "fault": fault}
    if write or not fault:
        fields["value"] = values["data"]
    return fields


def _cr(values: _Values) -> Fields | None:
    op = "write" if values["rw"] else "read"
    if values["cr"] > 15:
        return None
    return {"op": op, "number": values["cr"], "value": values["val"]}


def _pio(values: _Values) -> Fields | None:
    if values["port"] > 0xFFFF or values["size"] > 255:
        return None
    op = "write" if values["rw"] else "read"
    fields: Fields = {"op": op, "port": values["port"], "size": values["size"]}
    if values["count"] == 1 and "val" in values:
        fields["value"] = values["val"]
    return fields


def _virq(values: _Values) -> Fields | None:
    if values.get("soft", 0):  # software interrupts are the guest's own
        return {}
    return {"what": "interrupt", "vector": values["vector" if "vector" in values else "irq"]}


_FIELDS = {
    "kvm_entry": _entry,
    "kvm_exit": _exit,
    "kvm_xen_hypercall": _hypercall,
    "kvm_cpuid": _cpuid,
    "kvm_msr": _msr,
    "kvm_cr": _cr,
    "kvm_pio": _pio,
    "kvm_inj_virq": _virq,
}
