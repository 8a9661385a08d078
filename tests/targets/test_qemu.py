"""QEMU as a child: its limits, its absence, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pvhspec.targets import (
    MissingTool,
    Program,
    TargetError,
    capture_qemu,
    capture_xen,
    probe,
    qemu,
)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_qemu_missing_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool) as from_xen:
        capture_xen("4.17", Program())
    with pytest.raises(MissingTool) as from_qemu:
        capture_qemu("pc", Program())
    for caught in (from_xen.value, from_qemu.value):
        assert caught.status == 3
        assert caught.remedy == "apt-get install qemu-system-x86"


def test_gcc_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(MissingTool, match="gcc") as caught:
        probe.build(32)
    assert caught.value.remedy == "apt-get install gcc"


def test_the_time_limit_ends_the_whole_group(tmp_path: Path) -> None:
    command = ["sh", "-c", "sleep 100 & echo $! > child; wait"]
    with qemu.running(command, tmp_path) as process:
        ended = qemu.wait(process, 0.3)
    assert (ended.status, ended.stopped) == (None, "time")
    assert ended.seconds < 2
    time.sleep(0.05)
    assert not _alive(int((tmp_path / "child").read_text()))


def test_an_end_by_itself_is_seen_at_once(tmp_path: Path) -> None:
    with qemu.running(["sh", "-c", "exit 7"], tmp_path) as process:
        ended = qemu.wait(process, 10)
    assert (ended.status, ended.stopped) == (7, "")
    assert ended.seconds < 1


def test_a_look_at_the_console_may_end_it(tmp_path: Path) -> None:
    with qemu.running(["sleep", "100"], tmp_path) as process:
        ended = qemu.wait(process, 10, lambda: "crash")
    assert ended.stopped == "crash"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_left_behind_by_an_exception(tmp_path: Path, kind: type[BaseException]) -> None:
    seen = []
    with pytest.raises(kind), qemu.running(["sleep", "100"], tmp_path) as process:
        seen.append(process.pid)
        raise kind
    assert not _alive(seen[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_behind_when_we_are_killed(tmp_path: Path, number: int) -> None:
    script = (
        "import pathlib, sys\n"
        "from pvhspec.targets import qemu\n"
        "with qemu.running(['sleep', '100'], pathlib.Path(sys.argv[1])) as process:\n"
        "    print(process.pid, flush=True)\n"
        "    qemu.wait(process, 100)\n"
    )
    checker = Path(qemu.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(checker)},
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert _alive(child)
        parent.send_signal(number)
        parent.wait(10)
    time.sleep(0.1)
    assert not _alive(child)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(TargetError, match="cannot keep the files of a run"),
        qemu.working_folder(tmp_path / "file" / "inside"),
    ):
        pass


def test_qemus_own_complaint_is_found_among_its_warnings(tmp_path: Path) -> None:
    (tmp_path / "qemu.err").write_text("qemu: warning: TCG lacks x\nqemu: no such machine\n")
    assert qemu.complaint(tmp_path) == "qemu: no such machine"
