"""Traces judged on a cluster: the same as in one process, whatever becomes of its workers."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from pvhspec.cli import main
from pvhspec.diagnostics import PvhError
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.many import Result, remote
from pvhspec.many.cluster import judged_there
from pvhspec.many.pace import Waiting
from tests.many.bells import fill
from tests.many.test_jobs import check, every_form

REPO = Path(__file__).resolve().parents[2]

distributed = pytest.importorskip("distributed", reason="pip install 'pvhspec[cluster]'")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A scheduler, three workers in processes of their own, and who starts them again."""
    import dask

    # On a busy machine a worker may take long to start again, and is given up before.
    slow = dask.config.set({"distributed.comm.timeouts.connect": "120s"})
    with slow, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPO)  # workers find what this process does
        made = distributed.LocalCluster(
            n_workers=3,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            silence_logs=50,
        )
        with made:
            yield made


def pids(cluster: Any) -> list[int]:
    """The workers' processes."""
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        return [*client.run(os.getpid).values()]


def test_the_same_byte_for_byte(tmp_path: Path, cluster: Any) -> None:
    names = fill(tmp_path, long=2)
    trace = (tmp_path / names[0]).read_bytes()
    words = (*names, "missing.jsonl", "-", "captures", "-", "bell")
    one = every_form(tmp_path, "--jobs", "1", *words, stdin=trace)
    address = cluster.scheduler_address
    assert every_form(tmp_path, "--cluster", address, *words, stdin=trace) == one


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing(tmp_path: Path, cluster: Any) -> None:
    names = fill(tmp_path, long=24)
    one = check(tmp_path, "--jobs", "1", *names)
    workers = pids(cluster)
    running = subprocess.Popen(
        [sys.executable, "-m", "pvhspec", "check", "--spec", "bell", "--cluster",
         cluster.scheduler_address, *names],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    )  # fmt: skip
    assert running.stdout is not None
    first = running.stdout.readline()  # it has begun
    assert running.poll() is None
    for pid in workers[:2]:
        os.kill(pid, signal.SIGKILL)
    out, told = running.communicate(timeout=240)
    assert (running.returncode, first + out, told) == one


# ---- work that costs workers their lives -------------------------------------------------------


def judge(path: str, content: BinaryIO, spec: Spec, args: Namespace) -> Result:
    """`kills` kills whoever judges it."""
    text = content.read().decode()
    if text == "kills":
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "fails":
        raise KeyError(path)
    return f"{path}: {text}, {args.word}, {len(spec.clauses)}"


def here(path: str, watch: object) -> Result:
    return f"{path}, here"


