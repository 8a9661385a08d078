"""What tests of real targets share: a Xen to run, or a clear word why there is none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from pvhspec.targets import MissingTool, probe, qemu, xen


def lacking(missing: MissingTool) -> NoReturn:
    """Skip, unless this run must have the real thing."""
    if os.environ.get("PVHSPEC_REQUIRE_REAL") == "1":
        pytest.fail(str(missing))
    pytest.skip(str(missing))


@pytest.fixture(scope="session")
def machine() -> None:
    """QEMU and a compiler."""
    try:
        qemu.find()
        probe.build(32)
    except MissingTool as missing:
        lacking(missing)


@pytest.fixture(scope="session", params=list(xen.VERSIONS))
def xen_image(request: pytest.FixtureRequest, machine: None) -> tuple[str, Path]:
    """(release, file) of each Xen that can be fetched."""
    release = str(request.param)
    try:
        return release, xen.locate(release)
    except MissingTool as missing:
        lacking(missing)


@pytest.fixture(scope="session")
def one_xen(machine: None) -> Path:
    """Xen 4.17."""
    try:
        return xen.locate("4.17")
    except MissingTool as missing:
        lacking(missing)
