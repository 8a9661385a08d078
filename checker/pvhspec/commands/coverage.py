"""`pvhspec coverage TRACE…`: which clauses a set of traces has shown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pvhspec.commands.common import (
    Subparsers,
    add_judging,
    command,
    judged,
    selection,
    spec_of,
)
from pvhspec.commands.gating import required_of

if TYPE_CHECKING:
    from pvhspec.report.verdict import Report

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "coverage",
        "show which clauses a set of traces has shown",
        "Counts, for each module, the clauses that apply to at least one of the traces, and how "
        "many of them at least one trace decided. -v names those that none did. Exit status 1 only "
        "if fewer were decided than --require-seen asks for; whether a clause is violated is what "
        "`pvhspec check` is for.",
        """
pvhspec coverage runs/*.jsonl
pvhspec coverage -v --only 'evtchn.*' runs/*.jsonl
pvhspec coverage --require-seen 70% --require-seen 'evtchn.bind.*.success' runs/*.jsonl
""",
    )
    parser.add_argument("traces", nargs="+", metavar="TRACE", help="files; - is standard input")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--require-seen", action="append", default=[], metavar="N|N%|GLOB",
        help="fail where fewer clauses were decided, in all traces together: so many, so many of "
        "a hundred that apply, or one that matches is missing; may be given again (default: 1)",
    )  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="name what nothing showed")
    add_judging(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    spec = spec_of(args.spec)
    chosen = selection(args, spec)
    required = required_of(args.require_seen, spec)
    reports = [judged(path, args, spec, chosen) for path in args.traces]
    applicable = [c for c in spec.clauses if any(c in r.applicable for r in reports)]
    seen = {c for r in reports for c in r.seen}
    broken = {c for r in reports for c in r.violates}
    if args.format == "json":
        from pvhspec.report.json import dumped

        print(dumped(_object(reports, applicable, seen, broken)))
    else:
        print("\n".join(_table(applicable, seen, broken, args.verbose)))
    unmet = list(required.unmet(applicable, [c for c in applicable if c in seen]))
    for told in unmet:
        print(f"gate not met: {told}", file=sys.stderr)
    return int(bool(unmet))


def _object(
    reports: list[Report], applicable: list[str], seen: set[str], broken: set[str]
) -> dict[str, Any]:
    return {
        "version": 1,
        "traces": [r.path for r in reports],
        "applicable": len(applicable),
        "seen": sorted(seen),
        "violated": sorted(broken),
        "never_seen": [c for c in applicable if c not in seen],
    }


def _table(applicable: list[str], seen: set[str], broken: set[str], verbose: bool) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for name in applicable:
        groups.setdefault(".".join(name.split(".")[:2]), []).append(name)
    wide = max((len(g) for g in groups), default=0)
    for module, names in groups.items():
        yield _row(module, names, seen, broken, wide)
        if verbose:
            for name in names:
                if name not in seen:
                    yield f"    {name.removeprefix(f'{module}.')}"
    yield _row("all", applicable, seen, broken, wide)


def _row(title: str, names: list[str], seen: set[str], broken: set[str], wide: int) -> str:
    count = sum(n in seen for n in names)
    bar = "#" * (20 * count // max(len(names), 1))
    wrong = sum(n in broken for n in names)
    told = f"   {wrong} violated" if wrong else ""
    return f"{title:<{wide}}  {count:>4} of {len(names):>4}  {bar:<20}{told}".rstrip()
