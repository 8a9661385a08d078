"""KVM's trace events as text: tracefs, `trace-cmd report` and `perf script` share one grammar.

    comm-PID [cpu] flags secs.usecs: event: what the event prints

Flags may be missing; perf has blanks before the PID and `kvm:` before the event. A vCPU is known
by the thread that runs it, from `kvm_entry` and `kvm_exit` on; which guest it is of, never. No
event has a hypercall's result or memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeAlias

from pvhspec.traces.event import Event
from pvhspec.traces.foreign import TextReader, number

__all__ = ["KvmTextReader"]

Fields: TypeAlias = dict[str, Any]

_LINE = re.compile(
    r"\s*(?P<comm>\S.*?)?[-\s]\s*(?P<pid>\d{1,10})(?:/\d+)?\s+(?:\(\s*[-\d]+\)\s+)?"
    r"\[(?P<cpu>\d{1,5})\]\s+(?:\S{1,8}\s+)?(?P<secs>\d{1,10})\.(?P<frac>\d{6,9}):\s+"
    r"(?:\w{1,30}:)?(?P<event>\w{1,60}):\s*(?P<body>.*)"
)
_LOST = re.compile(r"CPU:\d+ \[(?:LOST )?(\d+) EVENTS(?: DROPPED)?\]")
_OVERWRITTEN = re.compile(r"# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})")
_RELEASE = re.compile(r"# (?:os release : |latency trace \S+ on )(\d+)\.(\d+)")
_HEX = r"(?:0x)?([0-9a-f]{1,16})"

#: `kvm_xen_hypercall` gave a5 for a4, and for a5 what was in the buffer, from 5.12 until a fix of
#: May 2026; this release surely has it.
_RIGHT_SINCE = (7, 2)
_MOST_THREADS = 1 << 16


class KvmTextReader(TextReader):
    """KVM's events. `release` is the kernel's, where the trace says it (`perf script --header`)."""

    method = "ftrace"

    def __init__(self, stream: BinaryIO, path: str) -> None:
        known = {"hypervisor": {"name": "kvm"}, "guest": {"mode": "kvm_xen"}, "clock": "ns"}
        super().__init__(stream, path, known)
        self.release: tuple[int, int] | None = None
        self._vcpu: dict[str, int] = {}
        self._calls: dict[str, tuple[Fields, int]] = {}

    def events(self) -> Iterator[Event]:
        """The events, a hypercall where its thread next enters the guest."""
        for at, line in self.lines():
            found = _LINE.match(line)
            if found is None:
                yield from self._other(at, line)
                continue
            ts = int(found["secs"]) * 10**9 + int(found["frac"].ljust(9, "0"))
            yield from self._one(at, found["pid"], ts, found["event"], found["body"])
        for pid, (fields, at) in self._calls.items():
            yield self.event("hypercall", fields, at, None, self._vcpu.get(pid))

    def _other(self, at: int, line: str) -> Iterator[Event]:
        if lost := _LOST.search(line):
            yield self._lost(at, int(lost[1][:18]))
        elif written := _OVERWRITTEN.match(line):
            missing = int(written[2]) - int(written[1])
            if missing > 0:
                yield self._lost(at, missing)
        elif release := _RELEASE.match(line):
            self.release = (int(release[1][:4]), int(release[2][:4]))
        elif line and not line.startswith("#") and not line.startswith("cpus="):
            self._passed_over += 1

    def _lost(self, at: int, count: int) -> Event:
        self._calls.clear()
        return self.event("lost", {"count": count}, at)

    def _one(self, at: int, pid: str, ts: int, event: str, body: str) -> Iterator[Event]:
        if event in ("kvm_entry", "kvm_exit"):
            if vcpu := re.match(r"vcpu (\d{1,9})\b", body):
                if len(self._vcpu) > _MOST_THREADS:
                    self._vcpu.clear()
                self._vcpu[pid] = int(vcpu[1])
            if pid in self._calls:
                fields, line = self._calls.pop(pid)
                yield self.event("hypercall", fields, line, ts, self._vcpu.get(pid))
        if event == "kvm_xen_hypercall":
            if pid in self._calls:  # it has gone on, unseen
                fields, line = self._calls.pop(pid)
                yield self.event("hypercall", fields, line, None, self._vcpu.get(pid))
            call = self._hypercall(body, ts)
            if call is None:
                self._passed_over += 1
                return
            if len(self._calls) > _MOST_THREADS:
                self._calls.clear()
            self._calls[pid] = (call, at)
            return
        if event not in _EVENTS:
            return
        kind, fields_of = _EVENTS[event]
        found = fields_of(body)
        if found is None:
            self._passed_over += 1
            return
        yield self.event(kind, found, at, ts, self._vcpu.get(pid))

    def _hypercall(self, body: str, ts: int) -> Fields | None:
        found = _CALL.match(body)
        if found is None:
            return None
        cpl, nr, *words = found.groups()
        args = [number(word) for word in words]
        if self.release is None or self.release < _RIGHT_SINCE:
            del args[4:]
        fields: Fields = {"nr": number(nr), "args": tuple(args), "ts_call": ts}
        if cpl is not None and int(cpl) < 4:
            fields["cpl"] = int(cpl)
        return fields


# ---- what each event prints ---------------------------------------------------------------------

_CALL = re.compile(
    rf"(?:cpl (\d) )?nr {_HEX} a0 {_HEX} a1 {_HEX} a2 {_HEX} a3 {_HEX} a4 {_HEX} a5 {_HEX}$"
)
_CPUID = re.compile(rf"func {_HEX} (?:idx {_HEX} )?rax {_HEX} rbx {_HEX} rcx {_HEX} rdx {_HEX}\b")
_MSR = re.compile(rf"msr_(read|write) {_HEX} = {_HEX}( \(#GP\))?$")
_CR = re.compile(rf"cr_(read|write) {_HEX} = {_HEX}$")
_PIO = re.compile(rf"pio_(read|write) at {_HEX} size (\d) count (\d{{1,6}}) val {_HEX}\b")
_VIRQ = re.compile(r"(?:IRQ 0x([0-9a-f]{1,4})|irq (\d{1,5}))\b")
_EXIT = re.compile(
    r"(?:vcpu \d+ )?reason (\S.{0,60}?) +rip 0x([0-9a-f]{1,16})"
    r"(?: info1 0x([0-9a-f]{1,16}) info2 0x([0-9a-f]{1,16})"
    r"| info ([0-9a-f]{1,16}) ([0-9a-f]{1,16}))?"
)
_ENTRY = re.compile(r"vcpu \d+(?:, rip 0x([0-9a-f]{1,16}))?")


def _cpuid(body: str) -> Fields | None:
    found = _CPUID.match(body)
    if found is None:
        return None
    names = ("leaf", "subleaf", "eax", "ebx", "ecx", "edx")
    words = {n: int(w, 16) for n, w in zip(names, found.groups(), strict=True) if w is not None}
    return words if all(w < 1 << 32 for w in words.values()) else None


def _msr(body: str) -> Fields | None:
    found = _MSR.match(body)
    if found is None or len(found[2]) > 8:
        return None
    fields = {"op": found[1], "index": int(found[2], 16), "fault": found[4] is not None}
    if found[1] == "write" or found[4] is None:
        fields["value"] = int(found[3], 16)
    return fields


def _cr(body: str) -> Fields | None:
    found = _CR.match(body)
    if found is None or len(found[2]) > 1:
        return None
    return {"op": found[1], "number": int(found[2], 16), "value": int(found[3], 16)}


def _pio(body: str) -> Fields | None:
    found = _PIO.match(body)
    if found is None:
        return None
    port, value = int(found[2], 16), int(found[5], 16)
    if port > 0xFFFF or value >> 32:
        return None
    fields: Fields = {"op": found[1], "port": port, "size": int(found[3])}
    if found[4] == "1":  # of several at once only the first is printed
        fields["value"] = value
    return fields


def _virq(body: str) -> Fields | None:
    found = _VIRQ.match(body)
    if found is None:  # software interrupts are the guest's own
        return {} if body.startswith("Soft/") else None
    vector = int(found[1], 16) if found[1] else int(found[2])
    return {"what": "interrupt", "vector": vector}


def _exit(body: str) -> Fields | None:
    found = _EXIT.match(body)
    if found is None:
        return None
    reason, *words = found.groups()
    names = ("rip", "info1", "info2", "info1", "info2")
    fields: Fields = {n: int(w, 16) for n, w in zip(names, words, strict=True) if w is not None}
    fields["reason"] = reason
    fields["arch"] = "vmx" if reason[0].isupper() else "svm"
    return fields


def _entry(body: str) -> Fields | None:
    found = _ENTRY.match(body)
    if found is None:
        return None
    return {} if found[1] is None else {"rip": int(found[1], 16)}


_EVENTS: dict[str, tuple[str, Callable[[str], Fields | None]]] = {
    "kvm_entry": ("vmentry", _entry),
    "kvm_exit": ("vmexit", _exit),
    "kvm_cpuid": ("cpuid", _cpuid),
    "kvm_msr": ("msr", _msr),
    "kvm_cr": ("cr", _cr),
    "kvm_pio": ("io", _pio),
    "kvm_inj_virq": ("inject", _virq),
}
