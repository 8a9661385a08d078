"""KVM's trace events as text: tracefs, `trace-cmd report` and `perf script` share one grammar.

    comm-PID [cpu] flags secs.usecs: event: what the event prints

Flags may be missing; perf has blanks before the PID and `kvm:` before the event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pvhspec.traces.event import Event
from pvhspec.traces.foreign import TextReader
from pvhspec.traces.kvm_events import Fields, KvmReader, release_in

__all__ = ["KvmTextReader"]

_LINE = re.compile(
    r"\s*(?P<comm>\S.*?)?[-\s]\s*(?P<pid>\d{1,10})(?:/\d+)?\s+(?:\(\s*[-\d]+\)\s+)?"
    r"\[(?P<cpu>\d{1,5})\]\s+(?:\S{1,8}\s+)?(?P<secs>\d{1,10})\.(?P<frac>\d{6,9}):\s+"
    r"(?:\w{1,30}:)?(?P<event>\w{1,60}):\s*(?P<body>.*)"
)
_LOST = re.compile(r"CPU:\d+ \[(?:LOST )?(\d+) EVENTS(?: DROPPED)?\]")
_OVERWRITTEN = re.compile(r"# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})")
_RELEASE = re.compile(r"# (?:os release : |latency trace \S+ on )(\S+)")
_VCPU = re.compile(r"vcpu (\d{1,9})\b")
_HEX = r"(?:0x)?([0-9a-f]{1,16})"


class KvmTextReader(KvmReader, TextReader):
    """KVM's events as lines (`perf script --header` and the latency format say the release)."""

    def events(self) -> Iterator[Event]:
        """The events in the order of the text."""
        for at, line in self.lines():
            found = _LINE.match(line)
            if found is None:
                yield from self._other(at, line)
                continue
            event, body = found["event"], found["body"]
            if event in _EVENTS:
                ts = int(found["secs"]) * 10**9 + int(found["frac"].ljust(9, "0"))
                vcpu = _VCPU.match(body) if event in ("kvm_entry", "kvm_exit") else None
                number = int(vcpu[1]) if vcpu else None
                yield from self.told(at, int(found["pid"]), ts, event, number, _EVENTS[event](body))
        yield from self.left()

    def _other(self, at: int, line: str) -> Iterator[Event]:
        if lost := _LOST.search(line):
            yield self.lost(at, int(lost[1][:18]))
        elif written := _OVERWRITTEN.match(line):
            missing = int(written[2]) - int(written[1])
            if missing > 0:
                yield self.lost(at, missing)
        elif release := _RELEASE.match(line):
            self.release = release_in(release[1])
        elif line and not line.startswith("#") and not line.startswith("cpus="):
            self._passed_over += 1


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


def _hypercall(body: str) -> Fields | None:
    found = _CALL.match(body)
    if found is None:
        return None
    cpl, *words = found.groups()
    nr, *args = (int(word, 16) for word in words)
    fields: Fields = {"nr": nr, "args": tuple(args)}
    if cpl is not None and int(cpl) < 4:
        fields["cpl"] = int(cpl)
    return fields


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


_EVENTS: dict[str, Callable[[str], Fields | None]] = {
    "kvm_entry": _entry,
    "kvm_exit": _exit,
    "kvm_xen_hypercall": _hypercall,
    "kvm_cpuid": _cpuid,
    "kvm_msr": _msr,
    "kvm_cr": _cr,
    "kvm_pio": _pio,
    "kvm_inj_virq": _virq,
}
