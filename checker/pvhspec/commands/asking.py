"""What the commands that ask the solver have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib.util import find_spec

from pvhspec.commands.common import spec_option

__all__ = ["add_asking", "needs_solver", "progress"]


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
