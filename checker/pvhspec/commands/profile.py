"""`pvhspec profile TRACE…`: how often a guest crosses into the hypervisor, and for what."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pvhspec.commands.common import (
    Subparsers,
    command,
    format_option,
    opened,
    place_of_trace,
    place_options,
    spec_of,
    spec_option,
)

if TYPE_CHECKING:
    from pvhspec.ir.ir import Spec
    from pvhspec.profile import Profile
    from pvhspec.report.paint import Paint

__all__ = ["add_parser", "run"]

_MOST_TOLD = 12  # different things of one kind that are told without -v


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "profile",
        "how often a guest crosses into the hypervisor, and for what",
        "Counts hypercalls by name, exits by reason, accesses to ports, MSRs, CPUID and control "
        "registers, and what is injected, and the crossings for each guest operation, whatever way "
        "a mode has for it. Two traces or more stand side by side. Nothing is judged: only what a "
        "trace shows is counted, so compare traces of one format.",
        """
pvhspec profile run.jsonl
pvhspec profile pv.jsonl pvh.jsonl
pvhspec profile --format json xentrace.bin
""",
    )
    parser.add_argument("traces", nargs="+", metavar="TRACE", help="files; - is standard input")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("-v", "--verbose", action="store_true", help="everything, however rare")
    place_options(parser)
    format_option(parser)
    spec_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    spec = spec_of(args.spec)
    found = [_profile(spec, path, args) for path in args.traces]
    if args.format == "json":
        from pvhspec.report.json import dumped

        print(dumped({"version": 1, "profiles": [_object(each) for each in found]}))
    else:
        from pvhspec.report.paint import Paint, wants_color

        print("\n".join(_text(found, args.verbose, Paint(wants_color(sys.stdout)))))
    return 0


def _profile(spec: Spec, path: str, args: argparse.Namespace) -> Profile:
    from pvhspec.names.gates import shown_version
    from pvhspec.profile import profile

    with opened(path, args.from_) as trace:
        release, mode = place_of_trace(trace.header, args)
        name = trace.header.hypervisor.name
        shown = None if release is None else shown_version(release)
        title = ", ".join(filter(None, (" ".join(filter(None, (name, shown))), mode)))
        known = mode if mode in spec.modes else next(iter(spec.modes))
        place = (release or spec.releases[-1], known)
        return profile(spec, trace.path, title, place, trace)


def _object(found: Profile) -> dict[str, Any]:
    def sorted_(counts: Mapping[str, int]) -> dict[str, int]:
        return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))

    return {
        "path": found.path,
        "of": found.title,
        "events": found.events,
        "crossings": found.total,
        "kinds": {kind: sorted_(c) for kind, c in sorted(found.crossings.items())},
        "operations": sorted_(found.operations),
        "injected": {kind: sorted_(c) for kind, c in sorted(found.injected.items())},
    }


# ---- text ----------------------------------------------------------------------------------------


def _text(found: Sequence[Profile], verbose: bool, paint: Paint) -> Iterator[str]:
    from pvhspec.diagnostics import printable

    for number, each in enumerate(found, 1):
        of = f"{each.title}; " if each.title else ""
        yield f"{number}  {paint(printable(each.path), 'bold')}: {of}{each.events:,} events"
    rows = list(_rows(found, verbose))
    wide = max(len(name) for name, _ in rows)
    columns = [[f"{n:,}" if n else "-" for n in counts] for _, counts in rows]
    widths = [max(8, *(len(row[i]) for row in columns if row)) for i in range(len(found))]
    if len(found) > 1:
        heads = " ".join(f"{i:>{w}}" for i, w in enumerate(widths, 1))
        yield from ("", f"{'':<{wide}} {heads}")
    for (name, counts), shown in zip(rows, columns, strict=True):
        if not counts:
            yield from ("", paint(name, "bold"))
            continue
        cells = " ".join(f"{n:>{w}}" for n, w in zip(shown, widths, strict=True))
        yield f"{printable(name):<{wide}} {cells}"


def _rows(found: Sequence[Profile], verbose: bool) -> Iterator[tuple[str, list[int]]]:
    yield "crossings", [each.total for each in found]
    yield "for each guest operation", []
    yield from _sorted([each.operations for each in found], "  ", None)
    yield "by kind", []
    yield from _kinds([each.crossings for each in found], verbose)
    if any(each.injected for each in found):
        yield "injected", []
        yield from _kinds([each.injected for each in found], verbose)


def _kinds(
    found: Sequence[Mapping[str, Counter[str]]], verbose: bool
) -> Iterator[tuple[str, list[int]]]:
    sums = [Counter({kind: c.total() for kind, c in each.items()}) for each in found]
    for name, counts in _sorted(sums, "  ", None):
        yield name, counts
        inner = [each.get(name.strip(), Counter()) for each in found]
        yield from _sorted(inner, "    ", None if verbose else _MOST_TOLD)


def _sorted(
    found: Sequence[Mapping[str, int]], indent: str, most: int | None
) -> Iterator[tuple[str, list[int]]]:
    names = {name for each in found for name in each}
    rows = [(name, [each.get(name, 0) for each in found]) for name in names]
    rows.sort(key=lambda row: (-sum(row[1]), row[0]))
    if most is None or len(rows) <= most:
        most = len(rows)
    for name, counts in rows[:most]:
        yield f"{indent}{name}", counts
    if rows[most:]:
        rest = [sum(column) for column in zip(*(counts for _, counts in rows[most:]), strict=True)]
        yield f"{indent}{len(rows) - most} more", rest
