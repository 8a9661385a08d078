"""Real hypervisors: boot one with the probe guest, run a program in it, bring the trace back."""

from __future__ import annotations

from pvhspec.targets.capture import Capture
from pvhspec.targets.errors import BadImage, MissingTool, TargetError
from pvhspec.targets.program import Program
from pvhspec.targets.pvh_boot import capture_qemu
from pvhspec.targets.xen_dom0 import capture_xen

__all__ = [
    "BadImage", "Capture", "MissingTool", "Program", "TargetError", "capture_qemu", "capture_xen",
]  # fmt: skip
