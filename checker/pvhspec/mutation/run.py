"""Many mutants over all cores: all are shown to the cheapest witness first, those left to the next.

What was found is kept as soon as it is, so that a run can be broken off and taken up again.
"""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path

from pvhspec.mutation.bench import Bench
from pvhspec.mutation.corpus import look
from pvhspec.mutation.judge import WITNESSES, Court, Verdict, Witness
from pvhspec.mutation.known import Known
from pvhspec.mutation.make import Mutant, mutants
from pvhspec.names.load import Sources

__all__ = ["Judged", "chosen", "judge_all"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A mutant and who noticed it."""

    mutant: Mutant
    verdict: Verdict


def chosen(sources: Sources, only: list[str], sample: int | None, seed: int) -> list[Mutant]:
    """The mutants whose place matches, or a sample of them; always the same for one seed."""
    found = [
        m
        for m in mutants(sources)
        if not only or any(fnmatchcase(m.place, p) or fnmatchcase(m.place, f"*.{p}") for p in only)
    ]
    if sample is None or sample >= len(found):
        return found
    picked = set(random.Random(seed).sample(range(len(found)), sample))
    return [m for at, m in enumerate(found) if at in picked]


_court: Court | None = None  # seen by the children, which are forks of this process
_work: list[Mutant] = []


def _judge(number: int, witness: Witness) -> tuple[int, Verdict]:
    assert _court is not None
    return number, _court.verdict(_work[number], witness)


def judge_all(
    sources: Sources,
    work: list[Mutant],
    traces: list[Path],
    *,
    budget: float,
    last: Witness = "proofs",
    jobs: int | None = None,
    cache: bool = True,
    done: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Judged]:
    """Judge each mutant; the verdicts in their order. `last`: no witness after this is asked."""
    bench = Bench(sources)
    known = Known(bench, traces, budget) if cache else None
    found: dict[int, Verdict] = {}
    left = list(range(len(work)))
    for witness in WITNESSES[: WITNESSES.index(last) + 1]:
        if known is not None:
            found |= {n: v for n in left if (v := known.verdict(work[n], witness)) is not None}
        asked = [n for n in left if n not in found]
        for count, (number, verdict) in enumerate(
            _verdicts(bench, work, asked, witness, traces, budget, jobs), 1
        ):
            found[number] = verdict
            if known is not None:
                known.add(work[number], witness, verdict)
            done(count, len(asked))
        left = [n for n in left if not found[n].killer]
        if witness != last:
            found = {n: v for n, v in found.items() if v.killer}
    return [Judged(m, found[n]) for n, m in enumerate(work)]


def _verdicts(
    bench: Bench,
    work: list[Mutant],
    left: list[int],
    witness: Witness,
    traces: list[Path],
    budget: float,
    jobs: int | None,
) -> Iterator[tuple[int, Verdict]]:
    global _court
    if not left:
        return
    shown = tuple(look(bench.spec, p) for p in traces) if witness == "traces" else ()
    _court = Court(bench, shown, budget)
    _work[:] = work
    workers = min(jobs or os.cpu_count() or 1, len(left))
    if workers <= 1:
        for number in left:
            yield _judge(number, witness)
        return
    gc.collect()
    gc.freeze()  # what all have in common is not looked through again and again
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
            try:
                for future in as_completed([pool.submit(_judge, n, witness) for n in left]):
                    yield future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        gc.unfreeze()
