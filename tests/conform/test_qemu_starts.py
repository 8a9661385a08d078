"""QEMU's PVH loader, started in many ways: what it is known to do wrong, and nothing else."""

from __future__ import annotations

import json

import pytest

from pvhspec.cli import main
from pvhspec.targets import MACHINES
from pvhspec.targets.starts import all_starts, few_starts
from tests.real import real_qemu

TR = "boot.entry.task_register.limit"
#: Of Debian 12's QEMU 7.2: qboot's map, and where it puts the start info.
MICROVM = {"boot.memmap.memmap.types", "boot.memmap.placement.start_info_in_ram"}


@pytest.fixture(scope="module")
def release() -> str:
    return real_qemu()


@pytest.mark.real
@pytest.mark.parametrize("machine", MACHINES)
def test_only_what_is_known(machine: str, release: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["conform", "--target", "qemu-pvh", "--machine", machine, "--format", "json"]
    assert main(words) == 1
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    assert len(target["runs"]) == len(few_starts())
    for run in target["runs"]:
        assert run["ended"] is None
        found = {violation["clause"] for violation in run["report"]["violations"]}
        assert TR in found
        allowed = {TR} | (MICROVM if machine == "microvm" and release.startswith("7.") else set())
        assert found <= allowed, run["program"]


def test_every_two_values_meet() -> None:
    few, names = few_starts(), ("memory_mib", "vcpus", "initrd", "cmdline")
    assert len(few) < len(all_starts()) / 5
    for one in names:
        for other in names:
            meet = {(getattr(s, one), getattr(s, other)) for s in few}
            assert meet == {(getattr(s, one), getattr(s, other)) for s in all_starts()}
