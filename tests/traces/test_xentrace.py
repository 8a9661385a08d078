"""The binary of `xentrace`: every record, in xenalyze's order, of the right domain and vCPU."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from struct import unpack

import numpy as np
import pytest
from numpy.typing import NDArray

from pvhspec.diagnostics import PvhError
from pvhspec.targets.debian import program
from pvhspec.targets.errors import MissingTool
from pvhspec.traces import Event, open_trace
from pvhspec.traces.plain import reader_of
from pvhspec.traces.xentrace import XentraceReader
from pvhspec.traces.xentrace_cpu import LOST
from pvhspec.traces.xentrace_records import (
    Record,
    TooManyWindows,
    Windows,
    batches,
    everything,
    hvm_and_pv,
)
from tests.real import lacking
from tests.traces.xentrace_files import (
    lost,
    plainly_merged,
    plainly_read,
    record,
    runs,
    some_file,
    stops,
    ties,
    window,
)

SHARED = Path(__file__).parents[3] / "shared/captures/data/third-party/xentrace-hvm-8cpu.bin"
Wanted = Callable[[NDArray[np.uint32]], NDArray[np.bool_]]


def all_records(data: bytes, wanted: Wanted = everything) -> list[Record]:
    def read(at: int, length: int) -> bytes:
        return data[at : at + length]

    broken: list[int] = []
    read_in = batches(Windows(read, len(data)), read, wanted, broken.append)
    found = [record for batch in read_in for record in batch.records()]
    assert broken == []
    return found


def events_of(data: bytes) -> list[Event]:
    return list(XentraceReader(io.BufferedReader(io.BytesIO(data)), "t.bin"))


@pytest.mark.parametrize("seed", range(40))
def test_every_record_is_read_as_the_plainest_reader_reads_it(seed: int) -> None:
    for data in (some_file(seed), ties(seed)):
        assert all_records(data) == plainly_merged(plainly_read(data))


@pytest.mark.parametrize("seed", range(20))
def test_the_same_comes_of_small_pieces(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = some_file(seed, rounds=8) + ties(seed, windows=30)
    whole = all_records(data)
    monkeypatch.setattr("pvhspec.traces.xentrace_records.SMALLEST", 64)
    monkeypatch.setattr("pvhspec.traces.xentrace_cpu.SMALLEST", 64)
    monkeypatch.setattr("pvhspec.traces.xentrace_records._PIECES", 64)
    monkeypatch.setattr("pvhspec.traces.xentrace_starts._STRETCH", 8)
    assert all_records(data) == whole


def test_time_may_stand_still_for_longer_than_a_piece() -> None:
    body = b"".join(record(0x22FFF, i) for i in range(20_000))
    data = window(0, body) + window(1, body, record(0x22FFF, tsc=5)) + window(0, body)
    found = all_records(data)
    assert found == plainly_merged(plainly_read(data))


@pytest.mark.parametrize("seed", range(40))
def test_records_nobody_asked_for_leave_times_and_domains_of_the_rest_as_they_are(
    seed: int,
) -> None:
    data = some_file(seed)
    some = [
        r for r in all_records(data)
        if r.event >> 12 in (0x81, 0x82) or r.event in (LOST, 0x20100D, 0x20200E)
    ]  # fmt: skip
    asked = all_records(data, hvm_and_pv)
    assert sorted(asked, key=lambda r: r.offset) == sorted(some, key=lambda r: r.offset)


def test_a_record_is_whole_wherever_a_piece_of_the_file_ends() -> None:
    parts = [record(0x81001, tsc=10 + i) if i % 3 else record(0x82004, i, 0) for i in range(90000)]
    data = window(0, record(0x81001, tsc=5), *parts)
    assert [r.event for r in all_records(data)] == [r.event for r in plainly_read(data)]


def test_a_hypercall_is_given_when_the_guest_goes_on() -> None:
    data = window(
        3,
        runs(7, 1, 100),
        record(0x81102, 18, 0x81000405, 0xFFFFFFFF, tsc=110),
        record(0x82012, 32),
        record(0x81001, tsc=150),
        stops(7, 1, 160),
        record(0x82004, 0xF3, 0),
    )
    left, call, entered, injected = events_of(data)
    assert left.fields == {"arch": "vmx", "code": 18, "rip": 0xFFFFFFFF81000405}
    assert (left.ts, left.dom, left.vcpu, left.origin) == (110, 7, 1, "t.bin@28")
    assert call.fields == {"nr": 32, "ts_call": 110}
    assert (call.ts, call.dom, call.vcpu) == (150, 7, 1)
    assert entered.kind == "vmentry"
    assert (injected.fields, injected.ts) == ({"what": "interrupt", "vector": 0xF3}, 160)
    assert (injected.dom, injected.vcpu) == (None, None)


def test_after_a_loss_the_vcpu_is_the_one_the_record_names() -> None:
    data = window(0, runs(7, 1, 100), lost(9, 7, 2, 120, 200), record(0x81001, tsc=210)) + window(
        1, runs(8, 0, 90), record(0x81001, tsc=150)
    )
    assert [(e.kind, e.ts, e.vcpu, e.dom) for e in events_of(data)] == [
        ("lost", 120, None, None),
        ("vmentry", 150, 0, 8),
        ("vmentry", 210, 2, 7),
    ]


def test_every_kind_of_record_that_is_taken() -> None:
    data = window(
        0,
        runs(1, 0, 5),
        record(0x81103, 0x72, 0x1000, 0, tsc=10),
        record(0x8200E, 1, 2, 3, 4, 5, 6),
        record(0x8200C, 0x10, 7, 1),
        record(0x8200D, 0x40000000, 0x1000, 0),
        record(0x82109, 0, 0x80000011, 0),
        record(0x82016, 0x60),
        record(0x82216, 0x402, 0x41),
        record(0x82003, 13, 0),
        record(0x82102, 2, 0xDEAD0000, 0),
        record(0x20100D, 32 | 1 << 20 | 2 << 22, 4, 0x1000, 0xFFFF8000, tsc=20),
    )
    assert [(e.kind, e.fields) for e in events_of(data)] == [
        ("vmexit", {"arch": "svm", "code": 0x72, "rip": 0x1000}),
        ("cpuid", {"leaf": 1, "subleaf": 2, "eax": 3, "ebx": 4, "ecx": 5, "edx": 6}),
        ("msr", {"op": "read", "index": 0x10, "value": 0x100000007}),
        ("msr", {"op": "write", "index": 0x40000000, "value": 0x1000}),
        ("cr", {"op": "write", "number": 0, "value": 0x80000011}),
        ("io", {"op": "read", "port": 0x60}),
        ("io", {"op": "write", "port": 0x402, "value": 0x41}),
        ("inject", {"what": "exception", "vector": 13, "error": 0}),
        ("inject", {"what": "exception", "vector": 14, "error": 2}),
        ("hypercall", {"nr": 32, "args": (4, 0xFFFF800000001000)}),
    ]


def test_words_that_are_missing_are_passed_over_and_counted() -> None:
    reader = XentraceReader(
        io.BufferedReader(
            io.BytesIO(window(0, record(0x8200E, 1, 2), record(0x81102, 1), record(0x82012)))
        ),
        "t",
    )
    assert list(reader) == []
    (notice,) = reader.notices
    assert notice.code == "PVH917"
    assert "3 records were passed over" in notice.message


def test_a_file_that_is_cut_is_read_up_to_the_cut() -> None:
    data = window(0, record(0x81001, tsc=10), record(0x81001, tsc=20))
    for size in range(13, len(data)):
        *_, end = events_of(data[:size])
        assert (end.kind, end.fields["reason"]) == ("end", "cut")
    assert len(events_of(data)) == 2


def test_windows_nobody_could_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvhspec.traces.xentrace_records._MOST_WINDOWS", 1000)

    def read(at: int, length: int) -> bytes:
        return window(at % 5, b"1234")[:12]

    with pytest.raises(TooManyWindows):
        Windows(read, 1 << 40)


def test_a_file_of_such_windows_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvhspec.traces.xentrace_records._MOST_WINDOWS", 3)
    path = tmp_path / "many.xentrace"
    path.write_bytes(some_file(1))
    with pytest.raises(PvhError) as error:
        list(open_trace(str(path)))
    assert error.value.diagnostics[0].code == "PVH918"


def test_a_long_file_is_read_in_flat_memory(tmp_path: Path) -> None:
    body = b"".join(record(0x22209, 1, 2, 3, tsc=100 + i) for i in range(5000))
    most = []
    for rounds in (5, 15):
        path = tmp_path / "long.bin"
        with path.open("wb") as file:
            for _ in range(rounds):
                file.writelines(window(cpu, body) for cpu in range(8))
        tracemalloc.start()
        try:
            assert list(open_trace(path)) == []
            most.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert most[1] < 1.1 * most[0] < 40 << 20


def test_a_compressed_trace_is_read_too(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "t.gz"
    data = some_file(3)
    path.write_bytes(gzip.compress(data))
    packed = [e._replace(origin=None) for e in open_trace(path)]
    assert packed == [e._replace(origin=None) for e in events_of(data)]


# ---- xenalyze, Debian's -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def xenalyze() -> Path:
    """The program: named by XENALYZE, installed, or out of Debian's package."""
    known = os.environ.get("XENALYZE") or shutil.which("xenalyze")
    if known is not None:
        return Path(known)
    try:
        return program("bookworm", "xen-utils-common", "usr/bin/xenalyze")
    except MissingTool as missing:
        lacking(f"{missing.message}: apt install xen-utils-common")


