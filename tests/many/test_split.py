"""One trace in pieces: what is said of it is what one process says."""

from __future__ import annotations

import gzip
import json
import pickle
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.judge import Judging, judge
from pvhspec.many import Result, Watch, split
from pvhspec.many.jobs import Work
from pvhspec.many.pace import Waiting
from pvhspec.many.split import judged_in_pieces, places
from pvhspec.report.verdict import Report
from pvhspec.traces import open_trace
from tests.cli.inputs.make import hang, header, ring, without
from tests.many.bells import fill, write_long
from tests.many.test_jobs import check, every_form

REPO = Path(__file__).resolve().parents[2]
LINUX = REPO / "traces/corpus/real/linux6.1-dom0-xen4.17.jsonl.gz"


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pieces are judged one after the other, and travel all the same; how many in each round."""
    rounds: list[int] = []

    def judged_here(paths: list[str], work: Work, *_: object) -> Iterator[Result]:
        rounds.append(len(paths))
        for path in paths:
            yield pickle.loads(pickle.dumps(work(path, None)))

    monkeypatch.setattr(split, "judged_here", judged_here)
    return rounds


def same(spec: Spec, path: Path, cuts: list[int]) -> Report:
    """Judge in pieces, and at once; what both say."""

    @contextmanager
    def opened(watch: Watch | None) -> Iterator[Judging]:
        trace = open_trace(path)
        yield Judging(spec, trace)
        trace.close()

    pieces = judged_in_pieces(str(path), cuts, opened, 2, Waiting([1] * 9))
    one = judge(spec, open_trace(path))
    assert isinstance(pieces, Report)
    assert pieces == one
    for name in ("violates", "conforms", "unseen", "assumed"):
        assert [*getattr(pieces, name)] == [*getattr(one, name)], name
    assert [pieces.timeline(j) for j in pieces.violations] == [
        one.timeline(j) for j in one.violations
    ]
    return one


def written(path: Path, head: dict[str, Any], events: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in (head, *events)))
    return path


def some_bells(rng: random.Random) -> list[dict[str, Any]]:
    """What a house may show: good and bad, hidden and lost."""
    events: list[dict[str, Any]] = []
    for _ in range(rng.randrange(5, 120)):
        hook, tone = rng.randrange(4), rng.choice((440, 441, 9001))
        one = rng.choice(
            (hang(tone, hook), hang(tone, None, -22), ring(hook, tone), ring(hook, None, -22))
        )
        if rng.random() < 0.2:
            one = without(one, "ret", "out")
        events.append(one)
        if rng.random() < 0.05:
            events.append({"kind": "lost", "count": 3})
        if rng.random() < 0.05:
            events.append({"kind": "mem", "view": "guest", "gpa": 0x1000, "bytes": "00"})
    return events


def test_whatever_happened_and_wherever_it_is_cut(
    tmp_path: Path, in_this_process: list[int]
) -> None:
    spec, _ = load_spec(REPO / "tests/cli/inputs/bell")
    assert spec is not None
    violated = 0
    for seed in range(60):
        rng = random.Random(seed)
        events = some_bells(rng)
        head = header(complete={"args": True}, from_boot=rng.random() < 0.5)
        path = written(tmp_path / "trace.jsonl", head, events)
        allowed = [n for n, event in enumerate(events) if event["kind"] != "mem" and n]
        cuts = sorted(rng.sample(allowed, min(len(allowed), rng.randrange(1, 6))))
        violated += len(same(spec, path, cuts).violations)
    assert violated > 400


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_real_capture_of_which_little_is_seen(
    tmp_path: Path, in_this_process: list[int], seed: int
) -> None:
    """What a header would have given is not: observations make it known on the way."""
    spec, _ = load_spec()
    assert spec is not None
    rng = random.Random(seed)
    head, *events = map(json.loads, gzip.decompress(LINUX.read_bytes()).splitlines())
    head["complete"]["events"] = False
    events = [event for event in events if event.get("nr") != 24][:250]  # timers take long
    if seed % 2:
        head.pop("given")
    for event in events:
        if event["kind"] == "hypercall" and rng.random() < 0.1:
            event["ret"] = rng.choice((None, 0, -22, -14, -1))
        if rng.random() < 0.02:
            event["kind"] = "lost"
    path = written(tmp_path / "trace.jsonl", head, events)
    same(spec, path, sorted(rng.sample(range(1, len(events)), 3)))
    assert in_this_process[0] == 4


def test_what_is_left_to_a_piece_is_judged_from(tmp_path: Path, in_this_process: list[int]) -> None:
    """A violation tells whose doing it is, which may be before the piece."""
    spec, _ = load_spec(REPO / "tests/cli/inputs/bell")
    assert spec is not None
    head = header(complete={"args": True})
    good, bad = [ring(5, None, -22)] * 20, [hang(9001, 1)]
    path = written(tmp_path / "trace.jsonl", head, [*good, *good, *bad])
    same(spec, path, [10, 20])
    assert in_this_process == [3, 1]  # only the last has something to tell
    in_this_process.clear()
    same(spec, written(tmp_path / "trace.jsonl", head, [*good, *good]), [10, 20])
    assert in_this_process == [3]


def test_where_it_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "_LEAST", 10)
    monkeypatch.setattr(split, "_STEP", 1)
    mem = {"kind": "mem", "view": "guest", "gpa": 0, "bytes": "00"}
    call = ring(0, 440)
    raced = {**call, "begin": 1, "end": 2}

    def cut(events: list[dict[str, Any]], pieces: int, every_event: bool = False) -> list[int]:
        head = header(complete={"events": every_event})
        with closing(open_trace(written(tmp_path / "t.jsonl", head, events))) as trace:
            return places(trace, pieces)

    assert cut([call] * 40, 4) == [10, 20, 30]
    assert cut([call] * 40, 4, every_event=True) == []
    assert cut([call] * 25, 4) == [12]
    assert cut([call] * 9, 4) == []
    assert cut([*[call] * 10, *[mem] * 10, *[raced] * 5, *[call] * 12], 2) == [25]
    assert cut([mem] * 40, 4) == []


def test_the_command_takes_a_long_trace_apart(tmp_path: Path) -> None:
    fill(tmp_path)
    write_long(tmp_path / "long.jsonl", 3000, broken=True)
    text = (tmp_path / "long.jsonl").read_text()
    complete = '"complete": {"events": true, '
    assert complete in text
    (tmp_path / "long.jsonl").write_text(text.replace(complete, '"complete": {'))
    one = every_form(tmp_path, "--jobs", "1", "long.jsonl")
    for jobs in ("2", "3"):
        assert every_form(tmp_path, "--jobs", jobs, "long.jsonl") == one
    assert check(tmp_path, "--jobs", "3", "long.jsonl")[0] == int(one[0])
    spoiled = text.replace(complete, '"complete": {') + "{\n"
    (tmp_path / "long.jsonl").write_text(spoiled)
    assert check(tmp_path, "--jobs", "3", "long.jsonl") == check(
        tmp_path, "--jobs", "1", "long.jsonl"
    )
