"""The JSON verdict is what its schema says, whatever the trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pvhspec import _data, cli
from tests.cli.transcripts import INPUTS
from tests.report.schema import problems

REAL = sorted((_data.traces_dir() / "corpus" / "real").glob("*.jsonl"))
MADE = sorted(INPUTS.glob("*.jsonl"))


def verdict(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    status = cli.main(["check", "--format", "json", *words])
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == status
    return status, found


@pytest.mark.parametrize("path", [*MADE, INPUTS / "missing"], ids=lambda p: p.stem)
def test_a_made_trace(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = verdict(capsys, "--spec", str(INPUTS / "bell"), str(path))
    assert problems(found, "check-1.json") == []


@pytest.mark.parametrize("path", REAL, ids=lambda p: p.stem)
def test_a_real_trace(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = verdict(capsys, str(path))
    assert problems(found, "check-1.json") == []


def test_every_occurrence_is_counted_and_the_first_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = str(INPUTS / "violates.jsonl")
    status, found = verdict(capsys, "--spec", str(INPUTS / "bell"), path)
    assert status == 1
    by_clause = {v["clause"].rpartition("bells.")[2]: v for v in found["traces"][0]["violations"]}
    shrill = by_clause["BELL_hang.too_shrill"]
    assert (shrill["count"], len(shrill["at"])) == (12, 10)
    assert shrill["at"][0]["what"] == "BELL_hang(tone = 0x2329) = -16, 64-bit caller"
    assert shrill["at"][0]["place"] == {"line": 6, "byte": None}
    assert [moment["event"] for moment in shrill["timeline"]] == [0, 1, 2, 3, 4]
    assert by_clause["BELL_hang.chosen.lowest"]["citations"][0]["anchor"] == "for ( h = 0;"


def test_the_timeline_reaches_back_to_what_made_the_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *events = (INPUTS / "conforms.jsonl").read_text().splitlines()
    ring = json.loads(events[2])
    at, words = ring["out"][0]
    ring["out"] = [[at, words[:8] + (881).to_bytes(4, "little").hex()]]
    trace = tmp_path / "far.jsonl"
    lines = [header, *events[:2], *[events[3]] * 30, json.dumps(ring)]
    trace.write_text("\n".join(lines) + "\n")
    status, found = verdict(capsys, "--spec", str(INPUTS / "bell"), str(trace))
    assert status == 1
    (violation,) = found["traces"][0]["violations"]
    assert violation["clause"] == "house.bells.BELL_ring.success.tone"
    numbers = [moment["event"] for moment in violation["timeline"]]
    assert numbers == [1, *range(24, 33)], "the bell was hung by event 1, long before"


def test_coverage(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["coverage", "--format", "json", "--spec", str(INPUTS / "bell")]
    made = [str(INPUTS / f"{name}.jsonl") for name in ("conforms", "violates")]
    assert cli.main([*words, "--require-seen", "70%", *made]) == 0
    found = json.loads(capsys.readouterr().out)
    assert problems(found, "coverage-1.json") == []
    assert len(found["seen"]) == 10
    assert cli.main([*words, "--require-seen", "80%", "--require-seen", "*no_hook", *made]) == 1
    err = capsys.readouterr().err
    assert "10 clauses decided of 13 that apply, 80% required" in err
    assert "not decided: house.bells.BELL_hang.no_hook" in err


def test_the_schema_is_held_to() -> None:
    wrong = {"version": 2, "tool": {"name": "x"}, "status": 7, "traces": [{}], "more": 1}
    assert len(problems(wrong, "check-1.json")) > 4