def test_one_that_kills_workers_is_told_as_that_and_takes_nothing_with_it(
    tmp_path: Path, cluster: Any
) -> None:
    texts = ["a", "kills", "b", "fails", *"cdefgh"]
    paths = [str(tmp_path / str(number)) for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        Path(path).write_text(text)
    spec, _ = load_spec(REPO / "tests" / "cli/inputs/bell")
    assert spec is not None
    working = judged_there(
        cluster.scheduler_address, 120.0, [*paths, "missing"], spec, Namespace(word="W", run=None),
        here, judge, Waiting([0] * 11), range(11),
    )  # fmt: skip
    found = [*working]
    assert isinstance(found[1], PvhError)
    assert found[1].diagnostics[0].code == "PVH532"
    assert isinstance(found[3], KeyError)
    assert found[10] == "missing, here"
    others = [(path, text) for path, text in zip(paths, texts, strict=True) if len(text) == 1]
    assert [r for r in found[:10] if isinstance(r, str)] == [
        f"{path}: {text}, W, {len(spec.clauses)}" for path, text in others
    ]


class Torn(BaseException):
    """No fault of judging, which would be the answer: the worker has none to give."""


def judge_or_tear(path: str, content: BinaryIO, spec: Spec, args: Namespace) -> Result:
    """`tears` leaves the cluster without an answer, and its worker alive."""
    if content.read() == b"tears":
        raise Torn("torn in two\nand more")
    return f"{path}, there"


def test_one_that_the_cluster_cannot_do_is_told_as_that(tmp_path: Path, cluster: Any) -> None:
    paths = [str(tmp_path / name) for name in ("first", "tears", "last")]
    for path in paths:
        Path(path).write_text(Path(path).name)
    spec, _ = load_spec(REPO / "tests" / "cli/inputs/bell")
    assert spec is not None
    first, torn, last = judged_there(
        cluster.scheduler_address, 120.0, paths, spec, Namespace(run=None), here, judge_or_tear,
        Waiting([0] * 3), range(3),
    )  # fmt: skip
    assert (first, last) == (f"{paths[0]}, there", f"{paths[2]}, there")
    assert isinstance(torn, PvhError)
    (told,) = torn.diagnostics
    assert (told.code, told.path) == ("PVH537", paths[1])
    assert told.message == "the cluster could not do it: torn in two"


# ---- what can be wrong with a cluster ----------------------------------------------------------


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = main(["check", "--spec", "bell", *words, "captures/deep/conforms.jsonl"])
    return status, capsys.readouterr().err


@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1:1", "quux://127.0.0.1:8786"])
def test_there_is_none(traces: Path, address: str) -> None:
    began = time.monotonic()
    status, out, err = check(
        traces, "--cluster-limit", "1", "--cluster", address, "captures/deep/conforms.jsonl"
    )
    assert (status, out) == (2, b"")
    assert err.startswith(b"PVH534 --cluster " + address.encode() + b": ")
    assert err.count(b"\n") == 2
    assert time.monotonic() - began < 30


def test_it_has_no_workers(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with distributed.LocalCluster(
        n_workers=0, processes=False, dashboard_address=":0", protocol="tcp", silence_logs=50
    ) as empty:
        words = ("--cluster-limit", "1", "--cluster", empty.scheduler_address)
        status, err = told(capsys, *words)
    assert status == 2
    assert "PVH534 " in err
    assert "in 1 seconds no worker came" in err


def test_distributed_is_not_installed(
    traces: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvhspec.many.cluster.find_spec", lambda name: None)
    status, err = told(capsys, "--cluster", "tcp://127.0.0.1:1")
    assert status == 3
    assert "PVH533 --cluster needs dask.distributed\n  help: pip install" in err


def test_a_worker_of_another_kind(
    traces: Path, cluster: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = remote.this_kind()
    other = remote.Kind(there.version, "0123456789ab", there.python)
    monkeypatch.setattr(remote, "this_kind", lambda: other)
    monkeypatch.setattr("pvhspec.many.cluster.this_kind", lambda: other)
    status, err = told(capsys, "--cluster", cluster.scheduler_address)
    assert status == 2
    assert "PVH535 the worker on " in err
    assert f"has {there}" in err
    assert f"help: all workers need what runs here: {other}" in err


def test_nothing_of_another_kind_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = remote.packed_work(None)
    assert pickle.loads(remote.done(packed)) is None
    spoiled = packed[: 4 + int.from_bytes(packed[:4], "little")] + b"spoiled"
    other = remote.Kind("0.0.9", "0123456789ab", "3.99")
    monkeypatch.setattr(remote, "this_kind", lambda: other)
    answer = pickle.loads(remote.done(spoiled))
    assert isinstance(answer, remote.Other)
    assert answer.kind == other


def test_it_is_lost_in_the_middle(tmp_path: Path) -> None:
    """The scheduler goes away: what is judged is told, and of the rest, that it is not."""
    names = fill(tmp_path, long=24)
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port",
         "0", "--no-dashboard", "--scheduler-file", "scheduler.json"],
        cwd=tmp_path, stderr=subprocess.PIPE,
    )  # fmt: skip
    worker = None
    try:
        until = time.monotonic() + 30
        while not (tmp_path / "scheduler.json").exists() and time.monotonic() < until:
            time.sleep(0.1)
        client = distributed.Client(
            scheduler_file=str(tmp_path / "scheduler.json"), set_as_default=False, timeout=30
        )
        address = client.scheduler.address
        client.close()
        worker = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny",
             "--no-dashboard", "--nthreads", "1"],
            cwd=tmp_path, stderr=subprocess.PIPE,
        )  # fmt: skip
        running = subprocess.Popen(
            [sys.executable, "-m", "pvhspec", "check", "--spec", "bell", "--cluster", address,
             "--cluster-limit", "2", *names],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        assert running.stdout is not None
        first = running.stdout.readline()
        scheduler.kill()
        out, err = running.communicate(timeout=240)
    finally:
        for process in filter(None, (scheduler, worker)):
            process.kill()
            process.communicate()
    assert first.startswith(b"captures/deep/conforms.jsonl: conforms")
    assert running.returncode == 2
    assert b"PVH536 not judged: nothing was heard of the cluster for 2 seconds" in err
    judged = (first + out).count(b"\ncoverage: ")
    assert judged + err.count(b"PVH536") + err.count(b"nameless.jsonl: PVH950") == len(names)
