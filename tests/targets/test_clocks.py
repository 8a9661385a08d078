"""What a clock that was read says."""

from __future__ import annotations

import struct

from pvhspec.targets.clocks import clock_event


def test_the_time_of_a_vcpu() -> None:
    data = struct.pack("<2I2QIbB2x", 6, 0, 0x100, 0x200, 0x80000000, -1, 1)
    assert clock_event("vcpu_time_info 1", data, 0, 0x300) == {
        "kind": "time", "of": 1, "version": 6, "tsc_timestamp": "0x100", "system_time": "0x200",
        "tsc_to_system_mul": "0x80000000", "tsc_shift": -1, "flags": 1, "tsc": "0x300",
    }  # fmt: skip
    of_its_own = clock_event("vcpu_time_info", data, 3, 0)
    assert of_its_own is not None
    assert of_its_own["of"] == 3


def test_the_wallclock_in_both_layouts() -> None:
    """Behind shared_info's words of events; for 32 bits the upper half is behind its `arch`."""
    told = {"kind": "wallclock", "version": 4, "second": "0x200000001", "nanosecond": 7}
    assert clock_event("wallclock", struct.pack("<4I", 4, 1, 7, 2), 0, 0) == told
    narrow = struct.pack("<3I", 4, 1, 7) + bytes(2340 - 2316) + struct.pack("<I", 2)
    assert clock_event("wallclock", narrow, 0, 0) == told


def test_other_memory_is_no_clock() -> None:
    assert clock_event("", bytes(32), 0, 0) is None
    assert clock_event("wallclock", bytes(12), 0, 0) is None
    assert clock_event("vcpu_time_info 0", bytes(16), 0, 0) is None
