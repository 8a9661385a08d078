"""The Xen ABI of KVM itself: what of Xen's part KVM plays in the kernel, seen by the probe.

The machine is one within a machine (pvhspec.targets.nested), so that it needs no KVM here. KVM is
told beforehand all that a VMM would tell it for its guest: where shared_info and what belongs to
the vCPUs lie, which ports there are, and the vector. So the guest need not ask the VMM for
anything, and what it sees is KVM's.

A call that KVM leaves to the VMM says nothing of KVM. The VMM refuses it, and the trace shows it
without its result, which is then unknown like anything that was not seen.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pvhspec.targets import probe as probes
from pvhspec.targets import qemu, vmm
from pvhspec.targets.capture import Capture, chunks, finish
from pvhspec.targets.decoding import Decoder
from pvhspec.targets.errors import MissingTool, TargetError
from pvhspec.targets.nested import run_nested
from pvhspec.targets.pvh_state import pvh_state
from pvhspec.targets.starts import Start
from pvhspec.targets.steps import Program, Race

__all__ = ["RELEASE", "capture_kvm_xen", "without_refused"]

RELEASE = (4, 17)  #: of Xen, which the guest is told that it runs on
_DOMAIN = 1
_MSR = 0x40000000
#: Guest-physical addresses of pages that KVM writes; programs know them.
_SHARED_INFO, _TIMES, _RUNSTATES = 0x5800000, 0x5801000, 0x5802000
_VCPU_INFO_SIZE, _APART = 64, 256
_VECTOR = 0x30
_TIMER_PORT = 16  # of vCPU 0, the next one of vCPU 1; IPIs are from port 1 on
_MOST_PORTS = {64: 4096, 32: 1024}
_SIGNATURE = (0x566E6558, 0x65584D4D, 0x4D4D566E)  # XenVMMXenVMM
_REMEDY = "QEMU of version 7.2 or later is needed: apt-get install qemu-system-x86"
_NOTE = (
    "calls without a result were left by KVM to the VMM, which refused them: nothing is said of "
    "them. What CPUID answers is the VMM's, too"
)


def capture_kvm_xen(
    program: Program,
    *,
    width: int = 64,
    vcpus: int = 1,
    timeout: float = 120.0,
    keep: Path | None = None,
) -> Capture:
    """Start the probe on KVM with KVM's Xen ABI, and run the program.

    Raises TargetError, MissingTool where the machine or its Linux cannot be had.
    """
    if any(isinstance(step, Race) for step in program.steps):
        raise TargetError(
            "a race cannot be run on KVM's Xen", "who answered which of its calls is not seen"
        )
    start = replace(Start(), vcpus=vcpus)
    built, guest = vmm.build_vmm(), probes.build(width)
    state = pvh_state(start, guest.entry)
    began = time.monotonic()
    with qemu.working_folder(keep) as folder:
        files = vmm.lay_out(folder, guest, program, state, start, "".join(_lines(width, vcpus)))
        ended = run_nested(folder, built, files, timeout)
        said = (folder / "state").read_text()
        console = (folder / "linux.log").read_text(errors="replace")
        decoder = Decoder(program, dom=_DOMAIN)
        events = list(decoder.events(chunks(folder / "guest.out")))
        complaint = qemu.complaint(folder)
    if not said and complaint:
        raise TargetError(f"QEMU could not run the machine: {complaint}", _REMEDY)
    status = None if ended.status is None else ended.status >> 1  # as isa-debug-exit has it
    if status == vmm.LACKING:
        raise MissingTool(f"the KVM within QEMU does not run it: {vmm.why(said)}", _REMEDY)
    if status == vmm.NONSENSE:
        raise TargetError(f"the VMM was told nonsense: {vmm.why(said)}")
    without_refused(events, said)
    note = {"kind": "note", "text": _NOTE}
    events[:0] = [note, guest.image_event(), *vmm.seen(state, said)]
    finish(events, ended, decoder.finished, ending=vmm.ending(said), console=console + said)
    linux = re.search(r"^linux (\S+)$", said, re.MULTILINE)
    header = {
        "schema": "pvh-trace/1",
        "origin": {"method": "probe", "tool": "pvhspec", "file": decoder.name},
        "hypervisor": {"name": "kvm", "version": linux[1] if linux else ""},
        "guest": {"mode": "kvm_xen", "sha256": guest.sha256},
        "cpu": {"vendor": decoder.vendor},
        "clock": "tsc",
        "from_boot": True,
        "complete": {
            "events": True, "args": True, "results": True, "memory": True, "domains": True,
        },
        "given": _given(width, vcpus),
    }  # fmt: skip
    text = "" if decoder.finished else console + said
    return Capture(header, events, text, time.monotonic() - began)


def _lines(width: int, vcpus: int) -> Iterator[str]:
    """What KVM is told of the guest as one of Xen's."""
    release = RELEASE[0] << 16 | RELEASE[1]
    yield f"xen {release:#x} {_MSR:#x}\n"
    leaves = ((0x40000004, *_SIGNATURE), (release, 0, 0, 0), (1, _MSR, 0, 0))
    for number, registers in enumerate(leaves):
        yield f"leaf {0x40000000 + number:#x} 0 {' '.join(map(hex, registers))}\n"
    for part in range(3):  # of the time; KVM fills in what it knows
        yield f"leaf 0x40000003 {part} 0 0 0 0\n"
    yield "leaf 0x40000004 0 0 0 0 0\n"
    yield f"wide {int(width == 64)}\n"
    yield f"shared_info {_SHARED_INFO >> 12:#x}\n"
    yield f"upcall {_VECTOR:#x}\n"
    for vcpu in range(vcpus):
        yield f"vcpu_info {vcpu} {_SHARED_INFO + vcpu * _VCPU_INFO_SIZE:#x}\n"
        yield f"time_info {vcpu} {_TIMES + vcpu * _APART:#x}\n"
        yield f"runstate {vcpu} {_RUNSTATES + vcpu * _APART:#x}\n"
        yield f"ipi {1 + vcpu} {vcpu}\n"
        yield f"timer {vcpu} {_TIMER_PORT + vcpu}\n"


