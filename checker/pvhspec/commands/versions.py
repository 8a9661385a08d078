"""`pvhspec versions TRACE`: which releases and modes allow a trace."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pvhspec.commands.common import (
    Subparsers,
    command,
    opened,
    selecting_options,
    selection,
    spec_of,
)

if TYPE_CHECKING:
    from pvhspec.ir.ir import Spec
    from pvhspec.names.gates import Version
    from pvhspec.report.paint import Paint
    from pvhspec.traces import Header
    from pvhspec.versions import Answer, Denial

__all__ = ["add_parser", "run"]

_MOST_ALLOWED = 3


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "versions",
        "which releases and modes allow a trace",
        "Judges a trace as every release and mode of the specification would, whatever its header "
        "says it is of. Those that forbid it are told with the first clause that does. A release "
        "and mode that say little of what a trace shows allow much: how many clauses a trace was "
        "held to is told, too. Exit status 1 if none allows it.",
        """
pvhspec versions run.jsonl
pvhspec versions --skip 'hypercall.version*' --authority documented run.jsonl
pvhspec versions --format json run.jsonl
""",
    )
    parser.add_argument("trace", metavar="TRACE", help="a file; - is standard input")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    selecting_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from pvhspec.versions import versions

    spec = spec_of(args.spec)
    chosen = selection(args, spec)
    with opened(args.trace, args.from_) as trace:
        answers = versions(spec, trace, authority=args.authority, selection=chosen)
        header, path = trace.header, trace.path
    if args.format == "json":
        from pvhspec.report.json import dumped

        print(dumped(_object(path, header, answers)))
    else:
        from pvhspec.report.paint import Paint, wants_color

        print("\n".join(_text(spec, path, header, answers, Paint(wants_color(sys.stdout)))))
    return int(all(answer.denial is not None for answer in answers))


def _object(path: str, header: Header, answers: Iterable[Answer]) -> dict[str, Any]:
    from pvhspec.names.gates import shown_version

    return {
        "version": 1,
        "path": path,
        "hypervisor": {"name": header.hypervisor.name, "release": header.hypervisor.version},
        "mode": header.guest.mode,
        "answers": [
            {
                "release": shown_version(answer.release),
                "mode": answer.mode,
                "allowed": answer.denial is None,
                "decided": len(answer.decided),
                "denial": None if answer.denial is None else {
                    "clause": answer.denial.clause,
                    "seq": answer.denial.seq,
                    "event": answer.denial.event,
                    "seen": answer.denial.seen,
                    "allowed": answer.denial.allowed,
                },
            }
            for answer in answers
        ],
    }  # fmt: skip


def _text(
    spec: Spec, path: str, header: Header, answers: list[Answer], paint: Paint
) -> Iterator[str]:
    from pvhspec.diagnostics import printable

    allowing = [answer for answer in answers if answer.denial is None]
    told = f"{len(allowing)} of {len(answers)} releases and modes allow it"
    yield f"{paint(printable(path), 'bold')}: {paint(told, 'green' if allowing else 'red')}"
    name, release, mode = header.hypervisor.name, header.hypervisor.version, header.guest.mode
    said = ", ".join(filter(None, (" ".join(filter(None, (name, release))), mode)))
    yield f"its header says {printable(said)}" if said else "its header does not say what it is of"
    if allowing:
        yield from ("", "allowed by")
        for number in sorted({len(a.decided) for a in allowing}, reverse=True):
            same = [a for a in allowing if len(a.decided) == number]
            clauses = "1 clause" if number == 1 else f"{number} clauses"
            yield from (f"{row} (held to {clauses})" for row in _places(spec, same))
    denied: dict[tuple[int, str, str], list[Answer]] = {}
    for answer in answers:
        if answer.denial is not None:
            first = (-answer.denial.seq, answer.denial.clause, answer.denial.seen)
            denied.setdefault(first, []).append(answer)
    if denied:
        yield from ("", "forbidden by; those that came furthest first")
    for _, forbidding in sorted(denied.items()):
        yield from _places(spec, forbidding)
        yield from _denial([a.denial for a in forbidding if a.denial is not None], paint)


def _denial(denials: list[Denial], paint: Paint) -> Iterator[str]:
    from pvhspec.diagnostics import printable

    first = denials[0]
    allowed = list(dict.fromkeys(d.allowed for d in denials))
    more = f", and {len(allowed) - _MOST_ALLOWED} more" if len(allowed) > _MOST_ALLOWED else ""
    yield f"    {paint(first.clause, 'red')}"
    yield f"    event {first.seq:>5}  {printable(first.event)}"
    yield f"    seen         {printable(first.seen)}"
    yield f"    allowed      {printable('; or '.join(allowed[:_MOST_ALLOWED]))}{more}"


def _places(spec: Spec, answers: list[Answer]) -> Iterator[str]:
    """Modes with their releases, those with the same releases on one line."""
    found: dict[str, list[str]] = {}
    for mode in spec.modes:
        releases = [a.release for a in answers if a.mode == mode]
        if releases:
            found.setdefault(_releases(spec, releases), []).append(mode)
    for shown, modes in found.items():
        yield f"  {shown}: {', '.join(modes)}"


def _releases(spec: Spec, releases: list[Version]) -> str:
    """Releases, those that follow each other as a range."""
    from pvhspec.names.gates import shown_version

    ranges: list[list[Version]] = []
    for release in spec.releases:
        if release not in releases:
            ranges.append([])
        elif ranges and ranges[-1]:
            ranges[-1].append(release)
        else:
            ranges.append([release])
    shown = [[shown_version(r) for r in each] for each in ranges if each]
    return ", ".join(each[0] if len(each) == 1 else f"{each[0]} to {each[-1]}" for each in shown)
