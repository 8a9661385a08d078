"""`pvhspec fmt`: the one layout of specification text."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pvhspec import _data
from pvhspec.commands.common import Subparsers, command
from pvhspec.diagnostics import Diagnostic, PvhError, code, printable, render_all

__all__ = ["add_parser", "run"]

NOTHING = code("PVH504", "There is no specification file where one was named.")


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "fmt",
        "lay out specification text",
        "Files are changed where they stand; one with a syntax error is left as it is. Comments "
        "and single blank lines stay the author's.",
        """
pvhspec fmt                       the whole specification
pvhspec fmt --check               nothing is changed; exit status 1 if something would be
pvhspec fmt --diff spec/evtchn    show what would change
pvhspec fmt - < draft.abi         standard input to standard output
""",
    )
    parser.add_argument("paths", nargs="*", metavar="FILE|DIR", help="default: all of spec/")
    parser.add_argument("--check", action="store_true", help="only say which files would change")
    parser.add_argument("--diff", action="store_true", help="only show what would change")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    if args.paths == ["-"]:
        return _stdin(args)
    errors: list[Diagnostic] = []
    changed = count = 0
    for path in _files(args.paths or [str(_data.spec_dir())], errors):
        count += 1
        found = _one(path, args, errors)
        changed += found
    sys.stdout.flush()
    if errors:
        from pvhspec.report.paint import wants_color

        print(render_all(errors, wants_color(sys.stderr)), file=sys.stderr)
        return 2
    if not count:
        raise PvhError(Diagnostic(NOTHING, "no .abi file there", path=" ".join(args.paths)))
    if args.check and changed:
        print(f"{changed} of {count} files would change: pvhspec fmt lays them out")
    return 1 if changed and (args.check or args.diff) else 0


def _files(paths: list[str], errors: list[Diagnostic]) -> Iterator[Path]:
    for name in paths:
        path = Path(name)
        if path.is_dir():
            yield from sorted(path.rglob("*.abi"))
        elif path.exists():
            yield path
        else:
            errors.append(Diagnostic(NOTHING, "no such file or folder", path=name))


def _one(path: Path, args: argparse.Namespace, errors: list[Diagnostic]) -> bool:
    """Lay out one file; whether that changes it."""
    from pvhspec.syntax.format import format_text
    from pvhspec.syntax.source import read_text

    text, found = read_text(path)
    result = None
    if text is not None:
        result, found = format_text(text, str(path))
    errors += found
    if text is None or result is None or result == text:
        return False
    shown = printable(os.path.relpath(path) if path.is_absolute() else str(path))
    if args.diff:
        from difflib import unified_diff

        lines = unified_diff(
            text.splitlines(True), result.splitlines(True), shown, f"{shown} (laid out)"
        )
        sys.stdout.writelines(lines)
    elif args.check:
        print(f"{shown} would change")
    else:
        _replace(path, result)
        print(f"{shown} laid out")
    return True


def _replace(path: Path, text: str) -> None:
    """Write so that an interruption leaves the old file or the new one."""
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        os.chmod(part, target.stat().st_mode & 0o7777)
        part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _stdin(args: argparse.Namespace) -> int:
    from pvhspec.syntax.format import format_text

    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise PvhError(Diagnostic(NOTHING, f"not UTF-8: {error.reason}", path="<stdin>")) from None
    name = "pvh.abi" if text.lstrip().startswith("abi ") else "<stdin>"
    result, errors = format_text(text, name)
    if result is None:
        raise PvhError(*errors)
    if args.check:
        return 1 if result != text else 0
    sys.stdout.write(result)
    return 0
