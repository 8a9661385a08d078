"""Xen under QEMU's TCG, with the probe as its PVH dom0: no KVM, no Linux, no toolstack.

Stock Xen runs under an emulated AMD CPU with SVM and nested paging and starts the first multiboot
module as PVH dom0. The program is the second module and reaches the probe as start_info's first.
The probe writes to an I/O port that Xen passes through (isa-debugcon), and ends the run by one
that QEMU takes as its exit (isa-debug-exit).

A domU is a second probe, which the first one makes (pvhspec.targets.toolstack) and then waits for.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pvhspec.targets import outside as view
from pvhspec.targets import probe as probes
from pvhspec.targets import qemu, toolstack, xen
from pvhspec.targets.capture import Capture, chunks, finish
from pvhspec.targets.decoding import Decoder
from pvhspec.targets.encoding import encode
from pvhspec.targets.errors import BadImage, TargetError
from pvhspec.targets.steps import (
    EMPTY_FRAMES,
    SPARE_FRAMES,
    Apic,
    AwaitVcpu,
    Program,
    Race,
    Sipi,
)
from pvhspec.targets.two_domains import together

__all__ = ["CRASH", "HALTED", "VERSION", "capture_xen", "ending", "lone_dom0"]

_MEMORY_MIB = 512
_APIC_COMMAND = 0x300  # the register by which one vCPU interrupts, and may start, another
_NO_LIMIT = 0x7FFFFFFF  # the highest port of dom0, as Xen has it
#: An AMD CPU with SVM and nested paging. TCG's MWAIT faults as Xen's idle loop uses it, so there is
#: none to use.
_CPU = "EPYC,-monitor"
#: Console lines after which Xen will not go on by itself.
CRASH = re.compile(r"\(XEN\).*(?:Triple fault|Panic on CPU|Hardware Dom0 crashed|FATAL TRAP)")
HALTED = re.compile(r"\(XEN\) (Hardware Dom0 (?:halted|shutdown): .*)\n")
_GSIS = re.compile(r"IRQ limits: (\d+) GSI")
_EXTRA_PIRQS = 32  # of a domain that is not the initial one, beside those that are not MSIs
_PIRQS = re.compile(r"(?:d|Dom)0 has maximum (\d+) PIRQs")
VERSION = re.compile(r"Xen version (\d+\.\d+(?:\.\d+)?).*")


def capture_xen(
    image: Path | str,
    program: Program,
    *,
    width: int = 32,
    vcpus: int = 1,
    domu: bool = False,
    outside: bool = True,
    options: str = "",
    timeout: float = 30.0,
    keep: Path | None = None,
) -> Capture:
    """Boot a Xen image under QEMU with the probe as its PVH dom0 and run the program there.

    `image` is a path (a Xen built by anyone, gzipped or not) or a release, "4.17"; `width` the
    probe's, 32 or 64; `vcpus` the guest's; `domu` runs the program in an unprivileged domain that
    dom0 makes; `outside` adds the hidden parts of dom0's segment registers at entry, which costs no
    time; `options` are added to Xen's command line; `timeout` is seconds of wall time; `keep` a
    folder for the raw output. Raises TargetError (MissingTool, BadImage).
    """
    program_path = qemu.find()
    kernel = xen.locate(image)
    guest = probes.build(width)
    made = _made(guest, program, vcpus, domu, timeout)
    decoder, first, code = made.decoder, made.first, made.code
    two = made.making > 0
    if two:
        outside = False
        options += f" dom0_mem={toolstack.DOM0_MEMORY_MIB}M"
    start = time.monotonic()
    with qemu.working_folder(keep) as folder:
        console = folder / "xen.log"
        (folder / "program.bin").write_bytes(code)
        for empty in ("guest.out", "domu.out", "xen.log"):
            (folder / empty).write_bytes(b"")
        (folder / "probe.elf").unlink(missing_ok=True)
        (folder / "probe.elf").symlink_to(first.path)
        for socket in ("gdb.sock", "qmp.sock"):
            (folder / socket).unlink(missing_ok=True)
        if any(isinstance(step, Race) for step in program.steps):
            options += " dom0_vcpus_pin"  # else Xen runs both vCPUs on one of its processors
        command = _command(program_path, kernel, vcpus, options) + (
            list(view.OPTIONS) if outside else []
        )
        watch = _Watch(console)
        seen = []
        with qemu.running(command, folder) as process:
            if outside:
                seen = _seen(folder, process, guest.entry, timeout, watch)
            left = timeout - (time.monotonic() - start)
            ended = qemu.wait(process, max(0.1, left), watch)
        events = list(decoder.events(chunks(folder / decoder.name)))
        refused, finished = "", decoder.finished
        if two:
            its = list(made.maker.events(chunks(folder / made.maker.name)))
            if len(events) == 1:
                refused = toolstack.refusal(e for e in its if e.get("step", 0) < made.making)
            if program.beside is not None:
                events = together(its, events, made.making, len(program.steps))
                finished = made.maker.finished
        text = console.read_text(errors="replace")
        complaint = qemu.complaint(folder)
    if not text and complaint:
        raise TargetError(f"QEMU could not run {kernel}: {complaint}")
    found = VERSION.search(text)
    if found is None:
        raise BadImage(
            f"{image} did not say that it is Xen within {ended.seconds:.0f} s",
            "give the hypervisor itself (xen-4.17-amd64.gz or xen/xen.gz of a build), for x86-64",
        )
    if two:
        seen = [{"kind": "note", "text": toolstack.REMARK}]
    events[:0] = [guest.image_event(), *seen]
    finish(events, ended, finished, ending=ending(text), console=text)
    if refused:
        events[-1]["text"] = refused
    shown = [decoder] if program.beside is None else [made.maker, decoder]
    header = {
        "schema": "pvh-trace/1",
        "origin": {"method": "probe", "tool": "pvhspec", "file": decoder.name},
        "hypervisor": {
            "name": "xen",
            "version": found[1],
            "sha256": sha256(kernel.read_bytes()).hexdigest(),
            "text": found[0].strip(),
        },
        "guest": {"mode": "pvh_domu" if two else "pvh_dom0", "sha256": guest.sha256},
        "cpu": {"vendor": decoder.vendor},
        "clock": "tsc",
        "from_boot": True,
        "complete": {
            "events": True,
            "args": True,
            "results": True,
            "memory": True,
            "domains": True,
        },
        "given": _merged(
            _beside_dom0(vcpus, text) if two else lone_dom0(vcpus, text),
            *(part for each in shown for part in (_probe_alone(each), _of_vcpus(each, text))),
            {"domain_shown": {str(each.dom): True for each in shown}},
        ),
    }
    return Capture(header, events, text, time.monotonic() - start)


@dataclass(frozen=True, slots=True)
class _Made:
    """Who runs what: `decoder` reads the guest that the trace begins with, `maker` dom0, which runs
    `first` and is handed `code`. Its first `making` steps make the other domain."""

    decoder: Decoder
    maker: Decoder
    first: probes.Probe
    code: bytes
    making: int = 0


def _made(guest: probes.Probe, program: Program, vcpus: int, domu: bool, timeout: float) -> _Made:
    if not domu and program.beside is None:
        decoder = Decoder(program, dom=0)
        return _Made(decoder, decoder, guest, encode(program))
    both = program.beside is not None
    theirs = Program(program.beside or program.steps)
    first = guest if both else probes.build(64)
    second = toolstack.Guest(guest, encode(theirs), vcpus)
    wait = None if both else timeout
    steps = toolstack.start_domain(second, width=first.width, wait=wait)
    whole = Program((*steps, *(program.steps if both else ())))
    decoder = Decoder(theirs, dom=1, name="domu.out")
    return _Made(decoder, Decoder(whole, dom=0), first, encode(whole), len(steps))


def _merged(*parts: dict[str, Any]) -> dict[str, Any]:
    """Facts of several domains together."""
    found: dict[str, Any] = {}
    for part in parts:
        for name, cells in part.items():
            found[name] = {**found.get(name, {}), **cells}
    return found


def _seen(
    folder: Path,
    process: subprocess.Popen[bytes],
    entry: int,
    timeout: float,
    look: Callable[[], str],
) -> list[dict[str, Any]]:
    """The entry state in the CPU, without what the guest does not see of it.

    Xen keeps CR0, CR4, EFER and the debug registers of its own choice in the CPU while the guest
    runs and gives the guest other values when it reads them.
    """
    try:
        (event,) = view.entry_events(folder, process, entry, timeout, look=look, memory=False)
    except view.Lost as lost:
        return [{"kind": "note", "text": f"nothing seen from outside: {lost}"}]
    hidden = ("cr0", "cr2", "cr3", "cr4", "efer", "dr6", "dr7")
    event["regs"] = {name: v for name, v in event["regs"].items() if name not in hidden}
    return [{**event, "dom": 0}]


def _command(program: str, kernel: Path, vcpus: int, more: str) -> list[str]:
    # QEMU runs in `folder`: the names reach the guest's command lines, and must be alike always.
    modules = "probe.elf probe,program.bin program"
    options = (
        f"console=com1 loglvl=all guest_loglvl=all dom0-iommu=none dom0=pvh dom0_max_vcpus={vcpus}"
        f" {more}"
    )
    return [
        program, "-accel", "tcg", "-cpu", _CPU, "-smp", str(vcpus), "-m", str(_MEMORY_MIB),
        "-display", "none", "-monitor", "none", "-no-reboot",
        "-serial", "file:xen.log",
        "-chardev", "file,id=out,path=guest.out",
        "-device", "isa-debugcon,iobase=0x402,chardev=out",
        "-chardev", "file,id=domu,path=domu.out",
        "-device", f"isa-debugcon,iobase={toolstack.GUEST_PORT},chardev=domu",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
        "-kernel", str(kernel.resolve()), "-initrd", modules, "-append", options.strip(),
    ]  # fmt: skip


class _Watch:
    """Looks at Xen's console while it runs, to end a run that Xen itself has given up."""

    def __init__(self, console: Path) -> None:
        self._console = console

    def __call__(self) -> str:
        text = self._console.read_text(errors="replace")
        return "crash" if CRASH.search(text) else "shutdown" if HALTED.search(text) else ""


