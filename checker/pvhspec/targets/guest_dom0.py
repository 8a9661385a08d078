"""Any kernel as the PVH dom0 of a real Xen under QEMU's TCG: its hypercalls, seen from outside.

The guest is not changed and does not know. QEMU's debugger stub stops the machine where Xen begins
and ends to answer a hypercall, the machine's memory is a file that this process maps, and the
guest's registers, its page tables and the memory that arguments point to are read from there:
two stops a call, no round trip for memory. traces/capture/README.md tells what else was measured.

Linux needs more than the probe does: a machine with an IOMMU, for without one Xen does not map ACPI
tables to dom0; and a CPU without RDTSCP, whose exit QEMU 7.2 reports as that of RDTSC, for which
Xen ends the guest.
"""

from __future__ import annotations

import mmap
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from pvhspec.targets import outside as view
from pvhspec.targets import qemu, xen
from pvhspec.targets.capture import Capture
from pvhspec.targets.errors import BadImage, TargetError
from pvhspec.targets.gdbstub import ANSWER_WITHIN, LOOK_EVERY, Lost, Stub, connected
from pvhspec.targets.guest_image import image_event, locate_guest
from pvhspec.targets.svm import Guest, Ram, host_address
from pvhspec.targets.xen_dom0 import CRASH, HALTED, VERSION, ending, lone_dom0
from pvhspec.targets.xen_symbols import XenSymbols, read_symbols

__all__ = ["CMDLINE", "Ranges", "capture_guest"]

#: What to read for a call: (number, arguments, width) -> [(linear address, bytes)].
Ranges = Callable[[int, tuple[int, ...], int], Iterable[tuple[int, int]]]

_MEMORY_MIB, _DOM0_MIB = 768, 384
_CPU = "EPYC,-monitor,-rdtscp"
_MACHINE = "q35,kernel-irqchip=split,memory-backend=ram"
#: The guest's time is counted in its instructions, 2 ns each: QEMU forgets all translated code at
#: every stop, and Linux would do nothing but answer the timer ticks that it missed meanwhile.
_CLOCK = "shift=1,sleep=on"
CMDLINE = "console=hvc0 quiet panic=-1"  #: of a guest where none is given
_HYPERCALL = "hvm_hypercall"
_PREEMPTED = 1  # HVM_HCALL_preempted: Xen has the guest make the call again, to go on with it
_MAX_RANGE = 4096  # bytes of memory kept for one range

# QEMU's `g`: 16 general registers, rip, eflags, six selectors, three bases, cr0, cr2, cr3, …
_GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
            *(f"r{n}" for n in range(8, 16)))  # fmt: skip
_CR3_AT = 16 * 8 + 8 + 4 + 6 * 4 + 3 * 8 + 2 * 8
# Xen's struct cpu_user_regs (xen/include/public/arch-x86/xen-x86_64.h).
_USER_REGS = ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx",
              "rdx", "rsi", "rdi", "entry_vector", "rip", "cs", "rflags", "rsp")  # fmt: skip
_ARGUMENTS = {64: ("rdi", "rsi", "rdx", "r10", "r8"), 32: ("rbx", "rcx", "rdx", "rsi", "rdi")}


