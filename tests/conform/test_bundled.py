"""pvhspec conform with the programs that come with it, on real hypervisors and without any."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pvhspec import _data
from pvhspec.cli import main
from pvhspec.conform import bundled_programs
from pvhspec.targets import XEN_VERSIONS
from tests.real import real_xen
from tests.report.schema import problems

NAMES = [path.stem for path in bundled_programs()]


@pytest.fixture
def one_xen() -> None:
    real_xen()


def run(*words: str) -> int:
    return main(["conform", *words])


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("release", XEN_VERSIONS)
def test_no_false_alarm_on_stock_xen(
    release: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real_xen(release)
    # All of them on one release; on the others, a third each, another one. `make conform` runs all.
    third = {"4.14": 0, "4.20": 1}.get(release)
    names = NAMES if third is None else NAMES[third::3]
    programs = [word for name in names for word in ("--program", name)]
    assert run("--xen", release, *programs, "--format", "json", "--out", str(tmp_path)) == 0
    found = json.loads(capsys.readouterr().out)
    assert problems(found, "conform-1.json") == []
    (target,) = found["targets"]
    assert target["verdict"] == "conforms"
    assert target["release"].startswith(release)
    runs = {(Path(r["program"]).stem, r["width"]) for r in target["runs"]}
    expected = {(name, width) for name in names for width in (32, 64)} - {("evtchn_full", 64)}
    assert runs == expected
    for one in target["runs"]:
        assert one["report"]["violations"] == []
        assert Path(one["trace"]).is_file()
    if third is not None:
        return
    seen = {c for one in target["runs"] for c in one["report"]["conforms"]}
    for clause in (
        "evtchn.bind.EVTCHNOP_bind_virq.already_bound",
        "evtchn.use.EVTCHNOP_send.success",
        "evtchn.fifo.EVTCHNOP_set_priority.no_such_priority",
        "evtchn.two_level.words.selector",
        "hypercall.convention.every.user_mode",
        "cpuid.page.page.number",
        "boot.entry.bsp.eip",
    ):
        assert clause in seen


@pytest.mark.real
def test_a_hang_is_a_finding(
    one_xen: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "hang.prog"
    program.write_text("needs width 64\nXENVER_version()\nhang\n")
    assert run("--xen", "4.17", "--program", str(program), "--timeout", "6") == 1
    out = capsys.readouterr().out
    assert "did not end well" in out
    assert "hang.prog:2" in out


@pytest.mark.real
def test_an_interrupt_leaves_nothing_behind(one_xen: None, tmp_path: Path) -> None:
    program = tmp_path / "hang.prog"
    program.write_text("hang\n")
    command = [sys.executable, "-m", "pvhspec", "conform", "--xen", "4.17"]
    process = subprocess.Popen(
        [*command, "--program", str(program)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    until = time.monotonic() + 30
    while not list(tmp_path.glob("pvhspec-*/guest.out")) and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("pvhspec-*")), "a run's folder was left"
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_without_qemu_the_captures_included_are_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run() == 3
    out, err = capsys.readouterr()
    assert "qemu-system-x86_64 is not installed" in err
    assert "apt-get install qemu-system-x86" in err
    assert "Nothing ran here" in out
    assert "xen-4.17-dom0-pvh-18-hypercalls" in out
    assert "boot.entry.task_register.limit" in out


def test_what_is_not_xen_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], one_xen: None
) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"not a hypervisor")
    assert run("--xen", str(junk), "--program", "entry") == 2
    assert "not an ELF file" in capsys.readouterr().err


def test_a_mistake_in_a_program_is_told_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], one_xen: None
) -> None:
    program = tmp_path / "bad.prog"
    program.write_text("hang\nEVTCHNOP_sned(port = 1)\n")
    assert run("--xen", "4.17", "--program", str(program)) == 2
    err = capsys.readouterr().err
    assert "bad.prog:2:1: PVH603" in err
    assert "EVTCHNOP_send" in err


def test_the_programs_included_say_what_they_are_for() -> None:
    assert {"entry", "evtchn", "evtchn_fifo", "evtchn_full"} <= set(NAMES)
    for path in (_data.traces_dir() / "capture" / "programs").glob("*.prog"):
        assert path.read_text().startswith("# "), path
