"""Traces judged in processes: the same as in one, whatever becomes of the processes."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from pvhspec.commands.gating import FORMATS
from pvhspec.diagnostics import PvhError
from pvhspec.many import Result, Watch
from pvhspec.many import jobs as jobs_module
from pvhspec.many import pace as pace_module
from pvhspec.many.jobs import beginning, judged_here
from pvhspec.many.pace import Waiting, pace
from tests.many.bells import fill

PVHSPEC = (sys.executable, "-m", "pvhspec")


def check(folder: Path, *words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [*PVHSPEC, "check", "--spec", "bell", *words],
        cwd=folder, input=stdin, capture_output=True, check=False, timeout=240,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def every_form(folder: Path, *words: str, stdin: bytes = b"") -> list[bytes]:
    """The report in every form, and what was printed."""
    forms = [f"--format={form}" + f"={form}.report" * (form != "text") for form in FORMATS]
    status, out, told = check(folder, *forms, *words, stdin=stdin)
    reports = [folder / f"{form}.report" for form in FORMATS if form != "text"]
    return [str(status).encode(), out, told, *(report.read_bytes() for report in reports)]


def test_the_same_byte_for_byte(tmp_path: Path) -> None:
    names = fill(tmp_path, long=1)
    trace = (tmp_path / names[0]).read_bytes()
    words = (*reversed(names), "missing.jsonl", "-", "captures", "-", "bell")
    one = every_form(tmp_path, "--jobs", "1", *words, stdin=trace)
    assert one[0] == b"2"
    assert b"PVH538 standard input is read once" in one[2]
    for jobs in ("2", "5"):
        assert every_form(tmp_path, "--jobs", jobs, *words, stdin=trace) == one


# ---- what becomes of processes -----------------------------------------------------------------


def results(paths: Sequence[str], work: object, jobs: int = 3) -> list[Result]:
    order = range(len(paths))
    return [*judged_here(paths, work, jobs, Waiting([0] * len(paths)), order)]  # type: ignore[arg-type]


def named(path: str, watch: Watch | None) -> Result:
    return path.upper()


def dies(path: str, watch: Watch | None, folder: Path) -> Result:
    """`always` dies whenever it is tried, `once` the first time; each run leaves a mark."""
    mark = folder / f"{path}-{os.getpid()}-{time.monotonic_ns()}"
    mark.touch()
    tries = len([*folder.glob(f"{path}-*")])
    if path == "always" or (path == "once" and tries == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "hungry":
        raise MemoryError
    return path.upper()


def test_one_that_is_killed_is_tried_again_and_takes_nothing_with_it(tmp_path: Path) -> None:
    paths = ["a", "always", "b", "once", "c", "hungry", "d"]
    found = results(paths, partial(dies, folder=tmp_path))
    killed, hungry = found[1], found[5]
    assert [r for r in found if isinstance(r, str)] == ["A", "B", "ONCE", "C", "D"]
    assert isinstance(killed, PvhError)
    assert isinstance(hungry, PvhError)
    assert str(killed.diagnostics[0]).startswith("always: PVH532 ")
    assert "SIGKILL" in str(killed.diagnostics[0])
    assert "out of memory" in str(hungry.diagnostics[0])
    tries = {path: len([*tmp_path.glob(f"{path}-*")]) for path in paths}
    assert tries == {"a": 1, "b": 1, "c": 1, "d": 1, "always": 2, "once": 2, "hungry": 2}


def alone(path: str, watch: Watch | None, folder: Path) -> Result:
    """`big` dies while another is at work."""
    mark = folder / f"at-work-{path}"
    mark.touch()
    others = [m for m in folder.glob("at-work-*") if m != mark]
    if path == "big" and others:
        mark.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    if path != "big":
        time.sleep(0.3)
    mark.unlink()
    return path


def test_it_is_tried_again_alone(tmp_path: Path) -> None:
    paths = ["a", "big", "b"]
    (tmp_path / "at-work-somebody").touch()
    work = partial(alone, folder=tmp_path)
    assert isinstance(results(paths, work)[1], PvhError)
    (tmp_path / "at-work-somebody").unlink()
    (tmp_path / "at-work-a").touch()  # as if there already when big begins
    assert results(paths, work) == paths


def fails(path: str, watch: Watch | None) -> Result:
    class Local(Exception):
        pass

    raise Local("of here") if path == "local" else KeyError(path)


def test_a_fault_is_told_as_what_it_is() -> None:
    told, local = results(["x", "local"], fails)
    assert isinstance(told, KeyError)
    assert isinstance(local, RuntimeError)
    assert str(local) == "Local: of here"


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()]


def gone(pids: list[int]) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if not any(Path(f"/proc/{pid}/stat").exists() and _alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def sleeps(path: str, watch: Watch | None) -> Result:
    if path != "quick":
        time.sleep(60)
    return path


def test_who_stops_asking_leaves_no_process() -> None:
    before = children(os.getpid())
    working = judged_here(["quick", "a", "b"], sleeps, 3, Waiting([0] * 3), range(3))
    assert next(working) == "quick"
    assert len(children(os.getpid())) > len(before)
    working.close()
    assert children(os.getpid()) == before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_command_ends_no_process_is_left(tmp_path: Path, how: signal.Signals) -> None:
    names = fill(tmp_path)
    os.mkfifo(tmp_path / "slow-1")
    os.mkfifo(tmp_path / "slow-2")
    words = [*PVHSPEC, "check", "--spec", "bell", "--jobs", "2", names[0], "slow-1", "slow-2"]
    running = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert running.stdout is not None
    assert b"conforms" in running.stdout.readline()
    until = time.monotonic() + 60
    while len(workers := children(running.pid)) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert len(workers) == 2
    # As a terminal does it: to all of them.
    (os.killpg if how == signal.SIGINT else os.kill)(running.pid, how)
    _, told = running.communicate(timeout=60)
    assert running.returncode == (130 if how == signal.SIGINT else -how)
    if how == signal.SIGINT:
        assert told == b"pvhspec: interrupted\n"
    assert gone(workers)


# ---- order, and who waits ----------------------------------------------------------------------


def test_what_takes_longer_than_its_share_comes_first() -> None:
    assert beginning([1, 1, 1, 1], 2) == [0, 1, 2, 3]
    assert beginning([1, 1, 90, 1], 2) == [2, 0, 1, 3]
    assert beginning([], 2) == []


def test_how_long_still() -> None:
    assert pace(1000, 0.5, 10.0) == ", 100 a second, 10 s left"
    assert pace(1000, 0.1, 10.0) == ", 100 a second, 1 min 30 s left"
    assert pace(1000, 0.02, 100.0) == ", 10 a second, 1 h 21 min left"
    assert pace(1000, 0.001, 10.0) == ", 100 a second"
    assert pace(1000, None, 10.0) == ", 100 a second"
    assert pace(0, None, 0.0) == ""


def slowly(path: str, watch: Watch | None) -> Result:
    assert watch is not None
    for events in range(4):
        time.sleep(0.1)
        watch(1000 * events, events / 4)
    return path


def test_a_terminal_is_told_how_far_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "_QUIET_FOR", -1.0)
    monkeypatch.setattr(jobs_module, "_TOLD_EVERY", 0.0)
    monkeypatch.setattr(jobs_module, "_PATIENCE", 0.05)
    terminal = io.StringIO()
    waiting = Waiting([100, 100], terminal)
    assert [*judged_here(["a", "b"], slowly, 2, waiting, range(2))] == ["a", "b"]
    told = terminal.getvalue()
    assert re.search(
        r"\r0 of 2 traces: [1-6],000 events, [2-7]\d%, [\d,]+ a second, \d s left", told
    )
    assert told.endswith("\r\x1b[K")  # nothing of it stays


@pytest.mark.parametrize(
    "words", [("--jobs", "0"), ("--jobs", "-2"), ("--jobs", "x"), ("--cluster-limit", "0")]
)
def test_numbers_that_make_no_sense(tmp_path: Path, words: tuple[str, str]) -> None:
    status, out, told = check(tmp_path, *words, "x.jsonl")
    assert (status, out) == (2, b"")
    assert told.count(b"\n") == 1
    assert b" is no number of " in told
