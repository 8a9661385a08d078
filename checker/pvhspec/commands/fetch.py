"""`pvhspec fetch VERSION…`: Xen images by release, and Linux as a guest."""

from __future__ import annotations

import argparse
import sys

from pvhspec.commands.common import Subparsers, command

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "fetch",
        "bring Xen images by release",
        "A release is taken from Debian, by the mirror this machine's apt uses, without root and "
        "without installing anything; it is kept for later runs. `linux` is Debian's kernel, a "
        "guest for pvhspec capture. Prints where each image is.",
        """
pvhspec fetch 4.17
pvhspec fetch 4.14 4.17 4.20 linux
""",
    )
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="as in 4.17, or linux")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from pvhspec.targets import LINUX, locate_guest, locate_xen

    terminal = sys.stderr is not None and sys.stderr.isatty()
    for version in args.versions:
        if terminal:
            print(f"{version} …", end="", file=sys.stderr, flush=True)
        try:
            path = locate_guest(version) if version == LINUX else locate_xen(version)
        finally:
            if terminal:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        print(f"{version} {path}", flush=True)
    return 0
