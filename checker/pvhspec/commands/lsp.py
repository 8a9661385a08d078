"""`pvhspec lsp`: a language server for specification text, over standard input and output."""

from __future__ import annotations

import argparse
import os

from pvhspec.commands.common import Subparsers, command

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "lsp",
        "speak the language server protocol to an editor",
        "Errors as you type, in all files of the specification, saved or not; go to definition, "
        "references, hover with prose and citation, completion, rename, formatting, symbols. The "
        "editor starts it; editors/README.md says how.",
        """
pvhspec lsp
""",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    try:
        from pvhspec.editor.server import serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        from pvhspec.targets.errors import MissingTool

        raise MissingTool("pygls is not installed", "pip install 'pvhspec[editor]'") from None
    # The server closes what it is given.
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as replies:
        serve().start_io(requests, replies)
    return 0
