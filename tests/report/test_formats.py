"""Every form of a report is what its readers expect, whatever was judged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import xmlschema

from pvhspec import _data, cli
from tests.cli.transcripts import INPUTS
from tests.report.sarif_schema import sarif

JUNIT = Path(__file__).parent / "junit.xsd"
BELL = ("--spec", str(INPUTS / "bell"))
REAL = sorted((_data.traces_dir() / "corpus" / "real").glob("*.jsonl"))
FOREIGN = _data.traces_dir() / "corpus" / "foreign"
MADE = [INPUTS / f"{n}.jsonl" for n in ("conforms", "violates", "unseen", "blind", "cut", "none")]


# What is judged: traces that conform, that do not, that show nothing, that are not there.
RUNS: dict[str, tuple[str, ...]] = {
    "made": (*BELL, *map(str, MADE)),
    "good": (*BELL, str(MADE[0]), str(MADE[2])),
    "accepted": (*BELL, "--severity", "*=note", "--only", "*BELL_r*", "--baseline",
                 str(INPUTS / "known.toml"), str(MADE[1])),
    "known": (*BELL, "--baseline", str(INPUTS / "known.toml"), *map(str, MADE)),
    "warnings": (*BELL, "--severity", "*=warning", "--require-seen", "90%", *map(str, MADE)),
    "real": tuple(map(str, REAL)),
    "foreign": ("--release", "4.17", "--mode", "pvh_dom0", str(FOREIGN / "linux-xen.qtrace")),
}  # fmt: skip


@pytest.fixture(params=RUNS)
def words(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return RUNS[request.param]


@cache
def judged(words: tuple[str, ...]) -> tuple[int, dict[str, str]]:
    """The exit status of a run, and every form of its report."""
    forms = ("sarif", "junit", "tap", "github")
    with TemporaryDirectory() as folder:
        files = {form: Path(folder) / form for form in forms}
        asked = [w for form, file in files.items() for w in ("--format", f"{form}={file}")]
        status = cli.main(["check", *asked, *words])
        return status, {form: file.read_text() for form, file in files.items()}


def told(form: str, words: tuple[str, ...]) -> str:
    return judged(words)[1][form]


def test_sarif(words: tuple[str, ...]) -> None:
    found = json.loads(told("sarif", words))
    assert [f"{e.json_path}: {e.message}" for e in sarif().iter_errors(found)] == []
    (run,) = found["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        rule = rules[result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert rule["help"]["text"]
        assert "cited: " in rule["help"]["markdown"]
        assert result["codeFlows"][0]["threadFlows"][0]["locations"][-1]["location"]["message"]
        assert "abi" in result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    prints = [r["partialFingerprints"]["clauseAndTrace/v1"] for r in run["results"]]
    assert len(set(prints)) == len(prints)


def test_the_schema_of_sarif_refuses_something() -> None:
    tool = {"driver": {"name": "pvhspec"}}
    wrong: tuple[dict[str, Any], ...]
    wrong = ({"message": {}}, {"message": {"text": ""}, "levels": 1}, {"ruleIndex": "1"})
    for result in wrong:
        run = {"tool": tool, "results": [result]}
        assert list(sarif().iter_errors({"version": "2.1.0", "runs": [run]})), result


def test_a_location_is_where_the_event_stands() -> None:
    for result in results("violates.jsonl"):
        (location,) = result["locations"]
        place = location["physicalLocation"]
        file = Path(unquote(place["artifactLocation"]["uri"].removeprefix("file://")))
        line = file.read_text().splitlines()[place["region"]["startLine"] - 1]
        event = result["properties"]["event"]
        assert line == file.read_text().splitlines()[1:][event], "the header, then events from 0"


def results(name: str, *more: str) -> list[dict[str, Any]]:
    words = (*BELL, *more, str(INPUTS / name))
    (run,) = json.loads(told("sarif", words))["runs"]
    return list(run["results"])


def test_fingerprints_stay_where_events_move(tmp_path: Path) -> None:
    before = {r["ruleId"]: r["partialFingerprints"] for r in results("violates.jsonl")}
    lines = (INPUTS / "violates.jsonl").read_text().splitlines()
    note = json.dumps({"kind": "note", "text": "one more"})
    moved = tmp_path / "violates.jsonl"
    moved.write_text("\n".join([lines[0], note, *lines[1:]]) + "\n")
    out = tmp_path / "moved"
    cli.main(["check", *BELL, "--format", f"sarif={out}", str(moved)])
    (run,) = json.loads(out.read_text())["runs"]
    assert {r["ruleId"]: r["partialFingerprints"] for r in run["results"]} == before
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] == 3


def test_what_is_known_is_suppressed_with_its_reason() -> None:
    found = results("violates.jsonl", "--baseline", str(INPUTS / "known.toml"))
    by_clause = {r["ruleId"].rpartition(".")[2]: r["suppressions"] for r in found}
    assert by_clause["too_shrill"] == []
    assert by_clause["lowest"] == []
    (one,) = by_clause["no_bell"]
    assert one["justification"] == "The old house is being rebuilt. (until 2999-12-31)"


def test_junit(words: tuple[str, ...]) -> None:
    text = told("junit", words)
    xmlschema.XMLSchema(JUNIT).validate(text)
    for suite in ElementTree.fromstring(text):
        cases = suite.findall("testcase")
        names = [case.get("name") for case in cases]
        assert suite.get("tests") == str(len(names))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))


def test_junit_fails_where_the_gate_does() -> None:
    for name, run in RUNS.items():
        status, forms = judged(run)
        failures = ElementTree.fromstring(forms["junit"]).findall(".//failure")
        assert bool(failures) == bool(status), name


def test_what_xml_cannot_hold_is_replaced(tmp_path: Path) -> None:
    trace = tmp_path / "a\x07b\x1b.jsonl"
    shutil.copy(INPUTS / "violates.jsonl", trace)
    text = told("junit", (*BELL, str(trace)))
    assert "a�b�" in text
    xmlschema.XMLSchema(JUNIT).validate(text)


def test_tap(words: tuple[str, ...]) -> None:
    lines = told("tap", words).splitlines()
    assert lines[0] == "TAP version 13"
    points = [re.fullmatch(r"(not )?ok (\d+) - (.*)", line) for line in lines]
    numbers = [int(m[2]) for m in points if m]
    assert lines[1] == f"1..{len(numbers)}"
    assert numbers == list(range(1, len(numbers) + 1))
    inside = False
    for line, point in list(zip(lines, points, strict=True))[2:]:
        assert inside == (point is None), line
        inside = (line != "  ..." and (inside or line == "  ---")) or bool(point and point[1])
    assert not inside


def prove(path: Path) -> subprocess.CompletedProcess[str]:
    """What Perl's harness makes of a TAP file."""
    return subprocess.run(
        ["prove", "--source", "File", "--file-option", "extensions=.tap", path.name],
        cwd=path.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


needs_prove = pytest.mark.skipif(shutil.which("prove") is None, reason="no prove: apt install perl")


@needs_prove
def test_tap_is_read_by_prove(tmp_path: Path) -> None:
    for name, run in RUNS.items():
        status, forms = judged(run)
        out = tmp_path / f"{name}.tap"
        out.write_text(forms["tap"])
        done = prove(out)
        count = out.read_text().splitlines()[1].removeprefix("1..")
        assert "Parse errors" not in done.stdout, done.stdout
        assert f"Tests={count}," in done.stdout, done.stdout + done.stderr
        assert bool(done.returncode) == bool(status), name


@needs_prove
def test_a_name_is_no_directive(tmp_path: Path) -> None:
    trace = tmp_path / "a # TODO b.jsonl"
    shutil.copy(INPUTS / "violates.jsonl", trace)
    (tmp_path / "x.tap").write_text(told("tap", (*BELL, str(trace))))
    done = prove(tmp_path / "x.tap")
    assert "Failed 4/" in done.stdout, done.stdout + done.stderr


def test_annotations_are_one_line_each_and_errors_first(words: tuple[str, ...]) -> None:
    lines = told("github", words).splitlines()
    kinds = [re.match(r"::(error|warning|notice) ([^:]*)::\S", line) for line in lines]
    assert all(kinds), lines
    order = [m[1] for m in kinds if m]
    assert order == sorted(order, key=["error", "warning", "notice"].index)


def test_an_annotation_hides_nothing_from_its_reader(tmp_path: Path) -> None:
    trace = tmp_path / "100%,a:b\nc.jsonl"
    shutil.copy(INPUTS / "violates.jsonl", trace)
    text = told("github", (*BELL, str(trace)))
    assert "100%25%2Ca%3Ab%0Ac.jsonl,line=2" in text
    assert len(text.splitlines()) == 4


def test_every_form_is_written_by_one_run(tmp_path: Path) -> None:
    from pvhspec.commands.gating import FORMATS

    words = [w for form in FORMATS for w in ("--format", f"{form}={tmp_path / form}")]
    assert cli.main(["check", *BELL, *words, str(INPUTS / "violates.jsonl")]) == 1
    for form in FORMATS:
        assert "too_shrill" in (tmp_path / form).read_text(), form
    assert not list(tmp_path.glob("*.part"))


def test_a_report_to_what_is_no_file_leaves_it_what_it_is(tmp_path: Path) -> None:
    pipe, link, real = tmp_path / "pipe", tmp_path / "link", tmp_path / "real"
    os.mkfifo(pipe)
    link.symlink_to(real)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    words = ["--format", f"tap={pipe}", "--format", f"junit={link}"]
    cli.main(["check", *BELL, *words, str(INPUTS / "conforms.jsonl")])
    out, _ = reader.communicate(timeout=30)
    assert out.startswith("TAP version 13")
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert "<testsuites" in real.read_text()


def test_a_report_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "no" / "report.xml"
    assert cli.main(["check", *BELL, "--format", f"junit={file}", str(MADE[0])]) == 2
    assert f"{file}: no such file or directory" in capsys.readouterr().err
