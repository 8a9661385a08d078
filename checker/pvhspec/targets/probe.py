"""The probe guest: built by gcc from traces/capture, once, and kept under the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pvhspec._data import traces_dir
from pvhspec.targets.elf import PvhImage, read_image
from pvhspec.targets.errors import MissingTool, TargetError

__all__ = ["Probe", "build", "cache_dir"]

_FLAGS = (
    "-O2", "-Wall", "-Wextra", "-ffreestanding", "-nostdlib", "-fno-pic", "-fno-pie",
    "-fno-stack-protector", "-fcf-protection=none", "-fno-asynchronous-unwind-tables",
    "-mgeneral-regs-only", "-fno-tree-loop-distribute-patterns", "-fno-strict-aliasing",
)  # fmt: skip
_WIDTH_FLAGS = {32: ["-m32"], 64: ["-m64", "-mno-red-zone", "-mcmodel=small"]}
_LINK = ("-T", "probe.ld", "-z", "noexecstack", "--build-id=none")
_LINK_WIDTH = {32: ["-m", "elf_i386"], 64: ["-m", "elf_x86_64"]}


@dataclass(frozen=True, slots=True)
class Probe:
    """A built probe: its file, and what a loader reads from it."""

    path: Path
    width: int
    sha256: str
    image: PvhImage

    @property
    def entry(self) -> int:
        """Guest-physical address of the entry point."""
        return self.image.entry

    def image_event(self) -> dict[str, Any]:
        """The `image` event of traces/format.md, without `seq`."""
        return self.image.event()


def cache_dir() -> Path:
    """Where built and downloaded files are kept: $XDG_CACHE_HOME/pvhspec or ~/.cache/pvhspec."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    path = root / "pvhspec"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(
            f"cannot make the cache folder {path}: {error.strerror}",
            "set XDG_CACHE_HOME to a folder that can be written",
        ) from None
    return path


def build(width: int = 32) -> Probe:
    """The probe of this width, from the cache or built now (about half a second).

    Raises MissingTool without gcc, TargetError where the compiler refuses the sources.
    """
    if width not in _WIDTH_FLAGS:
        raise ValueError(f"the probe is 32 or 64 bits wide, not {width}")
    sources = sorted(p for p in (traces_dir() / "capture").iterdir() if p.suffix in _SUFFIXES)
    digest = sha256(repr((_FLAGS, _WIDTH_FLAGS, _LINK)).encode())
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    path = cache_dir() / f"probe-{width}-{digest.hexdigest()[:16]}.elf"
    if not path.exists():
        _compile(sources, width, path)
    return _read(path, width)


_SUFFIXES = (".c", ".S", ".h", ".ld")


def _compile(sources: list[Path], width: int, to: Path) -> None:
    compiler = shutil.which("gcc")
    linker = shutil.which("ld")
    if compiler is None or linker is None:
        raise MissingTool(
            "gcc is not installed; the probe guest is built with it", "apt-get install gcc"
        )
    units = [s for s in sources if s.suffix in (".c", ".S")]
    with tempfile.TemporaryDirectory(dir=to.parent, prefix="build-") as folder:
        running = []
        objects = [f"{folder}/{unit.name}.o" for unit in units]
        for unit, target in zip(units, objects, strict=True):
            command = [compiler, *_WIDTH_FLAGS[width], *_FLAGS, "-c", str(unit), "-o", target]
            running.append(_start(command))
        for process in running:
            _finish(process)
        result = f"{folder}/probe.elf"
        script = sources[0].parent
        _finish(_start([linker, *_LINK_WIDTH[width], *_LINK, "-o", result, *objects], cwd=script))
        os.replace(result, to)


def _start(command: list[str], cwd: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate()
    if process.returncode:
        lines = [line for line in errors.splitlines() if "error" in line] or [errors.strip()]
        raise TargetError(
            f"the probe guest does not build: {lines[0]}",
            "a gcc for x86 of version 10 or later is needed: apt-get install gcc",
        )


def _read(path: Path, width: int) -> Probe:
    data = path.read_bytes()
    image = read_image(data)
    assert image is not None  # the linker script puts the note there
    return Probe(path, width, sha256(data).hexdigest(), image)
