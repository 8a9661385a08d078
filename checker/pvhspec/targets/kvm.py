"""KVM by a small VMM of ours: the PVH entry state, right or wrong on purpose, on /dev/kvm.

The VMM (traces/capture/vmm) knows KVM and nothing of PVH: it is told every register and every byte.
What it shows from outside is what KVM says the vCPU is about to start with.
"""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from pvhspec._data import traces_dir
from pvhspec.targets import probe as probes
from pvhspec.targets import qemu
from pvhspec.targets.capture import Capture, chunks, finish
from pvhspec.targets.decoding import Decoder
from pvhspec.targets.encoding import encode
from pvhspec.targets.errors import MissingTool, TargetError
from pvhspec.targets.probe import Probe, cache_dir
from pvhspec.targets.pvh_state import PvhState, pvh_state
from pvhspec.targets.starts import Start
from pvhspec.targets.steps import Program
from pvhspec.targets.wire import PROGRAM_FALLBACK

__all__ = ["build_vmm", "capture_kvm", "check_kvm"]

_DEVICE = Path("/dev/kvm")
_FLAGS = ("-static", "-O2", "-Wall", "-Wextra", "-pthread")
_LEAST_MEMORY_MIB = 96  # the program lies at 64 MiB
_FALLEN = ("triple fault", "halt", "reset")
_LACKING = 3  # exit status of the VMM: this KVM cannot do it
_REMEDY = "a processor with VMX or SVM is needed, and: modprobe kvm-intel or modprobe kvm-amd"


def check_kvm() -> None:
    """Raises MissingTool where there is no KVM that we may use."""
    if not _DEVICE.exists():
        raise MissingTool("this machine has no /dev/kvm", _REMEDY)
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        raise MissingTool("/dev/kvm may not be used by this user", "adduser $USER kvm, log in anew")


def build_vmm() -> Path:
    """The VMM, from the cache or built now. Raises MissingTool without gcc."""
    source = traces_dir() / "capture" / "vmm" / "vmm.c"
    digest = sha256(repr(_FLAGS).encode() + source.read_bytes()).hexdigest()
    path = cache_dir() / f"vmm-{digest[:16]}"
    if path.exists():
        return path
    compiler = shutil.which("gcc")
    if compiler is None:
        raise MissingTool("gcc is not installed; the VMM is built with it", "apt-get install gcc")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="build-") as folder:
        made = f"{folder}/vmm"
        done = subprocess.run(
            [compiler, *_FLAGS, "-o", made, str(source)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            lines = [x for x in done.stderr.splitlines() if "error" in x] or [done.stderr.strip()]
            raise MissingTool(
                f"the VMM does not build: {lines[0]}", "apt-get install gcc libc6-dev"
            )
        os.replace(made, path)
    return path


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
    vmm, guest = build_vmm(), probes.build(width)
    state = pvh_state(start, guest.entry)
    began = time.monotonic()
    with qemu.working_folder(keep) as folder:
        (folder / "machine").write_text("".join(_lines(folder, guest, program, state, start)))
        (folder / "guest.out").write_bytes(b"")
        (folder / "state").write_bytes(b"")
        limit = max(1, round(timeout) + 1)
        with qemu.running([str(vmm), str(limit), "machine", "state"], folder) as process:
            ended = qemu.wait(process, timeout)
        said = (folder / "state").read_text()
        decoder = Decoder(program)
        events = list(decoder.events(chunks(folder / "guest.out")))
    if ended.status == _LACKING:
        raise MissingTool(f"this machine's KVM does not run it: {_why(said)}", _REMEDY)
    if ended.status == 2:
        raise TargetError(f"the VMM was told nonsense: {_why(said)}")
    events[:0] = [guest.image_event(), *_seen(state, said)]
    if start.deviation:
        text = f"the loader deviates on purpose: {start.deviation}"
        events.insert(0, {"kind": "note", "text": text})
    finish(events, ended, decoder.finished, ending=_ending(said), console=said)
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


def _lines(
    folder: Path, guest: Probe, program: Program, state: PvhState, start: Start
) -> Iterator[str]:  # fmt: skip
    """The machine, as the VMM is told of it."""
    for gpa, size in state.ram:
        yield f"ram {gpa:#x} {size:#x}\n"
    yield f"vcpus {start.vcpus}\n"
    (folder / "probe.elf").unlink(missing_ok=True)
    (folder / "probe.elf").symlink_to(guest.path)
    for gpa, offset, length in _loaded(guest):
        yield f"load {gpa:#x} {offset:#x} {length:#x} probe.elf\n"
    pieces = [(gpa, data) for _, gpa, data in state.memory]
    for number, (gpa, data) in enumerate([*pieces, (PROGRAM_FALLBACK, encode(program))]):
        (folder / f"piece-{number}").write_bytes(data)
        yield f"load {gpa:#x} 0 {len(data):#x} piece-{number}\n"
    for name, value in state.regs.items():
        yield f"reg {name} {value:#x}\n"
    for name, (sel, base, limit, attr) in state.segs.items():
        yield f"seg {name} {sel:#x} {base:#x} {limit:#x} {attr:#x}\n"


def _loaded(guest: Probe) -> Iterator[tuple[int, int, int]]:
    """What is loaded of the probe: address, offset in its file, bytes."""
    data = guest.path.read_bytes()
    wide = guest.width == 64
    (phoff,) = struct.unpack_from("<Q" if wide else "<I", data, 32 if wide else 28)
    phsize, phnum = struct.unpack_from("<HH", data, 54 if wide else 42)
    for at in range(phoff, phoff + phsize * phnum, phsize):
        if wide:
            kind, _, offset, _, address, size = struct.unpack_from("<IIQQQQ", data, at)
        else:
            kind, offset, _, address, size = struct.unpack_from("<5I", data, at)
        if kind == 1:  # PT_LOAD
            yield address, offset, size


# ---- what was seen from outside ------------------------------------------------------------------


def _seen(state: PvhState, said: str) -> Iterator[dict[str, Any]]:
    """What the guest was given, and the registers as KVM had them before it began."""
    for what, gpa, data in state.memory:
        if what:
            yield {"kind": "mem", "view": "hw", "gpa": hex(gpa), "bytes": data.hex(), "what": what,
                   "vcpu": 0, "origin": "vmm"}  # fmt: skip
    event: dict[str, Any] = {"kind": "entry", "view": "hw", "vcpu": 0, "origin": "vmm"}
    regs: dict[str, str] = {}
    segs: dict[str, dict[str, str]] = {}
    for line in said.splitlines():
        words = line.split()
        if words[0] == "reg" and "." in words[1]:
            table, _, part = words[1].partition(".")
            event.setdefault(table, {})[part] = words[2]
        elif words[0] == "reg":
            regs[words[1]] = words[2]
        elif words[0] == "seg":
            names = ("sel", "base", "limit", "attr")
            segs[words[1]] = dict(zip(names, words[2:], strict=True))
    if regs:
        yield {**event, "regs": regs, "segs": segs}


def _why(said: str) -> str:
    """The last things the VMM said, without the registers."""
    lines = [line.partition(" ")[2] for line in said.splitlines() if line[:4] in ("line", "end ")]
    return ", ".join(lines) or "it said nothing"


def _ending(said: str) -> tuple[str, str]:
    """Why the guest is gone though it did not say that it was done."""
    why = _why(said)
    return (
        ("crash", f"the VMM saw: {why}") if why in ("triple fault", "halt", "reset") else ("", "")
    )
