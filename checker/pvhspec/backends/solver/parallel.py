"""Jobs over all cores, and their results kept: what has not changed is not proved again."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache as once
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import z3

from pvhspec.ir.cache import cache_dir
from pvhspec.ir.ir import Operation

__all__ = ["Job", "cache_folder", "run_all"]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Something to decide. `key` is all that the answer depends on."""

    what: str
    operation: Operation | None
    group: tuple[tuple[tuple[int, ...], str], ...]
    key: tuple[object, ...]
    run: Callable[[], Any]


_jobs: list[Job] = []  # seen by the children, which are forks of this process


def _run(number: int) -> tuple[int, Any, float]:
    start = time.process_time()
    result = _jobs[number].run()
    return number, result, time.process_time() - start


def run_all(
    jobs: list[Job], cores: int | None, cache: bool, done: Callable[[int, int], None]
) -> list[tuple[Any, bool, float]]:
    """Results in the order of the jobs: value, whether it was known before, seconds."""
    names = [_digest(j) for j in jobs] if cache else []
    found: dict[int, tuple[Any, bool, float]] = {}
    for number, name in enumerate(names):
        known = _load(name)
        if known is not None:
            found[number] = (known[0], True, 0.0)
    left = [n for n in range(len(jobs)) if n not in found]
    for count, (number, result, seconds) in enumerate(_results(jobs, left, cores), 1):
        found[number] = (result, False, seconds)
        if cache and _status(result) != "open":  # with more time it may be decided
            _save(names[number], result)
        done(count, len(left))
    return [found[n] for n in range(len(jobs))]


def _status(result: Any) -> str:
    """`proved`, `open` and the like, of a result or of the first of several."""
    first = result[0] if isinstance(result, tuple) else result
    return str(getattr(first, "status", ""))


def _results(jobs: list[Job], left: list[int], cores: int | None) -> Any:
    workers = min(cores or os.cpu_count() or 1, len(left))
    _jobs[:] = jobs
    if workers <= 1:
        yield from map(_run, left)
        return
    others = active_children()
    with ProcessPoolExecutor(workers, get_context("fork"), _deaf) as pool:
        try:
            for future in as_completed([pool.submit(_run, n) for n in left]):
                yield future.result()
        except BaseException:  # interrupted, or given up by who asked: nobody waits for the rest
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(active_children()) - set(others):
                child.kill()
            raise


def _deaf() -> None:
    """Ctrl-C is for the parent, who ends its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# ---- what was decided before -------------------------------------------------------------------


def cache_folder() -> Path:
    """Where results are kept."""
    return cache_dir() / "decided"


@once
def _code() -> bytes:
    """A change of the solver's side or of the interpreter makes every result void."""
    here = Path(__file__).parent
    made = hashlib.sha256(z3.get_version_string().encode())
    for path in sorted([*here.glob("*.py"), *(here.parent / "interpreter").glob("*.py")]):
        made.update(path.read_bytes())
    return made.digest()


_texts: dict[int, tuple[object, bytes]] = {}


def _text(part: object) -> bytes:
    """The content of a part; large ones are shared by many jobs, and written out once."""
    if id(part) not in _texts:
        text = _SET.sub(_ordered, repr(part))
        _texts[id(part)] = (part, hashlib.sha256(text.encode()).digest())
    return _texts[id(part)][1]


# Sets of words are written in another order by every process.
_SET = re.compile(r"frozenset\(\{([^{}]*)\}\)")


def _ordered(found: re.Match[str]) -> str:
    return f"{{{', '.join(sorted(found[1].split(', ')))}}}"


def _digest(job: Job) -> str:
    made = hashlib.sha256(_code())
    for part in job.key:
        made.update(_text(part))
    return made.hexdigest()


def _load(name: str) -> Any:
    try:
        return pickle.loads((cache_folder() / name).read_bytes())
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError):
        return None


def _save(name: str, result: Any) -> None:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{name}.{os.getpid()}"
        partial.write_bytes(pickle.dumps((result,)))
        partial.replace(folder / name)
    except OSError:
        return  # a cache that cannot be written only costs time
