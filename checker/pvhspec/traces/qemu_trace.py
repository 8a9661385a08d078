"""QEMU's `-trace 'kvm_xen_*'`: hypercalls of a guest on KVM's Xen, with their results.

Three arguments of each call are printed. What KVM answers in the kernel never reaches QEMU: some
calls are missing, sending events and waiting for them above all. Lines may begin with
`pid@seconds.microseconds:` or with the event itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from pvhspec.traces.event import Event
from pvhspec.traces.foreign import TextReader, number

__all__ = ["QemuTraceReader"]

_LINE = re.compile(r"(?:\d{1,10}@(\d{1,10})\.(\d{6}):)?([a-z]\w{2,60})(?: (.*))?$")
_CALL = re.compile(
    r"(?:xen_hypercall: )?cpu (\d{1,6}) cpl (\d) input (\d{1,20}) a0 0x([0-9a-f]{1,16})"
    r" a1 0x([0-9a-f]{1,16}) a2 0x([0-9a-f]{1,16}) ret 0x([0-9a-f]{1,16})$"
)
_ABOUT = ("kvm_xen_", "xenstore_", "xen_")


class QemuTraceReader(TextReader):
    """Hypercalls, each at its return; what else QEMU says of Xen is kept as notes."""

    method = "qemu-trace"

    def __init__(self, stream: BinaryIO, path: str) -> None:
        known = {
            "hypervisor": {"name": "qemu"},
            "guest": {"mode": "kvm_xen"},
            "clock": "ns",
            "complete": {"events": False, "args": False, "results": True, "memory": False},
        }
        super().__init__(stream, path, known)

    def events(self) -> Iterator[Event]:
        """The events in the order of the log."""
        for at, line in self.lines():
            if not line or line.startswith("#"):
                continue
            found = _LINE.match(line)
            if found is None or not found[3].startswith(_ABOUT):
                self._passed_over += 1
                continue
            ts = int(found[1]) * 10**9 + int(found[2]) * 1000 if found[1] else None
            if found[3] != "kvm_xen_hypercall":
                yield self.event("note", {"text": line[found.start(3) :]}, at, ts)
                continue
            call = _CALL.match(found[4] or "")
            fields = _hypercall(call) if call is not None else None
            if call is None or fields is None:
                self._passed_over += 1
                continue
            yield self.event("hypercall", fields, at, ts, int(call[1]))


def _hypercall(call: re.Match[str]) -> dict[str, Any] | None:
    _, cpl, nr, *words, ret = call.groups()
    called = number(nr, 10)
    if called is None or int(cpl) > 3:
        return None
    signed = int(ret, 16)
    return {
        "cpl": int(cpl),
        "nr": called,
        "args": tuple(int(word, 16) for word in words),
        "ret": signed - (1 << 64) if signed >> 63 else signed,
    }
