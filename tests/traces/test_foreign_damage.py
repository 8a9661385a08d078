"""Foreign formats, damaged in ways `tests/fuzz` does not try."""

from __future__ import annotations

import io
from typing import Any

import pytest

from pvhspec.traces import FORMATS


@pytest.mark.parametrize("name", ["singlestep", "kvm", "qemu-trace", "console"])
def test_a_line_without_end_is_passed_over(name: str) -> None:
    class Endless(io.RawIOBase):
        left = 64 << 20

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            count = min(len(buffer), self.left)
            self.left -= count
            buffer[:count] = b"a" * count
            return count

    trace = FORMATS[name].read(io.BufferedReader(Endless()), "t")
    assert [e.kind for e in trace] in ([], ["end"])
    assert trace.notices
