"""What a person reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvhspec import _data, cli
from pvhspec.report import paint
from pvhspec.report.paint import Paint, wrapped
from tests.cli.transcripts import INPUTS

REAL = _data.traces_dir() / "corpus" / "real"


def test_colours_change_nothing_but_colours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["check", "--spec", str(INPUTS / "bell"), str(INPUTS / "violates.jsonl")]
    cli.main(words)
    plain = capsys.readouterr().out
    monkeypatch.setattr(paint, "wants_color", lambda stream: True)
    cli.main(words)
    painted = capsys.readouterr().out
    assert "\x1b[1;31m" in painted
    for code in ("1", "2", "1;31", "1;32", "1;33", "34", "0"):
        painted = painted.replace(f"\x1b[{code}m", "")
    assert painted == plain


@pytest.mark.parametrize(
    "name, clauses",
    [
        ("entry-linux6.1-qemu72-pc-tcg", ["boot.entry.task_register.limit"]),
        ("entry-injected-magic", ["boot.start_info.start_info.magic"]),
        ("entry-injected-none", []),
        ("xen-4.17-dom0-pvh-18-hypercalls", []),
    ],
)
def test_real_captures_by_clause_with_citation(
    name: str, clauses: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", str(REAL / f"{name}.jsonl")]) == (1 if clauses else 0)
    out = capsys.readouterr().out
    told = [line.split()[1] for line in out.splitlines() if line.startswith("violated ")]
    assert told == clauses
    assert out.count("\n  cited ") >= len(clauses)


def test_words_are_wrapped() -> None:
    assert wrapped("a bb ccc", 2, 6) == "a bb\n  ccc"
    assert wrapped("a bb ccc", 2, 7, first=0) == "a bb\n  ccc"
    assert wrapped("", 2) == ""
    assert Paint(False)("x", "red") == "x"


def test_a_clause_is_shown_wherever_the_specification_was_read_from_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shown = []
    for folder, spec in ((INPUTS, "bell"), (tmp_path, str(INPUTS / "bell"))):
        monkeypatch.chdir(folder)
        cli.main(["check", "--spec", spec, str(INPUTS / "violates.jsonl")])
        shown.append("tone := pitch[hook]" in capsys.readouterr().out)
    assert shown == [True, True]
