"""QEMU as a child that cannot outlive us: time limit, file size limit, no process left behind."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from pvhspec.targets.errors import MissingTool, TargetError

__all__ = ["Ended", "find", "running", "version", "wait", "working_folder"]

_PROGRAM = "qemu-system-x86_64"
_PR_SET_PDEATHSIG = 1
_OUTPUT_LIMIT = 1 << 30  # bytes a run may write to one file
_LOOK_EVERY = 0.05  # seconds between looks at the console
_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: by itself with `status`, or stopped by us for `stopped` ("" if not)."""

    status: int | None
    stopped: str
    seconds: float


def find() -> str:
    """Path of QEMU. Raises MissingTool naming the command that brings it."""
    path = shutil.which(_PROGRAM)
    if path is None:
        raise MissingTool(f"{_PROGRAM} is not installed", "apt-get install qemu-system-x86")
    return path


@lru_cache
def version(program: str) -> tuple[str, str]:
    """(release, sha256 of the binary). Raises TargetError where it does not run."""
    try:
        text = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
        digest = sha256(Path(program).read_bytes()).hexdigest()
    except (OSError, subprocess.SubprocessError) as error:
        raise TargetError(f"{program} does not run: {error}", "") from None
    found = re.search(r"version (\d[\w.]*)", text)
    return (found[1] if found else text.strip()), digest


@contextmanager
def working_folder(keep: Path | None) -> Iterator[Path]:
    """A folder for one run's files: `keep`, made if need be and left, or a temporary one.

    A disk that is full or cannot be written comes out of it as a TargetError.
    """
    try:
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            yield keep.resolve()
            return
        with tempfile.TemporaryDirectory(prefix="pvhspec-") as folder:
            yield Path(folder)
    except OSError as error:
        where = error.filename or keep or tempfile.gettempdir()
        raise TargetError(
            f"cannot keep the files of a run: {where}: {error.strerror}",
            "make room there, or set TMPDIR to another folder",
        ) from None


def _in_child() -> None:
    """Between fork and exec: die with the parent, even where it is killed; bound the output."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_OUTPUT_LIMIT, _OUTPUT_LIMIT))


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """QEMU in `folder`, in a process group of its own that is gone when this is left."""
    with (folder / "qemu.err").open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            preexec_fn=_in_child,  # two system calls, no locks taken
        )
        try:
            yield process
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group and wait for it to be gone."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait(
    process: subprocess.Popen[bytes],
    timeout: float,
    look: Callable[[], str] = lambda: "",
) -> Ended:
    """Wait for the end, at most `timeout` seconds; `look` may ask for an earlier one.

    `look` is called now and then and returns a reason to stop, or "".
    """
    start = time.monotonic()
    if process.poll() is not None:
        return Ended(process.returncode, "", 0.0)
    handle = os.pidfd_open(process.pid)  # it may end any moment now, but we have not waited for it
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        while not poll.poll(_LOOK_EVERY * 1000):
            reason = look()
            if not reason and time.monotonic() - start > timeout:
                reason = "time"
            if reason:
                stop(process)
                return Ended(None, reason, time.monotonic() - start)
    finally:
        os.close(handle)
    return Ended(process.wait(), "", time.monotonic() - start)


def complaint(folder: Path) -> str:
    """QEMU's own error line, without the warnings that TCG always gives."""
    text = (folder / "qemu.err").read_text(errors="replace")
    lines = [line for line in text.splitlines() if line and "warning:" not in line]
    return lines[-1] if lines else ""
