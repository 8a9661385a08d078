"""`pvhspec cite`: every citation is found in the source it names, and that is on record."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pvhspec import _data
from pvhspec.commands.common import Subparsers, command, spec_option
from pvhspec.diagnostics import render_all

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "cite",
        "find every citation in the sources it names",
        "With --sources, every anchor is looked up in the cited file at the pinned commit, and "
        "what was found is written to citations.json beside the manifest. Without, that record is "
        "compared with the citations the specification has now. Exit status 1 if one is not found, "
        "or not on record.",
        """
pvhspec cite                          is every citation on record?
pvhspec cite --sources ~/src/xen      look them all up in a clone of Xen, and record it
""",
    )
    parser.add_argument(
        "--sources", type=Path, metavar="DIR",
        help="a git clone that has the pinned commits, or a folder of such clones",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="look up, but do not record")
    spec_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from pvhspec.citations import RECORD, check_record, citations, dumped, look_up

    folder = args.spec or _data.spec_dir()
    cited, file = citations(folder), folder / RECORD
    count = len(cited.places)
    if args.sources is None:
        errors = check_record(cited, file)
        told = f"{count} citations, each found in its source and on record"
    else:
        try:
            record, errors = look_up(cited, args.sources)
        except FileNotFoundError:
            from pvhspec.targets.errors import MissingTool

            raise MissingTool("git is not installed", "apt-get install git") from None
        told = f"{count} citations found in their sources"
        if not errors and not args.dry_run:
            text = dumped(record)
            if not file.exists() or file.read_text(encoding="utf-8") != text:
                file.write_text(text, encoding="utf-8")
            told += f", recorded in {file}"
    if errors:
        from pvhspec.report.paint import wants_color

        print(render_all(errors, wants_color(sys.stderr)), file=sys.stderr)
        return 1
    print(told)
    return 0