def without_refused(events: list[dict[str, Any]], said: str) -> None:
    """Take away the results of calls that the VMM answered: of its vCPU, the first that returned
    after what had been written out when the VMM was asked."""
    calls = [event for event in events if event["kind"] == "hypercall" and "origin" in event]
    places = [(int(call["origin"].partition("@")[2]), call) for call in calls]
    for found in re.finditer(r"^refused (\d+) (\d+) \d+$", said, re.MULTILINE):
        written, vcpu = int(found[1]), int(found[2])
        for at, call in places:
            if at >= written and call["vcpu"] == vcpu:
                for shown in ("ret", "out", "clobbered", "fault"):
                    call.pop(shown, None)
                break


def _given(width: int, vcpus: int) -> dict[str, Any]:
    """What is true from the start: as KVM was told, and nobody else is there."""
    me = str(_DOMAIN)
    each = range(vcpus)
    kinds = {"0": "reserved", **{str(1 + v): "ipi" for v in each}}
    timers = {str(_TIMER_PORT + v): "virq" for v in each}  # of which it is said no further
    told = {str(base + v): v for v in each for base in (1, _TIMER_PORT)}
    return {
        "domain_exists": {"*": False, me: True},
        "domain_privileged": {"*": False},
        "domain_paused": {"*": False},
        "domain_shown": {"*": False, me: True},
        "vcpu_exists": {"*": False} | {f"{me},{v}": True for v in each},
        "max_evtchn_port": {me: _MOST_PORTS[width] - 1},
        "xen_attached": {"*": False},
        "channel": {"*": "free"} | {f"{me},{p}": kind for p, kind in (kinds | timers).items()},
        "notify": {"*": 0} | {f"{me},{p}": vcpu for p, vcpu in told.items()},
        "shared_info_64": {"*": width == 64},
        "callback_set": {"*": False, me: True},
        "callback_vector": {"*": 0, me: _VECTOR},
        "other_interrupts": {me: False},
        "told_by_others": {me: False},
        "lapic_on": {"*": False},
        "hvm_domain": {"*": True},
    }
