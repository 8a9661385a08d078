"""What several subcommands have in common: options, the specification, a terminal's manners."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO

from pvhspec.diagnostics import Diagnostic, PvhError, code, printable, render_all

if TYPE_CHECKING:
    from pvhspec.ir.ir import Spec
    from pvhspec.judge import Judging, Source
    from pvhspec.many import Watch
    from pvhspec.names.gates import Version
    from pvhspec.report.verdict import Report, Selection
    from pvhspec.traces import Event, Header, Place, Trace

__all__ = [
    "Subparsers",
    "add_judging",
    "command",
    "format_option",
    "judged",
    "judging",
    "opened",
    "place_of_trace",
    "place_options",
    "selecting_options",
    "selection",
    "spec_of",
    "spec_option",
    "watched",
]

Subparsers = argparse._SubParsersAction  # the name argparse gives it, and no other

NO_SUCH_CLAUSE = code("PVH501", "No clause of the specification matches the name or pattern.")
BAD_RELEASE = code("PVH502", "The release given is not one.")
NO_FORMAT = code("PVH503", "There is no trace format of this name.")

_QUIET_FOR = 0.5  # seconds before progress is shown
_EVERY = 0.1


def command(
    subparsers: Subparsers[argparse.ArgumentParser], name: str, about: str, more: str, examples: str
) -> argparse.ArgumentParser:
    """A subcommand's parser: what it does, and examples that can be copied."""
    from pvhspec.report.paint import wrapped

    lines = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    return subparsers.add_parser(
        name,
        help=about,
        description=wrapped(f"{about[:1].upper()}{about[1:]}. {more}", 0, 80),
        epilog=f"examples:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def spec_option(parser: argparse.ArgumentParser) -> None:
    """`--spec DIR`."""
    parser.add_argument(
        "--spec", type=Path, metavar="DIR", help="another specification than the one included"
    )


def spec_of(folder: Path | None) -> Spec:
    """The specification, or PvhError with everything that is wrong with it."""
    from pvhspec.ir.cache import load_spec

    spec, errors = load_spec(folder)
    if spec is None:
        raise PvhError(*errors)
    if errors:
        print(render_all(errors), file=sys.stderr)
    gc.freeze()  # it lives as long as the process: nobody need look through it for garbage
    return spec


# ---- judging -----------------------------------------------------------------------------------


def selecting_options(parser: argparse.ArgumentParser) -> None:
    """Options of everything that holds traces to clauses."""
    add = parser.add_argument
    add(
        "--authority", choices=("documented", "implemented"), default="implemented",
        help="judge by what is documented only, or by what Xen does as well (default)",
    )  # fmt: skip
    add("--only", action="append", default=[], metavar="GLOB", help="judge only these clauses")
    add("--skip", action="append", default=[], metavar="GLOB", help="do not judge these clauses")
    format_option(parser)
    spec_option(parser)


def add_judging(parser: argparse.ArgumentParser) -> None:
    """The same, and what stands in for what a header does not say."""
    selecting_options(parser)
    place_options(parser)


def place_options(parser: argparse.ArgumentParser) -> None:
    """`--release` and `--mode`."""
    add = parser.add_argument
    add("--release", metavar="VERSION", help="the release of Xen, where the trace does not say it")
    add("--mode", metavar="MODE", help="the mode of the guest, where the trace does not say it")


def format_option(parser: argparse.ArgumentParser) -> None:
    """`--from FORMAT`."""
    parser.add_argument(
        "--from", dest="from_", metavar="FORMAT",
        help="the format of the traces (told by content otherwise)",
    )  # fmt: skip


def selection(args: argparse.Namespace, spec: Spec) -> Selection:
    """What `--only` and `--skip` select; a pattern that matches nothing is a mistake."""
    from pvhspec.report.verdict import Selection

    for pattern in (*args.only, *args.skip):
        one = Selection((pattern,))
        if not any(one.takes(name) for name in spec.clauses):
            raise PvhError(no_such_clause(pattern, spec))
    return Selection(tuple(args.only), tuple(args.skip))


def no_such_clause(pattern: str, spec: Spec) -> Diagnostic:
    """The error for a name or pattern that matches no clause."""
    from difflib import get_close_matches

    near = get_close_matches(pattern, spec.clauses, 3, 0.75)
    if not near:
        ends = {".".join(name.split(".")[-2:]): name for name in spec.clauses}
        ends |= {name.rpartition(".")[2]: name for name in spec.clauses}
        near = [ends[n] for n in get_close_matches(pattern, ends, 3, 0.75)]
    remedy = f"did you mean {' or '.join(near)}?" if near else "pvhspec explain '*' lists them all"
    return Diagnostic(NO_SUCH_CLAUSE, f"no clause matches {pattern}", remedy)


def _release(text: str | None) -> Version | None:
    if text is None:
        return None
    from pvhspec.names.gates import parse_version

    try:
        return parse_version(text)
    except ValueError as error:
        raise PvhError(Diagnostic(BAD_RELEASE, f"--release: {error}")) from None


def place_of_trace(header: Header, args: argparse.Namespace) -> tuple[Version | None, str | None]:
    """The release and mode by the options, or else by the header."""
    from pvhspec.backends.binding import header_mode, header_version

    return _release(args.release) or header_version(header), args.mode or header_mode(header)


def judged(
    path: str,
    args: argparse.Namespace,
    spec: Spec,
    chosen: Selection,
    *,
    watch: Watch | None = None,
    content: BinaryIO | None = None,
) -> Report:
    """Judge one trace as the options say. Raises PvhError for what is wrong with it. `watch` and
    `content`: see `opened`."""
    from pvhspec.judge import judge

    with opened(path, args.from_, watch, content) as trace:
        solve = args.solve_budget if getattr(args, "solve", False) else None
        engine: Any = getattr(args, "engine", "interpreter")
        return judge(spec, trace, **_by(args, chosen), solve=solve, engine=engine)


@contextmanager
def judging(
    path: str, args: argparse.Namespace, spec: Spec, chosen: Selection, watch: Watch | None
) -> Iterator[Judging]:
    """One trace, to be judged event by event."""
    from pvhspec.judge import Judging

    with opened(path, args.from_, watch) as trace:
        yield Judging(spec, trace, **_by(args, chosen))


def _by(args: argparse.Namespace, chosen: Selection) -> dict[str, Any]:
    """What traces are judged by, as the options say."""
    return {
        "authority": args.authority,
        "selection": chosen,
        "version": _release(args.release),
        "mode": args.mode,
    }


@contextmanager
def opened(
    path: str,
    format_: str | None,
    watch: Watch | None = None,
    content: BinaryIO | None = None,
) -> Iterator[Source]:
    """A trace to be read, in a format that was asked for; on a terminal, with progress, unless
    `watch` is told of it. `content`: what the file holds, where it is read elsewhere."""
    from pvhspec.traces import FORMATS, open_trace

    if format_ is not None and format_ not in FORMATS:
        known = f"the formats are {', '.join(FORMATS)}"
        raise PvhError(Diagnostic(NO_FORMAT, f"--from: no format {format_}", known))
    trace = open_trace(path, format_, content)
    try:
        yield watched(trace) if watch is None else _Watched(trace, watch)
    finally:
        trace.close()


# ---- progress ----------------------------------------------------------------------------------


class _Watched:
    """A trace that says how far it has been read: on a terminal, or to `watch`."""

    def __init__(self, trace: Trace, watch: Watch | None = None) -> None:
        self._trace, self._watch = trace, watch
        self.inner = trace  # for those who do not take it event by event
        self.header = trace.header
        self.path = trace.path
        self.notices = trace.notices

    @property
    def truncated(self) -> bool:
        """Whether the trace was found to be cut."""
        return self._trace.truncated

    def place(self, event: Event) -> Place:
        """Where the event that was given last stands."""
        return self._trace.place(event)

    def __iter__(self) -> Iterator[Event]:
        since = monotonic()
        due, shown = since + _QUIET_FOR, False
        for count, event in enumerate(self._trace, 1):
            yield event
            if (now := monotonic()) > due:
                portion = self._trace.portion()
                due = now + _EVERY
                if self._watch is not None:
                    self._watch(count, portion)
                    continue
                from pvhspec.many.pace import pace

                far = "" if portion is None else f", {portion:.0%}"
                told = f"\r{printable(self.path)}: {count:,} events{far}"
                told += f"{pace(count, portion, now - since)}\x1b[K"
                print(told, end="", file=sys.stderr, flush=True)
                shown = True
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def watched(trace: Trace) -> Source:
    """The trace; on a terminal, with progress where it takes long."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return _Watched(trace) if terminal else trace