def capture_guest(
    image: Path | str,
    guest: Path | str,
    *,
    cmdline: str = CMDLINE,
    initrd: Path | None = None,
    ranges: Ranges,
    calls: int | None = None,
    timeout: float = 120.0,
    keep: Path | None = None,
) -> Capture:
    """Boot a Xen image with any PVH kernel as dom0 on one vCPU, and record its hypercalls.

    `guest` is a vmlinux, a bzImage or another ELF file with a PVH entry, or `LINUX`; `ranges` says
    what memory to read for a call; `calls` ends the run after so many. Raises TargetError
    (MissingTool, BadImage).
    """
    program = qemu.find()
    kernel = xen.locate(image)
    loaded = kernel.read_bytes()
    symbols = read_symbols(loaded)
    booted = locate_guest(guest)
    try:
        file = booted.read_bytes()
        if initrd is not None:
            initrd.open("rb").close()
    except OSError as error:
        raise BadImage(f"{error.filename} cannot be read: {error.strerror}") from None
    seen = image_event(file)
    start = time.monotonic()
    recorder = _Recorder(ranges, calls)
    with qemu.working_folder(keep) as folder:
        console = folder / "xen.log"
        console.write_bytes(b"")
        for name, path in (("guest", booted), ("initrd", initrd)):
            (folder / name).unlink(missing_ok=True)
            if path is not None:
                (folder / name).symlink_to(path.resolve())
        (folder / "gdb.sock").unlink(missing_ok=True)
        command = _command(program, kernel, cmdline, initrd is not None)
        reason = ""
        with qemu.running(command, folder) as process:
            deadline = start + timeout

            def wait() -> None:
                text = console.read_text(errors="replace")
                why = "stopped" if CRASH.search(text) or HALTED.search(text) else ""
                why = why or ("time" if time.monotonic() > deadline else "")
                if why or process.poll() is not None:
                    raise Lost(why or "QEMU ended")

            try:
                with connected(folder / "gdb.sock", wait) as channel:
                    reason = _record(recorder, channel, process.pid, symbols, wait)
            except Lost as lost:
                reason = str(lost)
            except OSError as error:
                reason = f"the debugger stub is gone: {error}"
        text = console.read_text(errors="replace")
        complaint = qemu.complaint(folder)
    if not text and complaint:
        raise TargetError(f"QEMU could not run {kernel}: {complaint}")
    found = VERSION.search(text)
    if found is None:
        raise BadImage(f"{image} did not say that it is Xen", "give the hypervisor itself")
    events = [*((seen,) if seen else ()), *recorder.finished(), _end(reason, text, recorder)]
    for seq, event in enumerate(events):
        event["seq"] = seq
    header = {
        "schema": "pvh-trace/1",
        "origin": {
            "method": "gdbstub",
            "tool": f"pvhspec capture --guest, QEMU {qemu.version(program)[0]} TCG: stops where "
            f"Xen's {_HYPERCALL} begins and ends; memory by the page tables. What the guest stores "
            "into shared memory itself is not recorded",
            "file": booted.name,
        },
        "hypervisor": {
            "name": "xen",
            "version": found[1],
            "sha256": sha256(loaded).hexdigest(),
            "text": found[0].strip(),
        },
        "guest": {"mode": "pvh_dom0", "sha256": sha256(file).hexdigest()},
        "cpu": {"vendor": "AuthenticAMD"},
        "clock": "none",
        "from_boot": True,
        "complete": {
            "events": True, "args": True, "results": True, "memory": False, "domains": True,
        },
        "given": lone_dom0(1, text),
    }  # fmt: skip
    return Capture(header, events, text, time.monotonic() - start)


def _command(program: str, kernel: Path, cmdline: str, with_initrd: bool) -> list[str]:
    # QEMU runs in the folder; a comma would begin the next module.
    modules = f"guest {cmdline}".replace(",", ",,") + (",initrd" if with_initrd else "")
    options = (
        f"console=com1 loglvl=all guest_loglvl=all dom0=pvh dom0_max_vcpus=1 dom0_mem={_DOM0_MIB}M"
    )
    return [
        program, "-M", _MACHINE, "-accel", "tcg", "-cpu", _CPU, "-smp", "1",
        "-m", str(_MEMORY_MIB),
        "-object", f"memory-backend-memfd,id=ram,size={_MEMORY_MIB}M,share=on",
        "-icount", _CLOCK, "-nodefaults", "-device", "amd-iommu", "-display", "none", "-no-reboot",
        "-serial", "file:xen.log", "-S", "-gdb", "unix:gdb.sock,server=on,wait=off",
        "-kernel", str(kernel.resolve()), "-initrd", modules, "-append", options,
    ]  # fmt: skip


