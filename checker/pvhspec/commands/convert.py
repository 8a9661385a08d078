"""`pvhspec convert IN OUT`: the same trace in another format."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pvhspec.commands.common import NO_FORMAT, Subparsers, command
from pvhspec.diagnostics import Diagnostic, PvhError, code, render_all

if TYPE_CHECKING:
    from pvhspec.scan import ColumnSource
    from pvhspec.traces import Header, TraceWriter

__all__ = ["add_parser", "run"]

NO_TARGET = code(
    "PVH561", "The name of a trace to be written says no format, or is that of the trace."
)
BAD_EVENTS = code("PVH562", "A range of events is not two numbers, or the first is the larger one.")

_ENDINGS = (".jsonl", ".jsonl.gz", ".arrow", ".parquet")


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "convert",
        "write a trace in another format",
        "The name of OUT says which: .jsonl, .jsonl.gz, .arrow (columns that are used where the "
        "file is mapped) or .parquet (columns that are small). Nothing is lost on the way, and "
        "back; memory does not grow with the trace. check, merge and coverage read all of them.",
        """
pvhspec convert run.jsonl run.parquet
pvhspec convert --events 1000000:1002000 run.parquet part.jsonl
pvhspec convert run.ftrace run.arrow && pvhspec check run.arrow
""",
    )
    parser.add_argument(
        "trace", metavar="IN", help="in any format check reads; - is standard input"
    )
    parser.add_argument("output", metavar="OUT", help="the trace to write")
    parser.add_argument("--from", dest="from_", metavar="FORMAT", help="the format of IN")
    parser.add_argument(
        "--events", metavar="FIRST:END", help="only those whose number is from FIRST and below END"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from pvhspec.report.paint import wants_color
    from pvhspec.scan import open_columns
    from pvhspec.traces import FORMATS
    from pvhspec.traces.column_files import need_pyarrow

    ending = next((e for e in reversed(_ENDINGS) if args.output.endswith(e)), None)
    if ending is None:
        message = f"{args.output}: the name does not say a format"
        raise PvhError(Diagnostic(NO_TARGET, message, f"it ends in {', '.join(_ENDINGS)}"))
    if all(map(os.path.exists, (args.trace, args.output))) and os.path.samefile(
        args.trace, args.output
    ):
        raise PvhError(Diagnostic(NO_TARGET, f"{args.output} is the trace that is read"))
    if args.from_ is not None and args.from_ not in FORMATS:
        known = f"the formats are {', '.join(FORMATS)}"
        raise PvhError(Diagnostic(NO_FORMAT, f"--from: no format {args.from_}", known))
    wanted = _range(args.events)
    if ending in (".arrow", ".parquet"):
        need_pyarrow(args.output)
    source = open_columns(args.trace, args.from_)
    try:
        count = _convert(source, args.output, ending, wanted)
    finally:
        source.close()
    if source.notices:
        print(render_all(source.notices, wants_color(sys.stderr)), file=sys.stderr)
    print(f"{args.output}: {count:,} event{'s' if count != 1 else ''}")
    return 0


def _range(text: str | None) -> range | None:
    if text is None:
        return None
    first, colon, end = text.partition(":")
    try:
        asked = range(int(first or 0), int(end) if end else 1 << 63)
    except ValueError:
        asked = range(0)
    if not colon or not asked or asked.start < 0:
        remedy = "as in --events 1000:2000, or 1000: for all from there on"
        raise PvhError(Diagnostic(BAD_EVENTS, f"--events {text}: no range of events", remedy))
    return asked


def _convert(source: ColumnSource, output: str, ending: str, wanted: range | None) -> int:
    from pvhspec.traces.column_writer import ArrowWriter, ParquetWriter
    from pvhspec.traces.untabulate import events_of

    if ending in (".arrow", ".parquet"):
        columns = ArrowWriter if ending == ".arrow" else ParquetWriter
        with columns(output, source.header) as writer:
            for batch in _told(source, wanted):
                writer.write(batch)
        return writer.events
    with _lines(output, source.header, ending == ".jsonl.gz") as lines:
        count = 0
        for batch in _told(source, wanted):
            for event in events_of(batch):
                lines.write(event)
            count += len(batch)
    return count


def _told(source: ColumnSource, wanted: range | None) -> Iterator[Any]:
    """The batches; on a terminal, with progress where it takes long."""
    from pvhspec.many.pace import pace

    since, count, shown = monotonic(), 0, False
    due = since + 0.5
    for batch in source.batches(wanted):
        yield batch
        count += len(batch)
        now = monotonic()
        if now > due and sys.stderr is not None and sys.stderr.isatty():
            portion = source.portion()
            far = "" if portion is None else f", {portion:.0%}"
            told = f"\r{count:,} events{far}{pace(count, portion, now - since)}\x1b[K"
            print(told, end="", file=sys.stderr, flush=True)
            due, shown = now + 0.1, True
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _lines(output: str, header: Header, packed: bool) -> TraceWriter:
    """What writes JSON Lines, and leaves nothing where that fails."""
    from pvhspec.traces import TraceWriter

    class Lines(TraceWriter):
        def _open(self) -> BinaryIO:
            stream = super()._open()
            return _packed(stream) if packed else stream

        def __exit__(self, *raised: object) -> None:
            if raised[0] is None:
                self.close()
            else:
                self.discard()

    return Lines(output, header, live=False)


def _packed(stream: BinaryIO) -> BinaryIO:
    import gzip

    class Packing(gzip.GzipFile):
        def close(self) -> None:
            super().close()
            stream.close()

    return cast(BinaryIO, Packing(fileobj=stream, mode="wb", compresslevel=6, mtime=0))
