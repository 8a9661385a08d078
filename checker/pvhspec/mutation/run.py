"""Many mutants over all cores; what was found of one is kept as long as nothing changes it."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path

from pvhspec.ir.cache import cache_dir
from pvhspec.mutation.bench import Bench
from pvhspec.mutation.corpus import look
from pvhspec.mutation.judge import Court, Verdict
from pvhspec.mutation.make import Mutant, mutants
from pvhspec.names.load import Sources

__all__ = ["Judged", "chosen", "judge_all"]

_MODULES = ("backends", "ir", "mutation", "names", "types", "traces")


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


def _judge(number: int) -> tuple[int, Verdict]:
    assert _court is not None
    return number, _court.verdict(_work[number])


def judge_all(
    sources: Sources,
    work: list[Mutant],
    traces: list[Path],
    *,
    budget: float,
    jobs: int | None = None,
    cache: bool = True,
    done: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Judged]:
    """Judge each mutant; the verdicts in their order."""
    content = _content(sources, traces, budget)
    names = [hashlib.sha256(content + _identity(m)).hexdigest() for m in work]
    known = _load() if cache else {}
    found = {n: known[name] for n, name in enumerate(names) if name in known}
    left = [n for n in range(len(work)) if n not in found]
    try:
        for number, verdict in _verdicts(sources, work, left, traces, budget, jobs):
            found[number] = verdict
            done(len(found) - len(work) + len(left), len(left))
    finally:
        if cache and left:
            _save({names[n]: v for n, v in found.items()})
    return [Judged(m, found[n]) for n, m in enumerate(work)]


def _verdicts(
    sources: Sources,
    work: list[Mutant],
    left: list[int],
    traces: list[Path],
    budget: float,
    jobs: int | None,
) -> Iterator[tuple[int, Verdict]]:
    global _court
    if not left:
        return
    bench = Bench(sources)
    _court = Court(bench, tuple(look(bench.spec, p) for p in traces), budget)
    _work[:] = work
    workers = min(jobs or os.cpu_count() or 1, len(left))
    if workers <= 1:
        yield from map(_judge, left)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        try:
            for future in as_completed([pool.submit(_judge, n) for n in left]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


# ---- what was found before ---------------------------------------------------------------------


def _content(sources: Sources, traces: list[Path], budget: float) -> bytes:
    """All that verdicts depend on, beside the mutant: text, code and traces."""
    made = hashlib.sha256(f"{budget}".encode())
    for lines in sources.texts.values():
        made.update("\n".join(lines).encode())
    package = Path(__file__).resolve().parent.parent
    for module in _MODULES:
        for path in sorted((package / module).rglob("*.py")):
            made.update(path.read_bytes())
    for path in traces:
        made.update(path.read_bytes())
    return made.digest()


def _identity(mutant: Mutant) -> bytes:
    where = (mutant.place, mutant.what, mutant.module, mutant.steps, repr(mutant.node))
    return repr(where).encode()


def _file() -> Path:
    return cache_dir() / "mutants.pickle"


def _load() -> dict[str, Verdict]:
    try:
        with _file().open("rb") as stream:
            found = pickle.load(stream)
    except Exception:  # whatever is wrong with it, it is only made again
        return {}
    return found if isinstance(found, dict) else {}


def _save(found: dict[str, Verdict]) -> None:
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        partial = _file().with_suffix(f".{os.getpid()}")
        partial.write_bytes(pickle.dumps(found))
        partial.replace(_file())
    except OSError:
        return  # a cache that cannot be written only costs time