_SHOWN = re.compile(r"^[\] ] *(?:\d+\.\d{9}|\s+) ([-x.| l]*?) (d\?v\?|d\d+v\d+) ")
_AGAIN = 0x1F032  # xenalyze's own, for the end of a loss


def shown_by_xenalyze(
    xenalyze: Path,
    path: Path,
) -> list[tuple[int, int | None, list[int], tuple[int, str] | None]]:
    """Event, time if it has one, words, and CPU and vCPU if a line was printed for it."""
    command = [str(xenalyze), "-a", "--dump-raw-process", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: list[tuple[int, int | None, list[int], tuple[int, str] | None]] = []
    for line in text.splitlines():
        if line.startswith("* "):
            event, _, tsc = line[2:].split("[")[0].split()
            words = line[line.index("[") + 1 : line.index("]")].split()
            stamp = None if tsc == "-" else int(tsc)
            found.append((int(event, 16), stamp, [int(w, 16) for w in words], None))
        elif found and found[-1][3] is None and (match := _SHOWN.match(line)):
            found[-1] = (*found[-1][:3], (match[1].find("x"), match[2]))
    return [one for one in found if one[0] != _AGAIN]


def same_as_xenalyze(xenalyze: Path, path: Path) -> int:
    """Compare all records; how many there are."""
    descriptor = os.open(path, os.O_RDONLY)
    broken: list[int] = []
    try:
        read = reader_of(descriptor, 0)
        read_in = batches(Windows(read, path.stat().st_size), read, everything, broken.append)
        ours = [record for batch in read_in for record in batch.records()]
    finally:
        os.close(descriptor)
    assert broken == []
    theirs = shown_by_xenalyze(xenalyze, path)
    assert len(ours) == len(theirs)
    for mine, (event, tsc, words, shown) in zip(ours, theirs, strict=True):
        payload = list(unpack(f"<{len(mine.data) // 4}I", mine.data))
        assert (mine.event, payload) == (event, words)
        assert tsc in (None, mine.tsc)
        if shown is not None:
            who = "d?v?" if mine.dom is None else f"d{mine.dom}v{mine.vcpu}"
            theirs_is = "d?v?" if shown[1].startswith("d32768") else shown[1]
            assert (mine.cpu, who) == (shown[0], theirs_is)
    return len(ours)


@pytest.mark.parametrize("seed", range(20))
def test_xenalyze_sees_the_same_in_made_files(seed: int, tmp_path: Path, xenalyze: Path) -> None:
    path = tmp_path / "t.bin"
    path.write_bytes(some_file(seed, rounds=12))
    assert same_as_xenalyze(xenalyze, path) > 100


@pytest.mark.skipif(not SHARED.exists(), reason="the shared captures are not here")
def test_xenalyze_sees_the_same_in_a_real_file(xenalyze: Path) -> None:
    assert same_as_xenalyze(xenalyze, SHARED) == 180_493


@pytest.mark.skipif(not SHARED.exists(), reason="the shared captures are not here")
def test_what_is_known_of_the_real_file() -> None:
    events = list(open_trace(SHARED))
    exits = [e.fields["code"] for e in events if e.kind == "vmexit"]
    calls = [e for e in events if e.kind == "hypercall"]
    assert (len(exits), len(calls)) == (5873, 1803)
    assert sum(e.fields["nr"] == 24 for e in calls) == 1697
    assert {e.dom for e in calls} == {14}
    assert {e.vcpu for e in calls} == {0, 1, 2, 3}
    vectors = [e.fields["vector"] for e in events if e.kind == "inject"]
    assert (vectors.count(0xF3), vectors.count(33)) == (1433, 2)
    rips = {
        (e.fields["rip"] & 0xFFF) for e in events if e.kind == "vmexit" and e.fields["code"] == 18
    }
    assert rips == {0x305, 0x405}


def test_what_is_no_trace_of_xen_is_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"\x03\xf0\x01\x21" + bytes(100))
    with pytest.raises(PvhError, match="PVH902"):
        open_trace(path)
