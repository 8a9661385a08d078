"""`pvhspec witness CLAUSE…`: the shortest execution in which a clause matters."""

from __future__ import annotations

import argparse
import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pvhspec.commands.asking import add_asking, needs_solver, place_of, place_options, progress
from pvhspec.commands.common import Subparsers, command, no_such_clause, spec_of
from pvhspec.diagnostics import PvhError

if TYPE_CHECKING:
    from pvhspec.ir.ir import Spec

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """The subcommand's parser."""
    parser = command(
        subparsers,
        "witness",
        "the shortest execution in which a clause matters",
        "From boot to where its error is\nreturned, its effect is visible, or, of what an event "
        "must show, to an event that it forbids.\nStatus 1 if there is a clause that nothing can "
        "reach.",
        "pvhspec witness evtchn.use.EVTCHNOP_unmask.announced\n"
        "pvhspec witness --program evtchn.use.EVTCHNOP_send.self_raised > program\n"
        "pvhspec witness 'evtchn.*' --dead",
    )
    add = parser.add_argument
    add("clauses", nargs="+", metavar="CLAUSE", help="clauses, or patterns with *")
    add("--dead", action="store_true", help="tell only of clauses that were not reached")
    add("--program", action="store_true", help="print programs that pvhspec capture can run")
    add("--depth", type=int, default=4, metavar="N", help="steps before the last (default: 4)")
    add("--format", choices=("text", "json"), default="text")
    place_options(parser)
    add_asking(parser, 20.0)


def run(args: argparse.Namespace) -> int:
    """Look for them, and tell what was found."""
    if needs_solver():
        return 3
    spec = spec_of(args.spec)
    clauses = _chosen(spec, args.clauses)
    from pvhspec.backends.solver.stories import as_program, tell_witness, witness_as_json
    from pvhspec.backends.solver.witness import witnesses

    found = witnesses(
        spec,
        clauses,
        where=place_of(args, spec),
        depth=args.depth,
        budget=args.budget,
        jobs=args.jobs,
        cache=not args.no_cache,
        done=progress("clauses"),
    )
    shown = [w for w in found if not args.dead or w.status != "found"]
    if args.format == "json":
        told = [witness_as_json(spec, w) for w in shown]
        print(json.dumps({"version": 1, "witnesses": told}, indent=2))
    elif args.program:
        for w in shown:
            text = None if w.execution is None else as_program(w.execution)
            print(f"# {w.clause}" if text else f"# {w.clause}: no lone guest can do it")
            print(text or "", end="")
    else:
        for w in shown:
            print("\n".join(tell_witness(spec, w)))
        if len(found) > 1:
            dead = sum(w.status == "never" for w in found)
            left = sum(w.status == "open" for w in found)
            print(f"{len(found)} clauses: {dead} that nothing can reach, {left} open")
    return 1 if any(w.status == "never" for w in found) else 0


def _chosen(spec: Spec, patterns: list[str]) -> list[str]:
    """The clauses that patterns or last parts of names stand for."""
    chosen: dict[str, None] = {}
    for pattern in patterns:
        hits = [c for c in spec.clauses if fnmatchcase(c, pattern)]
        hits = hits or [c for c in spec.clauses if c.endswith(f".{pattern}")]
        if not hits:
            raise PvhError(no_such_clause(pattern, spec))
        chosen.update(dict.fromkeys(hits))
    return list(chosen)
