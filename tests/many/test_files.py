"""Which files of a folder are traces."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from pvhspec.cli import main
from pvhspec.many.files import Folder, named
from tests.many.bells import fill

CONSOLE = "(XEN) Xen version 4.17.7\n"


def folder(path: Path, format: str | None = None) -> Folder:
    (found,) = named([str(path)], format)
    assert isinstance(found, Folder)
    return found


def test_traces_in_order_whatever_they_are_called(tmp_path: Path) -> None:
    trace = (fill(tmp_path), (tmp_path / "captures/deep/conforms.jsonl").read_bytes())[1]
    (tmp_path / "b").mkdir()
    (tmp_path / "b/packed").write_bytes(gzip.compress(trace))
    (tmp_path / "a.log").write_text(CONSOLE)
    (tmp_path / "c.jsonl").write_text('{"kind": "hypercall"}\n')
    (tmp_path / "d.json").write_text('{"name": "package"}\n')
    (tmp_path / "e.jsonl").write_text("")
    (tmp_path / "f.gz").write_bytes(gzip.compress(trace)[:9])
    (tmp_path / "g").symlink_to("nowhere")
    os.mkfifo(tmp_path / "h")
    found = folder(tmp_path)
    names = [os.path.relpath(path, tmp_path) for path in found.traces]
    assert names[:2] == ["a.log", "b/packed"]
    assert names[2:] == sorted(names[2:])
    assert [os.path.relpath(path, tmp_path) for path, _ in found.passed_over] == [
        "c.jsonl", "d.json", "e.jsonl", "f.gz", "g", "h", "bell/pvh.abi", "bell/house/bells.abi",
        "bell/house/core.abi", "captures/notes.txt",
    ]  # fmt: skip
    assert dict(found.passed_over)[str(tmp_path / "g")] == "it leads nowhere"
    assert dict(found.passed_over)[str(tmp_path / "h")] == "no regular file"


def test_where_the_format_is_said_nothing_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("anything")
    assert folder(tmp_path, "console").traces == [str(tmp_path / "x")]


def test_a_folder_without_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path)
    (tmp_path / "none").mkdir()
    spec = ["--spec", str(tmp_path / "bell")]
    assert main(["check", *spec, str(tmp_path / "none"), str(tmp_path / "bell")]) == 2
    told = capsys.readouterr().err
    assert "PVH531 there is no trace in this folder: it is empty" in told
    assert "PVH531 there is no trace in this folder: 3 files passed over" in told
    assert "bell/pvh.abi: passed over: no trace format that is known" in told


def test_of_many_that_are_passed_over_some_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path)
    for number in range(30):
        (tmp_path / f"captures/note-{number}").write_text("nothing\n")
    words = ["check", "--spec", str(tmp_path / "bell"), str(tmp_path / "captures")]
    main(words)
    assert capsys.readouterr().err.count(": passed over: ") == 20
    main([*words, "-v"])
    assert capsys.readouterr().err.count(": passed over: ") == 31
