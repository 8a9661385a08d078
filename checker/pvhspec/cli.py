"""The command `pvhspec`: finds the subcommand, runs it, and turns whatever happens into a status.

Only the module of the subcommand that is asked for is imported, so that each start pays for
itself alone. Nothing but the statuses of `STATUSES` ever comes out, and never a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from pvhspec import __version__
from pvhspec.report.paint import wants_color

__all__ = ["COMMANDS", "commands", "main"]

# Each subcommand: the module that has it, and what it is for. Grouped as the help shows them.
# One whose module is not written yet is not shown.
COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Judge a hypervisor": {
        "check": ("check", "judge traces by the specification"),
        "conform": ("conform", "boot a hypervisor, drive it, judge what comes back"),
        "capture": ("capture", "record a trace of a hypervisor under QEMU"),
        "merge": ("merge", "join two captures of one run"),
        "convert": ("convert", "write a trace in another format"),
        "coverage": ("coverage", "which clauses a set of traces has shown"),
        "versions": ("versions", "which releases and modes allow a trace"),
        "profile": ("profile", "how often a guest crosses into the hypervisor, and for what"),
        "fetch": ("fetch", "bring Xen images by release"),
    },
    "Ask the specification": {
        "explain": ("explain", "a clause: prose, formula, authority, citation, examples"),
        "facts": ("facts", "what the ABI is known to say, and which clauses say it"),
        "prove": ("prove", "what always holds"),
        "query": ("query", "can it happen, and how; what must hold"),
        "repl": ("repl", "question after question"),
        "witness": ("witness", "the shortest execution in which a clause matters"),
        "complete": ("complete", "gaps, contradictions, dead text"),
        "diff": ("diff", "what differs between releases, modes or revisions"),
    },
    "Write the specification": {
        "fmt": ("fmt", "lay out specification text"),
        "examples": ("examples", "run the examples inside the specification"),
        "cite": ("cite", "find every citation in the sources it names"),
        "mutants": ("mutants", "what the examples and proofs would not notice"),
        "lsp": ("lsp", "speak the language server protocol to an editor"),
    },
}

STATUSES = """\
exit status:
  0    conforms, proved, done
  1    a violation, a refuted property, or a gate that is not met
  2    the input is bad: usage, a file, an error in a specification
  3    this machine lacks something; the message names the command that brings it
  130  interrupted"""

EXAMPLES = """\
examples:
  pvhspec conform --xen 4.17               boot Debian's Xen 4.17 and hold it to the ABI
  pvhspec conform --xen ~/xen/xen/xen.gz   the same with your own build
  pvhspec check trace.jsonl                judge a trace that was recorded before
  pvhspec explain 'evtchn.*no_spare_port'  what the specification says, and who says so
"""

_INTERRUPTED = 130
_BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ended


class Parser(argparse.ArgumentParser):
    """Argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        """One line on stderr, status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # closed, or not a text file
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        status = _dispatch(words)
        if sys.stdout is not None:
            sys.stdout.flush()
    except SystemExit as end:  # argparse
        status = end.code if isinstance(end.code, int) else 2
    except KeyboardInterrupt:
        _say("pvhspec: interrupted")
        status = _INTERRUPTED
    except BrokenPipeError:
        status = _BROKEN_PIPE
    except Exception as error:
        status = _explained(error, words)
    return _closed(status)


def _dispatch(words: list[str]) -> int:
    first = words[0] if words else ""
    if first == "help" and len(words) > 1:
        words, first = [words[1], "--help"], words[1]
    if first in ("-h", "--help", "help"):
        print(_help())
        return 0
    if first in ("-V", "--version"):
        print(f"pvhspec {__version__}")
        return 0
    module = next((group[first][0] for group in COMMANDS.values() if first in group), None)
    if module is None or not _is_there(module):
        return _unknown(first)
    command = import_module(f"pvhspec.commands.{module}")
    parser = Parser(prog="pvhspec")
    command.add_parser(parser.add_subparsers(dest="command", required=True))
    parser.prog = f"pvhspec {first}"  # in messages about what no subcommand takes
    args = parser.parse_args(words)
    return int(command.run(args))


def commands() -> dict[str, dict[str, str]]:
    """The subcommands of this version: what each is for, by group."""
    return {
        title: {name: about for name, (module, about) in group.items() if _is_there(module)}
        for title, group in COMMANDS.items()
    }


def _is_there(module: str) -> bool:
    return os.path.exists(os.path.join(os.path.dirname(__file__), "commands", f"{module}.py"))


def _unknown(word: str) -> int:
    names = [name for group in commands().values() for name in group]
    if not word:
        _say(_help())
    elif word.startswith("-"):
        _say(f"pvhspec: no option {word} before the command (see pvhspec --help)")
    else:
        from difflib import get_close_matches

        near = get_close_matches(word, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        _say(f"pvhspec: no command {word!r}: {hint}")
    return 2


def _help() -> str:
    lines = ["usage: pvhspec COMMAND …", "", "The Xen PVH guest ABI, executable.", ""]
    for title, group in commands().items():
        lines.append(f"{title}:")
        lines += [f"  {name:<10} {about}" for name, about in group.items()]
        lines.append("")
    lines += ["pvhspec COMMAND --help tells the options of each; --version the version.", ""]
    return "\n".join(lines) + f"\n{EXAMPLES}\n{STATUSES}"


def _explained(error: Exception, words: list[str]) -> int:
    """What went wrong, in words a user can act on; never a traceback."""
    from pvhspec.diagnostics import PvhError, render_all

    if isinstance(error, PvhError):
        _say(render_all(error.diagnostics, color=wants_color(sys.stderr)))
        return 2
    targets = sys.modules.get("pvhspec.targets.errors")  # loaded only where it can be raised
    if targets is not None and isinstance(error, targets.TargetError):
        _say(f"pvhspec: {error.message}")
        if error.remedy:
            _say(f"  help: {error.remedy}")
        return int(error.status)
    if isinstance(error, MemoryError):
        _say("pvhspec: out of memory\n  help: split the trace, or run where there is more")
        return 3
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        _say(f"pvhspec: {place}{error.strerror[:1].lower()}{error.strerror[1:]}")
        return 2
    _say(_fault(error, words))
    return 2


def _fault(error: Exception, words: list[str]) -> str:
    """A fault of ours: one line, and a log to send."""
    import platform
    import tempfile
    import traceback

    text = f"pvhspec {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    text += f"arguments: {words}\n\n{''.join(traceback.format_exception(error))}"
    what = f"{type(error).__name__}: {error}".split("\n")[0][:200]
    line = f"pvhspec: a fault in pvhspec itself ({what}): please report it"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="pvhspec-fault-", suffix=".log", delete=False, errors="backslashreplace"
        ) as log:
            log.write(text)
    except OSError:
        return line
    return f"{line} with {log.name}"


def _say(text: str) -> None:
    with suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(text, file=sys.stderr)


def _closed(status: int) -> int:
    """Flush what is left; a reader that has gone away is no error of its own."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        status = _BROKEN_PIPE
    except OSError as error:
        if status in (0, 1):
            _say(f"pvhspec: standard output: {error.strerror}")
            status = 2
    else:
        return status
    with suppress(OSError):  # so that Python does not try again, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return status
