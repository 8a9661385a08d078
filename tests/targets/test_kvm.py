"""KVM with our own VMM: a right start conforms, a wrong one is caught by the clause it breaks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pvhspec.cli import main
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.judge import judge
from pvhspec.targets import Capture, MissingTool, Program, TargetError, capture_kvm, kvm, vmm
from pvhspec.targets.pvh_state import DEVIATIONS, LIBERTIES
from pvhspec.targets.starts import Start
from pvhspec.targets.steps import AwaitVcpu, Cpuid, Hang, Sipi
from pvhspec.traces import ObjectTrace

#: The clauses that each deviation breaks, and no others.
BROKEN = {
    "tr": {"boot.entry.task_register.limit"},
    "tr_base": {"boot.entry.task_register.base"},
    "pae": {"boot.entry.control.cr4"},
    "wp": {"boot.entry.control.cr0"},
    "cs_limit": {"boot.entry.code_segment.limit"},
    "ds_base": {"boot.entry.data_segments.ds_base"},
    "if": {"boot.entry.bsp.eflags"},
    # One instruction later, the probe has not written EAX down: what it says of EBX is not so.
    "entry": {"boot.entry.bsp.eip", "boot.start_info.start_info.not_at_0"},
    "ebx": {"boot.start_info.start_info.magic"},
    "magic": {"boot.start_info.start_info.magic"},
    "reserved": {"boot.memmap.memmap.reserved"},
    "modlist": {"boot.start_info.start_info.modlist"},
    "module": {"boot.start_info.modules.paddr"},
    "cmdline": {"boot.start_info.command_line.terminated"},
    "rsdp": {"boot.start_info.rsdp.signature", "boot.start_info.rsdp.checksum"},
    "memmap": {"boot.memmap.memmap.there"},
    "memmap_type": {"boot.memmap.memmap.types"},
    "memmap_reserved": {"boot.memmap.memmap.entries_reserved"},
    "start_info_reserved": {"boot.memmap.placement.start_info_in_ram"},
}


@pytest.fixture(scope="module")
def spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


@pytest.fixture(scope="module")
def works() -> None:
    """A KVM that runs the probe; a machine for tests need not have one."""
    try:
        capture_kvm(Program(), start=Start(), timeout=10)
    except MissingTool as missing:
        pytest.skip(str(missing))


def _broken(spec: Spec, capture: Capture) -> set[str]:
    return set(judge(spec, ObjectTrace(capture.header, capture.events)).violates)


@pytest.mark.real
@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("liberty", ["", *LIBERTIES])
def test_what_a_loader_may_do_conforms(works: None, spec: Spec, liberty: str, width: int) -> None:
    capture = capture_kvm(Program((Cpuid(0),)), width=width, start=Start(deviation=liberty))
    assert capture.events[-1]["reason"] == "shutdown"
    assert [e["view"] for e in capture.events if e["kind"] == "entry"] == ["hw", "guest"]
    assert not _broken(spec, capture)


@pytest.mark.real
@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_each_deviation_is_caught_by_its_clause(works: None, spec: Spec, deviation: str) -> None:
    capture = capture_kvm(Program(), width=64, start=Start(deviation=deviation))
    assert _broken(spec, capture) == BROKEN[deviation]


@pytest.mark.real
@pytest.mark.parametrize("width", [32, 64])
def test_other_vcpus_are_started_through_the_local_apic(works: None, width: int) -> None:
    program = Program((Sipi(), AwaitVcpu()))
    capture = capture_kvm(program, width=width, start=Start(vcpus=4), timeout=20)
    assert "the other vCPU has started" in [e.get("text") for e in capture.events]
    assert capture.events[-1]["reason"] == "shutdown"


@pytest.mark.real
def test_a_guest_that_hangs_is_ended(works: None) -> None:
    capture = capture_kvm(Program((Hang(),)), start=Start(vcpus=2), timeout=1)
    assert capture.events[-1]["reason"] == "hang"


@pytest.mark.real
def test_the_command(works: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "--target", "kvm"]) == 0
    assert main(["conform", "--target", "kvm", "--deviation", "tr"]) == 1
    assert "violated boot.entry.task_register.limit" in capsys.readouterr().out
    assert main(["conform", "--target", "kvm", "--deviation", "nonsense"]) == 2
    assert "these are known: tr, " in capsys.readouterr().err


def test_without_kvm_it_is_said_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kvm, "_DEVICE", tmp_path / "kvm")
    assert main(["conform", "--target", "kvm"]) == 3
    said = capsys.readouterr().err
    assert "no /dev/kvm" in said
    assert "modprobe" in said
    with pytest.raises(MissingTool):
        capture_kvm(Program())


def test_what_has_no_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kvm").write_bytes(b"")
    monkeypatch.setattr(kvm, "_DEVICE", tmp_path / "kvm")
    with pytest.raises(TargetError, match="too few"):
        capture_kvm(Program(), start=Start(memory_mib=64))
    with pytest.raises(TargetError, match="module is too large"):
        capture_kvm(Program(), start=Start(initrd=bytes(33 << 20)))


def test_the_vmm_takes_no_nonsense(tmp_path: Path) -> None:
    try:
        built = vmm.build_vmm()
    except MissingTool as missing:
        pytest.skip(str(missing))
    for line in ("ram 0", "reg rflux 2", "seg cs 1 2 3", "vcpus 99", "load 0 0 5 nowhere"):
        (tmp_path / "machine").write_text(f"{line}\n")
        command = [str(built), "5", "machine", "state"]
        done = subprocess.run(command, cwd=tmp_path, check=False, timeout=10)
        assert done.returncode == 2
        assert f"line {line}\nend not understood" in (tmp_path / "state").read_text()
