"""`python -m benchmarks.columns`: how fast traces are read into columns, and in how much memory.

Each reading is a process of its own, in turn with the others; what is printed is the median. Rates
are of the time on the clock, start of Python included, and of the processor's time, which a busy
machine changes less. `--folder` keeps the traces, `--events` says how long they are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.protocol import Shape, blocks, header, write

__all__ = ["main"]

_READ = """
import json, resource, sys, time
since = time.perf_counter()
how, path = sys.argv[1:]
events = 0
if how == "reader":
    from pvhspec.traces import open_trace
    for _ in open_trace(path):
        events += 1
else:
    from pvhspec.scan import open_columns
    for batch in open_columns(path).batches():
        events += len(batch)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([events, time.perf_counter() - since, used.ru_utime + used.ru_stime,
                  used.ru_maxrss / 1024]))
"""


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.columns", description=__doc__)
    parser.add_argument("--events", default="1e6", help="lengths, with commas between them")
    parser.add_argument("--formats", default="jsonl,parquet,arrow")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the traces are, or are put")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        cases = []
        for length in args.events.split(","):
            for format in args.formats.split(","):
                path = folder / f"b{length}.{format}"
                if not path.exists():
                    shape = Shape(int(float(length)))
                    write(str(path), header(shape), blocks(shape))
                cases.append(("columns", path))
                if format == "jsonl" and float(length) <= 1e6:
                    cases.append(("reader", path))
        _print(_measured(cases, args.runs))
    return 0


def _measured(
    cases: list[tuple[str, Path]], runs: int
) -> dict[tuple[str, Path], list[tuple[float, ...]]]:
    """Events, seconds, the processor's seconds and MiB of each run, the cases in turn."""
    found: dict[tuple[str, Path], list[tuple[float, ...]]] = {case: [] for case in cases}
    for _ in range(runs):
        for how, path in cases:
            words = [sys.executable, "-c", _READ, how, str(path)]
            done = subprocess.run(words, capture_output=True, check=True)
            found[how, path].append(tuple(json.loads(done.stdout)))
    return found


def _print(found: dict[tuple[str, Path], list[tuple[float, ...]]]) -> None:
    print("| trace | read as | million events/s | of the processor's time | most memory |")
    print("|---|---|---|---|---|")
    for (how, path), runs in found.items():
        rows: list[Any] = [
            statistics.median(values)
            for values in (
                [events / seconds / 1e6 for events, seconds, _, _ in runs],
                [events / cpu / 1e6 for events, _, cpu, _ in runs],
                [memory for *_, memory in runs],
            )
        ]
        size = path.stat().st_size / (1 << 20)
        read = "columns" if how == "columns" else "events, by the reader"
        print(f"| {runs[0][0]:,.0f} events, {path.suffix[1:]}, {size:,.0f} MiB | {read} "
              f"| {rows[0]:.2f} | {rows[1]:.2f} | {rows[2]:.0f} MiB |")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
