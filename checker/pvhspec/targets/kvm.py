"""KVM by a small VMM of ours: the PVH entry state, right or wrong on purpose, on /dev/kvm."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from pvhspec.targets import probe as probes
from pvhspec.targets import qemu, vmm
from pvhspec.targets.capture import Capture, chunks, finish
from pvhspec.targets.decoding import Decoder
from pvhspec.targets.errors import MissingTool, TargetError
from pvhspec.targets.pvh_state import pvh_state
from pvhspec.targets.starts import Start
from pvhspec.targets.steps import Program

__all__ = ["capture_kvm", "check_kvm"]

_DEVICE = Path("/dev/kvm")
_LEAST_MEMORY_MIB = 96  # the program lies at 64 MiB
_REMEDY = "a processor with VMX or SVM is needed, and: modprobe kvm-intel or modprobe kvm-amd"


def check_kvm() -> None:
    """Raises MissingTool where there is no KVM that we may use."""
    if not _DEVICE.exists():
        raise MissingTool("this machine has no /dev/kvm", _REMEDY)
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        raise MissingTool("/dev/kvm may not be used by this user", "adduser $USER kvm, log in anew")


def capture_kvm(
    program: Program,
    *,
    width: int = 64,
    start: Start | None = None,
    timeout: float = 30.0,
    keep: Path | None = None,
) -> Capture:
    """Start the probe on KVM and run the program.

    `start` is what it is given; it may name a deviation. Raises TargetError, MissingTool where this
    machine's KVM cannot do it.
    """
    start = start or Start()
    check_kvm()
    if start.memory_mib < _LEAST_MEMORY_MIB:
        raise TargetError(
            f"{start.memory_mib} MiB are too few", f"the probe needs {_LEAST_MEMORY_MIB} MiB"
        )
    built, guest = vmm.build_vmm(), probes.build(width)
    state = pvh_state(start, guest.entry)
    began = time.monotonic()
    with qemu.working_folder(keep) as folder:
        vmm.lay_out(folder, guest, program, state, start)
        (folder / "guest.out").write_bytes(b"")
        (folder / "state").write_bytes(b"")
        limit = max(1, round(timeout) + 1)
        with qemu.running([str(built), str(limit), "machine", "state"], folder) as process:
            ended = qemu.wait(process, timeout)
        said = (folder / "state").read_text()
        decoder = Decoder(program)
        events = list(decoder.events(chunks(folder / "guest.out")))
    if ended.status == vmm.LACKING:
        raise MissingTool(f"this machine's KVM does not run it: {vmm.why(said)}", _REMEDY)
    if ended.status == vmm.NONSENSE:
        raise TargetError(f"the VMM was told nonsense: {vmm.why(said)}")
    events[:0] = [guest.image_event(), *vmm.seen(state, said)]
    if start.deviation:
        text = f"the loader deviates on purpose: {start.deviation}"
        events.insert(0, {"kind": "note", "text": text})
    finish(events, ended, decoder.finished, ending=vmm.ending(said), console=said)
    header = {
        "schema": "pvh-trace/1",
        "origin": {"method": "probe", "tool": "pvhspec", "file": decoder.name},
        "hypervisor": {"name": "kvm", "version": platform.release()},
        "guest": {"mode": "pvh_boot", "sha256": guest.sha256},
        "cpu": {"vendor": decoder.vendor},
        "clock": "tsc",
        "from_boot": True,
        "complete": {"events": True, "args": True, "results": True, "memory": True},
        "given": {},
    }
    return Capture(header, events, said if not decoder.finished else "", time.monotonic() - began)