def _end(reason: str, console: str, recorder: _Recorder) -> dict[str, Any]:
    """The last event."""
    kind, text = ("", "") if reason == "limit" else ending(console)
    if not kind:
        kind, text = (
            "cut",
            {
                "limit": f"stopped after {recorder.made:,} calls, as was asked for",
                "time": "stopped at the time limit",
            }.get(reason, reason),
        )
    if not any(event["kind"] == "entry" for event in recorder.events):
        text += "; the guest was never started"
    return {"kind": "end", "reason": kind, "text": text}


# ---- while it runs -----------------------------------------------------------------------------


def _machine_memory(pid: int) -> Ram:
    """QEMU's memory for the machine, mapped; below 2 GiB a place in it is a physical address."""
    folder = Path(f"/proc/{pid}/fd")
    for link in folder.iterdir():
        with suppress(OSError):
            if "memory-backend-memfd" in os.readlink(link):
                file = os.open(link, os.O_RDONLY)
                try:
                    size = os.fstat(file).st_size
                    mapped = mmap.mmap(file, size, prot=mmap.PROT_READ)
                finally:
                    os.close(file)
                return lambda at, length: mapped[at : at + length] if 0 <= at < size else b""
    raise Lost("QEMU's memory was not found")


@dataclass(slots=True)
class _Stop:
    """The CPU where the stub stopped it, in Xen."""

    regs: dict[str, int]
    cr3: int

    @classmethod
    def parsed(cls, answer: str) -> _Stop:
        raw = bytes.fromhex(answer)
        if len(raw) < _CR3_AT + 8:
            raise Lost("the debugger stub shows fewer registers than a 64-bit CPU has")
        values = struct.unpack_from("<17Q", raw)
        regs = dict(zip((*_GENERAL, "rip"), values, strict=True))
        return cls(regs, int.from_bytes(raw[_CR3_AT : _CR3_AT + 8], "little"))


@dataclass(slots=True)
class _Open:
    """A call that has not returned."""

    event: dict[str, Any]
    user_regs: int  #: physical address of the guest's registers in Xen
    before: dict[str, int]
    ranges: list[tuple[int, int]]


