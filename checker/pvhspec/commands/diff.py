"""`pvhspec diff A B`: what differs between two releases, modes or revisions of the text."""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pvhspec.commands.asking import add_asking, needs_solver, place_of, place_options, progress
from pvhspec.commands.common import Subparsers, command, spec_of
from pvhspec.diagnostics import Diagnostic, PvhError, code

if TYPE_CHECKING:
    from pvhspec.backends.difference.clauses import Side
    from pvhspec.backends.difference.compare import Told
    from pvhspec.ir.ir import Version

__all__ = ["add_parser", "run"]

NO_SIDE = code("PVH570", "What is to be compared is no release, mode, folder or revision.")

_USUAL = ((4, 17), "pvh_dom0")
_LONGEST = 60  # seconds that git is given


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """The subcommand's parser."""
    parser = command(
        subparsers,
        "diff",
        "what differs between releases, modes or revisions",
        "A and B are two releases (4.14 4.20), two modes (pvh_dom0 pvh_domu), or two revisions of "
        "the specification: folders, or REVISION:FOLDER as git has it, as in HEAD~3:spec. Compared "
        "is what clauses mean, not how they are written; of what a guest can see, the shortest "
        "program that tells the two apart is found. Exit status 0 if all clauses are the same, 1 "
        "if any differs, in words alone, too.",
        """
pvhspec diff 4.14 4.20
pvhspec diff 4.14 4.20 --out programs && pvhspec conform --xen 4.20 --program programs/*.prog
pvhspec diff pvh_dom0 pvh_domu --release 4.17 --format json
pvhspec diff 4.14 4.20 --only 'grant.*'
pvhspec diff HEAD~1:spec spec --budget 60
""",
    )
    add = parser.add_argument
    add("a", metavar="A", help="one side")
    add("b", metavar="B", help="the other")
    add("--out", type=Path, metavar="DIR", help="write the programs there, one file for a clause")
    add("--only", action="append", default=[], metavar="GLOB", help="compare only these clauses")
    add("--depth", type=int, default=3, metavar="N", help="calls before the one that tells (3)")
    add("--format", choices=("text", "json"), default="text")
    place_options(parser)
    add_asking(parser, 20.0)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare, and tell what was found."""
    if needs_solver():
        return 3
    from pvhspec.backends.difference.compare import compare
    from pvhspec.backends.difference.tell import tell, tell_summary, told_object

    a, b = _sides(args)
    found = compare(
        a,
        b,
        only=args.only,
        depth=args.depth,
        budget=args.budget,
        jobs=args.jobs,
        cache=not args.no_cache,
        done=progress("clauses"),
    )
    written = _write(args.out, found, a, b) if args.out is not None else []
    status = 1 if found else 0
    if args.format == "json":
        sides = [
            {"name": s.name, "release": _shown(s.where[0]), "mode": s.where[1]} for s in (a, b)
        ]
        told = [told_object(t, a, b) for t in found]
        print(
            json.dumps(
                {"version": 1, "status": status, "sides": sides, "differences": told}, indent=2
            )
        )
        return status
    for t in found:
        print("\n".join(tell(t, a, b)))
    print(("\n" if found else "") + tell_summary(found, a, b))
    if args.out is not None:
        print(f"{len(written)} programs written to {args.out}")
    return status


def _shown(version: Version) -> str:
    return ".".join(map(str, version))


def _write(folder: Path, found: list[Told], a: Side, b: Side) -> list[Path]:
    from pvhspec.backends.difference.tell import file_name, program_of

    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for told in found:
        text = program_of(told, a, b)
        if text is not None:
            path = folder / file_name(told)
            path.write_text(text)
            written.append(path)
    return written


# ---- the sides -----------------------------------------------------------------------------------


def _sides(args: argparse.Namespace) -> tuple[Side, Side]:
    from pvhspec.backends.difference.clauses import Side
    from pvhspec.names.gates import parse_version

    if _is_text(args.a) or _is_text(args.b):
        return _revision(args.a, args), _revision(args.b, args)
    spec = spec_of(args.spec)
    release, mode = place_of(args, spec) or _USUAL
    if args.a in spec.modes and args.b in spec.modes:
        return Side(args.a, spec, (release, args.a)), Side(args.b, spec, (release, args.b))
    try:
        first, second = parse_version(args.a), parse_version(args.b)
    except ValueError:
        what = f"{args.a} and {args.b} are not two releases, two modes or two revisions"
        remedy = f"the modes are {', '.join(spec.modes)}; a revision is a folder or REVISION:FOLDER"
        raise PvhError(Diagnostic(NO_SIDE, what, remedy)) from None
    return Side(args.a, spec, (first, mode)), Side(args.b, spec, (second, mode))


def _is_text(word: str) -> bool:
    return ":" in word or Path(word).is_dir()


def _revision(word: str, args: argparse.Namespace) -> Side:
    """A side that is a text of its own."""
    from pvhspec.backends.difference.clauses import Side

    if Path(word).is_dir():
        spec = spec_of(Path(word))
    elif ":" in word:
        with tempfile.TemporaryDirectory(prefix="pvhspec-") as folder:
            _checked_out(word, Path(folder))
            spec = spec_of(Path(folder))
    else:
        raise PvhError(Diagnostic(NO_SIDE, f"{word} is no folder", "say REVISION:FOLDER for git's"))
    return Side(word, spec, place_of(args, spec) or _USUAL)


def _checked_out(word: str, folder: Path) -> None:
    """The files of a folder at a revision of the git repository at hand."""
    revision, _, where = word.partition(":")
    tree = f"{revision}:{where.strip('/') or 'spec'}"
    archive = folder / "tree.tar"
    try:
        made = subprocess.run(
            ["git", "archive", "--output", str(archive), tree],
            capture_output=True, text=True, timeout=_LONGEST, check=False,
        )  # fmt: skip
        if made.returncode == 0:
            subprocess.run(
                ["tar", "-xf", str(archive), "-C", str(folder)], timeout=_LONGEST, check=True
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise PvhError(Diagnostic(NO_SIDE, f"{word}: {error}")) from None
    if made.returncode != 0:
        said = made.stderr.strip().splitlines()
        raise PvhError(Diagnostic(NO_SIDE, f"{word}: {said[0] if said else 'git failed'}"))
    archive.unlink()