def ending(console: str) -> tuple[str, str]:
    """(reason, text) of an end that Xen tells of on its console, or ("", "")."""
    if found := CRASH.search(console):
        said = [line for line in console[found.start() :].splitlines() if line.strip("(XEN) *")]
        return "crash", " / ".join(line.removeprefix("(XEN) ") for line in said[:3])
    if found := HALTED.search(console):
        return "shutdown", found[1]
    return "", ""


def lone_dom0(vcpus: int, console: str) -> dict[str, Any]:
    """What is true of a lone dom0 from the start, some of it told by Xen on its console.

    Xen creates dom0 without a port limit of its own, attaches no port to it, and nobody is there
    to pause it.
    """
    exists = {"*": False} | {f"0,{vcpu}": True for vcpu in range(vcpus)}
    given: dict[str, Any] = {
        "domain_exists": {"*": False, "0": True},
        "domain_privileged": {"*": False, "0": True},
        "domain_paused": {"*": False},
        "vcpu_exists": exists,
        "max_evtchn_port": {"0": _NO_LIMIT},
        "xen_attached": {"*": False},
        "virq_handler": {"*": 0},
        "domain_shown": {"*": False},
    }
    if pirqs := _PIRQS.search(console):
        given["nr_pirqs"] = {"0": int(pirqs[1])}
    return given


