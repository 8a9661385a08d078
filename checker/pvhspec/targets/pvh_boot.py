"""QEMU's own PVH loader with the probe as its kernel: no hypervisor of Xen's kind beneath.

What this shows is the state at entry, from inside and, through `outside`, from outside. The program
is put into guest memory at a fixed place, so that the module list is the test's to choose.
"""

from __future__ import annotations

import time
from pathlib import Path

from pvhspec.targets import outside as view
from pvhspec.targets import probe as probes
from pvhspec.targets import qemu
from pvhspec.targets.capture import Capture, chunks, finish
from pvhspec.targets.decoding import Decoder
from pvhspec.targets.encoding import encode
from pvhspec.targets.errors import MissingTool, TargetError
from pvhspec.targets.steps import Program
from pvhspec.targets.wire import OUTPUT_MAGIC, PROGRAM_FALLBACK

__all__ = ["MACHINES", "capture_qemu"]

#: Machine types whose loader knows PVH.
MACHINES = ("pc", "q35", "microvm")

_LEAST_MEMORY_MIB = 96  # the program lies at 64 MiB
_CPUS = {"tcg": "max", "kvm": "host,-arch-capabilities"}


def capture_qemu(
    machine: str,
    program: Program,
    *,
    width: int = 32,
    accel: str = "tcg",
    memory_mib: int = 256,
    vcpus: int = 1,
    initrd: bytes | None = None,
    cmdline: str = "",
    outside: bool = True,
    timeout: float = 30.0,
    keep: Path | None = None,
) -> Capture:
    """Start the probe by QEMU's own PVH loader and run the program.

    `machine` is one of `MACHINES`; `accel` "tcg" or "kvm"; `initrd` becomes the only module.
    `outside` adds the state at the entry point as seen through the debugger stub and the monitor
    (hidden descriptor parts, TR). Raises TargetError (MissingTool, BadImage).
    """
    if machine not in MACHINES:
        raise TargetError(f"no PVH loader for machine {machine}", f"one of {', '.join(MACHINES)}")
    if accel not in _CPUS:
        raise TargetError(f"no accelerator {accel}", "one of tcg, kvm")
    if memory_mib < _LEAST_MEMORY_MIB:
        raise TargetError(
            f"{memory_mib} MiB are too few", f"the probe needs {_LEAST_MEMORY_MIB} MiB"
        )
    if accel == "kvm" and not Path("/dev/kvm").exists():
        raise MissingTool("this machine has no /dev/kvm", "modprobe kvm-intel or modprobe kvm-amd")
    code = encode(program)
    program_path = qemu.find()
    release, digest = qemu.version(program_path)
    guest = probes.build(width)
    start = time.monotonic()
    with qemu.working_folder(keep) as folder:
        (folder / "program.bin").write_bytes(code)
        (folder / "guest.out").write_bytes(b"")
        for socket in ("gdb.sock", "qmp.sock"):
            (folder / socket).unlink(missing_ok=True)
        command = [
            program_path, "-M", machine, "-accel", accel, "-cpu", _CPUS[accel],
            "-smp", str(vcpus), "-m", str(memory_mib),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-chardev", "file,id=out,path=guest.out",
            "-device", "isa-debugcon,iobase=0x402,chardev=out",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-device", f"loader,file=program.bin,addr={PROGRAM_FALLBACK:#x},force-raw=on",
            "-kernel", str(guest.path), "-append", cmdline,
        ]  # fmt: skip
        if initrd is not None:
            (folder / "initrd").write_bytes(initrd)
            command += ["-initrd", "initrd"]
        if outside:
            command += view.OPTIONS
        seen = []
        with qemu.running(command, folder) as process:
            if outside:
                try:
                    seen = view.entry_events(folder, process, guest.entry, timeout)
                except view.Lost as lost:
                    seen = [{"kind": "note", "text": f"nothing seen from outside: {lost}"}]
            ended = qemu.wait(process, max(0.1, timeout - (time.monotonic() - start)))
        decoder = Decoder(program)
        events = list(decoder.events(chunks(folder / "guest.out")))
        firmware = (folder / "guest.out").read_bytes().split(OUTPUT_MAGIC)[0]
        complaint = qemu.complaint(folder)
    if decoder.vendor is None and complaint:
        raise TargetError(f"QEMU could not run machine {machine} with {accel}: {complaint}")
    events[:0] = [guest.image_event(), *seen]
    finish(events, ended, decoder.finished, console=complaint)
    header = {
        "schema": "pvh-trace/1",
        "origin": {"method": "probe", "tool": "pvhspec", "file": decoder.name},
        "hypervisor": {
            "name": "qemu",
            "version": release,
            "sha256": digest,
            "machine": machine,
            "accel": accel,
        },
        "guest": {"mode": "pvh_boot", "sha256": guest.sha256},
        "cpu": {"vendor": decoder.vendor},
        "clock": "tsc",
        "from_boot": True,
        "complete": {"events": True, "args": True, "results": True, "memory": True},
        "given": {},
    }
    text = firmware.decode("utf-8", "replace") + complaint
    return Capture(header, events, text, time.monotonic() - start)
