"""`pvhspec repl`: questions to the specification, one after the other."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from pvhspec.commands.asking import needs_solver
from pvhspec.commands.common import Subparsers, command
from pvhspec.commands.query import (
    add_options,
    answered,
    lexicon_of,
    modes_named,
    options_of,
    release_named,
    write_programs,
)
from pvhspec.diagnostics import Diagnostic, PvhError, code, render_all

if TYPE_CHECKING:
    from pvhspec.backends.solver.query import Answer, Options
    from pvhspec.ir.ir import Version
    from pvhspec.ir.lower.question import Lexicon

__all__ = ["Completer", "Session", "add_parser", "run"]

NO_COMMAND = code("PVH512", "The repl has no command of this name, or it cannot do what is asked.")

_COMMANDS = {
    ":release": "a release for questions that name none; `:release any` for all",
    ":mode": "a mode or group for questions that name none; `:mode any` for all",
    ":program": "write the calls of the last answer to a file, for pvhspec conform --replay",
    ":help": "this",
    ":quit": "leave; so does the end of the input",
}
_ANY = "any"
_DELIMITERS = " \t\n()[]{},=<>!|&^~+-*"
_MOST_HISTORY = 1000


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """The subcommand's parser."""
    parser = command(
        subparsers,
        "repl",
        "ask the specification, question after question",
        "Questions as pvhspec query takes them, with history and completion on a terminal; "
        "otherwise one is read from each line of the input. Status 2 if a line of such an input "
        "was not understood.",
        "pvhspec repl --release 4.17\necho 'can send return EINVAL' | pvhspec repl",
    )
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Read and answer until the end."""
    if needs_solver():
        return 3
    lexicon = lexicon_of(args.spec)
    session = Session(lexicon, options_of(args))
    session.release = release_named(args.release, lexicon.spec)
    session.mode(args.mode or _ANY)
    if not sys.stdin.isatty():
        for line in sys.stdin:
            if not session.take(line):
                break
        return 2 if session.failed else 0
    with _terminal(Completer(lexicon)):
        print("Questions to the specification; :help tells how they are asked, Tab completes.")
        while True:
            try:
                line = input(session.prompt)
            except EOFError:
                print()
                break
            except KeyboardInterrupt:
                print()
                continue
            if not session.take(line):
                break
    return 0


@dataclass
class Session:
    """What a repl remembers. `failed`: some line was not understood."""

    lexicon: Lexicon
    options: Options
    release: Version | None = None
    modes: frozenset[str] | None = None
    mode_name: str = ""
    last: tuple[str, Answer] | None = None
    failed: bool = field(default=False)

    @property
    def prompt(self) -> str:
        """What stands before a question."""
        release = ".".join(map(str, self.release)) if self.release else ""
        return " ".join(w for w in ("pvhspec", release, self.mode_name) if w) + "> "

    def take(self, line: str) -> bool:
        """Deal with one line; False when that is all. Whatever goes wrong is told."""
        text = line.strip()
        if not text or text.startswith("#"):
            return True
        try:
            if text.startswith(":"):
                return self._command(*text.split())
            self._ask(text)
        except KeyboardInterrupt:
            _say("interrupted")
        except PvhError as error:
            self.failed = True
            _say(render_all(error.diagnostics))
        except OSError as error:
            self.failed = True
            _say(f"{error.filename}: {error.strerror}")
        except Exception as error:  # a fault of ours ends one answer, and not the session
            self.failed = True
            what = f"{type(error).__name__}: {error}".split("\n")[0][:200]
            _say(f"a fault in pvhspec itself ({what}); pvhspec query keeps a log of it")
        return True

    def _ask(self, text: str) -> None:
        from pvhspec.report.answers import answer_text
        from pvhspec.report.paint import Paint, wants_color

        question, answer = answered(self.lexicon, text, self.release, self.modes, self.options)
        self.last = text, answer
        paint = Paint(wants_color(sys.stdout))
        for line in answer_text(self.lexicon.spec, question, answer, paint):
            print(line)
        sys.stdout.flush()

    def _command(self, word: str, *rest: str) -> bool:
        argument = rest[0] if rest else ""
        match word:
            case ":quit" | ":q":
                return False
            case ":help" | ":h":
                print("\n".join(_help()), flush=True)
            case ":release":
                given = None if argument in ("", _ANY) else argument
                self.release = release_named(given, self.lexicon.spec)
            case ":mode":
                self.mode(argument or _ANY)
            case ":program" if argument and self.last is not None:
                write_programs(Path(argument), *self.last)
            case ":program":
                why = "there is no answer yet" if argument else "no file is named"
                raise PvhError(Diagnostic(NO_COMMAND, why, "ask, then: :program FILE"))
            case _:
                near = get_close_matches(word, _COMMANDS, 1) or [", ".join(_COMMANDS)]
                raise PvhError(Diagnostic(NO_COMMAND, f"no command {word}", f"there is {near[0]}"))
        return True

    def mode(self, name: str) -> None:
        """The mode or group of questions that name none."""
        self.modes = None if name == _ANY else modes_named(name, self.lexicon.spec)
        self.mode_name = "" if name == _ANY else name


def _say(text: str) -> None:
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def _help() -> Iterator[str]:
    from pvhspec.syntax.question import FORMS, PARTS

    yield from FORMS
    yield f"  and after it: {PARTS}"
    yield "EXPR is as in the specification: channel[caller, 5] == ipi"
    for word, about in _COMMANDS.items():
        yield f"{word:9} {about}"


# ---- a terminal --------------------------------------------------------------------------------


class Completer:
    """What may come next, by the grammar and the names of the specification."""

    def __init__(self, lexicon: Lexicon) -> None:
        from pvhspec.syntax import ast

        spec = lexicon.spec
        self._releases = [".".join(map(str, r)) for r in spec.releases]
        self._modes = [*spec.modes, *spec.groups]
        values = (ast.StateDecl, ast.DefDecl, ast.ContextDecl, ast.ConstDecl, ast.EnumDecl)
        names = lexicon.of_kind(*values)
        self._operations = lexicon.operations()
        self._names = {
            "can": [*self._operations, *names],
            "return": list(spec.enums.get("Errno", {})),
            "in": self._modes,
            "modes": self._modes,
            "at": list(spec.events),
            "of": sorted({f for e in spec.events.values() for f, _, _ in e.fields}),
            "a": ["privileged", "unprivileged"],
            "an": ["privileged", "unprivileged"],
            ":": lexicon.of_kind(ast.TypeDecl, ast.EnumDecl, ast.BitsDecl),
            "": names,
        }

    def after(self, before: str, word: str) -> list[str]:
        """What a word begun with `word` may be, after what stands before it."""
        if before.lstrip().startswith(":"):
            known = {":mode": self._modes, ":release": self._releases}.get(before.strip(), [])
        elif word.startswith(":"):
            known = list(_COMMANDS)
        else:
            known = self._words(before)
        return [k for k in dict.fromkeys(known) if k.startswith(word)]

    def _words(self, before: str) -> list[str]:
        from pvhspec.syntax.question import NAME, words_after

        may = words_after(before)
        known = sorted(w for w in may if w.isalpha() and w.islower())
        if "VERSION" in may:
            known += self._releases
        if NAME in may:
            last = before.split()[-1] if before.split() else ""
            if before.split()[:2] == ["which", "errors"] and last == "can":
                known += self._operations
            else:
                known += self._names.get(last, self._names[""])
        return known

    def __call__(self, word: str, number: int) -> str | None:
        """As `readline` asks for it."""
        import readline

        line, begin = readline.get_line_buffer(), readline.get_begidx()
        found = self.after(line[:begin], word)
        return f"{found[number]} " if number < len(found) else None


class _terminal:
    """History and completion for as long as it lasts; without readline, neither."""

    def __init__(self, completer: Completer) -> None:
        self._completer = completer
        base = os.environ.get("XDG_STATE_HOME")
        folder = Path(base) if base else Path.home() / ".local" / "state"
        self._history = folder / "pvhspec" / "history"

    def __enter__(self) -> None:
        with suppress(ImportError):
            import readline

            with suppress(OSError):
                readline.read_history_file(self._history)
            readline.set_history_length(_MOST_HISTORY)
            readline.set_completer_delims(_DELIMITERS)
            readline.set_completer(self._completer)
            readline.parse_and_bind("tab: complete")

    def __exit__(self, *_: object) -> None:
        with suppress(ImportError, OSError):
            import readline

            self._history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(self._history)
