"""Many traces at once: `--jobs`, `--cluster`, folders."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from pvhspec.commands.common import judged, selection
from pvhspec.diagnostics import Diagnostic, PvhError, code, printable

if TYPE_CHECKING:
    from pvhspec.ir.ir import Spec
    from pvhspec.many import Result
    from pvhspec.many.files import Folder
    from pvhspec.report.verdict import Report, Selection

__all__ = ["add_many", "many", "there"]

TWICE_READ = code("PVH538", "Standard input is named twice.")

_NAMED = 20  # files of a folder that are named as passed over, unless all are asked for
_LONG = 1 << 15  # bytes, packed or not: in a shorter trace nothing is gained
_LIMIT = 60.0  # seconds for a cluster to answer


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes")
    return int(text)


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < float(text) < 1e6:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


def add_many(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add = parser.add_argument_group("many traces").add_argument
    add(
        "--jobs", type=_count, metavar="N",
        help="how many are judged at once (default: one for each core)",
    )  # fmt: skip
    add("--cluster", metavar="ADDRESS", help="judge them on a dask cluster, by its scheduler")
    add(
        "--cluster-limit", type=_seconds, default=_LIMIT, metavar="SECONDS",
        help=f"how long to wait for a cluster that does not answer (default: {_LIMIT:g})",
    )  # fmt: skip


def many(
    args: argparse.Namespace, spec: Spec, chosen: Selection
) -> Iterator[tuple[str, Report | PvhError]]:
    """Every trace that the options name, and what became of it, in their order. One that cannot
    be judged comes with the error that says why."""
    paths, lost = _named(args)
    with closing(_results(args, spec, chosen, paths)) as results:
        for at, path in enumerate((*paths, None)):
            yield from ((e.diagnostics[0].path or "", e) for before, e in lost if before == at)
            if path is None:
                return
            result = next(results)
            if isinstance(result, Exception) and not isinstance(result, PvhError):
                raise result
            yield path, result  # type: ignore[misc]


def _named(args: argparse.Namespace) -> tuple[list[str], list[tuple[int, PvhError]]]:
    """The traces; and what is none that can be judged, each before the trace of that number."""
    from pvhspec.many.files import Folder, named

    paths: list[str] = []
    lost: list[tuple[int, PvhError]] = []
    for found in named(args.traces, args.from_):
        wrong: Diagnostic | None = None
        if isinstance(found, Folder):
            _tell_passed_over(found, args.verbose)
            paths += found.traces
            wrong = found.empty()
        elif found == "-" and "-" in paths:
            wrong = Diagnostic(TWICE_READ, "standard input is read once", path="<stdin>")
        else:
            paths.append(found)
        if wrong is not None:
            lost.append((len(paths), PvhError(wrong)))
    return paths, lost


def _tell_passed_over(folder: Folder, all_of_them: bool) -> None:
    found = folder.passed_over
    shown = found if all_of_them else found[:_NAMED]
    for file, why in shown:
        print(f"{printable(file)}: passed over: {why}", file=sys.stderr)
    if len(found) > len(shown):
        more = len(found) - len(shown)
        print(f"{printable(folder.path)}: {more:,} more passed over (-v names them)",
              file=sys.stderr)  # fmt: skip


def _results(
    args: argparse.Namespace, spec: Spec, chosen: Selection, paths: Sequence[str]
) -> Generator[Result, None, None]:
    def alone() -> Generator[Result, None, None]:
        for path in paths:
            try:
                yield judged(path, args, spec, chosen)
            except PvhError as error:
                yield error

    if args.cluster is None and (args.jobs == 1 or (len(paths) < 2 and _in_one(args, paths))):
        return alone()
    from pvhspec.many.jobs import all_cores, beginning, judged_here
    from pvhspec.many.pace import Waiting

    def here(path: str, watch: object) -> Result:
        return judged(path, args, spec, chosen, watch=watch)  # type: ignore[arg-type]

    sizes = [*_sizes(paths)]
    waiting = Waiting.on_stderr(sizes)
    if args.cluster is not None:
        from pvhspec.many.cluster import judged_there

        order = beginning(sizes, 2 * all_cores())
        return judged_there(
            args.cluster, args.cluster_limit, paths, spec, args, here, there, waiting, order
        )
    jobs = args.jobs or all_cores()
    if jobs == 1:
        return alone()
    if len(paths) == 1:
        return _pieces(paths[0], args, spec, chosen, jobs) or alone()
    jobs = min(jobs, len(paths))
    return judged_here(paths, here, jobs, waiting, beginning(sizes, jobs))


def _in_one(args: argparse.Namespace, paths: Sequence[str]) -> bool:
    """Whether a trace is too short for more than one process, or has to be judged by one."""
    if not paths or paths[0] == "-" or args.solve or getattr(args, "engine", None) == "native":
        return True
    return max(_sizes(paths)) < _LONG


def _pieces(
    path: str, args: argparse.Namespace, spec: Spec, chosen: Selection, jobs: int
) -> Generator[Result, None, None] | None:
    """One trace by several processes; None where there is no place to cut it."""
    from pvhspec.commands.common import judging, opened
    from pvhspec.many.pace import Waiting
    from pvhspec.many.split import judged_in_pieces, places

    try:
        with opened(path, args.from_) as trace:
            cuts = [] if trace.header.complete.events else places(trace, jobs)
    except PvhError:
        return None  # told by whoever judges it
    if not cuts:
        return None

    def results() -> Generator[Result, None, None]:
        waiting = Waiting.on_stderr([1] * (len(cuts) + 1), "pieces")
        open_ = partial(judging, path, args, spec, chosen)
        yield judged_in_pieces(path, cuts, open_, jobs, waiting)

    return results()


def there(path: str, content: BinaryIO, spec: Spec, args: argparse.Namespace) -> Report:
    """Judge a trace on a worker of a cluster."""
    return judged(path, args, spec, selection(args, spec), content=content)


def _sizes(paths: Iterable[str]) -> Iterator[int]:
    for path in paths:
        try:
            yield os.stat(path).st_size
        except (OSError, ValueError):
            yield 0