@dataclass(slots=True)
class _Recorder:
    """Makes events of stops."""

    ranges: Ranges
    limit: int | None
    events: list[dict[str, Any]] = field(default_factory=list)
    made: int = 0
    ram: Ram = lambda at, length: b""
    vmcb: int = 0
    current: _Open | None = None
    #: Calls that Xen interrupted, by the guest's rip and rsp: made again to go on.
    interrupted: dict[tuple[int, int], _Open] = field(default_factory=dict)

    def entry(self, stop: _Stop) -> None:
        """The first VMRUN: the guest's state at its first instruction."""
        self.vmcb = stop.regs["rax"]
        names = ("rbx", "rcx", "rdx", "rsi", "rdi", "rbp")
        registers = {f"e{name[1:]}": stop.regs[name] for name in names}
        guest = Guest(self.ram, self.vmcb)
        event = guest.entry(registers)
        for what, address, data in view.handed_over(guest, event):
            if data:
                self.events.append(_of_dom0({"kind": "mem", "view": "hw", "gpa": hex(address),
                                             "bytes": data.hex(), "what": what}))  # fmt: skip
        self.events.append(_of_dom0(event))

    def call(self, stop: _Stop) -> int:
        """A call begins; where it will return to in Xen."""
        physical = host_address(self.ram, stop.cr3, stop.regs["rdi"])
        stack = host_address(self.ram, stop.cr3, stop.regs["rsp"])
        if physical is None or stack is None:
            raise Lost("Xen's stack is not where its page tables say")
        regs = self._user_regs(physical)
        guest = Guest(self.ram, self.vmcb)
        again = self.interrupted.pop((regs["rip"], regs["rsp"]), None)
        self.current = again or self._opened(regs, guest)
        self.current.user_regs = physical
        return int.from_bytes(self.ram(stack, 8), "little")

    def _opened(self, regs: dict[str, int], guest: Guest) -> _Open:
        width = guest.width
        mask = (1 << width) - 1
        args = tuple(regs[name] & mask for name in _ARGUMENTS[width])
        number = regs["rax"] & mask
        event: dict[str, Any] = {"kind": "hypercall", "width": width, "cpl": guest.cpl,
                                 "nr": number, "args": [hex(value) for value in args]}  # fmt: skip
        ranges = [(at, min(size, _MAX_RANGE)) for at, size in self.ranges(number, args, width)]
        event["in"] = _read(guest, ranges)
        self.made += 1
        return _Open(event, 0, regs, ranges)

    def returned(self, stop: _Stop) -> None:
        """The call that was begun last has been answered, or interrupted."""
        call, self.current = self.current, None
        assert call is not None
        regs = self._user_regs(call.user_regs)
        if stop.regs["rax"] & 0xFFFF_FFFF == _PREEMPTED:
            self.interrupted[regs["rip"], regs["rsp"]] = call
            return
        width = call.event["width"]
        value = regs["rax"] & ((1 << width) - 1)
        call.event["ret"] = value - (1 << width) if value >> (width - 1) else value
        call.event["out"] = _read(Guest(self.ram, self.vmcb), call.ranges)
        names = _ARGUMENTS[width]
        shown = names if width == 64 else tuple(f"e{name[1:]}" for name in names)
        call.event["clobbered"] = [
            as_shown for name, as_shown in zip(names, shown, strict=True)
            if regs[name] != call.before[name]
        ]  # fmt: skip
        self.events.append(_of_dom0(call.event))

    def _user_regs(self, physical: int) -> dict[str, int]:
        raw = self.ram(physical, len(_USER_REGS) * 8)
        return dict(zip(_USER_REGS, struct.unpack(f"<{len(_USER_REGS)}Q", raw), strict=True))

    def finished(self) -> list[dict[str, Any]]:
        """All events; those of calls that never returned have no result."""
        left = [*self.interrupted.values(), *((self.current,) if self.current else ())]
        return [*self.events, *(_of_dom0(call.event) for call in left)]


def _of_dom0(event: dict[str, Any]) -> dict[str, Any]:
    return {"kind": event["kind"], "seq": 0, "dom": 0, "vcpu": 0, **event}


def _read(guest: Guest, ranges: Iterable[tuple[int, int]]) -> list[list[str]]:
    """The ranges of guest memory that are wholly there."""
    found = ((address, size, guest.linear(address, size)[0]) for address, size in ranges)
    return [[hex(address), data.hex()] for address, size, data in found if len(data) == size]


def _record(
    recorder: _Recorder,
    channel: socket.socket,
    pid: int,
    symbols: XenSymbols,
    wait: Callable[[], None],
) -> str:
    """Run from the first VMRUN to the end; why it was left. Raises Lost."""
    if symbols.vmrun is None:
        raise BadImage("this Xen has not exactly one VMRUN instruction", "one for AMD is needed")
    begin = symbols.address(_HYPERCALL)
    recorder.ram = _machine_memory(pid)
    stub = Stub(channel)
    stub.ask("?")
    back = 0

    def run(leave: int | None, *stops: int) -> _Stop:
        changes = [*(() if leave is None else (f"z1,{leave:x},1",)),
                   *(f"Z1,{at:x},1" for at in stops)]  # fmt: skip
        stub.send(*changes, "c")
        channel.settimeout(LOOK_EVERY)
        for _ in changes:
            stub.answer(wait)
        answer = stub.answer(wait)
        if not re.match(r"[TS]05", answer):
            raise Lost(f"QEMU stopped by itself ({answer[:40]})")
        channel.settimeout(ANSWER_WITHIN)
        return _Stop.parsed(stub.ask("g"))

    recorder.entry(run(None, symbols.vmrun))
    stop = run(symbols.vmrun, begin)
    while True:
        back = recorder.call(stop)
        recorder.returned(run(begin, back))
        if recorder.limit is not None and recorder.made >= recorder.limit:
            return "limit"
        stop = run(back, begin)
