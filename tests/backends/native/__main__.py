"""`python -m tests.backends.native --traces 100000 --seed 1`: traces judged both ways."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import monotonic

from pvhspec.ir.cache import load_spec
from tests.backends.native.agree import differences
from tests.backends.native.traces import made


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.backends.native", description=__doc__)
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--length", type=int, default=40, help="of a trace, at most")
    parser.add_argument("--spec", type=Path, help="another specification")
    args = parser.parse_args()
    spec, errors = load_spec(args.spec)
    assert spec is not None, errors
    wrong, since = 0, monotonic()
    for seed in range(args.seed, args.seed + args.traces):
        found = differences(spec, made(seed, args.length))
        if found:
            wrong += 1
            print(f"seed {seed}:", *found, sep="\n", flush=True)
        if seed % 1000 == 0:
            print(f"{seed - args.seed + 1} traces, {wrong} wrong, {monotonic() - since:.0f} s",
                  file=sys.stderr)  # fmt: skip
    print(f"{args.traces} traces, {wrong} with another report")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
