"""Clocks in shared memory that a program has read: events of what they say.

Layouts are those of Xen's public header xen.h.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

__all__ = ["clock_event"]

_TIME = "vcpu_time_info"  # the label of what is read as such; the number of the vCPU may follow
_WALLCLOCK = "wallclock"

_VCPU_TIME_INFO = Struct("<I4xQQIbB2x")
#: From `wc_version` on to the upper half of the seconds, in the two layouts of shared_info.
_WALLCLOCKS = {s.size: s for s in (Struct("<4I"), Struct("<3I24xI"))}


def clock_event(label: str, data: bytes, vcpu: int, tsc: int) -> dict[str, Any] | None:
    """What was read with the label of a clock, by that vCPU, when its counter was `tsc`."""
    what, _, of = label.partition(" ")
    if what == _TIME and len(data) == _VCPU_TIME_INFO.size:
        version, stamp, system, mul, shift, flags = _VCPU_TIME_INFO.unpack(data)
        return {
            "kind": "time", "of": int(of or vcpu), "version": version, "tsc_timestamp": hex(stamp),
            "system_time": hex(system), "tsc_to_system_mul": hex(mul), "tsc_shift": shift,
            "flags": flags, "tsc": hex(tsc),
        }  # fmt: skip
    if label == _WALLCLOCK and (layout := _WALLCLOCKS.get(len(data))) is not None:
        version, low, nanosecond, high = layout.unpack(data)
        second = high << 32 | low
        return {
            "kind": "wallclock", "version": version, "second": hex(second),
            "nanosecond": nanosecond,
        }  # fmt: skip
    return None
