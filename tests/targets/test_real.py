"""The probe on real hypervisors. What they must say is what they were measured to say."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any

import pytest

from pvhspec.targets import (
    BadImage,
    Capture,
    MissingTool,
    TargetError,
    capture_qemu,
    capture_xen,
    probe,
    toolstack,
)
from pvhspec.targets.program import (
    Area,
    Buf,
    Buffer,
    Cpuid,
    Hang,
    Hypercall,
    Note,
    Patch,
    Program,
    Read,
    ReadMsr,
    ReadOnly,
    Save,
    Shared,
    Slot,
    Store,
    Unreadable,
    UseHypercallPage,
    UseSharedInfo,
    Window,
    Write,
    WriteMsr,
)
from pvhspec.traces import ObjectTrace
from tests.targets.test_images import MULTIBOOT

pytestmark = pytest.mark.real

SELF = 0x7FF0
EVTCHN, MEMORY, VERSION, HVM = 32, 12, 17, 34
VECTOR = 0x30

Event = dict[str, Any]


def of_kind(capture: Capture, kind: str) -> list[Event]:
    return [event for event in capture.events if event["kind"] == kind]


def readable(capture: Capture) -> None:
    """Every event is one of the schema's, in order, and the trace reader takes it."""
    assert [event["seq"] for event in capture.events] == list(range(len(capture.events)))
    assert capture.events[-1]["kind"] == "end"
    assert len(list(ObjectTrace(capture.header, capture.events))) == len(capture.events)


def test_dom0_makes_an_unprivileged_domain(xen_image: tuple[str, Path]) -> None:
    release, image = xen_image
    asked = Program((Cpuid(0x40000000), alloc(0), Hypercall(7, (Buf(0),), (Buffer(bytes(64)),))))
    for width in (32, 64):
        capture = capture_xen(image, asked, width=width, domu=True)
        readable(capture)
        assert capture.header["guest"]["mode"] == "pvh_domu"
        assert {event["dom"] for event in of_kind(capture, "hypercall")} == {1}
        (entry,) = of_kind(capture, "entry")
        assert entry["regs"]["ebx"] == hex(0x1600000)
        opened, privileged = of_kind(capture, "hypercall")
        assert opened["ret"] == 0, release
        assert privileged["ret"] < 0  # platform_op is dom0's: a zeroed one is refused anyway
        assert capture.events[-1]["reason"] == "shutdown"


def test_a_domain_that_cannot_be_made_says_why(
    one_xen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolstack, "_POPULATE", 99)  # no such command: no memory
    capture = capture_xen(one_xen, Program(), domu=True, timeout=20)
    assert "another domain: hypercall 12 returned -38" in capture.events[-1]["text"]
    monkeypatch.setattr(toolstack, "_CREATE_TAILS", {0x99: ((), 0)})
    capture = capture_xen(one_xen, Program(), domu=True, timeout=20)
    assert "XEN_DOMCTL_createdomain returned -13" in capture.events[-1]["text"]


def alloc(slot: int) -> Hypercall:
    data = struct.pack("<HHI", SELF, SELF, 0)
    return Hypercall(EVTCHN, (6, Buf(0)), (Buffer(data),), (Save(slot, 0, 4),))


def bind_interdomain(remote_slot: int, slot: int) -> Hypercall:
    buffer = Buffer(struct.pack("<HHII", SELF, 0, 0, 0), (Patch(4, 4, Slot(remote_slot)),))
    return Hypercall(EVTCHN, (0, Buf(0)), (buffer,), (Save(slot, 0, 8),))


def send(slot: int) -> Hypercall:
    return Hypercall(EVTCHN, (4, Buf(0)), (Buffer(bytes(4), (Patch(0, 4, Slot(slot)),)),))


def map_shared_info(width: int) -> Hypercall:
    form, at, size = ("<HHIII", 12, 4) if width == 32 else ("<HHIQQ", 16, 8)
    buffer = Buffer(struct.pack(form, SELF, 0, 0, 0, 0), (Patch(at, size, Area(0, 12)),))
    return Hypercall(MEMORY, (7, Buf(0)), (buffer,))


