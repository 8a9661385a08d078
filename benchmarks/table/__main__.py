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
from pathlib import Path

from benchmarks.table.rows import Measured, Row, Skipped, Traces, broken, rows

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
    parser.add_argument("--only", default="", metavar="WORD", help="rows with this in their name")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pvhspec-table-") as name:
        folder = Path(name)
        listed = [r for r in rows(args.peers, args.spec, folder) if args.only in r.name]
        there = [row for row in listed if _notices(row, broken(folder))]
        whole = Traces(folder, int(args.events))
        found: Found = {row: [] for row in there}
        for turn in range(args.rounds):
            for row in there:
                _tell(f"{turn + 1} of {args.rounds}: {row.name}")
                found[row].append(row.run(whole.cut(row.most).made()))
        _tell("")
    print(_table(found))
    cores, load = os.cpu_count(), os.getloadavg()[0]
    print(f"\n{platform.python_implementation()} {platform.python_version()}, {cores} cores,")
    print(f"load {load:.1f}; median of {args.rounds} rounds, least and most beside it.")
    return 0


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _notices(row: Row, wrong: Traces) -> bool:
    """Whether a checker is here, and worth to be measured."""
    try:
        told = row.run(wrong)
    except Skipped as why:
        print(f"left out: {row.name} ({row.given}): {why}", file=sys.stderr)
        return False
    if not told.wrong:
        print(f"left out: {row.name} ({row.given}): it lets a broken trace pass", file=sys.stderr)
    return told.wrong


def _table(found: Found) -> str:
    peers = [_rate(told) for row, told in found.items() if "reelay" in row.name]
    lines = [
        "| checker | given | time of | events | M events/s | of the fastest peer | peak MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, told in found.items():
        rates = sorted(one.events / one.seconds / 1e6 for one in told)
        rate = statistics.median(rates)
        times = f"{rate * 1e6 / max(peers):.2g} ×" if peers else ""
        memory = max(one.memory for one in told) / 1024
        wrong = " (**tells faults where there are none**)" if any(one.wrong for one in told) else ""
        lines.append(
            f"| {row.name}{wrong} | {row.given} | {row.timed} | {told[0].events:,} | "
            f"{rate:.3g} ({rates[0]:.3g}-{rates[-1]:.3g}) | {times} | {memory:.0f} |"
        )
    return "\n".join(lines)


def _rate(told: list[Measured]) -> float:
    return statistics.median(one.events / one.seconds for one in told)


if __name__ == "__main__":
    sys.exit(main())
