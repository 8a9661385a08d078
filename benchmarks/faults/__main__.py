"""`python -m benchmarks.faults`: put faults into Xen, and see which are found."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from benchmarks.faults.mutants import FUNCTIONS, Mutant, mutants
from benchmarks.faults.symbols import Xen
from benchmarks.faults.trial import Keys, Result, keys_of, try_mutant

from pvhspec.conform import Job, bundled_programs, xen_jobs
from pvhspec.conform.generated import Options, programs, release_of
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.programs import Compiled
from pvhspec.targets import capture_xen

#: Which programs are run, in this order: each once, in one width or the other.
_RUNS = (
    ("evtchn", 64), ("entry", 32), ("entry", 64), ("evtchn_vcpus", 32), ("evtchn_fifo", 64),
    ("evtchn_latch", 32), ("evtchn_upcall", 32), ("evtchn_full", 32),
)  # fmt: skip


def main() -> int:
    """Run the benchmark."""
    args = _arguments()
    spec, errors = load_spec(args.spec)
    if spec is None:
        print("\n".join(error.render() for error in errors), file=sys.stderr)
        return 2
    xen = Xen(args.xen)
    functions = tuple(args.function) or FUNCTIONS
    chosen = list(mutants(xen, functions))
    if args.kind:
        chosen = [m for m in chosen if m.kind in args.kind]
    random.Random(args.seed).shuffle(chosen)
    chosen = chosen[: args.sample]
    jobs = _generated(spec, args) if args.generated else _jobs(spec, args.xen)
    stock = {job.file_name: _stock(job) for job in jobs}
    _shared[:] = [partial(try_mutant, xen, jobs=jobs, stock=stock, spec=spec)]
    print(f"Xen {args.xen}: {len(chosen)} faults, {len(jobs)} programs", file=sys.stderr)
    start = time.monotonic()
    results: list[Result] = []
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("fork")) as pool:
        waiting = [pool.submit(_try, mutant) for mutant in chosen]
        for done in as_completed(waiting):
            results.append(done.result())
            _progress(results[-1], len(results), len(chosen))
    print(_summary(args.xen, results, time.monotonic() - start))
    if args.out is not None:
        args.out.write_text(json.dumps([_object(r) for r in results], indent=1))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    add = parser.add_argument
    add("--xen", default="4.17", metavar="VERSION", help="a release with symbols (default: 4.17)")
    add("--sample", type=int, default=40, metavar="N", help="how many faults (default: 40)")
    add("--seed", type=int, default=1, help="which of them (default: 1)")
    add("--function", action="append", default=[], help="only in this function")
    add("--kind", action="append", default=[], help="branch, bound, code, value, bit")
    add("--jobs", type=int, default=os.cpu_count(), help="at a time")
    add("--generated", type=int, metavar="N",
        help="the first N programs of `conform --budget`, not those included")  # fmt: skip
    add("--spec", type=Path, help="another specification")
    add("--out", type=Path, metavar="FILE", help="every result as JSON")
    return parser.parse_args()


def _jobs(spec: Spec, release: str) -> list[Job]:
    made = {(job.name, job.width): job for job in xen_jobs(spec, release, bundled_programs())}
    return [made[run] for run in _RUNS if run in made]


def _generated(spec: Spec, args: argparse.Namespace) -> list[Job]:
    """What `pvhspec conform --budget 60 --seed N` begins with."""
    options = Options(args.xen, seed=args.seed)
    _, _, version = release_of(spec, args.xen)
    found = []
    for made in islice(programs(spec, options, version), args.generated):
        plan = made.plan
        lines = tuple(range(1, len(made.program.steps) + 1))
        compiled = Compiled(f"generated-{plan.number}", made.program, lines, plan.vcpus)
        found.append(Job("xen", args.xen, compiled, plan.width))
    return found


def _stock(job: Job) -> Keys | None:
    """What Xen without a fault shows; None where it is not the same each time, as in races."""
    shown = [
        keys_of(
            capture_xen(job.image, job.program.program, width=job.width, vcpus=job.program.vcpus)
        )
        for _ in range(2)
    ]
    return shown[0] if shown[0] == shown[1] else None


_shared: list[Callable[[Mutant], Result]] = []  # inherited by the processes of the pool


def _try(mutant: Mutant) -> Result:
    return _shared[0](mutant)


def _progress(result: Result, done: int, of: int) -> None:
    named = result.clauses[0] if result.clauses else ""
    print(f"{done}/{of} {result.outcome:<11} {result.mutant}  {named}", file=sys.stderr, flush=True)


def _object(result: Result) -> dict[str, object]:
    return {**asdict(result), "named": result.named, "right": result.right}


def _summary(release: str, results: Sequence[Result], seconds: float) -> str:
    count = Counter(r.outcome for r in results)
    caught = [r for r in results if r.outcome == "caught"]
    visible = len(caught) + count["missed"]
    right = sum(r.right for r in caught)
    times = sorted(r.seconds for r in caught)
    lines = [
        f"Xen {release}: {len(results)} faults in {seconds:.0f} s",
        f"  {count['no boot']:>4} do not boot a guest",
        f"  {count['crash']:>4} crash or hang under the programs, and are reported as that",
        f"  {count['not visible']:>4} change nothing a guest saw",
        f"  {visible:>4} change something a guest saw: {len(caught)} caught"
        + (f" ({len(caught) / visible:.1%})" if visible else ""),
    ]
    if caught:
        lines += [
            f"  {right:>4} of those name a clause of the operation at fault "
            f"({right / len(caught):.1%}), {sum(r.named for r in caught)} in the first place",
            f"  {times[len(times) // 2]:>4.1f} s until one is caught, at the median",
        ]
    for r in results:
        if r.outcome == "missed" or (r.outcome == "caught" and not r.right):
            lines.append(f"  {r.outcome}: {r.mutant}: {r.what}")
            lines.append(f"      shows at {r.first}")
            if r.clauses:
                lines.append(f"      named {', '.join(r.clauses[:3])}: {r.seen}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
