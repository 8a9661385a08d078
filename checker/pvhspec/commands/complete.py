"""`pvhspec complete`: gaps, contradictions, dead text."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from difflib import get_close_matches

from pvhspec.commands.asking import add_asking, authority_option, needs_solver, progress
from pvhspec.commands.common import Subparsers, command, spec_of
from pvhspec.diagnostics import Diagnostic, PvhError, code

__all__ = ["add_parser", "run"]

NO_OPERATION = code("PVH511", "No operation of the specification has the name given.")


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """The subcommand's parser."""
    parser = command(
        subparsers,
        "complete",
        "gaps, contradictions, dead text",
        "For every operation, release and mode:\nwhether something may be returned for all "
        "arguments and states, whether two clauses write one\ncell differently, which errors are "
        "never due or always come after another, which gates never\nopen, which invariants and "
        "obligations speak of nothing, and which bytes of a "
        "structure have no name. Status 1 if anything is found.",
        "pvhspec complete\npvhspec complete --format json",
    )
    parser.add_argument("names", nargs="*", metavar="OPERATION", help="only these (default: all)")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_asking(parser, 10.0)
    authority_option(parser)


def run(args: argparse.Namespace) -> int:
    """Look, and tell what was found."""
    if needs_solver():
        return 3
    spec = spec_of(args.spec)
    known = {op.name for op in spec.operations}
    for name in args.names:
        if name not in known:
            raise PvhError(Diagnostic(NO_OPERATION, f"no operation {name}", _near(name, known)))
    from pvhspec.backends.solver.complete import complete

    found = complete(
        spec,
        args.names,
        authority=args.authority,
        budget=args.budget,
        jobs=args.jobs,
        cache=not args.no_cache,
        done=progress("operations"),
    )
    if args.format == "json":
        print(json.dumps({"version": 1, "findings": [asdict(f) for f in found]}, indent=2))
    else:
        for f in found:
            print(f"{f.kind}: {f.subject}\n  {f.what}")
            print("".join(f"    {line}\n" for line in f.lines), end="")
        looked = len(args.names) or len(spec.operations)
        print(f"operations looked at: {looked}; findings: {len(found)}")
    return 1 if found else 0


def _near(name: str, known: set[str]) -> str:
    near = get_close_matches(name, known, 3, 0.4)
    return f"did you mean {' or '.join(near)}?" if near else "pvhspec explain '*' lists all clauses"
