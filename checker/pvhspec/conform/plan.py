"""Which program is run on which target, and for callers of which width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pvhspec import _data
from pvhspec.diagnostics import PvhError
from pvhspec.ir.ir import Spec
from pvhspec.programs import Compiled, Width, compile_file

__all__ = ["Job", "bundled_programs", "qemu_jobs", "xen_jobs"]

_WIDTHS: tuple[Width, Width] = (64, 32)


@dataclass(frozen=True, slots=True)
class Job:
    """One boot of one target with one program.

    `target` is `xen` or `qemu-pvh`; `image` a Xen image or release, or a machine type of QEMU.
    """

    target: str
    image: str
    program: Compiled
    width: Width

    @property
    def name(self) -> str:
        """The program's name, for people."""
        return Path(self.program.path).stem

    @property
    def file_name(self) -> str:
        """A name for the trace's file, without an ending."""
        return f"{self.target}-{Path(self.image).name}-{self.name}-{self.width}"


def bundled_programs() -> list[Path]:
    """The programs that come with pvhspec: the one that takes longest first."""
    folder = _data.traces_dir() / "capture" / "programs"
    return sorted(folder.glob("*.prog"), key=lambda path: (-path.stat().st_size, path.name))


def xen_jobs(spec: Spec, image: str, programs: Sequence[Path]) -> list[Job]:
    """Every program in both widths, where it is written for both. Raises PvhError."""
    return [
        Job("xen", image, program, width)
        for program, width in _compiled(spec, programs)
        if program.only in (None, width)
    ]


def qemu_jobs(spec: Spec, machine: str, programs: Sequence[Path]) -> list[Job]:
    """As `xen_jobs`, for a machine type of QEMU; without programs, the entry alone."""
    compiled = _compiled(spec, programs)
    if not programs:
        from pvhspec.targets import Program

        compiled = [(Compiled("entry alone", Program()), width) for width in _WIDTHS]
    return [Job("qemu-pvh", machine, program, width) for program, width in compiled]


def _compiled(spec: Spec, programs: Sequence[Path]) -> list[tuple[Compiled, Width]]:
    found: list[tuple[Compiled, Width]] = []
    for path in programs:
        for width in _WIDTHS:
            program, errors = compile_file(path, spec, width)
            if program is None:
                raise PvhError(*errors)
            found.append((program, width))
    return found
