"""Real hypervisors: boot one with the probe guest, run a program in it, bring the trace back."""

from __future__ import annotations

from pathlib import Path

from pvhspec.targets.capture import Capture
from pvhspec.targets.errors import BadImage, MissingTool, TargetError
from pvhspec.targets.program import Program
from pvhspec.targets.xen_dom0 import capture_xen

__all__ = [
    "BadImage", "Capture", "MissingTool", "Program", "TargetError", "capture_qemu", "capture_xen",
]  # fmt: skip


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
    """Start the probe by QEMU's own PVH loader ("pc", "q35", "microvm") and run the program.

    `outside` adds the state at the entry point as seen through the debugger stub and the monitor
    (hidden descriptor parts, TR). Raises TargetError (MissingTool, BadImage).
    """
    raise NotImplementedError
