"""`pvhspec merge A B -o OUT`: joins two captures of one run."""

from __future__ import annotations

import argparse
import os
import sys

from pvhspec.commands.common import Subparsers, command
from pvhspec.diagnostics import Diagnostic, PvhError, code, render_all

__all__ = ["add_parser", "run"]

ONE_FILE = code("PVH530", "The files of a merge are not three different ones.")


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "merge",
        "join two captures of one run",
        "What either shows of a call is in the result: arguments from KVM's trace, say, and its "
        "result from QEMU's log. Times are those of the first trace. Where the two contradict "
        "each other the field is left out, the conflict is reported, and the exit status is 1.",
        """
pvhspec merge run.ftrace run.qtrace -o run.jsonl
pvhspec merge steps.log probe.jsonl -o run.jsonl && pvhspec check run.jsonl
""",
    )
    parser.add_argument("traces", nargs=2, metavar="TRACE", help="files, in any format check reads")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="the trace to write")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from pvhspec.report.paint import wants_color
    from pvhspec.traces import TraceWriter, open_trace
    from pvhspec.traces.merge import Merge

    first, second = args.traces
    if "-" in args.traces or _same_file(first, second) or any(
        _same_file(args.output, path) for path in args.traces
    ):  # fmt: skip
        message = "two traces and a third file are needed; each is read twice, so none can be -"
        raise PvhError(Diagnostic(ONE_FILE, message))
    merge = Merge(lambda index: open_trace(args.traces[index]))
    merge.prepare()
    conflicts = merge.conflicts
    events = 0
    with TraceWriter(args.output, merge.header, live=False) as writer:
        for event in merge.events():
            writer.write(event)
            events += 1
    if merge.told:
        sys.stdout.flush()
        print(render_all(merge.told, wants_color(sys.stderr)), file=sys.stderr)
    both, alone = merge.both["hypercall"], [side["hypercall"] for side in merge.alone]
    names = [os.path.basename(path) for path in args.traces]
    only = ", ".join(f"{n:,} only in {name}" for n, name in zip(alone, names, strict=True))
    print(f"{args.output}: {events:,} events; of the hypercalls {both:,} are in both, {only}")
    if conflicts:
        print(f"{conflicts} conflict{'s' if conflicts != 1 else ''}: what differs is left out")
    return 1 if conflicts else 0


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return one == other
