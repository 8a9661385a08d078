"""What a program's text means, and what is said of one that means nothing."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pvhspec import _data
from pvhspec.programs import Compiled, Layouts, Width, compile_file, compile_text, show_program
from pvhspec.targets.program import (
    Area,
    AwaitVcpu,
    Buf,
    Buffer,
    Cpuid,
    Hypercall,
    Patch,
    Race,
    ReadOnly,
    Save,
    Shared,
    Sipi,
    Slot,
    Store,
    Unreadable,
    UseSharedInfo,
    WriteMsr,
)
from tests.programs.spec import compiled_spec as spec

POISON = 0xEEEEEEEE
WIDTHS: tuple[Width, Width] = (32, 64)
BUNDLED = sorted((_data.traces_dir() / "capture" / "programs").glob("*.prog"))


def compiled(text: str, width: Width = 64) -> Compiled:
    found, errors = compile_text(text, spec(), width)
    assert found is not None, "\n".join(error.render() for error in errors)
    return found


def refused(text: str) -> list[tuple[str, int | None, int | None, str]]:
    found, errors = compile_text(text, spec(), 64)
    assert found is None
    return [(e.code, e.line, e.column, f"{e.message} {e.remedy or ''}") for e in errors]


# ---- what it means -------------------------------------------------------------------------------


def test_a_call_by_name() -> None:
    found = compiled(
        "a = EVTCHNOP_alloc_unbound(dom = SELF, remote_dom = 5) -> port\n"
        "EVTCHNOP_send(port = a + 1)   # one further\n"
        "EVTCHNOP_close(readonly, port = 3)\n"
        "EVTCHNOP_close(unreadable)\n"
    )
    opened = struct.pack("<HHI", 0x7FF0, 5, POISON)
    assert found.program.steps == (
        Hypercall(32, (6, Buf(0)), (Buffer(opened),), (Save(0, 0, 4, 4),)),
        Hypercall(32, (4, Buf(0)), (Buffer(bytes(4), (Patch(0, 4, Slot(0, 1)),)),)),
        Hypercall(32, (3, ReadOnly(0)), (Buffer(struct.pack("<I", 3)),)),
        Hypercall(32, (3, Unreadable())),
    )
    assert found.lines == (1, 2, 3, 4)
    assert found.slots == {"a": 0}


def test_what_is_not_given_before_a_pointer_is_passed_as_0() -> None:
    found = compiled("VCPUOP_get_physid(unreadable)\n")
    assert found.program.steps == (Hypercall(24, (12, 0, Unreadable())),)


def test_layouts_follow_the_width_of_the_caller() -> None:
    text = "XENVER_platform_parameters()"
    for width, size in ((32, 4), (64, 8)):
        (step,) = compiled(text, width).program.steps  # type: ignore[arg-type]
        assert isinstance(step, Hypercall)
        assert step.buffers[0].data == b"\xee" * size
    page = compiled("map shared_info at 0x1000", 32).program.steps
    assert page[1] == UseSharedInfo(Area(0x1000))
    assert isinstance(page[0], Hypercall)
    assert len(page[0].buffers[0].data) == 16


def test_blocks_and_numbers() -> None:
    found = compiled(
        "let last = 1 << 2 | 1\n"
        "for leaf in last - 1..last {\n"
        "  cpuid 0x40000000 + leaf, leaf & ~1\n"
        "}\n"
        "on width 32 {\n"
        "  hang\n"
        "}\n"
        "wrmsr 0x40000000, area 0x3000 >> 12\n"
    )
    assert found.program.steps == (
        Cpuid(0x40000004, 4), Cpuid(0x40000005, 4), WriteMsr(0x40000000, Area(0x3000, 12)),
    )  # fmt: skip
    assert found.lines == (3, 3, 8)


def test_watched_steps_follow_what_may_change_something() -> None:
    text = "define look {\n  snapshot vcpus 2\n}\nwatch look\nhypercall 63()\ncpuid 0\ndo look\n"
    found = compiled(text)
    assert found.program.steps == (Hypercall(63), Shared(2), Cpuid(0), Shared(2))


def test_stores_by_port() -> None:
    def words(text: str) -> list[tuple[str, int, str, object]]:
        steps = compiled(text).program.steps
        return [(s.what, s.index, s.op, s.value) for s in steps if isinstance(s, Store)]

    assert words("set mask 62..65") == [
        ("evtchn_mask", 0, "or", 0b11 << 62),
        ("evtchn_mask", 1, "or", 0b11),
    ]
    assert words("clear pending 3") == [("evtchn_pending", 0, "and", (1 << 64) - 1 - 8)]
    assert words("set selector 2\nclear selector 2\nclear selector") == [
        ("evtchn_pending_sel", 0, "or", 4),
        ("evtchn_pending_sel", 0, "and", (1 << 64) - 1 - 4),
        ("evtchn_pending_sel", 0, "set", 0),
    ]
    assert words("use shared_info area 0 width 32\nset mask 33") == [("evtchn_mask", 1, "or", 2)]
    assert words("set upcall\nclear upcall 3") == [
        ("evtchn_upcall_pending", 0, "set", 1),
        ("evtchn_upcall_pending", 3, "set", 0),
    ]


def test_what_a_program_needs() -> None:
    found = compiled("needs vcpus 2\nneeds width 32\n")
    assert (found.vcpus, found.only, found.domu) == (2, 32, False)
    assert compiled("also domu\n").domu


def test_a_call_may_go_over_several_lines() -> None:
    found = compiled("EVTCHNOP_bind_virq(\n  virq = 3,  # global\n  vcpu = 0\n)\nhang\n")
    assert len(found.program.steps) == 2


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_the_bundled_programs_are_read_back_as_they_are_shown(path: Path, width: Width) -> None:
    found, errors = compile_file(path, spec(), width)
    assert found is not None, errors
    shown = show_program(found.program, Layouts(spec(), width))
    again = compiled(shown, width)
    assert again.program == found.program
    assert show_program(again.program, Layouts(spec(), width)) == shown


# ---- what is wrong with it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, code, column, words",
    [
        ("EVTCHNOP_send(port = 1) ?", "PVH601", 25, "means nothing"),
        ('note "open', "PVH601", 6, "not closed"),
        ('note "\\q"', "PVH601", 6, "write"),
        ("cpuid 0x1234567890123456789012345", "PVH601", 7, "64 bits"),
        ("cpuid 12monkeys", "PVH601", 7, "means nothing"),
        ("cpuid 0 0", "PVH602", 9, "ends before"),
        ("cpuid", "PVH602", 6, "a value expected"),
        ("EVTCHNOP_send(port 1)", "PVH602", 20, "`=` expected"),
        ("a = EVTCHNOP_bind_ipi(vcpu = 0)", "PVH602", 32, "`->` expected"),
        ("7", "PVH602", 1, "a step expected"),
        ("set everything", "PVH602", 5, "pending, mask"),
        ("EVTCHNOP_sned(port = 1)", "PVH603", 1, "EVTCHNOP_send"),
        ("a = EVTCHNOP_sned(port = 1) -> port", "PVH603", 5, "EVTCHNOP_send"),
        ("EVTCHNOP_send(port = prot)", "PVH603", 22, "nothing is called prot"),
        ("do look", "PVH603", 4, "define look"),
        ("store evtchn_maks[0] = 1", "PVH603", 7, "evtchn_mask"),
        ("EVTCHNOP_send(prot = 1)", "PVH604", 15, "did you mean port"),
        ("a = EVTCHNOP_bind_ipi(vcpu = 0) -> prot", "PVH604", 36, "did you mean port"),
        ("XENVER_version(unreadable)", "PVH604", 16, "takes no structure"),
        ("a = EVTCHNOP_bind_ipi(unreadable) -> port", "PVH604", 5, "no structure"),
        ("EVTCHNOP_alloc_unbound(dom = 0x10000)", "PVH605", 1, "dom has 2 bytes"),
        ("cpuid 1 << 32", "PVH605", 7, "32 bits"),
        ("cpuid $1", "PVH605", 7, "run time only"),
        ("rdmsr $64", "PVH605", 7, "64 slots"),
        ("set mask 4096", "PVH605", 10, "0 to 4095"),
        ("map shared_info at 0x10", "PVH605", 17, "multiple of 4096"),
        ("EVTCHNOP_close(port = 1) cpl 2", "PVH605", 26, "cpl 0 or 3"),
        ('write area 0, "xyz"', "PVH605", 15, "hexadecimal"),
        ("let x = 1\nx = EVTCHNOP_bind_ipi(vcpu = 0) -> port", "PVH605", 1, "a number already"),
        ("}", "PVH606", 1, "no block is open"),
        ("for p in 0..3 {", "PVH606", 1, "not closed"),
        ("while p {\n}", "PVH606", 1, "no block begins"),
        ("for p in 0..1000000 {\n  hang\n}", "PVH607", 3, "steps"),
        ("define a {\n  do a\n}\ndo a", "PVH607", 6, "itself"),
        ('hypercall 1(buffer 0) with "00" * 70000', "PVH607", 1, "BUFFER_SPACE"),
    ],
)
def test_one_mistake(text: str, code: str, column: int, words: str) -> None:
    found = refused(text)
    assert len(found) == 1, found
    assert found[0][0] == code, found
    assert words in found[0][3]
    if code not in ("PVH607",):
        assert found[0][2] == column, found


def test_every_mistake_is_told_at_once() -> None:
    found = refused("cpuid\nEVTCHNOP_sned()\nrdmsr 1\n}\n")
    assert [(code, line) for code, line, _, _ in found] == [
        ("PVH606", 4), ("PVH602", 1), ("PVH603", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("data", [b"\xff\xfe", b"hang\x00"])
def test_a_file_that_is_no_text(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.prog"
    path.write_bytes(data)
    found, errors = compile_file(path, spec(), 64)
    assert found is None
    assert len(errors) == 1
    assert compile_file(tmp_path / "none.prog", spec(), 64)[0] is None


def test_a_race_and_what_comes_before_it() -> None:
    text = """start vcpu 1
