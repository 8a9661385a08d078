"""`python -m tests.fuzz --runs N --seed S`: damaged files for every reader and the parser.

A run is told by seed, target and number alone, so that `--target T --first K --runs 1` repeats it.
Status 1 if anything but a documented error came of one, if it took more than ten seconds of the
processor, or memory beyond what files of this size may need.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType

from tests.fuzz.damage import damaged
from tests.fuzz.readers import TARGETS, Target

_PATIENCE = 10.0  # seconds of the processor for one file
_GROWTH = 64 << 10  # KiB that one file may add to what the process ever held
_MOST = 3 << 30  # bytes of address space; the rest is for whoever else is on the machine


class Hang(Exception):
    """A file took longer than any of its size may."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise Hang(f"no end within {_PATIENCE:g} s of the processor")


def _memory(which: str) -> int:
    """What the process holds (VmRSS), or held at most (VmHWM), in KiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{which}:")[1].split()[0])


def _memory_from_here() -> int:
    """What the process holds now; the most it held is counted from here on."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def input_of(target: Target, seed: int, number: int) -> bytes:
    """The damaged file of one run."""
    rng = random.Random(f"{seed} {target.name} {number}")
    if rng.random() < 0.02:
        return rng.randbytes(rng.randrange(3000))
    return damaged(rng, target.piece(rng), target.text)


def one(target: Target, seed: int, number: int) -> str | None:
    """What went wrong with one damaged file, if anything did."""
    data = input_of(target, seed, number)
    before = _memory_from_here()
    signal.setitimer(signal.ITIMER_PROF, _PATIENCE)
    try:
        target.read(data)
    except Exception:
        return traceback.format_exc(limit=-6)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    grown = _memory("VmHWM") - before
    return f"memory grew by {grown >> 10} MiB\n" if grown > _GROWTH else None


def shares(runs: int, chosen: list[Target]) -> dict[str, int]:
    """How many runs each target has."""
    total = sum(target.share for target in chosen)
    counts = {target.name: runs * target.share // total for target in chosen}
    counts[chosen[0].name] += runs - sum(counts.values())
    return counts


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first run")
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    parser.add_argument("--keep", type=Path, help="a folder for files that something is wrong with")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MOST, _MOST))
    signal.signal(signal.SIGPROF, _alarm)
    wrong = 0
    began = time.monotonic()
    chosen = [TARGETS[name] for name in args.target or TARGETS]
    for name, count in shares(args.runs, chosen).items():
        target = TARGETS[name]
        target.read(target.good()[0])  # what is made once and kept is no growth
        since = time.monotonic()
        for number in range(args.first, args.first + count):
            problem = one(target, args.seed, number)
            if problem is None:
                continue
            wrong += 1
            print(f"{name} --seed {args.seed} --first {number}\n{problem}", flush=True)
            folder = args.keep or Path(tempfile.gettempdir())
            folder.mkdir(parents=True, exist_ok=True)
            kept = folder / f"fuzz-{name}-{args.seed}-{number}"
            kept.write_bytes(input_of(target, args.seed, number))
        took = time.monotonic() - since
        print(f"{name:<14} {count:>9,} files {took:>8.1f} s", flush=True)
    took = time.monotonic() - began
    print(f"{args.runs:,} files in {took:,.0f} s, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
