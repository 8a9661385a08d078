"""`python -m benchmarks.table`: every checker on one trace of one protocol, side by side.

The trace is that of `benchmarks.protocol`: event channels opened, sent on and closed over 64 ports.
Checkers take turns, each once a round, and what is told is the median of the rounds; slow ones get
the beginning of the trace. Seconds are the processor's, so that other work on the machine counts
less. Before that each has to notice a trace that is wrong. Peers are never installed by the
project: without `--peers` they are left out, with a line that says how to get them.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.table.rows import SECTIONS, Measured, Row, Skipped, rows
from benchmarks.table.traces import Traces, broken

Found = dict[Row, list[Measured]]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.table", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--events", type=float, default=1e6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", metavar="PYTHON", help="a Python with reelay and rtamt")
    parser.add_argument("--spec", type=Path, metavar="DIR", help="another specification")
    parser.add_argument("--section", choices=SECTIONS, help="one part of it alone")
    parser.add_argument("--only", default="", metavar="WORD", help="rows with this in their name")
    parser.add_argument("--folder", type=Path, help="where the traces are put, and stay")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pvhspec-table-") as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        there = [
            row
            for row in rows(args.peers, args.spec, folder, int(args.events))
            if args.only in row.name and args.section in (None, row.section)
            if _notices(row, folder)
        ]
        found: Found = {row: [] for row in there}
        for turn in range(args.rounds):
            for row in there:
                _tell(f"{turn + 1} of {args.rounds}: {row.name}")
                found[row].append(row.run(Traces(folder, row.shape)))
        _tell("")
    for section, title in SECTIONS.items():
        if some := {row: told for row, told in found.items() if row.section == section}:
            print(f"**{title}**\n")
            print(
                "\n".join(_checkers(some) if section == "checkers" else _growth(some)), end="\n\n"
            )
    cores, load = os.cpu_count(), os.getloadavg()[0]
    print(f"{platform.python_implementation()} {platform.python_version()}, {cores} cores,")
    print(f"load {load:.1f}; median of {args.rounds} rounds, least and most beside it; seconds are")
    print("the processor's.")
    return 0


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _notices(row: Row, folder: Path) -> bool:
    """Whether a checker is here, and worth to be measured."""
    try:
        told = row.run(broken(folder, row.shape._replace(hidden=0.0)))
    except Skipped as why:
        print(f"left out: {row.name} ({row.given}): {why}", file=sys.stderr)
        return False
    if not told.wrong:
        print(f"left out: {row.name} ({row.given}): it lets a broken trace pass", file=sys.stderr)
    return told.wrong


def _checkers(found: Found) -> Iterator[str]:
    peers = [_rate(told) for row, told in found.items() if "reelay" in row.name]
    yield "| checker | given | time of | events | M events/s | of the fastest peer | peak MiB |"
    yield "|---|---|---|---|---|---|---|"
    for row, told in found.items():
        times = f"{_rate(told) / max(peers):.2g} ×" if peers else ""
        yield (
            f"| {row.name}{_doubt(told)} | {row.given} | {row.timed} | {told[0].events:,} | "
            f"{_rates(told)} | {times} | {_memory(told)} |"
        )


def _growth(found: Found) -> Iterator[str]:
    first = next(iter(found.values()))
    yield "| | given | events | seconds | M events/s | of the first | peak MiB |"
    yield "|---|---|---|---|---|---|---|"
    for row, told in found.items():
        seconds = statistics.median(one.seconds for one in told)
        yield (
            f"| {row.name}{_doubt(told)} | {row.given} | {told[0].events:,} | {seconds:.3g} | "
            f"{_rates(told)} | {_rate(told) / _rate(first):.2f} × | {_memory(told)} |"
        )


def _doubt(told: list[Measured]) -> str:
    return " (**tells faults where there are none**)" if any(one.wrong for one in told) else ""


def _memory(told: list[Measured]) -> str:
    return f"{max(one.memory for one in told) / 1024:.0f}"


def _rates(told: list[Measured]) -> str:
    rates = [one.events / one.seconds / 1e6 for one in told]
    return f"{statistics.median(rates):.3g} ({min(rates):.3g}-{max(rates):.3g})"


def _rate(told: list[Measured]) -> float:
    return statistics.median(one.events / one.seconds for one in told)


if __name__ == "__main__":
    sys.exit(main())