a = EVTCHNOP_bind_ipi(vcpu = 1) -> port
race {
  vcpu 0 EVTCHNOP_send(port = a)
  vcpu 1 EVTCHNOP_close(port = a)
  vcpu 0 hypercall 17(0, 0)
}
"""
    found = compiled(text)
    assert found.vcpus == 2
    initialise, up, wait, _, race = found.program.steps
    assert isinstance(initialise, Hypercall)
    assert len(initialise.buffers[0].data) == 128  # struct vcpu_hvm_context
    assert isinstance(up, Hypercall)
    assert up.args == (1, 1, 0)
    assert isinstance(wait, AwaitVcpu)
    assert isinstance(race, Race)
    assert [len(race.first), len(race.second)] == [2, 1]
    assert compiled("start vcpu 1 by sipi\n").program.steps == (Sipi(), AwaitVcpu())


@pytest.mark.parametrize(
    "text, words",
    [
        ("race {\n  vcpu 2 EVTCHNOP_close(port = 1)\n}", "vCPUs 0 and 1 take part"),
        ("race {\n  vcpu 0 cpuid 1\n}", "only calls are made in a race"),
        ("race {\n  vcpu 0 EVTCHNOP_close(port = 1) cpl 3\n}", "direct, from ring 0"),
        ("race {\n  for p in 0..1 {\n  }\n}", "no block is in a race"),
        ("start vcpu 0", "runs already"),
        ("race {\n  EVTCHNOP_close(port = 1)\n}", "`vcpu` expected"),
    ],
)
def test_what_is_no_race(text: str, words: str) -> None:
    _, errors = compile_text(f"{text}\n", spec(), 64)
    assert any(words in error.message for error in errors), errors


@pytest.mark.parametrize("text", ["start vcpu 1\n", "start vcpu 1 by sipi\n"])
def test_the_start_of_a_vcpu_is_shown_as_it_is_written(text: str) -> None:
    assert show_program(compiled(text).program, Layouts(spec(), 64)) == text
