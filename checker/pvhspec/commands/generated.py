"""`pvhspec conform --budget`: programs generated from the specification instead of written ones."""

from __future__ import annotations

import argparse
import random
import sys
from typing import TYPE_CHECKING

from pvhspec.commands.gating import finish, policy_of, to_stdout
from pvhspec.diagnostics import Diagnostic, PvhError, code

if TYPE_CHECKING:
    from pvhspec.conform.gated import Generated
    from pvhspec.conform.generated import Session
    from pvhspec.ir.ir import Spec
    from pvhspec.report.gate import Run
    from pvhspec.report.paint import Paint
    from pvhspec.report.verdict import Selection

__all__ = ["add_options", "run", "wanted"]

NOT_TOGETHER = code("PVH522", "Options of conform that cannot be given together.")
_BUDGET = 60.0
_INTERRUPTED = 130


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of generated runs."""
    add = parser.add_argument
    add("--budget", type=float, metavar="SECONDS",
        help="generate programs from the specification for about so long")  # fmt: skip
    add("--programs", type=int, metavar="N", help="generate so many programs, each for one boot")
    add("--seed", type=int, metavar="N", help="generate what a run with this seed generated")
    add(
        "--against",
        metavar="IMAGE|VERSION",
        help="run the same generated programs on this build, too, and tell where they differ",
    )
    add("--races", action="store_true",
        help="generate only programs in which two vCPUs make calls at the same time")  # fmt: skip
    add("--replay", dest="program", action="append", metavar="FILE",
        help="a program that a generated run has saved")  # fmt: skip


def wanted(args: argparse.Namespace) -> bool:
    """Whether programs are to be generated."""
    given = (args.budget, args.programs, args.seed, args.against)
    return args.races or any(one is not None for one in given)


def run(args: argparse.Namespace, spec: Spec, chosen: Selection) -> int:
    """Generate, run, judge; the worst status of the images named, and of the gate."""
    from pvhspec.conform.against import run_against
    from pvhspec.conform.generated import Options, run_generated
    from pvhspec.report.gate import Run
    from pvhspec.report.paint import Paint, wants_color
    from pvhspec.targets import TargetError, locate_xen, probe, qemu

    _possible(args)
    told = _Told(Run("conform", spec, policy_of(args, spec)))
    paint = Paint(wants_color(sys.stdout)) if to_stdout(args) == "text" else None
    qemu.find()
    for width in (32, 64):
        probe.build(width)
    terminal = sys.stderr is not None and sys.stderr.isatty()
    status = 0
    for image in args.xen or ["4.17"]:
        locate_xen(image)
        options = Options(
            image,
            budget=_BUDGET if args.budget is None else args.budget,
            seed=random.randrange(1 << 32) if args.seed is None else args.seed,
            programs=args.programs,
            races=args.races,
            selection=chosen,
            policy=told.gate.policy,
            out=args.out,
            parallel=args.jobs,
            verbose=args.verbose,
            say=_say if terminal else lambda text: None,
        )
        if args.programs is not None and args.budget is None:
            options.budget = float("inf")
        try:
            if args.against is not None:
                assert paint is not None
                locate_xen(args.against)
                came = run_against(spec, options, args.against, paint)
            else:
                came = run_generated(spec, options, paint, told.keep)
            status = max(status, came)
        except RuntimeError as fault:
            raise TargetError(f"a boot came to nothing: {fault}", "") from None
        finally:
            if terminal:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            if told.runs:  # also where it ends with an error: what was found so far
                told.finish(args, max(status, told.gate.status))
    if paint is not None and (ends := told.ends(paint)):
        print("\n".join(ends))
    return status if status == _INTERRUPTED else max(status, told.gate.status)


class _Told:
    """What came of the runs, for the reports."""

    def __init__(self, gate: Run) -> None:
        self.gate = gate
        self.runs: list[Generated] = []

    def keep(self, session: Session) -> None:
        """Take in what came of one image."""
        from pvhspec.conform.gated import Generated

        made = Generated.of(session, self.gate.spec, session.version)
        self.runs.append(made)
        self.gate.items += made.subjects
        reports = [subject.report for subject in made.subjects]
        self.gate.require(made.whole.title, reports)

    def finish(self, args: argparse.Namespace, status: int) -> None:
        """Write every report that is asked for."""
        finish(args, self.gate, lambda: self.json(status), self.text)

    def ends(self, paint: Paint) -> list[str]:
        """What is said of all of them."""
        from pvhspec.report.text import baseline_text, unmet_text

        return [*unmet_text(self.gate.unmet, paint), *baseline_text(self.gate, paint)]

    def text(self, paint: Paint) -> str:
        """All of the text."""
        from pvhspec.conform.generated import heading, summary

        parts = [
            f"{heading(run.session)}\n{summary(self.gate.spec, run.session, paint)}"
            for run in self.runs
        ]
        return "\n\n".join([*parts, *self.ends(paint)])

    def json(self, status: int) -> str:
        """The same for programs to read."""
        from pvhspec.conform.gated import generated_object
        from pvhspec.report.json import dumped, envelope

        targets = [generated_object(run, self.gate.spec) for run in self.runs]
        return dumped({**envelope(self.gate, status), "targets": targets})


def _possible(args: argparse.Namespace) -> None:
    def refuse(what: str, remedy: str) -> None:
        raise PvhError(Diagnostic(NOT_TOGETHER, what, remedy))

    if args.target != "xen":
        refuse("programs are generated for Xen only", "leave out --target")
    if args.races and args.against is not None:
        refuse("what races differs from run to run on one build, too", "leave out --races")
    if args.program:
        refuse("a program is given, and programs are to be generated", "leave out one of them")
    gate = {
        "--format": any(o != ("text", None) for o in args.format),
        "--baseline": args.baseline,
        "--severity": args.severity,
        "--require-seen": args.require_seen,
    }
    for option in (name for name, given in gate.items() if given and args.against is not None):
        refuse(f"{option} is not there for two builds side by side", "leave it out")
    if args.authority != "implemented":
        refuse(f"--authority {args.authority} is not there for generated programs", "leave it out")
    if args.budget is not None and not args.budget > 0:
        refuse("a budget is more than 0 seconds", "--budget 60")
    if args.programs is not None and args.programs < 1:
        refuse("at least one program has to be generated", "--programs 1")
    if args.jobs is not None and args.jobs < 1:
        refuse("at least one job is needed", "leave out --jobs")


def _say(text: str) -> None:
    print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
