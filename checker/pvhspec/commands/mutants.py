"""`pvhspec mutants`: what the examples, traces and proofs would not notice."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from pvhspec.commands.asking import add_asking, needs_solver, progress
from pvhspec.commands.common import Subparsers, command
from pvhspec.diagnostics import Diagnostic, PvhError, code, render_all

if TYPE_CHECKING:
    from pvhspec.mutation.tell import Score
    from pvhspec.names.load import Sources

__all__ = ["add_parser", "run"]

NO_MUTANT = code("PVH525", "No mutant of the specification matches what was asked for.")


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """The subcommand's parser."""
    parser = command(
        subparsers,
        "mutants",
        "what the examples and proofs would not notice",
        "Puts single mistakes into the\nspecification: an error or effect dropped, a condition "
        "negated, a bound off by one, another code,\nfields swapped. Each must be noticed: by the "
        "checker, an example, a captured trace, complete\nor prove. One that nobody notices needs "
        "a reason in survivors.txt beside the specification.\nStatus 1 if one has none, or if "
        "fewer are noticed than asked for.",
        "pvhspec mutants\npvhspec mutants --only 'evtchn.bind.*' -v\n"
        "pvhspec mutants --sample 100 --seed 7\n"
        "pvhspec mutants --by examples --only 'sched.watch.*' --suggest",
    )
    add = parser.add_argument
    add("--only", action="append", default=[], metavar="GLOB", help="mistakes in these clauses")
    add("--sample", type=int, metavar="N", help="N of them")
    add("--seed", type=int, default=0, metavar="S", help="which (default: 0)")
    add("--least", type=float, default=90.0, metavar="PERCENT", help="to be noticed (default: 90)")
    add(
        "--by",
        choices=("examples", "traces", "proofs"),
        default="proofs",
        help="the last to be asked: all are shown to the examples first, those left to the traces, "
        "then to complete and prove (default: proofs)",
    )
    add(
        "--suggest",
        action="store_true",
        help="print examples that would notice the survivors, ready to be edited and put into a "
        "module; one that is found for none is told on stderr",
    )
    add("-v", "--verbose", action="store_true", help="show survivors that have a reason, too")
    add("--format", choices=("text", "json"), default="text")
    add_asking(parser, 4.0)


def _suggest(sources: Sources, score: Score, budget: float) -> int:
    """Print an example for each survivor that has no reason, as soon as it is found."""
    from pvhspec.mutation.bench import Bench
    from pvhspec.mutation.example_text import example_text
    from pvhspec.mutation.suggest import suggestions

    bench = Bench(sources)
    left = [j.mutant for j in score.unexplained]
    counts = {"new": 0, "old": 0, "none": 0}
    for found in suggestions(bench, left, budget, progress("survivors")):
        about = f"{found.mutant.place} | {found.mutant.what}"
        if found.example is None:
            counts["none"] += 1
            print(f"no example: {about}", file=sys.stderr)
        else:
            counts["old" if found.old else "new"] += 1
            print(f"# {about}", flush=True)
            if not found.old:
                print(example_text(bench.spec, found.example), flush=True)
    print(
        f"{len(left):,} survivors: {counts['new']:,} examples, which notice {counts['old']:,} more;"
        f" none was found for {counts['none']:,}",
        file=sys.stderr,
    )
    return 0


def run(args: argparse.Namespace) -> int:
    """Make mutants, judge them, and tell how it came out."""
    if needs_solver():
        return 3
    from pvhspec import _data
    from pvhspec.mutation.corpus import corpus
    from pvhspec.mutation.reasons import read_reasons, stale
    from pvhspec.mutation.run import chosen, judge_all
    from pvhspec.mutation.tell import Score, as_json, tell
    from pvhspec.names.load import load

    folder = args.spec or _data.spec_dir()
    sources, errors = load(folder)
    if sources is None:
        raise PvhError(*errors)
    reasons = read_reasons(folder)
    work = chosen(sources, args.only, args.sample, args.seed)
    if not work:
        what = f"no mutant is in {' '.join(args.only) or 'this specification'}"
        raise PvhError(Diagnostic(NO_MUTANT, what, "pvhspec explain '*' lists all clauses"))
    judged = judge_all(
        sources,
        work,
        corpus() if args.spec is None else [],
        budget=args.budget,
        last=args.by,
        jobs=args.jobs,
        cache=not args.no_cache,
        done=progress("mutants"),
    )
    score = Score(judged, reasons)
    if args.suggest:
        return _suggest(sources, score, args.budget)
    if args.format == "json":
        print(json.dumps(as_json(score), indent=2))
    else:
        print("\n".join(tell(score, args.verbose)))
    whole = not args.only and args.sample is None
    alive = [j.mutant for j in score.alive]
    old = stale(reasons, alive, [j.mutant for j in judged], whole)
    if old:
        print(render_all(old), file=sys.stderr)
        return 2
    return 1 if score.unexplained or score.share < args.least else 0
