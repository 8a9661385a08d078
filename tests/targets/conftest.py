"""What tests of real targets share: a Xen to run, or a clear word why there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvhspec.targets import xen
from tests.real import or_skip, real_qemu


@pytest.fixture(scope="session")
def machine() -> None:
    """QEMU and a compiler."""
    real_qemu()


@pytest.fixture(scope="session", params=list(xen.VERSIONS))
def xen_image(request: pytest.FixtureRequest, machine: None) -> tuple[str, Path]:
    """(release, file) of each Xen that can be fetched."""
    release = str(request.param)
    with or_skip():
        return release, xen.locate(release)


@pytest.fixture(scope="session")
def one_xen(machine: None) -> Path:
    """Xen 4.17."""
    with or_skip():
        return xen.locate("4.17")
