"""trace-cmd's binary: both versions, compressed or not, and what its pages hold."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pvhspec.diagnostics import PvhError
from pvhspec.traces import Event, open_trace
from pvhspec.traces.trace_dat import TraceDatReader
from tests.traces.trace_dat_files import EVENTS, PACK, RUN, call, event, page, trace_dat

SHARED = Path(__file__).parents[3] / "shared/captures/data/kvm/vmmq.dat"
FORMS = [(6, "none"), (7, "none"), (7, "zlib"), (7, "zstd")]


def read(data: bytes) -> tuple[list[Event], TraceDatReader]:
    reader = TraceDatReader(io.BufferedReader(io.BytesIO(data)), "t.dat")
    return list(reader), reader


@pytest.mark.parametrize(("version", "compression"), FORMS)
def test_both_versions_say_the_same(version: int, compression: str) -> None:
    events, reader = read(trace_dat(RUN, version, compression))
    assert [(e.kind, e.ts, e.vcpu) for e in events] == [
        ("vmentry", 1000, 0),
        ("vmexit", 1500, 1),
        ("hypercall", 2005, 0),
        ("vmentry", 2005, 0),
        ("hypercall", None, 0),
    ]
    assert events[1].fields == {
        "arch": "svm", "code": 0x72, "rip": 9, "info1": 0, "info2": 0,
    }  # fmt: skip
    assert events[2].fields == {
        "nr": 32, "cpl": 0, "args": (320, 321, 322, 323), "ts_call": 1010,
    }  # fmt: skip
    assert (reader.notices, reader.truncated) == ([], False)


@pytest.mark.parametrize(("release", "known"), [("6.12.95+deb12-amd64", 4), ("7.2.0", 6)])
def test_the_kernel_that_wrote_it_tells_which_arguments_count(release: str, known: int) -> None:
    events, _ = read(trace_dat([[page(1, call(0, 7, 1))]], release=release))
    assert events[0].fields["args"] == (10, 11, 12, 13, 14, 15)[:known]


def test_every_event_of_kvm_that_has_a_kind() -> None:
    made = [
        event("kvm_cpuid", 1, function=1, index=2, rax=3, rbx=4, rcx=5, rdx=6),
        event("kvm_msr", 1, write=1, ecx=0x40000000, data=0x1000),
        event("kvm_msr", 1, write=0, ecx=0x150, exc=1),
        event("kvm_cr", 1, rw=1, cr=4, val=0x6B0),
        event("kvm_pio", 1, rw=1, port=0x402, size=1, count=1, val=0x41),
        event("kvm_inj_virq", 1, vector=0xF3),
        event("kvm_eoi", 1, vector=3),
    ]
    events, _ = read(trace_dat([[page(0, *made)]]))
    assert [(e.kind, e.fields) for e in events] == [
        ("cpuid", {"leaf": 1, "subleaf": 2, "eax": 3, "ebx": 4, "ecx": 5, "edx": 6}),
        ("msr", {"op": "write", "index": 0x40000000, "value": 0x1000, "fault": False}),
        ("msr", {"op": "read", "index": 0x150, "fault": True}),
        ("cr", {"op": "write", "number": 4, "value": 0x6B0}),
        ("io", {"op": "write", "port": 0x402, "size": 1, "value": 0x41}),
        ("inject", {"what": "interrupt", "vector": 0xF3}),
    ]
    assert len(made) == len(EVENTS) - 2


def test_times_of_every_form() -> None:
    long = 5 << 27
    absolute = (31 | (77 << 5)).to_bytes(4, "little") + (3).to_bytes(4, "little")
    padding = (29 | (9 << 5)).to_bytes(4, "little") + (8).to_bytes(4, "little") + bytes(4)
    body = [event("kvm_entry", long, vcpu_id=0), padding, event("kvm_entry", 1, vcpu_id=0)]
    events, _ = read(trace_dat([[page(100, *body, absolute, event("kvm_entry", 2, vcpu_id=0))]]))
    assert [e.ts for e in events] == [100 + long, 110 + long, (3 << 27) + 77 + 2]


def test_what_was_lost_is_told() -> None:
    pages = [page(1, call(0, 7, 1)), page(9, call(0, 7, 2), lost=12), page(20, lost=0)]
    events, _ = read(trace_dat([pages], overrun=3))
    assert [(e.kind, e.get("count")) for e in events] == [
        ("lost", 3), ("lost", 12), ("lost", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(("version", "compression"), FORMS)
def test_a_file_that_is_cut_is_told_to_be(version: int, compression: str) -> None:
    data = trace_dat(RUN, version, compression)
    told = set()
    for size in range(20, len(data), 37):
        try:
            events, reader = read(data[:size])
            told.add(events[-1].kind if reader.truncated else "whole")
        except PvhError as error:
            told.add(error.diagnostics[0].code)
    assert "PVH902" in told
    assert told <= {"PVH902", "end", "whole"}


def test_a_part_that_claims_to_be_huge_is_not_unpacked() -> None:
    data = trace_dat(RUN)
    at = data.index(b"\x28\xb5\x2f\xfd") - 4
    huge = data[:at] + (1 << 31).to_bytes(4, "little") + data[at + 4 :]
    with pytest.raises(PvhError, match="a compressed part of 2147483648 bytes"):
        read(huge)


@pytest.mark.parametrize("compression", ["zlib", "zstd"])
def test_a_chunk_that_is_damaged_ends_its_cpu(compression: str) -> None:
    data = bytearray(trace_dat(RUN, 7, compression))
    small = PACK[compression](b"".join(RUN[1]))
    at = data.rindex(small)
    data[at : at + len(small)] = bytes(len(small))
    events, reader = read(bytes(data))
    assert reader.truncated
    assert "CPU 1 ends early: a compressed part is damaged" in reader.notices[0].message
    assert [e.vcpu for e in events if e.kind == "vmentry"] == [0, 0]


@pytest.mark.parametrize("unlike", [(b"7\0\0", b"5\0\0"), (b"7\0\0", b"7\0\1"), (b"zstd", b"lzma")])
def test_what_nobody_reads_is_refused(unlike: tuple[bytes, bytes]) -> None:
    with pytest.raises(PvhError, match="PVH902"):
        read(trace_dat(RUN).replace(*unlike, 1))


@pytest.mark.skipif(not SHARED.exists(), reason="the shared captures are not here")
def test_the_binary_and_the_text_of_one_vmm_are_alike() -> None:
    calls = [e for e in open_trace(SHARED) if e.kind == "hypercall"]
    text = SHARED.with_suffix(".ftrace")
    told = [e for e in open_trace(text) if e.kind == "hypercall"]
    assert [e.fields["args"] for e in calls] == [e.fields["args"] for e in told]
    assert len(calls) == 13
