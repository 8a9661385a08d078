"""What the commands that ask the solver have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib.util import find_spec

from pvhspec.commands.common import BAD_RELEASE, spec_option
from pvhspec.diagnostics import Diagnostic, PvhError, code
from pvhspec.ir.ir import Spec, Version
from pvhspec.names.gates import parse_version

__all__ = [
    "add_asking",
    "authority_option",
    "needs_solver",
    "place_of",
    "place_options",
    "progress",
]

NO_MODE = code("PVH510", "The mode given is none of the specification's.")


def add_asking(parser: argparse.ArgumentParser, budget: float) -> None:
    """Options of every command that asks the solver."""
    spec_option(parser)
    parser.add_argument(
        "--budget",
        type=float,
        default=budget,
        metavar="SECONDS",
        help=f"time for each single question (default: {budget:g})",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a core)")
    parser.add_argument("--no-cache", action="store_true", help="decide again what is known")


def authority_option(parser: argparse.ArgumentParser) -> None:
    """`--authority`: whose promises are to be held to."""
    parser.add_argument(
        "--authority",
        choices=("implemented", "documented"),
        default="implemented",
        help="documented: leave free what only an implementation promises",
    )


def place_options(parser: argparse.ArgumentParser) -> None:
    """`--release` and `--mode`: one place instead of all."""
    parser.add_argument("--release", metavar="VERSION", help="only this release of Xen")
    parser.add_argument("--mode", metavar="MODE", help="only this mode of the guest")


def place_of(args: argparse.Namespace, spec: Spec) -> tuple[Version, str] | None:
    """The release and mode that were asked for; None if neither was."""
    if args.release is None and args.mode is None:
        return None
    mode = args.mode or "pvh_dom0"
    if mode not in spec.modes:
        raise PvhError(Diagnostic(NO_MODE, f"no mode {mode}", f"there are {', '.join(spec.modes)}"))
    try:
        return parse_version(args.release or "4.17"), mode
    except ValueError as error:
        raise PvhError(Diagnostic(BAD_RELEASE, f"--release: {error}")) from None


def needs_solver() -> bool:
    """Whether Z3 is missing; if so the user is told how to get it."""
    if find_spec("z3") is not None:
        return False
    print("pvhspec: Z3 is not installed\n  help: pip install 'pvhspec[prove]'", file=sys.stderr)
    return True


def progress(what: str) -> Callable[[int, int], None]:
    """A line that counts, on a terminal only."""

    def show(done: int, of: int) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            end = "\r\x1b[K" if done == of else ""
            print(f"\r{what}: {done} of {of}", end=end, file=sys.stderr, flush=True)

    return show
