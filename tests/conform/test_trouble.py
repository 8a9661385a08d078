"""Generated runs in trouble: what was found so far is told and saved, and nobody is left behind."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pvhspec import _data
from pvhspec.conform import generated
from pvhspec.conform.boots import boot
from pvhspec.conform.generate import Generated, generate
from pvhspec.conform.generated import Options, run_generated
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.programs import compile_text
from pvhspec.report.paint import Paint
from pvhspec.report.verdict import Selection
from pvhspec.targets import Program, steps
from tests.real import or_skip, real_xen

pytestmark = [pytest.mark.real, pytest.mark.slow]
REPO = Path(__file__).resolve().parents[2]
CLAUSE = "evtchn.bind.EVTCHNOP_bind_virq.no_such_virq"


@pytest.fixture(autouse=True)
def real() -> None:
    real_xen()


@pytest.fixture
def wrong(tmp_path: Path) -> Spec:
    """A specification that no Xen conforms to."""
    shutil.copytree(_data.spec_dir(), tmp_path / "spec")
    module = tmp_path / "spec" / "evtchn" / "bind.abi"
    text = module.read_text()
    module.write_text(text.replace("when virq >= 24", "when virq >= 20"))
    assert module.read_text() != text
    found, errors = load_spec(tmp_path / "spec")
    assert found is not None, errors
    return found


def right() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


def descendants(name: str) -> Iterator[int]:
    """Processes of a name that this one has started, directly or not."""
    parents: dict[int, tuple[int, str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        number, _, comm = head.partition(" (")
        parents[int(number)] = int(rest.split()[1]), comm
    for process, (parent, comm) in parents.items():
        while parent in parents and parent != os.getpid():
            parent = parents[parent][0]
        if parent == os.getpid() and comm.startswith(name):
            yield process


def nobody_is_left() -> bool:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if not multiprocessing.active_children() and not list(descendants("qemu")):
            return True
        time.sleep(0.1)
    return False


def test_an_interrupt_saves_what_was_found(
    wrong: Spec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(text: str) -> None:
        if "finding" in text:
            raise KeyboardInterrupt

    options = Options("4.17", budget=600, seed=2, calls=300, out=tmp_path / "out", say=say)
    assert run_generated(wrong, options, Paint(False)) == 130
    said = capsys.readouterr().out
    assert f"violated {CLAUSE}" in said
    assert "interrupted; again with --seed 2" in said
    (saved,) = (tmp_path / "out").glob("*.prog")
    compiled, errors = compile_text(saved.read_text(), wrong, 64)
    assert compiled is not None, errors
    assert nobody_is_left()


def test_an_interrupt_while_it_says_what_is_out_of_reach_keeps_what_was_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def say(text: str) -> None:
        if "looking for a way" in text:
            raise KeyboardInterrupt

    options = Options("4.17", budget=5, seed=2, calls=100, say=say)
    assert run_generated(right(), options, Paint(False)) == 130
    assert ", interrupted; again with --seed 2" in capsys.readouterr().out
    assert nobody_is_left()


def test_a_full_disk_does_not_keep_findings_from_being_told(
    wrong: Spec, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    out = tmp_path / "out"

    def full(self: Path, *_: Any, **__: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    def say(text: str) -> None:
        if "finding" in text:
            monkeypatch.setattr(Path, "write_text", full)
            raise KeyboardInterrupt

    options = Options("4.17", budget=600, seed=2, calls=300, out=out, say=say)
    assert run_generated(wrong, options, Paint(False)) == 130
    captured = capsys.readouterr()
    assert f"violated {CLAUSE}" in captured.out
    assert "not saved" in captured.err
    assert "No space left" in captured.err
    assert not list(out.iterdir())


def test_a_disk_that_is_full_for_every_boot_is_one_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/program.bin")

    def say(text: str) -> None:
        monkeypatch.setattr(generated, "boot", full)

    options = Options("4.17", budget=600, seed=2, calls=100, say=say, parallel=1)
    with pytest.raises(OSError, match="No space left"):
        run_generated(right(), options, Paint(False))
    said = capsys.readouterr().out
    assert "hypercalls in 1 boots" in said
    assert said.count("lost: boot") == 4
    assert nobody_is_left()


def test_a_qemu_that_is_killed_costs_one_boot(capsys: pytest.CaptureFixture[str]) -> None:
    killed: list[int] = []

    def kill() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and not killed:
            for process in descendants("qemu"):
                time.sleep(0.3)
                os.kill(process, signal.SIGKILL)
                killed.append(process)
                break
            time.sleep(0.02)

    def say(text: str) -> None:
        if not killer.is_alive() and not killed:
            killer.start()

    killer = threading.Thread(target=kill, daemon=True)
    options = Options("4.17", budget=600, seed=2, calls=100, programs=4, parallel=1, say=say)
    assert run_generated(right(), options, Paint(False)) == 0
    assert killed
    said = capsys.readouterr().out
    assert said.count("lost: boot") == 1
    assert "no violation" in said
    assert nobody_is_left()


CRASHED = steps.Hypercall(29, (2, steps.Buf(0)), (steps.Buffer(b"\x03\0\0\0"),))  # by itself


@pytest.mark.parametrize("how, last", [("hang", steps.Hang()), ("crash", CRASHED)])
def test_a_hang_or_a_crash_is_a_finding_with_the_console_and_the_run_goes_on(
    how: str, last: steps.Step, capsys: pytest.CaptureFixture[str], monkeypatch: Any,
    tmp_path: Path,
) -> None:  # fmt: skip
    def ending(*args: Any) -> Generated:
        made = generate(*args)
        if made.plan.number:
            return made
        return replace(made, program=Program((*made.program.steps[:9], last)))

    monkeypatch.setattr(generated, "generate", ending)
    monkeypatch.setattr(generated, "_PATIENCE", 12.0)
    monkeypatch.setattr(generated, "_SHRINK_MOST", 0)
    out = tmp_path / "out"
    options = Options("4.17", budget=600, seed=2, calls=100, programs=2, parallel=1, out=out)
    assert run_generated(right(), options, Paint(False)) == 1
    said = capsys.readouterr().out
    assert f"Xen did not survive {how}" in said
    assert "  | (XEN) " in said
    assert "in 2 boots" in said
    assert (out / f"{how}-64.prog").exists()
    assert "(XEN)" in (out / f"{how}-64.console.txt").read_text()
    assert nobody_is_left()


# ---- a Xen with a fault in it -------------------------------------------------------------------


def faulty(function: str, kind: str, words: str, into: Path) -> Path:
    """Xen 4.17 with one instruction changed."""
    sys.path.insert(0, str(REPO))
    try:
        from benchmarks.faults.mutants import mutants
        from benchmarks.faults.symbols import Xen
    finally:
        sys.path.remove(str(REPO))
    with or_skip():
        image = Xen("4.17")
    found = (m for m in mutants(image, (function,)) if m.kind == kind)
    fault = next(m for m in found if words in m.what or m.name.startswith(words))
    return image.patched(fault.instruction.address, fault.code, into)


def test_without_any_of_its_steps_a_shrunk_program_shows_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = faulty("evtchn_2l_clear_pending", "bit", "btr", tmp_path / "xen")
    spec, out = right(), tmp_path / "out"
    options = Options(str(image), budget=600, seed=3, calls=600, programs=1, out=out)
    assert run_generated(spec, options, Paint(False)) == 1
    said = capsys.readouterr().out
    clause = "evtchn.two_level.words.pending"
    assert f"violated {clause}" in said
    assert "EVTCHNOP_close" in said or "EVTCHNOP_reset" in said
    for word in ("xen ", "seen ", "allowed ", "clause ", "cited ", "every step is needed"):
        assert word in said
    (saved,) = out.glob("*.prog")
    compiled, errors = compile_text(saved.read_text(), spec, 64)
    assert compiled is not None, errors
    all_ = compiled.program.steps
    assert 2 < len(all_) < 8

    def shows(some: tuple[steps.Step, ...]) -> bool:
        plain = Selection()
        came = boot(spec, image, Program(some), width=64, vcpus=1, selection=plain)
        return clause in came.names

    assert shows(all_)
    for at in range(len(all_)):
        assert not shows((*all_[:at], *all_[at + 1 :])), at
