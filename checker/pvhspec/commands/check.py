"""`pvhspec check TRACE…`: judges traces by the specification."""

from __future__ import annotations

import argparse
import sys
from time import monotonic
from typing import TYPE_CHECKING

from pvhspec.commands.common import (
    Subparsers,
    add_judging,
    command,
    selection,
    spec_of,
)
from pvhspec.commands.gating import add_gating, finish, policy_of, to_stdout
from pvhspec.commands.several import add_many, many
from pvhspec.diagnostics import Diagnostic, PvhError, code, render_all

if TYPE_CHECKING:
    from pvhspec.report.gate import Run, Subject
    from pvhspec.report.paint import Paint

__all__ = ["add_parser", "run"]

ALL_CLAUSES = code("PVH519", "A whole trace is judged by all clauses or not at all.")


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "check",
        "judge traces by the specification",
        "Violations come first, then what could not be seen, then how much was covered. Exit "
        "status 1 if a clause is violated, or if fewer clauses could be seen than are required; 2 "
        "if a trace cannot be read.",
        """
pvhspec check run.jsonl
pvhspec check --only 'evtchn.*' --authority documented *.jsonl
pvhspec check --require-seen 100 --format json run.jsonl > verdict.json
pvhspec check --format text --format sarif=pvhspec.sarif --format html=report.html *.jsonl
pvhspec check --baseline known.toml --severity 'cpuid.*=warning' *.jsonl
pvhspec check --baseline known.toml --update-baseline --reason 'reported' *.jsonl
pvhspec check --solve lossy.jsonl
pvhspec check --jobs 8 --format junit=verdicts.xml captures/
pvhspec check --cluster tcp://scheduler:8786 captures/
zcat run.jsonl.gz | pvhspec check -
""",
    )
    parser.add_argument(
        "traces", nargs="+", metavar="TRACE",
        help="files; a folder is all traces in it; - is standard input",
    )  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="name every clause")
    parser.add_argument(
        "--stats", action="store_true",
        help="say how many events a second were judged, in how much memory, and by what",
    )  # fmt: skip
    parser.add_argument(
        "--engine", choices=("auto", "interpreter", "native"), default="auto",
        help="what judges; the verdict is the same. auto: machine code for long traces (default)",
    )  # fmt: skip
    parser.add_argument(
        "--solve", action="store_true",
        help="decide, too, whether some execution shows all of a trace, whatever was not seen",
    )  # fmt: skip
    parser.add_argument(
        "--solve-budget", type=float, default=10.0, metavar="SECONDS",
        help="time for that, for each trace (default: 10)",
    )  # fmt: skip
    add_judging(parser)
    add_many(parser)
    add_gating(parser, "in each trace")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from pvhspec.report.gate import Run, Subject, Unreadable
    from pvhspec.report.paint import Paint, wants_color

    if args.solve and (args.only or args.skip or args.authority != "implemented"):
        what = "--solve is by all clauses"
        raise PvhError(
            Diagnostic(ALL_CLAUSES, what, "leave out --only, --skip and --authority documented")
        )
    since = monotonic()
    spec = spec_of(args.spec)
    chosen = selection(args, spec)
    gate = Run("check", spec, policy_of(args, spec))
    paint = Paint(wants_color(sys.stdout)) if to_stdout(args) == "text" else None
    for path, report in many(args, spec, chosen):
        if isinstance(report, PvhError):
            gate.items.append(Unreadable(path, report.diagnostics))
            sys.stdout.flush()
            print(render_all(report.diagnostics, wants_color(sys.stderr)), file=sys.stderr)
            continue
        subject = Subject.of(report, gate.policy)
        gate.require(report.path, [report])
        if paint is not None:
            text = _text(gate, subject, args.verbose, paint)
            print("\n" * bool(gate.items) + text, flush=True)
        gate.items.append(subject)
    if paint is not None:
        for part in _ends(gate, paint):
            print(f"\n{part}")
    finish(args, gate, lambda: _json(gate), lambda plain: _whole(gate, args.verbose, plain))
    if args.stats:
        sys.stdout.flush()
        print(_stats(gate, monotonic() - since), file=sys.stderr)
    return gate.status


def _stats(gate: Run, seconds: float) -> str:
    """What it took: of all processes that judged on this machine, the most memory of one."""
    import resource

    events = sum(s.report.events for s in gate.subjects)
    engines = sorted({s.report.engine for s in gate.subjects})
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    most = max(resource.getrusage(one).ru_maxrss for one in who) / 1024
    told = f"{events:,} events in {seconds:.1f} s, {events / max(seconds, 1e-9):,.0f} a second, "
    return f"{told}{most:.0f} MiB of memory at most; judged by: {', '.join(engines) or 'nothing'}"


def _text(gate: Run, subject: Subject, verbose: bool, paint: Paint) -> str:
    """All that is said of one trace."""
    from pvhspec.report.text import text_of, unmet_text

    unmet = [u for u in gate.unmet if u.where == subject.title]
    text = text_of(
        subject.report, gate.spec, paint=paint, verbose=verbose, deviations=subject.deviations
    )
    return "\n".join([text, *unmet_text(unmet, paint)])


def _ends(gate: Run, paint: Paint) -> list[str]:
    """What is said of all of them, in parts."""
    from pvhspec.report.text import baseline_text

    known = baseline_text(gate, paint)
    parts = ["\n".join(known)] if known else []
    if len(gate.items) > 1:
        parts.append(_summary(gate.status, len(gate.items)))
    return parts


def _whole(gate: Run, verbose: bool, paint: Paint) -> str:
    parts = [_text(gate, subject, verbose, paint) for subject in gate.subjects]
    return "\n\n".join([*parts, *_ends(gate, paint)])


def _json(gate: Run) -> str:
    from pvhspec.report.json import document, dumped

    return dumped(document(gate))


def _summary(status: int, count: int) -> str:
    if status == 0:
        return f"all {count} traces conform in what could be seen"
    return "some traces could not be read" if status == 2 else "not all traces conform"
