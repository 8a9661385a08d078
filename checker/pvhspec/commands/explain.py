"""`pvhspec explain CLAUSE…`: what a clause says, and who says so."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from os.path import dirname
from typing import TYPE_CHECKING

from pvhspec.commands.common import Subparsers, command, no_such_clause, spec_of, spec_option
from pvhspec.diagnostics import PvhError

if TYPE_CHECKING:
    from pvhspec.ir.ir import Clause, Example, Spec
    from pvhspec.report.paint import Paint

__all__ = ["add_parser", "found", "run"]

_MOST_IN_FULL = 3
_MOST_EXAMPLES = 5


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "explain",
        "explain clauses of the specification",
        "Shows the prose, the text itself, releases and modes, who promises it and where that is "
        "written, and the examples it comes up in. A clause is named by its id, by the end of its "
        "id, by its operation or module, or by a pattern; of many, the first lines are listed.",
        """
pvhspec explain evtchn.bind.EVTCHNOP_bind_virq.already_bound
pvhspec explain task_register.limit
pvhspec explain EVTCHNOP_close
pvhspec explain '*.no_spare_port'
""",
    )
    parser.add_argument("clauses", nargs="+", metavar="CLAUSE", help="id, end of id, or pattern")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--all", action="store_true", help="explain every clause in full")
    spec_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    spec = spec_of(args.spec)
    clauses = list(dict.fromkeys(c for name in args.clauses for c in found(name, spec)))
    if args.format == "json":
        from pvhspec.report.json import clause_object, dumped

        print(dumped({"version": 1, "clauses": [clause_object(c, spec) for c in clauses]}))
        return 0
    from pvhspec.report.paint import Paint, wants_color

    paint = Paint(wants_color(sys.stdout))
    full = args.all or len(clauses) <= _MOST_IN_FULL
    for position, clause in enumerate(clauses):
        if full:
            print("\n".join(["", *_explained(clause, spec, paint)][not position :]))
        else:
            print("\n".join(_line(clause, paint)))
    return 0


def found(name: str, spec: Spec) -> list[Clause]:
    """The clauses that a name stands for. Raises PvhError if there are none."""
    exact = spec.clauses.get(name)
    if exact is not None:
        return [exact]
    clauses = spec.clauses.values()
    for pattern in (name, f"*.{name}", f"{name}.*", f"*.{name}.*"):
        matching = [c for c in clauses if fnmatchcase(c.id, pattern)]
        if matching:
            return matching
    raise PvhError(no_such_clause(name, spec))


def _line(clause: Clause, paint: Paint) -> Iterator[str]:
    from pvhspec.report.paint import wrapped

    yield paint(clause.id, "bold")
    if clause.prose:
        yield f"  {wrapped(clause.prose, 2)}"


def _explained(clause: Clause, spec: Spec, paint: Paint) -> Iterator[str]:
    from pvhspec.report.paint import wrapped
    from pvhspec.report.source import citation_text, clause_lines, clause_place, shown_path

    def label(name: str, text: str) -> str:
        return f"  {paint(f'{name:<10}', 'blue')}{wrapped(text, 12)}"

    yield paint(clause.id, "bold")
    if clause.prose:
        yield f"  {wrapped(clause.prose, 2)}"
    yield ""
    for line in clause_lines(clause):
        yield f"    {line}".rstrip()
    yield ""
    yield label("kind", f"{_KINDS[clause.kind]}, {clause.authority}")
    yield label("where", clause_place(clause))
    yield label("applies", str(clause.gate) or "in every release and mode")
    for citation in clause.citations:
        yield label("cited", citation_text(spec, citation))
    examples = examples_of(clause, spec)
    for example in examples[:_MOST_EXAMPLES]:
        how = "violates it" if example.violates == clause.id else "holds"
        place = f"{shown_path(example.path)}:{example.line}"
        yield label("example", f"{example.name} ({how}; {place})")
    if len(examples) > _MOST_EXAMPLES:
        yield label("", f"and {len(examples) - _MOST_EXAMPLES} more")


_KINDS = {
    "error": "an error and when it is due",
    "success": "what success returns",
    "effect": "what a call or an event changes",
    "choice": "a choice the implementation has",
    "require": "what an event must show",
    "undefined": "what nobody may rely on",
    "table": "an entry of the hypercall table",
    "invariant": "what always holds",
    "obligation": "what must happen in time",
    "frame": "what a call leaves alone",
}


def examples_of(clause: Clause, spec: Spec) -> list[Example]:
    """The examples that violate a clause, then those in which it is seen to hold."""
    from pvhspec.backends.examples import run_example
    from pvhspec.backends.protocol import Verdict

    of = {o.name for o in spec.operations if clause.id.startswith(f"{o.id}.")}
    of |= {o.event for o in spec.observations if clause.id.startswith(f"{o.id}.")}
    violating = [e for e in spec.examples if e.violates == clause.id]
    holding = [
        e
        for e in spec.examples
        if e.violates != clause.id
        and any(s.kind in of for s in e.steps)
        and clause.gate.open(e.version, e.mode)
        and dirname(e.path) == dirname(clause.path)
        and any(
            j.clause == clause.id and j.verdict is Verdict.CONFORMS
            for j in run_example(spec, e).judgements
        )
    ]
    return [*violating, *holding]
