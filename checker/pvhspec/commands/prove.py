"""`pvhspec prove [NAME…]`: what always holds."""

from __future__ import annotations

import argparse
import json
import time

from pvhspec.commands.asking import add_asking, authority_option, needs_solver, progress
from pvhspec.commands.common import Subparsers, no_such_clause, spec_of
from pvhspec.commands.common import command as subcommand
from pvhspec.diagnostics import PvhError

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """The subcommand's parser."""
    parser = subcommand(
        subparsers,
        "prove",
        "what always holds",
        "Proves that invariants hold at boot\nand are kept by every operation, every event and "
        "every change from outside, in every release\nand mode; and that no step loses what an "
        "obligation says is owed, or forbids it. One that is broken is told by the "
        "shortest calls from boot that break it. Status 1 if\none is refuted, not decided, or "
        "speaks of nothing.",
        "pvhspec prove\npvhspec prove symmetric --no-cache",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="invariants and obligations (default: all)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--from-boot",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="time to find the calls from boot that break one (default: 60)",
    )
    add_asking(parser, 10.0)
    authority_option(parser)


def run(args: argparse.Namespace) -> int:
    """Prove, and tell how it came out."""
    if needs_solver():
        return 3
    spec = spec_of(args.spec)
    from pvhspec.backends.solver.claims import claims

    known = {n for c in claims(spec) for n in (c.name, c.clause)}
    for name in args.names:
        if name not in known:
            raise PvhError(no_such_clause(name, spec))
    from pvhspec.backends.solver.prove import prove
    from pvhspec.backends.solver.tell_proofs import proof_as_json, tell_proof
    from pvhspec.backends.solver.vacuity import mark

    start = time.monotonic()
    proofs = prove(
        spec,
        args.names,
        authority=args.authority,
        budget=args.budget,
        from_boot=args.from_boot,
        jobs=args.jobs,
        cache=not args.no_cache,
        done=progress("steps"),
    )
    mark(
        spec,
        proofs,
        budget=args.budget,
        jobs=args.jobs,
        cache=not args.no_cache,
        done=progress("premises"),
    )
    seconds = time.monotonic() - start
    good = sum(p.status == "proved" for p in proofs)
    if args.format == "json":
        told = [proof_as_json(spec, p) for p in proofs]
        print(json.dumps({"version": 1, "seconds": round(seconds, 2), "proofs": told}, indent=2))
    else:
        for proof in proofs:
            print("\n".join(tell_proof(spec, proof)))
        print(f"\n{good} of {len(proofs)} proved, in {seconds:.1f} s.")
    return 0 if good == len(proofs) else 1
