"""Machine code and the interpreter make one report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.judge import Judging, judge
from pvhspec.judge_columns import judge_columns
from pvhspec.scan.source import ColumnSource
from pvhspec.traces import Event, open_trace
from tests.backends.native.agree import differences
from tests.backends.native.channels import made
from tests.backends.native.damage import KINDS, Made
from tests.backends.native.generated import CAPTURES, Generator

CORPUS = Path(__file__).parents[3] / "traces" / "corpus"
SOME = (
    "real/linux6.1-dom0-xen4.17.jsonl.gz",
    "real/entry-injected-magic.jsonl",
    "real/xen-4.17-dom0-pvh-18-hypercalls.jsonl",
    "probe/xen-4.17-evtchn_latch-32.jsonl.gz",
    "probe/xen-4.17-evtchn_upcall-64.jsonl.gz",
)


@pytest.fixture(scope="module")
def spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_generated_traces(spec: Spec, kind: str) -> None:
    generator = Generator(spec, length=16)
    for seed in range(KINDS.index(kind), 72, 3):
        assert not differences(spec, generator(seed)), seed


@pytest.mark.parametrize("name", SOME)
def test_captures(spec: Spec, name: str) -> None:
    path = str(CORPUS / name)
    assert not differences(spec, open_trace(path), open_trace(path))


def test_documented_clauses_alone(spec: Spec) -> None:
    for seed in range(15):
        assert not differences(spec, made(seed), authority="documented"), seed


def test_no_call_is_blamed_before_there_was_one(spec: Spec) -> None:
    trace = made(232)
    assert [e.kind for e in trace.events[:3]] == ["store", "store", "shared_info"]
    (found,) = (v for v in judge(spec, trace, engine="native").violations if v.seq == 2)
    assert found.finding is not None
    assert found.finding.related == ()


@pytest.mark.slow
def test_every_third_capture(spec: Spec) -> None:
    # Every third; `python -m tests.backends.native` takes all of them in turn.
    for path in CAPTURES[::3]:
        assert not differences(spec, open_trace(str(path)), open_trace(str(path))), path


def test_calls_on_channels_are_judged_by_machine_code(spec: Spec) -> None:
    # Else the interpreter would agree with itself.
    by_python = calls = 0
    for seed in range(0, 60, 3):
        trace = made(seed)
        judging = Judging(spec, trace)
        rows: list[int] = []
        judge_columns(spec, judging, ColumnSource(trace), on_python=rows.append)
        for row in rows:
            by_python += trace.events[row].kind == "hypercall"
        calls += sum(e.kind == "hypercall" for e in trace.events)
    assert by_python < calls * 0.15


def test_nothing_of_the_protocol_is_left_to_the_interpreter(spec: Spec, tmp_path: Path) -> None:
    path = str(tmp_path / "protocol.jsonl")
    words = [sys.executable, "-m", "benchmarks.protocol", path, "--events", "400"]
    subprocess.run(words, cwd=CORPUS.parents[1], check=True)
    trace = open_trace(path)
    rows: list[int] = []
    report = judge_columns(spec, Judging(spec, trace), ColumnSource(trace), on_python=rows.append)
    assert not rows
    assert not report.violations
    assert report.conforms["evtchn.use.EVTCHNOP_send.success"] > 200


def test_what_is_told_whatever_is_answered(spec: Spec) -> None:
    header = made(0).header

    def asked(told: int) -> Made:
        raw = (9).to_bytes(4, "little"), told.to_bytes(4, "little")
        at = 0x101D000
        fields = {
            "width": 64, "cpl": 0, "nr": 20, "args": (8, at, 1), "ret": -22, "arg_readable": True,
            "arg_writable": True, "in": ((at, raw[0]),), "out": ((at, raw[1]),),
        }  # fmt: skip
        return Made(header, [Event("hypercall", 0, fields, None, 0, 0)])

    clause = "grant.version.GNTTABOP_set_version.always"
    assert clause in judge(spec, asked(1), engine="native").conforms
    assert clause in judge(spec, asked(9), engine="native").violates
    assert not differences(spec, asked(1))
    assert not differences(spec, asked(9))


# Of FIFO's words, which are only looked at later, any may have been raised by a page that came.
@pytest.mark.parametrize(("name", "most"), [("evtchn_fifo-64", 0.65), ("hvm_op-64", 0.1)])
def test_captures_are_judged_by_machine_code(spec: Spec, name: str, most: float) -> None:
    trace = open_trace(str(CORPUS / f"probe/xen-4.17-{name}.jsonl.gz"))
    rows: list[int] = []
    report = judge_columns(spec, Judging(spec, trace), ColumnSource(trace), on_python=rows.append)
    assert len(rows) < most * report.events


def test_commands_with_something_above_them(spec: Spec) -> None:
    # Those of memory_op have where to go on from there; that they have one is known by the rest.
    header = made(0).header
    memory = {"in": ((0x1000, b"\xee" * 32),), "out": ((0x1000, b"\xee" * 32),)}
    asked = [
        Event("hypercall", seq, {"width": 64, "cpl": cpl, "nr": 12, "args": (command, 0x1000),
              "ret": ret, "arg_readable": True, "arg_writable": True, **memory}, None, 0, 0)
        for seq, (command, cpl, ret) in enumerate(((60, 0, -38), (1 << 6 | 23, 3, -1)))
    ]  # fmt: skip
    report = judge(spec, Made(header, asked), engine="native")
    assert report.conforms["memory.batch.XENMEM_add_to_physmap_batch.frame"] == 1
    assert not differences(spec, Made(header, asked))


def test_a_value_that_is_more_than_its_state_has(spec: Spec) -> None:
    header = made(0).header
    fields = {
        "width": 64, "cpl": 0, "nr": 12, "args": (17, 0x1000), "ret": 0, "arg_readable": True,
        "arg_writable": True, "in": ((0x1000, b"\x00" * 40),),
        "out": ((0x1000, b"\x00" * 8 + b"\xee" * 24 + b"\x00" * 8),),
    }  # fmt: skip
    assert not differences(spec, Made(header, [Event("hypercall", 0, fields, None, 0, 0)]))
