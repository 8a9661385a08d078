"""Foreign formats: what each reader takes out of real captures, and out of damaged ones."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pvhspec import _data
from pvhspec.diagnostics import PvhError
from pvhspec.ir.cache import load_spec
from pvhspec.judge import judge
from pvhspec.names.gates import parse_version
from pvhspec.traces import FORMATS, Event, open_trace
from pvhspec.traces.decode import decode_event
from pvhspec.traces.encode import encode_event
from tests.traces.foreign_samples import CRASH, EVTCHN, FOREIGN, SINGLESTEP, VMCB, VMCS, hvmctx

CORPUS = _data.traces_dir() / "corpus"
RAW = CORPUS / "raw"
SHARED = Path(__file__).parents[3] / "shared/captures/data"

# What a user must say where the capture does not: mode and release.
SAID = {
    "xen-4.17-dom0-pvh-18-hypercalls.debugcon.bin": ("pvh_dom0", "4.17"),
    SINGLESTEP: ("pvh_dom0", "4.17"),
    f"{SINGLESTEP}.gz": ("pvh_dom0", "4.17"),
    "linux-xen.serial": ("kvm_xen", None),
    "xentrace-hvm-8cpu.bin": ("pvhvm", "4.17"),
    "xen-4.11-pvh-domU-evtchn-vmcs-2020-06-19.txt": ("pvh_domu", "4.14"),
    "xen-4.11-pvh-domU-solo5-start_info-2020-05-27.txt": ("pvh_domu", "4.14"),
}
# QEMU's own start of a guest, as traces/corpus/README.md explains; deviations put in on purpose;
# and a small VMM that answers 0 to two calls QEMU's Xen does not have.
TRUE = {
    "vmmq.jsonl": {
        "hypercall.convention.every.no_such_hypercall",
        "hypercall.version.xen_version.unknown_command",
    },
    "entry-injected-tr.jsonl": {"boot.entry.task_register.limit"},
    "entry-injected-magic.jsonl": {"boot.start_info.start_info.magic"},
    "entry-linux6.1-qemu72-pc-tcg.json": {"boot.entry.task_register.limit"},
    "entry-tiny-qemu72-pc-tcg.json": {"boot.entry.task_register.limit"},
    "entry-tiny-qemu72-microvm-tcg.json": {
        "boot.entry.task_register.limit",
        "boot.memmap.memmap.types",
        "boot.memmap.placement.start_info_in_ram",
    },
}
# Documents that lie beside the captures.
NO_TRACES = {"SOURCES.md", "formats.txt"}


def captures() -> list[Path]:
    ours = [p for folder in (FOREIGN, RAW) for p in folder.iterdir() if p.suffix != ".py"]
    shared = [p for p in SHARED.rglob("*") if p.is_file() and p.name not in NO_TRACES]
    return sorted(ours) + sorted(p for p in shared if p.name not in {o.name for o in ours})


def parsed(name: str, text: str) -> list[Event]:
    """The events of a text, read as this format."""
    stream = io.BufferedReader(io.BytesIO(text.encode()))
    return list(FORMATS[name].read(stream, "t"))


def only(events: list[Event], kind: str) -> Event:
    (one,) = (event for event in events if event.kind == kind)
    return one


@pytest.mark.parametrize("path", captures(), ids=lambda p: p.name)
def test_a_real_capture_is_judged_without_a_false_alarm(path: Path) -> None:
    spec, _ = load_spec(None)
    assert spec is not None
    mode, release = SAID.get(path.name, (None, None))
    version = parse_version(release) if release else None
    report = judge(spec, open_trace(path), mode=mode, version=version)
    assert set(report.violates) == TRUE.get(path.name, set())
    assert report.events > 0


@pytest.mark.parametrize("path", captures(), ids=lambda p: p.name)
def test_every_event_is_one_of_the_schema(path: Path) -> None:
    for event in open_trace(path):
        assert decode_event(json.loads(json.dumps(encode_event(event))), 0) == event


def test_single_steps_give_what_the_one_off_reader_gave() -> None:
    events = list(open_trace(FOREIGN / f"{SINGLESTEP}.gz"))
    entry = only(events, "entry")
    known = list(open_trace(CORPUS / "real" / "xen-4.17-dom0-pvh-18-hypercalls.jsonl"))
    there = only(known, "entry")
    assert {n: entry.fields["regs"][n] for n in there.fields["regs"]} == there.fields["regs"]
    assert entry.fields["segs"] == there.fields["segs"]
    calls = [e.fields for e in events if e.kind == "hypercall"]
    wanted = [e.fields for e in known if e.kind == "hypercall"]
    names = ("width", "nr", "args", "ret")
    assert [[c[n] for n in names] for c in calls] == [[c[n] for n in names] for c in wanted]
    leaves = [e.fields for e in events if e.kind == "cpuid"]
    assert [(c["leaf"], c["eax"]) for c in leaves] == [
        (0x40000000, 0x40000005),
        (0x40000001, 0x40011),
        (0x40000002, 1),
    ]
    msr = only(events, "msr").fields
    assert msr == {
        "width": 32, "op": "write", "index": 0x40000000, "value": 0x102000, "fault": False,
    }  # fmt: skip
    assert Counter(e.fields["code"] for e in events if e.kind == "vmexit")[0x81] == 18


def _dump(rip: int, **registers: int) -> str:
    names = dict.fromkeys(("EAX", "EBX", "ECX", "EDX", "ESI", "EDI"), 0) | registers
    words = " ".join(f"{name}={value:08x}" for name, value in names.items())
    return f"{words}\nEIP={rip:08x} EFL=00000002\nEFER=0000000000001000\n"


def test_a_hypercall_that_goes_on_later_is_one_call() -> None:
    run, leave = (
        "vmrun! 0000000000001000\n",
        f"vmexit(00000081, {0:016x}, {0:016x}, {0x500:016x})!\n",
    )
    log = (
        run + _dump(0x500, EAX=12, EBX=1, ECX=0x9000) + leave
        + run + _dump(0x500, EAX=12, EBX=0x41, ECX=0x9000) + leave
        + run + _dump(0x503, EAX=0xFFFFFFEA, EBX=0x41)
    )  # fmt: skip
    call = only(parsed("singlestep", log), "hypercall")
    assert call.fields == {"width": 32, "nr": 12, "args": (1, 0x9000, 0, 0, 0), "ret": -22}


def test_the_last_call_of_a_log_has_no_result() -> None:
    log = "vmrun! 0000000000001000\n" + _dump(0x500, EAX=29, EBX=2)
    log += f"vmexit(00000081, {0:016x}, {0:016x}, {0x500:016x})!\n"
    assert "ret" not in only(parsed("singlestep", log), "hypercall").fields


# ---- older tools of this project ----------------------------------------------------------------


def test_a_document_beside_the_captures_is_no_trace(tmp_path: Path) -> None:
    (tmp_path / "t.md").write_text("# Where each capture came from\n")
    with pytest.raises(PvhError, match="PVH902"):
        open_trace(tmp_path / "t.md")


def test_the_guests_own_dump_and_the_log_show_the_same_calls() -> None:
    name = "xen-4.17-dom0-pvh-18-hypercalls"
    dumped = open_trace(RAW / f"{name}.debugcon.bin", "debugcon")
    kept = open_trace(RAW / f"{name}.jsonl")
    assert kept.header.hypervisor.version == "4.17.7"
    of = [
        [[e.fields[n] for n in ("nr", "args", "ret")] for e in trace if e.kind == "hypercall"]
        for trace in (dumped, kept)
    ]
    assert len(of[0]) == 18
    assert of[0] == of[1]


def test_a_dump_that_is_cut_has_the_calls_before() -> None:
    data = (RAW / "xen-4.17-dom0-pvh-18-hypercalls.debugcon.bin").read_bytes()
    rows = data.index(bytes.fromhex("78c56e33")) + 56 + 192
    stream = io.BufferedReader(io.BytesIO(data[: rows + 28 * 5 + 3]))
    events = list(FORMATS["debugcon"].read(stream, "t"))
    assert [e.kind for e in events] == ["hypercall"] * 5 + ["end"]


def test_firmware_alone_is_no_dump(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("SeaBIOS (version 1.16)\nBooting from Hard Disk\n")
    with pytest.raises(PvhError, match="PVH902"):
        list(open_trace(tmp_path / "t"))


def test_a_line_of_another_shape_is_passed_over() -> None:
    text = '{"ev":"cap","xen_hvm":511}\n[]\n{"ev":"hypercall","nr":"x"}\n{"ev":"end"}\n'
    stream = io.BufferedReader(io.BytesIO(text.encode()))
    trace = FORMATS["small-vmm"].read(stream, "t")
    assert [e.kind for e in trace] == ["end"]
    assert trace.header.guest.mode == "kvm_xen"
    assert "2 lines were passed over" in trace.notices[0].message


# ---- xen-hvmctx ---------------------------------------------------------------------------------


def test_registers_of_a_paused_domain_are_its_entry_state(tmp_path: Path) -> None:
    spec, _ = load_spec(None)
    assert spec is not None
    path = tmp_path / "t"
    for registers, wrong in (({}, set()), ({"cr4": 0x20}, {"boot.entry.control.cr4"})):
        path.write_text(hvmctx(**registers))
        trace = open_trace(path, "hvmctx-entry")
        report = judge(spec, trace, mode="pvh_domu", version=(4, 17))
        assert set(report.violates) == wrong
        assert len(report.seen) > 10


def test_registers_at_some_moment_have_the_names_of_their_mode() -> None:
    text = hvmctx(vcpus=2, rax=1 << 40, cr0=0x80000011)
    assert FORMATS["hvmctx"].recognise(text.encode())
    first, second = parsed("hvmctx", text)
    assert (first.kind, first.dom, first.vcpu, second.vcpu) == ("state", 3, 0, 1)
    registers = first.fields["regs"]
    assert (registers["ebx"], registers["eip"], registers["rax"]) == (0x119000, 0x100020, 1 << 40)
    assert first.fields["segs"]["tr"] == {"sel": 0, "base": 0, "limit": 0x67, "attr": 0x8B}
    assert first.fields["gdtr"] == {"base": 0, "limit": 0}
    (long,) = parsed("hvmctx", hvmctx(efer=0xD01))
    assert (long.fields["regs"]["rip"], long.fields["regs"]["efer"]) == (0x100020, 0xD01)


# ---- KVM ----------------------------------------------------------------------------------------

CALL = "kvm_xen_hypercall: cpl 0 nr 0x20 a0 0x4 a1 0xffffc90000013d54 a2 0x1 a3 0x2 a4 0x3 a5 4"
FORMS = {
    "tracefs": "  qemu-system-x86-157     [003] d..1.    11.705877: ",
    "tracefs, a name with blanks": " CPU 0/KVM-82557   [001] d..1. 12345.678901: ",
    "with process": "   vmm-154     (    154) [000] ...1.     6.787392: ",
    "trace-cmd report": "    CPU 0/KVM-82557 [001] 12345.678901: ",
    "perf script": "CPU 0/KVM 82557 [001] 12345.678901: kvm:",
    "perf script, process and thread": "qemu 82550/82557 [001] 12345.678901234:       kvm:",
}


@pytest.mark.parametrize("form", FORMS)
def test_one_grammar_for_all_tools(form: str) -> None:
    bodies = (CALL, "kvm_entry: vcpu 3, rip 0x1000", "kvm_inj_virq: IRQ 0xf3")
    text = "# tracer: nop\n" + "".join(f"{FORMS[form]}{body}\n" for body in bodies)
    call, entered, injected = parsed("kvm", text)
    assert call.fields["args"] == (4, 0xFFFFC90000013D54, 1, 2)
    assert (call.vcpu, injected.vcpu) == (3, 3)
    assert entered.fields == {"rip": 0x1000}
    assert injected.fields == {"what": "interrupt", "vector": 0xF3}
    assert entered.ts is not None
    assert entered.ts // 10**9 in (11, 12345, 6)
    path_like = io.BufferedReader(io.BytesIO(text.encode()))
    assert FORMATS["kvm"].recognise(path_like.peek(4096))


@pytest.mark.parametrize(
    ("first", "known"),
    [
        ("", 4),
        ("# os release : 6.1.0-18-amd64\n", 4),
        ("# os release : 7.2.1\n", 6),
        ("# latency trace v1.1.5 on 7.2.0-rc1\n", 6),
    ],
)
def test_the_last_two_arguments_count_where_the_kernel_had_them_right(
    first: str, known: int
) -> None:
    call = only(parsed("kvm", f"# tracer: nop\n{first}{FORMS['tracefs']}{CALL}\n"), "hypercall")
    assert call.fields["args"] == (4, 0xFFFFC90000013D54, 1, 2, 3, 4)[:known]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("kvm_cpuid: func 40000000 idx 6 rax 40000004 rbx 566e6558 rcx 1 rdx 2, cpuid entry found",
         {"leaf": 0x40000000, "subleaf": 6, "eax": 0x40000004, "ebx": 0x566E6558, "ecx": 1,
          "edx": 2}),
        ("kvm_cpuid: func 1 rax 1 rbx 2 rcx 3 rdx 4, cpuid entry not found",
         {"leaf": 1, "eax": 1, "ebx": 2, "ecx": 3, "edx": 4}),
        ("kvm_msr: msr_write 40000000 = 0x1000",
         {"op": "write", "index": 0x40000000, "value": 0x1000, "fault": False}),
        ("kvm_msr: msr_read 150 = 0x0 (#GP)", {"op": "read", "index": 0x150, "fault": True}),
        ("kvm_cr: cr_write 4 = 0x6b0", {"op": "write", "number": 4, "value": 0x6B0}),
        ("kvm_pio: pio_write at 0x402 size 1 count 1 val 0x41 ",
         {"op": "write", "port": 0x402, "size": 1, "value": 0x41}),
        ("kvm_pio: pio_read at 0x1f0 size 2 count 256 val 0x41 (...)",
         {"op": "read", "port": 0x1F0, "size": 2}),
        ("kvm_exit: vcpu 0 reason npf rip 0x100000 info1 0x0000000100000014 info2 0x100000",
         {"arch": "svm", "reason": "npf", "rip": 0x100000, "info1": 0x100000014,
          "info2": 0x100000}),
        ("kvm_exit: reason VMCALL rip 0xffffffff81001225 info 0 12",
         {"arch": "vmx", "reason": "VMCALL", "rip": 0xFFFFFFFF81001225, "info1": 0, "info2": 0x12}),
        ("kvm_inj_virq: irq 243", {"what": "interrupt", "vector": 243}),
    ],
)  # fmt: skip
def test_what_an_event_of_kvm_says(body: str, fields: dict[str, Any]) -> None:
    (event,) = parsed("kvm", f"{FORMS['tracefs']}{body}\n")
    assert event.fields == fields


def test_losses_are_told() -> None:
    text = (
        "# tracer: nop\n# entries-in-buffer/entries-written: 10/25   #P:1\n"
        f"{FORMS['tracefs']}{CALL}\nCPU:0 [LOST 12 EVENTS]\nCPU:1 [7 EVENTS DROPPED]\n"
    )
    assert [e.fields["count"] for e in parsed("kvm", text)] == [15, 12, 7]


def test_calls_of_linux_on_kvm() -> None:
    calls = [e for e in open_trace(FOREIGN / "linux-xen.ftrace.gz") if e.kind == "hypercall"]
    answered = [e for e in open_trace(FOREIGN / "linux-xen.qtrace") if e.kind == "hypercall"]
    assert (len(calls), len(answered)) == (1300, 262)
    # what KVM answered itself is missing in QEMU's log; the rest comes in the same order
    rest = iter((c.fields["nr"], c.fields["args"][:3]) for c in calls)
    assert all((a.fields["nr"], a.fields["args"]) in rest for a in answered)


# ---- QEMU's log ---------------------------------------------------------------------------------


def test_both_forms_of_qemus_log() -> None:
    line = (
        "kvm_xen_hypercall xen_hypercall: cpu 1 cpl 0 input 34 a0 0x9 a1 0xffffffffb8e03e68 a2 0x2 "
        "ret 0xffffffffffffffda\n"
    )
    bare, stamped = parsed("qemu-trace", line + "4711@1700000000.123456:" + line)
    assert bare.fields == {
        "cpl": 0, "nr": 34, "args": (9, 0xFFFFFFFFB8E03E68, 2), "ret": -38,
    }  # fmt: skip
    assert (bare.ts, bare.vcpu) == (None, 1)
    assert (stamped.fields, stamped.ts) == (bare.fields, 1700000000_123456000)


def test_which_release_qemu_plays_is_not_guessed() -> None:
    spec, _ = load_spec(None)
    assert spec is not None
    line = "kvm_xen_hypercall cpu 0 cpl 0 input 17 a0 0x0 a1 0x0 a2 0x0 ret 0x40011\n"
    for version, clear in ((None, set()), ((4, 17), set()), ((4, 20), {_VERSION})):
        stream = io.BufferedReader(io.BytesIO(line.encode()))
        trace = FORMATS["qemu-trace"].read(stream, "t")
        assert set(judge(spec, trace, version=version).violates) == clear


_VERSION = "hypercall.version.XENVER_version.success"


# ---- consoles -----------------------------------------------------------------------------------


def test_event_channels_of_the_debug_key() -> None:
    events = parsed("console", EVTCHN)
    assert {e.dom for e in events} == {3}
    assert [e.fields for e in events] == [
        {"port": 1, "pending": True, "masked": False, "status": "interdomain", "notify": 0,
         "remote_dom": 0, "remote_port": 33},
        {"port": 3, "pending": True, "masked": False, "status": "virq", "notify": 0, "virq": 0},
        {"port": 4, "pending": False, "masked": True, "status": "unbound", "notify": 0,
         "remote_dom": 0},
        {"port": 5, "pending": False, "masked": False, "status": "pirq", "notify": 1, "pirq": 16},
    ]  # fmt: skip


def test_registers_of_a_vmcs() -> None:
    state = only(parsed("console", VMCS), "state")
    assert (state.dom, state.vcpu) == (3, 1)
    assert state.fields["regs"] == {
        "cr0": 0x80000033, "cr3": 0x2E9000, "rsp": 0xFFFFEC0, "rip": 0x209997, "rflags": 0x297,
        "dr7": 0x400, "efer": 0x500,
    }  # fmt: skip
    assert state.fields["segs"]["cs"] == {"sel": 8, "attr": 0xA99, "limit": 0xFFFFFFFF, "base": 0}
    assert state.fields["segs"]["tr"]["attr"] == 0x8B
    assert state.fields["gdtr"] == {"limit": 0x27, "base": 0x3E13C0}


def test_registers_of_a_vmcb() -> None:
    state = only(parsed("console", VMCB), "state")
    assert (state.dom, state.vcpu) == (1, 0)
    assert state.fields["regs"] == {
        "efer": 0, "cr0": 0x19, "cr2": 0, "cr3": 0, "cr4": 0x40, "rsp": 0, "rip": 0x100020,
        "rax": 1, "rflags": 2, "dr6": 0xFFFF0FF0, "dr7": 0x400,
    }  # fmt: skip
    assert state.fields["segs"] == {
        "cs": {"sel": 8, "attr": 0xC9B, "limit": 0xFFFFFFFF, "base": 0},
        "ds": {"sel": 0x10, "attr": 0xC93, "limit": 0xFFFFFFFF, "base": 0},
        "tr": {"sel": 0, "attr": 0x8B, "limit": 0x67, "base": 0},
    }
    assert state.fields["gdtr"] == {"limit": 0x27, "base": 0x103000}


def test_registers_of_a_crash() -> None:
    fault, state = parsed("console", CRASH)
    assert fault.kind == "note"
    assert (state.dom, state.vcpu) == (0, 0)
    registers = state.fields["regs"]
    assert (registers["rip"], registers["rbx"], registers["cr0"]) == (0x100020, 0x105004, 0x11)
    assert state.fields["segs"]["ds"] == {"sel": 0x10}


def test_a_console_says_which_xen_it_was() -> None:
    trace = open_trace(FOREIGN / "xen-4.17-dom0-pvh-18-hypercalls.serial.txt")
    trace.close()
    header = trace.header
    assert header.hypervisor.version == "4.17.7"
    assert (header.guest.mode, header.cpu_vendor) == ("pvh_dom0", "AuthenticAMD")
