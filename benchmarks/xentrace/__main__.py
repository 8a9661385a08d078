"""`python -m benchmarks.xentrace CAPTURE`: records a second, of pvhspec and of xenalyze.

The capture is made as long as asked for by repeating it. xenalyze does not believe that a vCPU ran
on at the beginning, and reads the capture itself, ten times. Every reader gets one process; its
processor time, start included, and the most memory it held are what the system says of it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.xentrace.enlarge import enlarge

from pvhspec.targets.debian import program

_COLUMNS = """
import sys, os
from pvhspec.traces.plain import reader_of
from pvhspec.traces.xentrace_records import Windows, batches, everything
descriptor = os.open(sys.argv[1], os.O_RDONLY)
read = reader_of(descriptor, 0)
windows = Windows(read, os.path.getsize(sys.argv[1]))
print(sum(len(batch.tsc) for batch in batches(windows, read, everything, print)))
"""
_EVENTS = """
import sys
from pvhspec.traces import open_trace
print(sum(1 for event in open_trace(sys.argv[1])))
"""


def measured(command: list[str]) -> tuple[float, int]:
    """Processor time in seconds and most memory in MiB."""
    with tempfile.TemporaryFile() as said:
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        if running.returncode != 0:
            said.seek(0)
            print(said.read().decode(errors="replace")[-400:], file=sys.stderr)
            raise SystemExit(f"{command[0]} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss >> 10


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.xentrace", description=__doc__)
    parser.add_argument("capture", type=Path, help="a whole xentrace file")
    parser.add_argument("--mib", type=int, default=256, help="how long it is made")
    parser.add_argument("--without-xenalyze", action="store_true")
    parser.add_argument("--without-check", action="store_true")
    args = parser.parse_args()
    xenalyze = str(program("bookworm", "xen-utils-common", "usr/bin/xenalyze"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "long.xentrace")
        records = enlarge(args.capture, path, args.mib << 20)
        this = sys.executable
        check = [this, "-m", "pvhspec", "check", "--mode", "pvhvm", "--release", "4.17", str(path)]
        readers = {
            "every record, as columns": (records, 1, [this, "-c", _COLUMNS, str(path)]),
            "all events of guests": (records, 1, [this, "-c", _EVENTS, str(path)]),
        }
        if not args.without_check:
            readers["`pvhspec check`"] = (records, 1, check)
        if not args.without_xenalyze:
            once = 10 * enlarge(args.capture, Path(folder, "once"), 1)
            for option in ("--summary", "-a"):
                command = [xenalyze, option, str(args.capture)]
                readers[f"`xenalyze {option}`, to nowhere"] = (once, 10, command)
        print(f"{path.stat().st_size >> 20} MiB, {records:,} records\n")
        print("| reader | s of processor | million records/s | most memory |\n|---|---|---|---|")
        for name, (read, times, command) in readers.items():
            runs = [measured(command) for _ in range(times)]
            seconds, memory = sum(run[0] for run in runs), max(run[1] for run in runs)
            print(f"| {name} | {seconds:.1f} | {read / seconds / 1e6:.1f} | {memory} MiB |")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
