"""Which program is run on which target, and for callers of which width."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pvhspec import _data
from pvhspec.diagnostics import PvhError
from pvhspec.ir.ir import Spec
from pvhspec.programs import Compiled, Width, compile_file
from pvhspec.targets import Program
from pvhspec.targets.pvh_state import DEVIATIONS, LIBERTIES
from pvhspec.targets.starts import Start, all_starts, few_starts

__all__ = ["Job", "bundled_programs", "kvm_jobs", "kvm_xen_jobs", "qemu_jobs", "xen_jobs"]

_WIDTHS: tuple[Width, Width] = (64, 32)


@dataclass(frozen=True, slots=True)
class Job:
    """One boot of one target with one program.

    `target` is `xen`, `qemu-pvh`, `kvm` or `kvm-xen`; `image` a Xen image or release, a machine
    type of QEMU, or the target again. `start` is what a loader is given; without a program, what
    the job is about. `domu`: the program runs in an unprivileged domain that dom0 makes.
    """

    target: str
    image: str
    program: Compiled
    width: Width
    start: Start = field(default_factory=Start)
    domu: bool = False

    @property
    def name(self) -> str:
        """The program's name, or the start's, for people."""
        name = Path(self.program.path).stem if self.program.path else self.start.name
        return f"{name}, domU" if self.domu else name

    @property
    def file_name(self) -> str:
        """A name for the trace's file, without an ending."""
        name = re.sub(r"[, ]+", "-", self.name)
        return f"{self.target}-{Path(self.image).name}-{name}-{self.width}"


def bundled_programs(target: str = "") -> list[Path]:
    """The programs that come with pvhspec: the one that takes longest first. Those for one target
    alone are in a folder of its name."""
    folder = _data.traces_dir() / "capture" / "programs" / target
    return sorted(folder.glob("*.prog"), key=lambda path: (-path.stat().st_size, path.name))


def xen_jobs(
    spec: Spec, image: str, programs: Sequence[Path], *, domu: bool | None = None
) -> list[Job]:
    """Every program in both widths, where it is written for both; in dom0, and in an unprivileged
    domain those that say so. `domu`: all of them there only, or none. Raises PvhError."""
    return [
        Job("xen", image, program, width, domu=there)
        for program, width in _compiled(spec, programs)
        for there in _where(program, domu)
    ]


def _where(program: Compiled, domu: bool | None) -> tuple[bool, ...]:
    """In which domains it runs; a program of two domains runs in both at once."""
    if program.program.beside is not None:
        return (False,)
    return (False, True) if program.domu and domu is None else (bool(domu),)


def qemu_jobs(
    spec: Spec, machine: str, programs: Sequence[Path], *, every: bool = False
) -> list[Job]:
    """As `xen_jobs`, for a machine type of QEMU. Without programs it is about the entry: a few
    starts, in turn by a 64-bit and a 32-bit guest, or `every` one by both."""
    if programs:
        return _with_programs("qemu-pvh", machine, spec, programs)
    return _entries("qemu-pvh", machine, every)


def kvm_jobs(
    spec: Spec,
    programs: Sequence[Path],
    *,
    deviations: Sequence[str] = (),
    every: bool = False,
) -> list[Job]:
    """As `qemu_jobs`, for KVM with a loader of our own, and what a loader may do otherwise. With
    `deviations` only those, each by a 64-bit and a 32-bit guest; `all` is every one."""
    if programs:
        return _with_programs("kvm", "kvm", spec, programs)
    if deviations:
        names = tuple(DEVIATIONS) if "all" in deviations else deviations
        return [_entry("kvm", "kvm", w, Start(deviation=d)) for d in names for w in _WIDTHS]
    others = [_entry("kvm", "kvm", w, Start(deviation=d)) for d in LIBERTIES for w in _WIDTHS]
    return _entries("kvm", "kvm", every) + others


def kvm_xen_jobs(spec: Spec, programs: Sequence[Path]) -> list[Job]:
    """Every program in both widths on KVM's Xen. Raises PvhError."""
    return _with_programs("kvm-xen", "kvm-xen", spec, programs)


def _with_programs(target: str, image: str, spec: Spec, programs: Sequence[Path]) -> list[Job]:
    return [
        Job(target, image, program, width, replace(Start(), vcpus=program.vcpus))
        for program, width in _compiled(spec, programs)
    ]


def _entries(target: str, image: str, every: bool) -> list[Job]:
    if every:
        return [_entry(target, image, width, start) for start in all_starts() for width in _WIDTHS]
    return [_entry(target, image, _WIDTHS[i % 2], s) for i, s in enumerate(few_starts())]


def _entry(target: str, image: str, width: Width, start: Start) -> Job:
    return Job(target, image, Compiled("", Program()), width, start)


def _compiled(spec: Spec, programs: Sequence[Path]) -> list[tuple[Compiled, Width]]:
    """Each program in both widths, or in the one it is written for alone: what is wrong with it in
    the other does not matter."""
    found: list[tuple[Compiled, Width]] = []
    for path in programs:
        made = [(compile_file(path, spec, width), width) for width in _WIDTHS]
        only = next((p.only for (p, _), _ in made if p is not None and p.only), None)
        for (program, errors), width in made:
            if only not in (None, width):
                continue
            if program is None:
                raise PvhError(*errors)
            found.append((program, width))
    return found
