"""Whatever the input: one clear error, the right status, no traceback, in time."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from pvhspec import cli
from pvhspec.diagnostics import CODES
from tests.cli.transcripts import INPUTS, environment

LIMIT = 20  # seconds
HEADER = (INPUTS / "conforms.jsonl").read_bytes().split(b"\n")[0] + b"\n"


def run(*words: str, folder: Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "pvhspec", *words],
        cwd=folder, env=environment(folder), input=given, capture_output=True, timeout=LIMIT,
        check=False,
    )  # fmt: skip


def judged(data: bytes, folder: Path) -> subprocess.CompletedProcess[bytes]:
    (folder / "trace").write_bytes(data)
    done = run("check", "--spec", str(INPUTS / "bell"), "trace", folder=folder)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode in (0, 1, 2), said
    assert "Traceback" not in said
    assert "please report" not in said, said
    assert not any(c < " " and c != "\n" for c in said), "control characters reach the terminal"
    if done.returncode == 2:
        assert any(name in said for name in CODES) or "PVH9" in said
    return done


NESTED = b'{"kind": "hypercall", "nr": 32, "args": ' + b"[" * 60_000 + b"]" * 60_000 + b"}\n"
HOSTILE = {
    "zeros": b"\0" * 100_000,
    "random": Random(1).randbytes(100_000),
    "header_then_random": HEADER + Random(2).randbytes(100_000),
    "nested": HEADER + NESTED,
    "huge_number": HEADER + b'{"kind": "cpuid", "leaf": ' + b"9" * 100_000 + b"}\n",
    "huge_hex": HEADER + b'{"kind": "cpuid", "leaf": "0x' + b"f" * 100_000 + b'"}\n',
    "float": HEADER + b'{"kind": "cpuid", "leaf": 1e999}\n',
    "nan": HEADER + b'{"kind": "cpuid", "leaf": NaN}\n',
    "escape_codes": HEADER + b'{"kind": "\\u001b[2J\\u001b]0;owned\\u0007"}\n',
    "escape_note": HEADER + b'{"kind": "note", "text": "\\u001b[2J"}\n',
    "surrogate": HEADER + b'{"kind": "note", "text": "\\ud800"}\n',
    "many_errors": HEADER + b'{"kind": "nothing"}\n' * 50_000,
    "twice": HEADER + b'{"kind": "note", "kind": "note"}\n',
    "negative": HEADER + b'{"kind": "hypercall", "nr": -1, "args": [-5], "ret": 0}\n',
    "wide_args": HEADER + b'{"kind": "hypercall", "nr": 32, "args": ["0x' + b"f" * 16 + b'"]}\n',
    "no_fields": HEADER + b'{"kind": "hypercall"}\n{"kind": "entry"}\n{"kind": "msr"}\n',
    "backwards": HEADER + b'{"kind": "note", "seq": 5}\n{"kind": "note", "seq": 5}\n',
    "big_seq": HEADER + b'{"kind": "note", "seq": 18446744073709551616}\n',
    "cut_gzip": gzip.compress(HEADER * 100)[:-30],
    "bad_gzip": b"\x1f\x8b" + b"\xff" * 100,
    "gzip_of_nothing": gzip.compress(b""),
    "only_newlines": b"\n" * 10_000,
    "utf16": HEADER.decode().encode("utf-16"),
    "bom": b"\xef\xbb\xbf" + HEADER,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_traces(name: str, tmp_path: Path) -> None:
    started = time.monotonic()
    judged(HOSTILE[name], tmp_path)
    assert time.monotonic() - started < LIMIT / 2


@pytest.mark.slow
def test_a_trace_cut_anywhere(tmp_path: Path) -> None:
    whole = (INPUTS / "violates.jsonl").read_bytes()
    for at in range(1, len(whole), 211):
        judged(whole[:at], tmp_path)


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"tr\xffce\x1b[2J.jsonl")
    (tmp_path / name).write_bytes(HEADER)
    words = ["check", "--spec", str(INPUTS / "bell"), "--require-seen", "0", name]
    assert run(*words, folder=tmp_path).returncode == 0
    done = run(*words, "--format", "json", folder=tmp_path)
    assert json.loads(done.stdout)["traces"][0]["verdict"] == "cannot be seen"


def test_interrupted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    process = subprocess.Popen(
        [sys.executable, "-m", "pvhspec", "check", "pipe"],
        cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert (out, err) == (b"", b"pvhspec: interrupted\n")


def test_a_fault_of_ours_is_one_line_and_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fault(words: list[str]) -> int:
        raise KeyError("\x1b[2Jsecret\nof ours")

    monkeypatch.setattr(cli, "_dispatch", fault)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.main(["check"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "please report" in err
    assert "\x1b" not in err
    (log,) = tmp_path.glob("pvhspec-fault-*.log")
    assert str(log) in err
    assert "Traceback" in log.read_text()


def test_out_of_memory(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fault(words: list[str]) -> int:
        raise MemoryError

    monkeypatch.setattr(cli, "_dispatch", fault)
    assert cli.main([]) == 3
    assert "out of memory" in capsys.readouterr().err


def test_what_is_missing_is_named_with_what_brings_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pvhspec", "capture", "--qemu", "pc"],
        cwd=tmp_path, env={**environment(tmp_path), "PATH": str(tmp_path)}, capture_output=True,
        timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert b"apt-get install" in done.stderr
    assert done.stdout == b""


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    done = run("capture", "--qemu", "pc", "--program", "nothing", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(b"PVH506 no program nothing")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("complete", "nosuch"), "PVH511"),
        (("witness", "success", "--mode", "bogus"), "PVH510"),
    ],
)
def test_questions_about_what_is_not_there(
    words: tuple[str, ...], code: str, tmp_path: Path
) -> None:
    done = run(*words, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.decode().startswith(code)