def callback(vector: int) -> Hypercall:
    return Hypercall(
        HVM, (0, Buf(0)), (Buffer(struct.pack("<HHIQ", SELF, 0, 0, 2 << 56 | vector)),)
    )


@pytest.mark.parametrize("width", [32, 64])
def test_xen(xen_image: tuple[str, Path], width: int) -> None:
    release, image = xen_image
    program = Program(
        (
            Cpuid(0x40000000),
            Hypercall(VERSION, (0,)),
            Hypercall(VERSION, (0,), cpl=3),
            WriteMsr(0x40000000, Area(0x1000)),
            WriteMsr(0x40000000, 1),
            ReadMsr(0x40000001),
            Read(Area(0x1000 + 32 * 17), 9, "hypercall page"),
            UseHypercallPage(Area(0x1000)),
            Hypercall(VERSION, (0,), via="page"),
            Hypercall(VERSION, (1, Unreadable(8))),
            Hypercall(VERSION, (1, ReadOnly(0)), (Buffer(bytes(16)),)),
            Hypercall(VERSION, (1, Buf(0)), (Buffer(b"\xee" * 16),)),
            Note("done"),
        )
    )
    capture = capture_xen(image, program, width=width)
    readable(capture)
    assert capture.events[-1]["reason"] == "shutdown"
    assert capture.header["hypervisor"]["version"].startswith(release)
    assert f"Xen version {release}" in capture.console
    assert capture.header["cpu"]["vendor"] == "AuthenticAMD"

    outside, inside = of_kind(capture, "entry")
    assert (outside["view"], inside["view"]) == ("hw", "guest")
    assert inside["regs"]["cr0"] == "0x11"
    assert outside["segs"]["tr"] == {"sel": "0x0", "base": "0x0", "limit": "0x67", "attr": "0x8b"}
    assert outside["regs"]["ebx"] == inside["regs"]["ebx"]
    info = next(event for event in of_kind(capture, "mem") if event.get("what") == "start_info")
    assert info["gpa"] == inside["regs"]["ebx"]
    assert info["bytes"].startswith("78c56e33")
    (image_event,) = of_kind(capture, "image")
    assert image_event["entry"] == inside["regs"]["eip"]
    assert image_event["note_size"] == width // 8

    first, user, by_page, bad, read_only, good = of_kind(capture, "hypercall")
    major, minor = map(int, release.split("."))
    assert first["ret"] == by_page["ret"] == major << 16 | minor
    assert (first["via"], by_page["via"], first["width"]) == ("direct", "page", width)
    assert (user["cpl"], user["ret"]) == (3, -1)
    assert (bad["ret"], bad["arg_readable"]) == (-14, False)
    assert (read_only["ret"], read_only["arg_writable"]) == (-14, False)
    assert good["ret"] == 0
    ((address, after),) = good["out"]
    assert int(address, 16) + 16 == int(good["args"][1], 16)
    assert after.startswith("a5" * 16)
    assert after.endswith("a5" * 16)
    assert bytes.fromhex(after)[16:].startswith(b".")

    written, refused, unknown = of_kind(capture, "msr")
    assert (written["fault"], refused["fault"], unknown["fault"]) == (False, True, True)
    page = next(event for event in of_kind(capture, "mem") if event.get("what") == "hypercall page")
    assert page["bytes"] == "b8110000000f01d9c3"


