"""`python -m tests.backends.native --traces 100000 --seed 1`: traces judged both ways.

Every trace is made of its number alone, so that a run can be in pieces: `--seed` of the next is the
number that was told last.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import monotonic

from pvhspec.ir.cache import load_spec
from tests.backends.native.agree import differences
from tests.backends.native.generated import Generator

_EVERY = 5.0  # seconds between two lines of progress


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.backends.native", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--length", type=int, default=16, help="of a trace, at most")
    parser.add_argument("--spec", type=Path, help="another specification")
    args = parser.parse_args()
    spec, errors = load_spec(args.spec)
    assert spec is not None, errors
    generator = Generator(spec, args.length)
    wrong = done = events = 0
    since = told = monotonic()
    for seed in range(args.seed, args.seed + args.traces):
        trace = generator(seed)
        found = differences(spec, trace)
        done, events = done + 1, events + len(trace.events)
        if found:
            wrong += 1
            print(f"seed {seed}:", *found, sep="\n", flush=True)
        now = monotonic()
        if now - told > _EVERY:
            told, rate = now, done / (now - since)
            left = (args.traces - done) / rate / 60
            print(f"{done} traces, {wrong} wrong, {rate:.1f} a second, {left:.0f} minutes left; "
                  f"goes on with --seed {seed + 1}", file=sys.stderr)  # fmt: skip
        if args.minutes is not None and now - since > 60 * args.minutes:
            break
    print(f"{done} traces of {events} events, seeds {args.seed} to {args.seed + done - 1}: "
          f"{wrong} with another report")  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
