"""What KVM's trace events say, however they were recorded: as text, or in the ring buffer's binary.

A vCPU is known by the thread that runs it, from `kvm_entry` and `kvm_exit` on; which guest it is
of, never. No event has a hypercall's result or memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeAlias

from pvhspec.traces.event import Event
from pvhspec.traces.foreign import ForeignReader

__all__ = ["KINDS_OF", "Fields", "KvmReader", "release_in"]

Fields: TypeAlias = dict[str, Any]

#: The kind of the schema that each of KVM's events is.
KINDS_OF = {
    "kvm_entry": "vmentry",
    "kvm_exit": "vmexit",
    "kvm_xen_hypercall": "hypercall",
    "kvm_cpuid": "cpuid",
    "kvm_msr": "msr",
    "kvm_cr": "cr",
    "kvm_pio": "io",
    "kvm_inj_virq": "inject",
}

#: `kvm_xen_hypercall` gave a5 for a4, and for a5 what was in the buffer, from 5.12 until a fix of
#: May 2026; this release surely has it.
_RIGHT_SINCE = (7, 2)
_MOST_THREADS = 1 << 16


def release_in(text: str) -> tuple[int, int] | None:
    """The kernel's release at the beginning of a text such as `6.12.95-amd64`."""
    found = re.match(r"(\d{1,4})\.(\d{1,4})", text)
    return (int(found[1]), int(found[2])) if found else None


class KvmReader(ForeignReader):
    """KVM's events. `release` is the kernel's, where the trace says it."""

    method = "ftrace"

    def __init__(self, stream: BinaryIO, path: str) -> None:
        known = {"hypervisor": {"name": "kvm"}, "guest": {"mode": "kvm_xen"}, "clock": "ns"}
        super().__init__(stream, path, known)
        self.release: tuple[int, int] | None = None
        self._vcpu: dict[int, int] = {}
        self._calls: dict[int, tuple[Fields, int | None]] = {}

    def told(
        self, at: int | None, pid: int, ts: int, event: str, vcpu: int | None, fields: Fields | None
    ) -> Iterator[Event]:
        """The events that one of KVM's, of `KINDS_OF`, stands for: a hypercall is given where its
        thread next enters the guest. Of what could not be understood, `fields` is None."""
        if vcpu is not None:
            if len(self._vcpu) > _MOST_THREADS:
                self._vcpu.clear()
            self._vcpu[pid] = vcpu
        if event in ("kvm_entry", "kvm_exit"):
            yield from self._made(pid, ts)
        if fields is None:
            self._passed_over += 1
        elif event == "kvm_xen_hypercall":
            yield from self._made(pid, None)  # it has gone on, unseen
            args = fields["args"]
            right = self.release is not None and self.release >= _RIGHT_SINCE
            if len(self._calls) > _MOST_THREADS:
                self._calls.clear()
            call = {**fields, "args": args if right else args[:4], "ts_call": ts}
            self._calls[pid] = (call, at)
        else:
            yield self.event(KINDS_OF[event], fields, at, ts, self._vcpu.get(pid))

    def left(self) -> Iterator[Event]:
        """Calls whose end was not seen."""
        for pid in list(self._calls):
            yield from self._made(pid, None)

    def lost(self, at: int | None, count: int) -> Event:
        """Events were lost here, and with them the ends of calls."""
        self._calls.clear()
        return self.event("lost", {"count": count}, at)

    def _made(self, pid: int, ts: int | None) -> Iterator[Event]:
        if pid in self._calls:
            fields, at = self._calls.pop(pid)
            yield self.event("hypercall", fields, at, ts, self._vcpu.get(pid))