@pytest.mark.parametrize("width", [32, 64])
def test_events_and_upcalls(xen_image: tuple[str, Path], width: int) -> None:
    program = Program(
        (
            map_shared_info(width),
            UseSharedInfo(Area(0)),
            callback(VECTOR),
            alloc(0),
            bind_interdomain(0, 1),
            Store("evtchn_pending", 0, "set", 0),
            Store("evtchn_pending_sel", 0, "set", 0),
            Store("evtchn_upcall_pending", 0, "set", 0),
            send(1),
            Shared(),
            Window(),
            Window(),
            Store("evtchn_upcall_pending", 0, "set", 1),
            Window(clear=False, limit=3),
        )
    )
    capture = capture_xen(xen_image[1], program, width=width)
    readable(capture)
    assert [event["ret"] for event in of_kind(capture, "hypercall")] == [0] * 5
    (shared,) = of_kind(capture, "shared_info")
    assert (shared["width"], shared["pending"], shared["mask"]) == (width, {"0": "0x2"}, {})
    assert shared["vcpus"] == {"0": {"upcall_pending": 1, "upcall_mask": 0, "sel": "0x1"}}
    tail = [event["kind"] for event in capture.events if event.get("step", 0) >= 10]
    assert tail == [
        *("upcall", "store", "interruptible"),
        "interruptible",
        *("store", "upcall", "upcall", "upcall"),  # the last one closes the window
    ]
    assert {event["vector"] for event in of_kind(capture, "upcall")} == {VECTOR}


def test_a_hypercall_more_costs_a_quarter_of_a_millisecond(one_xen: Path) -> None:
    program = Program((alloc(0), send(0)) * 400)
    capture = capture_xen(one_xen, program, width=64)
    assert len(of_kind(capture, "hypercall")) == 800
    assert capture.seconds < 10, "1.3 s on an idle machine"


def test_a_guest_that_hangs(one_xen: Path) -> None:
    start = time.monotonic()
    capture = capture_xen(one_xen, Program((Hypercall(VERSION, (0,)), Hang())), timeout=5)
    assert time.monotonic() - start < 8
    readable(capture)
    assert capture.events[-1]["reason"] == "hang"
    assert [event["ret"] for event in of_kind(capture, "hypercall")] == [0x40011]


def test_a_guest_that_crashes_its_domain(one_xen: Path) -> None:
    crash = Hypercall(29, (2, Buf(0)), (Buffer(struct.pack("<I", 3)),))
    capture = capture_xen(one_xen, Program((Note("before"), crash)))
    readable(capture)
    assert capture.seconds < 10, "Xen itself would wait five seconds and boot again"
    assert capture.events[-1]["reason"] == "crash"
    assert "Dom0 crashed" in capture.events[-1]["text"]
    assert "ret" not in of_kind(capture, "hypercall")[0]


def test_memory_that_is_not_there_is_told_and_passed_over(one_xen: Path) -> None:
    program = Program((Write(Unreadable(), b"1234"), Read(Unreadable(), 4), Cpuid(0)))
    capture = capture_xen(one_xen, program)
    readable(capture)
    assert [event["text"] for event in of_kind(capture, "note")] == [
        "memory not there: exception 14"
    ] * 2
    assert len(of_kind(capture, "cpuid")) == 1


def test_a_call_with_memory_whose_page_is_gone(one_xen: Path) -> None:
    gone = Buffer(struct.pack("<HHIQ", SELF, 0, 0, 0), (Patch(8, 8, Area(0x3000, 12)),))
    program = Program(
        (
            Hypercall(MEMORY, (15, Buf(0)), (gone,)),  # XENMEM_remove_from_physmap
            Hypercall(VERSION, (0, 0), (Buffer(b"\x12" * 8, at=0x3070),)),
            Note("on it goes"),
        )
    )
    capture = capture_xen(one_xen, program, width=64, timeout=20)
    removed, call = of_kind(capture, "hypercall")
    assert removed["ret"] == 0
    assert [data for _, data in call["in"]] == ["ff" * 40]  # with what is around it
    assert capture.events[-1]["reason"] == "shutdown"
    assert [e["text"] for e in of_kind(capture, "note")][-1] == "on it goes"


def test_several_vcpus(one_xen: Path) -> None:
    ipi = Hypercall(EVTCHN, (7, Buf(0)), (Buffer(struct.pack("<II", 1, 0)),))
    capture = capture_xen(one_xen, Program((ipi,)), vcpus=2, width=64)
    readable(capture)
    assert of_kind(capture, "hypercall")[0]["ret"] == 0
    assert capture.header["given"]["vcpu_exists"] == {"*": False, "0,0": True, "0,1": True}
    assert len(of_kind(capture, "entry")) == 2


