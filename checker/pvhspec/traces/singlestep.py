"""QEMU's `-d in_asm,cpu` with one instruction per block, of a hypervisor that runs under TCG.

Before each block QEMU prints the registers, and at each VMRUN and VMEXIT of SVM a line of its own.
So the registers before an exit are those of the instruction that made it, and the next ones of the
same VMCB show what it gave: arguments and result of a hypercall, of CPUID, of an MSR. All of it is
the hardware's view; memory is not in the log. A hypercall that Xen goes on with later exits again
from the same instruction: it is one call, at its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from pvhspec.traces.event import Event
from pvhspec.traces.foreign import TextReader, head_of
from pvhspec.traces.registers import registers_of

__all__ = ["SinglestepReader"]

_RUN = re.compile(r"vmrun! ([0-9a-f]{1,16})$")
_EXIT = re.compile(r"vmexit\(([0-9a-f]{8}), ([0-9a-f]{16}), ([0-9a-f]{16}), ([0-9a-f]{16})\)!$")
_CPUID, _MSR, _VMMCALL = 0x72, 0x7C, 0x81
_LENGTH = {_CPUID: 2, _MSR: 2, _VMMCALL: 3}  # bytes of the instruction
_MOST_LINES = 64  # of one print of the registers
_MOST_VCPUS = 1024
_ARGUMENTS = {
    64: ("rdi", "rsi", "rdx", "r10", "r8"),
    32: ("ebx", "ecx", "edx", "esi", "edi"),
}
_LMA, _PAGING = 1 << 10, 1 << 31


class _Open(NamedTuple):
    """An exit whose instruction has not shown its outcome yet."""

    code: int
    info1: int
    rip: int
    before: dict[str, int]
    width: int
    at: int


class SinglestepReader(TextReader):
    """Entry state, exits, hypercalls with arguments and results, CPUID and MSRs of all guests."""

    method = "singlestep"

    def __init__(self, stream: BinaryIO, path: str) -> None:
        # QEMU logs from its start on, unless somebody turned logging on later: then the first
        # line is neither the first VMRUN nor the processor's reset.
        head = head_of(stream)
        begins = head.startswith(b"vmrun!") or b"IN: \n0xfffffff0:" in head[:80]
        known = {
            "hypervisor": {"name": "xen"},
            "cpu": {"vendor": "AuthenticAMD"},
            "from_boot": begins,
            "complete": {"events": True, "args": True, "results": True, "memory": False},
        }
        super().__init__(stream, path, known)
        self._begins = begins
        self._vmcb: str | None = None  # of the guest that is running
        self._vcpus: dict[str, int] = {}
        self._latest: dict[str, tuple[dict[str, int], int]] = {}
        self._open: dict[str, _Open] = {}

    def events(self) -> Iterator[Event]:
        """The events in the order of the log."""
        block: list[str] = []
        for at, line in self.lines():
            first = line.startswith(("EAX=", "RAX="))
            if block:
                more = line[:1].isupper() and not first and not line.startswith("IN:")
                if more and len(block) < _MOST_LINES:
                    block.append(line)
                    continue
                yield from self._registers(block, at - len(block))
                block = []
            if first:
                block = [line]
            elif run := _RUN.match(line):
                if run[1] not in self._vcpus and len(self._vcpus) < _MOST_VCPUS:
                    self._vcpus[run[1]] = len(self._vcpus)
                self._vmcb = run[1] if run[1] in self._vcpus else None
            elif left := _EXIT.match(line):
                yield from self._exit(at, *(int(word, 16) for word in left.groups()))
        if block and not self.truncated:
            yield from self._registers(block, 0)
        for vmcb, call in self._open.items():
            if call.code == _VMMCALL:
                yield self._made(vmcb, call, None)

    def _vcpu(self, vmcb: str) -> int | None:
        """The first VMCB that ever runs is vCPU 0's; of others the log does not say whose."""
        return 0 if self._begins and self._vcpus[vmcb] == 0 else None

    # ---- registers ----------------------------------------------------------------------------

    def _registers(self, block: list[str], at: int) -> Iterator[Event]:
        vmcb = self._vmcb
        if vmcb is None:
            return
        if vmcb in self._latest:
            found = registers_of("\n".join(block[:3] if block[0][0] == "E" else block[:6]))
        else:
            found = registers_of("\n".join(block))
        registers: dict[str, int] = found["regs"]
        width = 64 if block[0].startswith("RAX") else 32
        paged = registers.get("cr0", 0) & _PAGING or registers.get("efer", 0) & _LMA
        if vmcb not in self._latest and self._vcpu(vmcb) == 0 and not paged:
            yield self.event("entry", {"view": "hw", **found}, at, None, 0)
        self._latest[vmcb] = (registers, width)
        waiting = self._open.get(vmcb)
        if waiting is None:
            return
        here = registers.get("rip", registers.get("eip"))
        if waiting.code == _VMMCALL and here == waiting.rip:
            return  # to be made again
        del self._open[vmcb]
        yield self._made(vmcb, waiting, registers if width == waiting.width else None)

    # ---- exits ----------------------------------------------------------------------------------

    def _exit(self, at: int, code: int, info1: int, info2: int, rip: int) -> Iterator[Event]:
        vmcb, self._vmcb = self._vmcb, None
        if vmcb is None:
            return
        fields = {"arch": "svm", "code": code, "info1": info1, "info2": info2, "rip": rip}
        yield self.event("vmexit", fields, at, None, self._vcpu(vmcb))
        registers, width = self._latest.get(vmcb, ({}, 0))
        if code not in _LENGTH or registers.get("rip", registers.get("eip")) != rip:
            return
        waiting = self._open.get(vmcb)
        if waiting is not None and waiting.code == code == _VMMCALL and waiting.rip == rip:
            return  # it goes on with what it began
        self._open[vmcb] = _Open(code, info1, rip, registers, width, at)

    def _made(self, vmcb: str, call: _Open, after: dict[str, int] | None) -> Event:
        """What the instruction did; `after` None where that was not seen."""
        letter = "r" if call.width == 64 else "e"
        before = call.before

        def low(registers: dict[str, int] | None, name: str) -> int | None:
            value = None if registers is None else registers.get(letter + name)
            return None if value is None else value & 0xFFFFFFFF

        if after is not None and after.get(f"{letter}ip") != call.rip + _LENGTH[call.code]:
            after = None  # a fault, or an interrupt's handler: not its outcome
        fields: dict[str, Any]
        if call.code == _VMMCALL:
            kind = "hypercall"
            fields = {"width": call.width, "nr": before.get(f"{letter}ax")}
            fields["args"] = tuple(before.get(name) for name in _ARGUMENTS[call.width])
            result = None if after is None else after.get(f"{letter}ax")
            if result is not None and not result >> call.width:
                sign = 1 << (call.width - 1)
                fields["ret"] = (result ^ sign) - sign
        elif call.code == _CPUID:
            kind = "cpuid"
            fields = {"leaf": low(before, "ax"), "subleaf": low(before, "cx")}
            fields |= {f"e{n}": low(after, n) for n in ("ax", "bx", "cx", "dx")}
        else:
            kind = "msr"
            fields = {"width": call.width, "op": "write" if call.info1 & 1 else "read"}
            fields["index"] = low(before, "cx")
            source = before if call.info1 & 1 else after
            high, value = low(source, "dx"), low(source, "ax")
            fields["value"] = None if high is None or value is None else high << 32 | value
            fields["fault"] = False if after is not None else None
        fields = {name: value for name, value in fields.items() if value is not None}
        return self.event(kind, fields, call.at, None, self._vcpu(vmcb))
