"""`pvhspec query QUESTION`: can it happen, and how; what must hold."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvhspec.commands.asking import NO_MODE, add_asking, needs_solver, place_options, progress
from pvhspec.commands.common import BAD_RELEASE, Subparsers, command, spec_of
from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.names.gates import parse_version

if TYPE_CHECKING:
    from pvhspec.backends.solver.query import Answer, Options
    from pvhspec.ir.ir import Spec, Version
    from pvhspec.ir.lower.question import Lexicon
    from pvhspec.ir.questions import Question

__all__ = [
    "add_options",
    "add_parser",
    "answered",
    "lexicon_of",
    "modes_named",
    "options_of",
    "release_named",
    "run",
    "status_of",
    "write_programs",
]


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """The subcommand's parser."""
    parser = command(
        subparsers,
        "query",
        "can it happen, and how; what must hold",
        "A question in the specification's own "
        "words and expressions. Yes comes with the shortest calls from boot that show it, no with "
        "the clauses that forbid it. Status 0 where it is answered, whatever the answer; 1 where "
        "it is not decided, or a property that `must` hold does not.",
        "pvhspec query can send return EPERM in pvh\n"
        "pvhspec query which errors can bind_virq return to an unprivileged domain on 4.17\n"
        "pvhspec query is there a reachable state with two ports bound to one VIRQ\n"
        "pvhspec query 'can alloc_unbound succeed when out.port == 3' --program three.prog\n"
        "pvhspec query 'must channel[caller, 0] == reserved'\n"
        "pvhspec query what must hold of cr4 at entry",
    )
    add = parser.add_argument
    add("question", nargs="+", metavar="QUESTION", help="in quotes where a shell would read it")
    add("--format", choices=("text", "json"), default="text")
    add("--program", type=Path, metavar="FILE",
        help="write the calls as a program for pvhspec conform --replay")  # fmt: skip
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `query` and `repl` have in common."""
    parser.add_argument(
        "--depth", type=int, default=4, metavar="N", help="calls before the last (default: 4)"
    )
    place_options(parser)
    add_asking(parser, 20.0)


def run(args: argparse.Namespace) -> int:
    """Ask, and tell the answer."""
    if needs_solver():
        return 3
    lexicon = lexicon_of(args.spec)
    spec, text = lexicon.spec, " ".join(args.question)
    release = release_named(args.release, spec)
    modes = None if args.mode is None else modes_named(args.mode, spec)
    question, answer = answered(lexicon, text, release, modes, options_of(args))
    if args.format == "json":
        import json

        from pvhspec.report.answers import answer_object

        told: dict[str, Any] = {"version": 1, "question": text, **answer_object(spec, answer)}
        print(json.dumps(told, indent=2))
    else:
        from pvhspec.report.answers import answer_text
        from pvhspec.report.paint import Paint, wants_color

        for line in answer_text(spec, question, answer, Paint(wants_color(sys.stdout))):
            print(line)
    if args.program is not None:
        write_programs(args.program, text, answer)
    return status_of(question, answer)


def lexicon_of(folder: Path | None) -> Lexicon:
    """The specification and its names. Raises PvhError with all that is wrong with it."""
    from pvhspec.ir.cache import load_sources
    from pvhspec.ir.lower.question import Lexicon

    spec = spec_of(folder)
    sources, errors = load_sources(folder)
    if sources is None:
        raise PvhError(*errors)
    return Lexicon(spec, sources)


def options_of(args: argparse.Namespace) -> Options:
    """How much is to be tried."""
    from pvhspec.backends.solver.query import Options

    return Options(args.depth, args.budget, args.jobs, not args.no_cache, progress("questions"))


def release_named(text: str | None, spec: Spec) -> Version | None:
    """The release that is asked about; None for all. Raises PvhError."""
    if text is None:
        return None
    known = ", ".join(".".join(map(str, r)) for r in spec.releases)
    try:
        version = parse_version(text)
    except ValueError as error:
        raise PvhError(Diagnostic(BAD_RELEASE, str(error), f"there are {known}")) from None
    if version[:2] not in spec.releases:
        raise PvhError(Diagnostic(BAD_RELEASE, f"no release {text}", f"there are {known}"))
    return version


def modes_named(name: str, spec: Spec) -> frozenset[str]:
    """The modes that a mode or group stands for. Raises PvhError."""
    if name in spec.modes:
        return frozenset((name,))
    if name not in spec.groups:
        known = ", ".join((*spec.modes, *spec.groups))
        raise PvhError(Diagnostic(NO_MODE, f"no mode {name}", f"there are {known}"))
    return spec.groups[name]


def answered(
    lexicon: Lexicon,
    text: str,
    release: Version | None,
    modes: frozenset[str] | None,
    options: Options,
) -> tuple[Question, Answer]:
    """The question as it was understood, and its answer. Raises PvhError where it was not.

    `release` and `modes` are for questions that name none.
    """
    from dataclasses import replace

    question, errors = lexicon.lower(text)
    if question is None:
        raise PvhError(*errors)
    question = replace(question, place=question.place.narrowed(release, modes))
    return question, _answer(lexicon.spec, question, options)


def _answer(spec: Spec, question: Question, options: Options) -> Answer:
    from pvhspec.backends.solver.query import can_return, which_errors
    from pvhspec.backends.solver.query_event import at_event, rules
    from pvhspec.backends.solver.query_state import always, reachable
    from pvhspec.ir.questions import Always, AtEvent, CanReturn, Reach, WhichErrors

    match question:
        case CanReturn():
            return can_return(spec, question, options)
        case WhichErrors():
            return which_errors(spec, question, options)
        case Reach():
            return reachable(spec, question, options)
        case Always():
            return always(spec, question, options)
        case AtEvent():
            return at_event(spec, question, options)
        case _:
            return rules(spec, question, options)


def status_of(question: Question, answer: Answer) -> int:
    """1 where a question was left open, or what must hold does not."""
    from pvhspec.ir.questions import Always, AtEvent

    stated = isinstance(question, Always) or (isinstance(question, AtEvent) and question.must)
    if answer.status == "open" or any(a.status == "open" for a in answer.parts):
        return 1
    return int(stated and answer.status == "no")


def write_programs(path: Path, text: str, answer: Answer) -> None:
    """The program; of several one file each, by the name of the answer."""
    from pvhspec.report.answers import programs

    found = list(programs(answer))
    if not found:
        shown = any(a.execution is not None for a in (answer, *answer.parts))
        why = "no lone guest can show it" if shown else "the answer shows no calls"
        print(f"pvhspec: {path} is not written: {why}", file=sys.stderr)
    for name, program in found:
        single = len(answer.parts) == 0
        file = path if single else path.with_name(f"{path.stem}-{name}{path.suffix}")
        file.write_text(f"# {text}\n{program}")
        print(f"written: {file}", file=sys.stderr)
