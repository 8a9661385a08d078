"""`pvhspec check TRACE…`: judges traces by the specification."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from pvhspec.commands.common import (
    Subparsers,
    add_judging,
    command,
    judged,
    selection,
    spec_of,
)
from pvhspec.diagnostics import PvhError, render_all

if TYPE_CHECKING:
    from pvhspec.ir.ir import Spec
    from pvhspec.report.verdict import Report

__all__ = ["add_parser", "run"]


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
zcat run.jsonl.gz | pvhspec check -
""",
    )
    parser.add_argument("traces", nargs="+", metavar="TRACE", help="files; - is standard input")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--require-seen", type=int, default=1, metavar="N",
        help="fail where fewer than N clauses could be decided (default: 1)",
    )  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="name every clause")
    add_judging(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    spec = spec_of(args.spec)
    chosen = selection(args, spec)
    objects: list[dict[str, Any]] = []
    status = 0
    for position, path in enumerate(args.traces):
        try:
            report = judged(path, args, spec, chosen)
        except PvhError as error:
            status = 2
            _unreadable(path, error, args.format, objects)
            continue
        status = max(status, _status(report, args.require_seen))
        if args.format == "json":
            from pvhspec.report.json import report_object

            objects.append(report_object(report, spec))
        else:
            _print(report, spec, args, position)
    if args.format == "json":
        from pvhspec.report.json import document, dumped

        print(dumped(document(objects, status)))
    elif len(args.traces) > 1:
        print(f"\n{_summary(status, len(args.traces))}")
    return status


def _status(report: Report, require: int) -> int:
    return 1 if report.violates or len(report.seen) < require else 0


def _print(report: Report, spec: Spec, args: argparse.Namespace, position: int) -> None:
    from pvhspec.report.paint import Paint, wants_color
    from pvhspec.report.text import text_of

    paint = Paint(wants_color(sys.stdout))
    if position:
        print()
    print(text_of(report, spec, paint=paint, verbose=args.verbose))
    seen = len(report.seen)
    if seen < args.require_seen:
        count = f"{seen} clause{'s' if seen != 1 else ''} decided"
        told = f"gate not met: {count}, {args.require_seen} required (--require-seen)"
        print(paint(told, "red"))


def _unreadable(path: str, error: PvhError, form: str, objects: list[dict[str, Any]]) -> None:
    from pvhspec.report.paint import wants_color

    sys.stdout.flush()
    print(render_all(error.diagnostics, wants_color(sys.stderr)), file=sys.stderr)
    if form == "json":
        from pvhspec.report.json import unreadable_object

        objects.append(unreadable_object(path, error.diagnostics))


def _summary(status: int, count: int) -> str:
    if status == 0:
        return f"all {count} traces conform in what could be seen"
    return "some traces could not be read" if status == 2 else "not all traces conform"