def test_an_elf_that_only_looks_like_xen(tmp_path: Path, machine: None) -> None:
    """The probe itself, dressed up as Xen: it boots, and never says that it is Xen."""
    dressed = tmp_path / "xen"
    text = MULTIBOOT + b"Xen version %d.%d%s"
    data = probe.build(32).path.read_bytes()
    dressed.write_bytes(data[:512] + text + data[512 + len(text) :])
    with pytest.raises(BadImage, match="did not say that it is Xen"):
        capture_xen(dressed, Program(), timeout=5)


@pytest.mark.parametrize("machine_type", ["pc", "q35", "microvm"])
@pytest.mark.parametrize("width", [32, 64])
def test_qemu(machine: None, machine_type: str, width: int) -> None:
    program = Program((Cpuid(0), ReadMsr(0x1B), Hypercall(VERSION, (0,)), Note("done")))
    capture = capture_qemu(
        machine_type, program, width=width, cmdline="one two", initrd=b"an initrd"
    )
    readable(capture)
    assert capture.events[-1]["reason"] == "shutdown"
    outside, inside = of_kind(capture, "entry")
    assert outside["regs"] == inside["regs"]
    assert outside["segs"]["tr"]["limit"] == "0xffff"  # should be 0x67: QEMU's own deviation
    assert {name: part["sel"] for name, part in outside["segs"].items()} == {
        name: part["sel"] for name, part in inside["segs"].items()
    }
    memory: dict[str, dict[str, tuple[str, str]]] = {"hw": {}, "guest": {}}
    for event in of_kind(capture, "mem"):
        memory[event["view"]][event["what"]] = (event["gpa"], event["bytes"])
    assert memory["hw"] == memory["guest"]
    assert memory["hw"]["cmdline"][1] == b"one two\0".hex()
    assert memory["hw"]["start_info"][1].startswith("78c56e3301000000")
    assert struct.unpack("<Q", bytes.fromhex(memory["hw"]["modlist"][1])[8:16]) == (9,)
    assert len(memory["hw"]["memmap"][1]) % 48 == 0
    assert not of_kind(capture, "hypercall"), "there is no Xen to call"


def test_qemu_without_modules_or_a_look_from_outside(machine: None) -> None:
    capture = capture_qemu("pc", Program((Cpuid(0),)), memory_mib=128, vcpus=2, outside=False)
    readable(capture)
    assert len(of_kind(capture, "entry")) == 1
    assert "modlist" not in {event.get("what") for event in of_kind(capture, "mem")}
    assert len(of_kind(capture, "cpuid")) == 1


def test_qemu_guest_that_hangs(machine: None) -> None:
    capture = capture_qemu("microvm", Program((Note("before"), Hang())), timeout=2)
    readable(capture)
    assert capture.events[-1]["reason"] == "hang"
    assert of_kind(capture, "note")[0]["text"] == "before"


@pytest.mark.parametrize("width", [32, 64])
def test_kvm(machine: None, width: int) -> None:
    try:
        capture = capture_qemu("microvm", Program((Cpuid(0),)), width=width, accel="kvm")
    except MissingTool as missing:
        pytest.skip(str(missing))
    except TargetError as error:
        pytest.skip(f"this machine's KVM does not run it: {error}")
    readable(capture)
    assert capture.events[-1]["reason"] == "shutdown"
    assert len(of_kind(capture, "entry")) == 2


@pytest.mark.parametrize(
    "machine_type, accel, memory, words",
    [("virt", "tcg", 256, "no PVH loader"), ("pc", "hvf", 256, "no accelerator"),
     ("pc", "tcg", 16, "too few")],
)  # fmt: skip
def test_what_cannot_be_run_is_refused(
    machine_type: str, accel: str, memory: int, words: str
) -> None:
    with pytest.raises(TargetError, match=words):
        capture_qemu(machine_type, Program(), accel=accel, memory_mib=memory)
