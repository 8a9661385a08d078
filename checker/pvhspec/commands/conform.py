"""`pvhspec conform`: boot a hypervisor, drive it with programs, judge what comes back."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pvhspec.commands import generated
from pvhspec.commands.common import Subparsers, command, selection, spec_of, spec_option
from pvhspec.commands.gating import add_gating, finish, policy_of, to_stdout

if TYPE_CHECKING:
    from types import FrameType

    from pvhspec.conform import Job, Outcome
    from pvhspec.conform.tell import Told
    from pvhspec.ir.ir import Spec
    from pvhspec.report.paint import Paint
    from pvhspec.report.verdict import Selection
    from pvhspec.targets import TargetError

__all__ = ["add_parser", "run"]

_DEFAULT = ("4.17", "4.14", "4.20")  # releases held to the specification where none is named
_LACKING, _INTERRUPTED = 3, 130


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "conform",
        "boot a hypervisor, drive it, judge what comes back",
        "Each program is run in a fresh boot, by a 64-bit and by a 32-bit guest, under QEMU "
        "without KVM. With no options, Debian's Xen 4.17, 4.14 and 4.20. Exit status 1 if a clause "
        "is violated, or a run ends in a crash or a hang.",
        """
pvhspec conform --xen 4.17
pvhspec conform --xen ~/xen/xen/xen.gz --only 'evtchn.*' --out traces/
pvhspec conform --xen 4.17 --program mine.prog
pvhspec conform --xen 4.17 --budget 60
pvhspec conform --xen 4.17 --replay conform-1/evtchn.use.EVTCHNOP_send.no_such_port-64.prog
pvhspec conform --target qemu-pvh --machine microvm
pvhspec conform --target kvm --deviation tr
pvhspec conform --target kvm-xen
pvhspec conform --xen xen.gz --baseline known.toml --format text --format html=report.html
""",
    )
    add = parser.add_argument
    add("--xen", action="append", default=[], metavar="IMAGE|VERSION",
        help="a Xen image, or a release Debian has; may be given again")  # fmt: skip
    add("--target", choices=("xen", "qemu-pvh", "kvm", "kvm-xen"), default="xen",
        help="Xen with the probe as PVH dom0 (default), QEMU's own PVH loader, a small one of ours "
        "on /dev/kvm, or what KVM itself plays of Xen, in a Linux under QEMU")  # fmt: skip
    add("--machine", action="append", default=[], metavar="TYPE",
        help="for qemu-pvh: pc, q35 or microvm (default: all)")  # fmt: skip
    add("--deviation", action="append", default=[], metavar="NAME",
        help="for kvm: what the loader is to do wrong on purpose, or all")  # fmt: skip
    add("--every-start", action="store_true",
        help="also for kvm: all combinations of memory, vCPUs, module, command line")  # fmt: skip
    add("--program", action="append", default=[], metavar="FILE",
        help="your own, or the name of one included (default: all of those)")  # fmt: skip
    add("--guest", choices=("dom0", "domu"),
        help="for Xen: run the programs in dom0 only, or in an unprivileged domain only (default: "
        "in dom0, and in both those that say so)")  # fmt: skip
    generated.add_options(parser)
    add("--out", type=Path, metavar="DIR", help="keep the traces and consoles there")
    add("--only", action="append", default=[], metavar="GLOB", help="judge only these clauses")
    add("--skip", action="append", default=[], metavar="GLOB", help="do not judge these clauses")
    add("--authority", choices=("documented", "implemented"), default="implemented",
        help="judge by what is documented only, or by what Xen does as well (default)")  # fmt: skip
    add("--jobs", type=int, metavar="N", help="runs at a time (default: one a core)")
    add("--timeout", type=float, default=60.0, metavar="SECONDS", help="of one run (default: 60)")
    add("-v", "--verbose", action="store_true", help="name every clause")
    spec_option(parser)
    add_gating(parser, "in all runs of a hypervisor together")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    spec = spec_of(args.spec)
    chosen = selection(args, spec)
    signal.signal(signal.SIGTERM, _interrupt)
    if generated.wanted(args):
        return generated.run(args, spec, chosen)
    if args.target == "qemu-pvh":
        return _qemu(args, spec, chosen)
    if args.target == "kvm":
        return _kvm(args, spec, chosen)
    if args.target == "kvm-xen":
        return _kvm_xen(args, spec, chosen)
    from pvhspec.targets import MissingTool

    if args.xen:
        return _xen(args, spec, chosen, args.xen)
    try:
        return _xen(args, spec, chosen, _available())
    except MissingTool as missing:
        return _corpus(args, spec, chosen, missing)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # `timeout` sends it twice
    raise KeyboardInterrupt


def _available() -> list[str]:
    """The releases that can be had; the first one has to be. Raises MissingTool."""
    from pvhspec.targets import TargetError, locate_xen, probe, qemu

    qemu.find()
    probe.build(64)
    found: list[str] = []
    for release in _DEFAULT:
        try:
            locate_xen(release)
        except TargetError as error:
            if not found:
                raise
            print(f"pvhspec: Xen {release} is left out: {error.message}", file=sys.stderr)
        else:
            found.append(release)
    return found


def _xen(args: argparse.Namespace, spec: Spec, chosen: Selection, images: list[str]) -> int:
    from pvhspec.conform import xen_jobs
    from pvhspec.targets import locate_xen, probe, qemu

    programs = _programs(args)
    qemu.find()
    for width in (32, 64):
        probe.build(width)
    all_jobs = []
    for image in images:
        locate_xen(image)
        domu = None if args.guest is None else args.guest == "domu"
        all_jobs.append((image, xen_jobs(spec, image, programs, domu=domu)))
    return _Session(args, spec, chosen).all(all_jobs)


def _qemu(args: argparse.Namespace, spec: Spec, chosen: Selection) -> int:
    from pvhspec.conform import qemu_jobs
    from pvhspec.targets import MACHINES, probe, qemu

    qemu.find()
    for width in (32, 64):
        probe.build(width)
    programs = _programs(args) if args.program else []
    machines = args.machine or list(MACHINES)
    return _Session(args, spec, chosen).all(
        [
            (machine, qemu_jobs(spec, machine, programs, every=args.every_start))
            for machine in machines
        ]
    )


def _kvm(args: argparse.Namespace, spec: Spec, chosen: Selection) -> int:
    from pvhspec.conform import kvm_jobs
    from pvhspec.targets import kvm, probe, vmm

    kvm.check_kvm()
    vmm.build_vmm()
    for width in (32, 64):
        probe.build(width)
    programs = _programs(args) if args.program else []
    jobs = kvm_jobs(spec, programs, deviations=args.deviation, every=args.every_start)
    return _Session(args, spec, chosen).all([("kvm", jobs)])


def _kvm_xen(args: argparse.Namespace, spec: Spec, chosen: Selection) -> int:
    from pvhspec.conform import kvm_xen_jobs
    from pvhspec.targets import nested, probe, qemu, vmm

    qemu.find()
    vmm.build_vmm()
    for width in (32, 64):
        probe.build(width)
    nested.linux_with_kvm()
    jobs = kvm_xen_jobs(spec, _programs(args, args.target))
    return _Session(args, spec, chosen).all([(args.target, jobs)])


def _programs(args: argparse.Namespace, target: str = "") -> list[Path]:
    from pvhspec.conform import bundled_programs

    included = {path.stem: path for path in bundled_programs(target)}
    if not args.program:
        return list(included.values())
    return [included.get(name, Path(name)) if not Path(name).exists() else Path(name)
            for name in args.program]  # fmt: skip


class _Session:
    """The runs of one command, and what is printed of them."""

    def __init__(self, args: argparse.Namespace, spec: Spec, chosen: Selection) -> None:
        from pvhspec.report.gate import Run
        from pvhspec.report.paint import Paint, wants_color

        self.args, self.spec = args, spec
        self.paint = Paint(wants_color(sys.stdout)) if to_stdout(args) == "text" else None
        self.gate = Run("conform", spec, policy_of(args, spec))
        self.told: list[tuple[str, str, list[Told], float]] = []
        self.run: Callable[[Job], Outcome] = partial(_run_one, args, spec, chosen)

    def all(self, targets: list[tuple[str, list[Job]]]) -> int:
        """Run everything; an exit status."""
        interrupted = False
        for position, (image, jobs) in enumerate(targets):
            interrupted = self.one(image, jobs, position)
            if interrupted:
                break
        status = _INTERRUPTED if interrupted else self.gate.status
        if self.paint is not None and (ends := self.ends(self.paint)):
            print(f"\n{ends}")
        finish(self.args, self.gate, lambda: self.json(status), self.text)
        if interrupted:
            print("pvhspec: interrupted; this is what was found so far", file=sys.stderr)
        return status

    def one(self, image: str, jobs: list[Job], position: int) -> bool:
        """The runs of one hypervisor; whether they were interrupted."""
        from pvhspec.conform import run_jobs

        outcomes: list[Outcome] = []
        start, interrupted = time.monotonic(), False
        try:
            self.progress(image, 0, len(jobs))
            for outcome in run_jobs(jobs, self.run, parallel=self.args.jobs):
                outcomes.append(outcome)
                self.progress(image, len(outcomes), len(jobs))
        except KeyboardInterrupt:
            interrupted = True
        finally:
            self.progress(image, 0, 0)
        order = {job.file_name: place for place, job in enumerate(jobs)}
        outcomes.sort(key=lambda o: order[o.job.file_name])
        if outcomes:
            self.tell(image, outcomes, time.monotonic() - start, position)
        return interrupted

    def progress(self, image: str, done: int, of: int) -> None:
        """On a terminal, how far it is."""
        if sys.stderr is not None and sys.stderr.isatty():
            text = f"{image}: {done} of {of} runs" if of else ""
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def tell(self, image: str, outcomes: list[Outcome], seconds: float, position: int) -> None:
        """Take in what came of the runs of one hypervisor, and print it."""
        from pvhspec.conform.tell import subject_of

        runs = [(outcome, subject_of(outcome, self.gate.policy)) for outcome in outcomes]
        target, report = outcomes[0].job.target, outcomes[0].report
        title = {
            "xen": f"Xen {report.release} ({image}), a PVH dom0 under QEMU",
            "qemu-pvh": f"QEMU {report.release}, PVH loader, machine {image}",
            "kvm": f"KVM of Linux {report.release}, a PVH loader of pvhspec's own",
            "kvm-xen": f"KVM of Linux {report.release} under QEMU, what it plays of Xen",
        }[target]
        self.gate.items += [subject for _, subject in runs]
        self.gate.require(title, [o.report for o in outcomes])
        self.told.append((title, image, runs, seconds))
        if self.paint is not None:
            print("\n" * bool(position) + self.target(self.told[-1], self.paint), flush=True)

    def target(self, told: tuple[str, str, list[Told], float], paint: Paint) -> str:
        """All that is said of one hypervisor."""
        from pvhspec.conform.tell import target_text
        from pvhspec.report.text import unmet_text

        title, _, runs, seconds = told
        verbose = self.args.verbose
        text = target_text(title, runs, self.spec, paint, verbose=verbose, seconds=seconds)
        unmet = [u for u in self.gate.unmet if u.where == title]
        return "\n".join([text, *(f"  {line}" for line in unmet_text(unmet, paint))])

    def ends(self, paint: Paint) -> str:
        """What is said of all of them."""
        from pvhspec.report.text import baseline_text

        return "\n".join(baseline_text(self.gate, paint))

    def text(self, paint: Paint) -> str:
        """All of the text."""
        parts = [*(self.target(told, paint) for told in self.told), self.ends(paint)]
        return "\n\n".join(filter(None, parts))

    def json(self, status: int) -> str:
        """The same for programs to read."""
        from pvhspec.conform.tell import target_object
        from pvhspec.report.json import dumped, envelope

        targets = [
            target_object(runs[0][0].job.target, image, runs, self.spec, seconds)
            for _, image, runs, seconds in self.told
        ]
        return dumped({**envelope(self.gate, status), "targets": targets})


def _run_one(args: argparse.Namespace, spec: Spec, chosen: Selection, job: Job) -> Outcome:
    from pvhspec.conform import run_job

    return run_job(
        job, spec, selection=chosen, authority=args.authority, out=args.out, timeout=args.timeout
    )


# ---- where nothing can be booted -----------------------------------------------------------------


def _corpus(
    args: argparse.Namespace, spec: Spec, chosen: Selection, missing: TargetError
) -> int:  # fmt: skip
    """Say what is lacking, and judge the captures that came with pvhspec instead."""
    from pvhspec import _data
    from pvhspec.judge import judge
    from pvhspec.report.paint import Paint, wants_color
    from pvhspec.traces import open_trace

    print(f"pvhspec: no hypervisor was booted: {missing.message}", file=sys.stderr)
    if missing.remedy:
        print(f"  help: {missing.remedy}", file=sys.stderr)
    traces = sorted((_data.traces_dir() / "corpus" / "real").glob("*.jsonl"))
    if to_stdout(args) != "text" or not traces:
        return _LACKING
    print("Nothing ran here. Captures of real hypervisors that came with pvhspec, judged instead:")
    paint = Paint(wants_color(sys.stdout))
    for path in traces:
        report = judge(spec, open_trace(str(path)), authority=args.authority, selection=chosen)
        names = ", ".join(report.violates)
        verdict = paint(f"violates {names}", "red") if names else paint(report.verdict, "green")
        print(f"  {path.stem:<40} {report.events:>4} events  {verdict}")
    return _LACKING