def _probe_alone(decoder: Decoder) -> dict[str, Any]:
    """What is true where nothing but the probe runs: it sets up no interrupts of its own, gives
    none of its memory away, and can ask for little beside what Xen is left with. Of the parameters,
    Xen itself sets what a triple fault is, and the width of the x87 pointer by the processor."""
    domain = decoder.dom or 0
    given: dict[str, Any] = {
        "memory_to_spare": {"": True},
        "other_interrupts": {str(domain): False},
        "hvm_domain": {"*": True},
        "hvm_param": {f"{domain},{i}": int(i == 31) for i in range(39) if i != 36},
        "told_by_others": {str(domain): False},
        "grant_stores_shown": {str(domain): True},
        "grant_version_limit": {str(domain): 2},
        "max_grant_frames": {str(domain): 64},
    }
    pages = list(SPARE_FRAMES)
    if decoder.frames is not None:
        first, end = decoder.frames
        given |= {"ram_from": {str(domain): first}, "ram_until": {str(domain): end}}
        pages += range(first, end)
    given["frame"] = {f"{domain},{page}": "ram" for page in pages}
    given["frame"] |= {f"{domain},{page}": "no_page" for page in EMPTY_FRAMES}
    given["extent_order_limit"] = {str(domain): 9 if domain else 18}
    return given


def _of_vcpus(decoder: Decoder, console: str) -> dict[str, Any]:
    """How the probe's vCPUs are started and its memory is translated."""
    domain, program = decoder.dom or 0, decoder.program
    sipi = any(
        isinstance(step, Sipi) or (isinstance(step, Apic) and step.register == _APIC_COMMAND)
        for step in program.steps
    )
    two = any(isinstance(step, Sipi | AwaitVcpu | Race) for step in program.steps)
    apics = {} if two else {"lapic_on": {"*": False}}  # else the probe switches them on itself
    return apics | {
        "apic_starts": {str(domain): sipi},
        "hardware_paging": {str(domain): "Hardware Assisted Paging (HAP) detected" in console},
    }


def _beside_dom0(vcpus: int, console: str) -> dict[str, Any]:
    """What is true from the start of the one domU that the toolstack made."""
    gsis = _GSIS.search(console)
    return _merged(
        lone_dom0(vcpus, console),
        {
            "domain_exists": {"1": True},
            "vcpu_exists": {f"1,{vcpu}": True for vcpu in range(vcpus)},
            "max_evtchn_port": {"1": toolstack.PORTS},
            "reservation": {"1": toolstack.PAGES},
            "reservation_limit": {"1": toolstack.MOST_PAGES},
            "counted": {"1": True},
            "has_map": {"1": False},
            "nr_pirqs": {"1": int(gsis[1]) + _EXTRA_PIRQS} if gsis else {},
        },
    )
