"""`pvhspec examples`: the specification's own examples must come out as they say."""

from __future__ import annotations

import argparse
import sys
from fnmatch import fnmatchcase

from pvhspec.commands.common import Subparsers, command, spec_of, spec_option
from pvhspec.diagnostics import Diagnostic, PvhError, code

__all__ = ["add_parser", "run"]

NO_EXAMPLE = code("PVH505", "No example of the specification matches the pattern.")


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "examples",
        "run the examples inside the specification",
        "An example that conforms must leave nothing open; one that violates a clause must break "
        "that clause and no other. Exit status 1 if any comes out otherwise.",
        """
pvhspec examples
pvhspec examples 'evtchn*' -v
""",
    )
    parser.add_argument("patterns", nargs="*", metavar="GLOB", help="of names (default: all)")
    parser.add_argument("-v", "--verbose", action="store_true", help="name those that hold, too")
    spec_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from pvhspec.backends.examples import run_example
    from pvhspec.report.source import shown_path

    spec = spec_of(args.spec)
    chosen = [
        e
        for e in spec.examples
        if not args.patterns or any(fnmatchcase(e.name, f"*{p}*") for p in args.patterns)
    ]
    if not chosen:
        raise PvhError(Diagnostic(NO_EXAMPLE, f"no example matches {' '.join(args.patterns)}"))
    wrong = 0
    for example in chosen:
        result = run_example(spec, example)
        place = f"{shown_path(example.path)}:{example.line}"
        if result.wrong is not None:
            wrong += 1
            print(f"{place}: {example.name}: {result.wrong}", flush=True)
        elif args.verbose:
            how = f"violates {example.violates}" if example.violates else "conforms"
            print(f"{place}: {example.name}: {how}", flush=True)
    print(f"{len(chosen) - wrong} of {len(chosen)} examples hold", flush=True)
    if wrong:
        print("pvhspec: not every example holds", file=sys.stderr)
    return 1 if wrong else 0
