"""Hypercalls of a kernel that is not ours, seen from outside."""

from __future__ import annotations

import gzip
import lzma
import struct
from pathlib import Path

import pytest

from pvhspec.cli import main
from pvhspec.ir.cache import load_spec
from pvhspec.judge import judge
from pvhspec.programs.reach import ranges_of
from pvhspec.targets import LINUX, BadImage, capture_guest, locate_guest
from pvhspec.targets.guest_image import image_event
from pvhspec.targets.probe import build
from pvhspec.targets.xen_symbols import read_symbols
from pvhspec.traces import ObjectTrace
from tests.real import or_skip


def bzimage(elf: bytes, packed: bytes) -> bytes:
    """A bzImage with two setup sectors, as far as loaders look at one."""
    head = bytearray(3 * 512)
    head[0x1F1] = 2
    head[0x202:0x206] = b"HdrS"
    tail = b"" if packed[:2] == b"\x1f\x8b" else struct.pack("<I", len(elf))
    struct.pack_into("<II", head, 0x248, 0x10, len(packed + tail))
    return bytes(head) + bytes(0x10) + packed + tail


def test_a_kernel_is_read_as_xen_reads_it(machine: None) -> None:
    probe = build(64)
    data = probe.path.read_bytes()
    wanted = probe.image_event()
    assert image_event(data) == wanted
    assert image_event(bzimage(data, lzma.compress(data))) == wanted
    assert image_event(bzimage(data, gzip.compress(data))) == wanted


def test_what_cannot_be_looked_into_is_left_out() -> None:
    assert image_event(b"") is None
    assert image_event(b"\x7fELF" + bytes(8)) is None
    assert image_event(bzimage(b"", b"\xfd7zXZ damaged")) is None
    assert image_event(bzimage(b"", b"\x28\xb5\x2f\xfd zstd")) is None


def test_what_is_no_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="cannot be read"):
        locate_guest(tmp_path / "none")
    (tmp_path / "text").write_text("no kernel")
    with pytest.raises(BadImage, match="not a kernel"):
        locate_guest(tmp_path / "text")


def test_memory_is_read_by_what_the_specification_says_an_argument_is() -> None:
    spec, _ = load_spec()
    assert spec is not None
    ranges = ranges_of(spec)
    # EVTCHNOP_bind_ipi takes 8 bytes at its second argument; of a call that nobody has, whatever
    # looks like an address.
    assert list(ranges(32, (7, 0xFFFF_8880_0000_1000, 0, 0, 0), 64)) == [(0xFFFF_8880_0000_1000, 8)]
    assert list(ranges(63, (7, 0x5000, 0x5000, 0, 0), 64)) == [(0x5000, 64)]


@pytest.mark.parametrize(
    "options, said",
    [
        (("--qemu", "pc", "--guest", "linux"), "--guest goes with --xen alone"),
        (("--xen", "4.17", "--guest", "linux", "--vcpus", "2"), "--guest goes with --xen alone"),
        (("--xen", "4.17", "--guest", "linux", "--calls", "0"), "--calls: at least 1"),
        (("--xen", "4.17", "--append", "quiet"), "--append is for --guest"),
    ],
)
def test_options_that_do_not_go_together(
    options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", *options]) == 2
    assert capsys.readouterr().err.startswith(f"PVH513 {said}\n")


@pytest.mark.real
def test_functions_are_found_in_any_image(xen_image: tuple[str, Path]) -> None:
    """Without debug symbols: Xen carries its own."""
    image = xen_image[1].read_bytes()
    symbols = read_symbols(image)
    assert len(symbols.functions) > 5000
    assert symbols.vmrun is not None
    # hvm_hypercall is text between what the linker puts before and after it, and VMRUN is, too.
    low, high = symbols.address("_stext"), symbols.address("_etext")
    assert low < symbols.address("hvm_hypercall") < high
    assert low < symbols.vmrun < high
    assert symbols.address("svm_asm_do_resume") < symbols.vmrun < symbols.address("svm_stgi_label")
    with pytest.raises(BadImage, match="no function"):
        symbols.address("hvm_hypercall_of_a_later_release")
    with pytest.raises(BadImage, match="symbol table was not found"):
        read_symbols(image[: len(image) // 8])


@pytest.mark.real
def test_linux_is_recorded_from_its_first_instruction(one_xen: Path) -> None:
    with or_skip():
        guest = locate_guest(LINUX)
    spec, _ = load_spec()
    assert spec is not None
    capture = capture_guest(one_xen, guest, ranges=ranges_of(spec), calls=8, timeout=300)
    kinds = [event["kind"] for event in capture.events]
    entry = next(event for event in capture.events if event["kind"] == "entry")
    image = capture.events[0]
    calls = [event for event in capture.events if event["kind"] == "hypercall"]
    assert kinds[0] == "image"
    assert entry["regs"]["eip"] == image["entry"]
    info = next(e for e in capture.events if e.get("what") == "start_info")
    assert info["gpa"] == entry["regs"]["ebx"]
    assert info["bytes"].startswith("78c56e33")
    # The first thing Linux asks: XENVER_get_features writes a submap; Xen's version is a number.
    versions = [event for event in calls if event["nr"] == 17]
    assert {event["args"][0] for event in versions} >= {"0x0", "0x6"}
    assert {event["ret"] for event in versions if event["args"][0] == "0x0"} == {4 << 16 | 17}
    features = next(event for event in versions if event["args"][0] == "0x6")
    assert features["in"][0][0] == features["out"][0][0] == features["args"][1]
    assert features["in"] != features["out"]
    assert len(calls) == 8
    assert capture.events[-1]["reason"] == "cut"
    report = judge(spec, ObjectTrace(capture.header, capture.events))
    assert not report.violates
    assert len(report.conforms) > 40


@pytest.mark.real
def test_a_guest_that_never_starts_is_told(one_xen: Path, tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"\x7fELF" + bytes(60))
    capture = capture_guest(one_xen, tmp_path / "none", ranges=lambda *call: ())
    assert [event["kind"] for event in capture.events] == ["end"]
    assert capture.events[0]["reason"] == "crash"
    assert capture.events[0]["text"].endswith("; the guest was never started")
