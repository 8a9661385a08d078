"""The small VMM of ours (traces/capture/vmm): how it is built, what it is told, what it tells.

It knows KVM and nothing of PVH: it is told every register and every byte. What it shows from
outside is what KVM says the vCPU is about to start with.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from pvhspec._data import traces_dir
from pvhspec.targets.encoding import encode
from pvhspec.targets.errors import MissingTool
from pvhspec.targets.probe import Probe, cache_dir
from pvhspec.targets.pvh_state import PvhState
from pvhspec.targets.starts import Start
from pvhspec.targets.steps import Program
from pvhspec.targets.wire import PROGRAM_FALLBACK

__all__ = ["LACKING", "NONSENSE", "build_vmm", "ending", "lay_out", "seen", "why"]

LACKING, NONSENSE = 3, 2  #: exit status: this KVM cannot do it, the lines are wrong
_FLAGS = ("-static", "-O2", "-Wall", "-Wextra", "-pthread")
_FALLEN = ("triple fault", "halt", "reset")


def build_vmm() -> Path:
    """The VMM, from the cache or built now. Raises MissingTool without gcc."""
    sources = sorted((traces_dir() / "capture" / "vmm").glob("*.[ch]"))
    digest = sha256(repr(_FLAGS).encode())
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    path = cache_dir() / f"vmm-{digest.hexdigest()[:16]}"
    if path.exists():
        return path
    compiler = shutil.which("gcc")
    if compiler is None:
        raise MissingTool("gcc is not installed; the VMM is built with it", "apt-get install gcc")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="build-") as folder:
        made = f"{folder}/vmm"
        done = subprocess.run(
            [compiler, *_FLAGS, "-o", made, *(str(x) for x in sources if x.suffix == ".c")],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            lines = [x for x in done.stderr.splitlines() if "error" in x] or [done.stderr.strip()]
            raise MissingTool(
                f"the VMM does not build: {lines[0]}", "apt-get install gcc libc6-dev"
            )
        os.replace(made, path)
    return path


def lay_out(
    folder: Path, guest: Probe, program: Program, state: PvhState, start: Start, more: str = ""
) -> list[Path]:
    """Put into `folder` all that the VMM is told, the lines of `machine` first; `more` are lines
    beside those of the state."""
    for name, data in (("machine", b""), ("probe.elf", guest.path.read_bytes())):
        (folder / name).write_bytes(data)
    with (folder / "machine").open("w") as machine:
        machine.writelines(_lines(folder, guest, program, state, start))
        machine.write(more)
    return [folder / "machine", folder / "probe.elf", *sorted(folder.glob("piece-*"))]


def _lines(
    folder: Path, guest: Probe, program: Program, state: PvhState, start: Start
) -> Iterator[str]:  # fmt: skip
    for gpa, size in state.ram:
        yield f"ram {gpa:#x} {size:#x}\n"
    yield f"vcpus {start.vcpus}\n"
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


def seen(state: PvhState, said: str) -> Iterator[dict[str, Any]]:
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


def why(said: str) -> str:
    """The last things the VMM said, without the registers."""
    lines = [line.partition(" ")[2] for line in said.splitlines() if line[:4] in ("line", "end ")]
    return ", ".join(lines) or "it said nothing"


def ending(said: str) -> tuple[str, str]:
    """Why the guest is gone though it did not say that it was done."""
    told = why(said)
    return ("crash", f"the VMM saw: {told}") if told in _FALLEN else ("", "")
