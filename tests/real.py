"""What tests need of the machine: the real thing, or a clear word why there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from pvhspec.targets import TargetError, locate_xen, probe, qemu

__all__ = ["lacking", "or_skip", "real_qemu", "real_xen"]


def lacking(why: object) -> NoReturn:
    """Skip, unless PVHSPEC_REQUIRE_REAL says that this run must have the real thing."""
    if os.environ.get("PVHSPEC_REQUIRE_REAL") == "1":
        pytest.fail(str(why))
    pytest.skip(str(why))


@contextmanager
def or_skip() -> Iterator[None]:
    """What is missing inside skips the test."""
    try:
        yield
    except TargetError as missing:
        lacking(missing)


def real_qemu() -> str:
    """QEMU's release; it and both probes are there, or the test is skipped."""
    with or_skip():
        for width in (32, 64):
            probe.build(width)
        return qemu.version(qemu.find())[0]


def real_xen(release: str = "4.17") -> str:
    """The release: its image and what boots it are there, or the test is skipped."""
    real_qemu()
    with or_skip():
        locate_xen(release)
    return release
