"""The corpus of real captures is what its sources say, and its foreign formats are read safely."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from pvhspec import _data
from pvhspec.diagnostics import CODES, PvhError
from pvhspec.ir.cache import load_spec
from pvhspec.judge import judge
from pvhspec.traces import Event, ObjectTrace, open_trace

CORPUS = _data.traces_dir() / "corpus"
STUB = sorted((CORPUS / "raw").glob("entry-*-tcg.json"))


def the_entry(path: Path) -> Event:
    (entry,) = (event for event in open_trace(path) if event.kind == "entry")
    return entry


def test_real_traces_are_made_from_their_sources(tmp_path: Path) -> None:
    script = CORPUS / "raw" / "convert.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_bytes() for path in (CORPUS / "real").glob("*.jsonl")}
    assert made == kept


def test_what_capture_wrote_is_kept_as_it_was_written() -> None:
    """Linux, unchanged, on a real Xen: every call that came back is judged, and none is wrong."""
    spec, _ = load_spec()
    assert spec is not None
    trace = open_trace(CORPUS / "real" / "linux6.1-dom0-xen4.17.jsonl.gz")
    assert (trace.header.origin.tool or "").startswith("pvhspec capture --guest")
    report = judge(spec, trace)
    assert not report.violates
    assert len(report.conforms) > 70
    assert "evtchn.fifo.EVTCHNOP_init_control.success" in report.conforms


def test_what_capture_wrote_would_show_a_fault() -> None:
    """With one answer changed: the release, to one that the header does not name."""
    spec, _ = load_spec()
    assert spec is not None
    with gzip.open(CORPUS / "real" / "linux6.1-dom0-xen4.17.jsonl.gz", "rt") as file:
        header, *events = map(json.loads, file)
    asked = next(e for e in events if e.get("nr") == 17 and e["args"][0] == "0x0")
    asked["ret"] -= 1
    report = judge(spec, ObjectTrace(header, events))
    assert list(report.violates) == ["hypercall.version.XENVER_version.success"]


@pytest.mark.parametrize("path", STUB, ids=lambda p: p.stem)
def test_an_entry_state_from_the_debugger_stub_is_a_trace(path: Path) -> None:
    trace = open_trace(path)
    assert trace.header.hypervisor.version == "7.2.22"
    assert trace.header.from_boot
    *memory, entry = trace
    at = {event.fields["what"]: event.fields for event in memory}
    registers, segments = entry.fields["regs"], entry.fields["segs"]
    assert at["start_info"]["gpa"] == registers["ebx"]
    assert at["start_info"]["bytes"].startswith(bytes.fromhex("78c56e33"))
    assert at["gdt"]["gpa"] == entry.fields["gdtr"]["base"]
    assert at["code at the entry"]["gpa"] == registers["eip"]
    assert len(at["memmap"]["bytes"]) == 24 * at["start_info"]["bytes"][0x30]
    assert registers["cr0"] == 0x11
    assert segments["cs"]["attr"] & ~1 == 0xC9A
    assert segments["ds"] == {"sel": 0x10, "base": 0, "limit": 0xFFFFFFFF, "attr": 0xC93}
    assert segments["tr"] == {"sel": 0, "base": 0, "limit": 0xFFFF, "attr": 0x8B}
    assert {event.fields["view"] for event in [*memory, entry]} == {"hw"}


def test_the_deviation_put_in_is_the_one_difference() -> None:
    none, tr, magic = (
        list(open_trace(CORPUS / "real" / f"entry-injected-{name}.jsonl"))
        for name in ("none", "tr", "magic")
    )
    assert [i for i, (a, b) in enumerate(zip(none, tr, strict=True)) if a != b] == [2]
    assert tr[2].fields["segs"]["tr"]["limit"] == 0xFFFF
    assert none[2].fields["segs"]["tr"]["limit"] == 0x67
    assert [i for i, (a, b) in enumerate(zip(none, magic, strict=True)) if a != b] == [0]


def test_the_calls_of_xen_are_all_there() -> None:
    events = list(open_trace(CORPUS / "real" / "xen-4.17-dom0-pvh-18-hypercalls.jsonl"))
    calls = [event for event in events if event.kind == "hypercall"]
    assert len(calls) == 18
    assert {c.fields["width"] for c in calls} == {32}
    alloc = next(c for c in calls if c.fields["nr"] == 32)
    assert alloc.fields["out"] == ((0x101230, bytes.fromhex("f07ff07f01000000")),)


def test_a_damaged_capture_gives_documented_errors(tmp_path: Path) -> None:
    rng = random.Random(0)
    original = STUB[0].read_bytes()
    path = tmp_path / "t.json"
    for _ in range(400):
        data = bytearray(original)
        match rng.randrange(3):
            case 0:
                del data[rng.randrange(len(data)) :]
            case 1:
                at = rng.randrange(len(data))
                data[at : at + rng.randrange(60)] = rng.choice([b"", b"null", b'"', b"{}", b"-1"])
            case _:
                data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        codes = []
        try:
            list(open_trace(path))
        except PvhError as error:
            codes = [d.code for d in error.diagnostics]
        assert set(codes) <= set(CODES)
