"""Real hypervisors: boot one with the probe guest, run a program in it, bring the trace back.

`capture_xen`, `capture_qemu`, `capture_kvm` and `capture_kvm_xen` run a `Program` (its steps are in
`pvhspec.targets.program`) and return a `Capture`; `locate_xen` finds or fetches a Xen image. What
goes wrong is a `TargetError`. `capture_guest` records the hypercalls of any kernel instead.
"""

from __future__ import annotations

from pvhspec.targets.capture import Capture
from pvhspec.targets.errors import BadImage, MissingTool, TargetError
from pvhspec.targets.guest_dom0 import capture_guest
from pvhspec.targets.guest_image import LINUX, locate_guest
from pvhspec.targets.kvm import capture_kvm
from pvhspec.targets.kvm_xen import capture_kvm_xen
from pvhspec.targets.program import Program
from pvhspec.targets.pvh_boot import MACHINES, capture_qemu
from pvhspec.targets.xen import VERSIONS as XEN_VERSIONS
from pvhspec.targets.xen import locate as locate_xen
from pvhspec.targets.xen_dom0 import capture_xen

__all__ = [
    "LINUX",
    "MACHINES",
    "XEN_VERSIONS",
    "BadImage",
    "Capture",
    "MissingTool",
    "Program",
    "TargetError",
    "capture_guest",
    "capture_kvm",
    "capture_kvm_xen",
    "capture_qemu",
    "capture_xen",
    "locate_guest",
    "locate_xen",
]
