"""Known deviations: what people wrote stays, and what is written is what is read."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvhspec.diagnostics import PvhError
from pvhspec.report.baseline import Baseline, Known, read_baseline, updated
from pvhspec.report.gate import Policy, Required
from tests.cli.transcripts import INPUTS, environment

CLAUSES = ("house.bells.ring", "house.bells.hang", "house.door")

entries = st.builds(
    Known,
    st.sampled_from((*CLAUSES, "house.*", "*ring")),
    st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text.strip()),
    st.dates(),
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=3).map(tuple),
)
comments = st.lists(st.sampled_from(("", "# A note.", "#", "  # Another.")), max_size=3)


def plain(known: Known) -> tuple[str, str, date, tuple[str, ...]]:
    return known.clause, known.reason, known.expires, known.traces


def read(folder: Path, text: str) -> Baseline:
    path = folder / "known.toml"
    path.write_bytes(text.encode())
    return read_baseline(path, CLAUSES)


@given(st.lists(st.tuples(entries, comments), max_size=4), st.data())
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    given_: list[tuple[Known, list[str]]],
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("known")
    text = updated(Baseline("known.toml"), [], [known for known, _ in given_])
    lines = text.split("\n[[known]]")
    notes = [[], *(comment for _, comment in given_)]
    text = "".join(
        "\n".join(["", *note, "[[known]]"]) * bool(at) + part
        for at, (part, note) in enumerate(zip(lines, notes, strict=True))
    )
    baseline = read(folder, text)
    assert [plain(k) for k in baseline.known] == [plain(k) for k, _ in given_]
    drop = [k for k in baseline.known if data.draw(st.booleans())]
    add = data.draw(st.lists(entries, max_size=2))
    changed = read(folder, updated(baseline, drop, add))
    kept = [k for k in baseline.known if k not in drop]
    assert [plain(k) for k in changed.known] == [plain(k) for k in (*kept, *add)]
    for entry in kept:
        assert baseline.text.count(f'"{entry.clause}"') >= 1
    assert updated(changed, [], []) == changed.text


def test_the_comment_above_an_entry_goes_with_it() -> None:
    text = (INPUTS / "known.toml").read_text()
    clauses = ("house.bells.BELL_ring.no_bell", "house.bells.BELL_hang.too_shrill")
    baseline = read_baseline(INPUTS / "known.toml", clauses)
    without = updated(baseline, [baseline.known[1]], [])
    assert "The porter has been told." not in without
    assert without.startswith("# What we know of the house with the bells.\n\n[[known]]")
    assert without in (text.replace(part, "") for part in _parts(text))


def _parts(text: str) -> list[str]:
    """Every run of whole lines."""
    lines = text.splitlines(keepends=True)
    return ["".join(lines[a:b]) for a in range(len(lines)) for b in range(a + 1, len(lines) + 1)]


@pytest.mark.parametrize(
    "glob, trace, covers",
    [
        ("*", "a/b/c.jsonl", True),
        ("c.jsonl", "a/b/c.jsonl", True),
        ("b/*.jsonl", "/home/x/a/b/c.jsonl", True),
        ("c", "a/b/c.jsonl", False),
        ("xen-4.17-*", "xen-4.17-evtchn-64", True),
        ("xen-4.1-*", "xen-4.17-evtchn-64", False),
    ],
)
def test_a_pattern_matches_the_end_of_a_path(glob: str, trace: str, covers: bool) -> None:
    known = Known("house.*", "why", date(2030, 1, 1), (glob,))
    assert known.covers("house.door", trace) is covers
    assert not known.covers("garden.door", trace)


@pytest.mark.parametrize("text", ["known = 1", "version = 1", "[[known]]\nexpires = 'x'", "\xff[["])
def test_what_is_no_baseline_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "known.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(PvhError) as error:
        read_baseline(tmp_path / "known.toml", CLAUSES)
    assert all(d.path == str(tmp_path / "known.toml") for d in error.value.diagnostics)


@given(st.lists(entries, max_size=4), st.dates())
def test_an_entry_ends_after_its_last_day(known: list[Known], today: date) -> None:
    policy = Policy(baseline=Baseline("known.toml", tuple(known)), today=today)
    found = policy.deviation("house.door", "t.jsonl")
    covering = [k for k in known if k.covers("house.door", "t.jsonl")]
    assert found.fails == all(k.expires < today for k in covering)
    assert (found.lapsed is not None) == (found.fails and bool(covering))


def test_on_its_last_day_it_still_counts() -> None:
    known = Known("house.door", "why", date(2030, 1, 31))
    for day, fails in (("2030-01-30", False), ("2030-01-31", False), ("2030-02-01", True)):
        policy = Policy(baseline=Baseline("", (known,)), today=date.fromisoformat(day))
        assert policy.deviation("house.door", "t.jsonl").fails is fails, day


def test_only_errors_fail_and_the_last_severity_counts() -> None:
    policy = Policy(severities=(("*", "note"), ("*.door", "error"), ("house.*", "warning")))
    for clause, level in (("house.door", "warning"), ("shed.door", "error"), ("shed.roof", "note")):
        found = policy.deviation(clause, "t.jsonl")
        assert (found.level, found.fails) == (level, level == "error")


@given(st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")), st.integers(0, 7),
       st.integers(0, 100))  # fmt: skip
def test_what_is_required(applicable: set[str], more: set[str], count: int, percent: int) -> None:
    seen = applicable & more
    required = Required(count, percent, ("[ab]",))
    unmet = list(required.unmet(sorted(applicable), seen))
    assert (len(seen) >= count) == (not any(f" {count} required" in u for u in unmet))
    if applicable:
        share = 100 * len(seen) / len(applicable)
        assert (share < percent) == any(f"{percent}% required" in u for u in unmet)
    missing = {c for c in "ab" if c in applicable and c not in seen}
    assert bool(missing) == any(u.startswith("not decided") for u in unmet)


def test_on_a_terminal_the_reason_is_asked_for(tmp_path: Path) -> None:
    known = tmp_path / "new.toml"
    ours, theirs = pty.openpty()
    words = ["check", "--spec", "bell", "--baseline", str(known), "--update-baseline"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pvhspec", *words, "violates.jsonl"],
        cwd=INPUTS, env=environment(tmp_path), stdin=theirs, stderr=theirs,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, b"Because I say so.\n")
    assert process.wait(timeout=60) == 1
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "reason: " in said
    assert known.read_text().count('reason = "Because I say so."') == 4
