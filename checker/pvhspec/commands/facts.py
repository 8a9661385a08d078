"""`pvhspec facts [ID…]`: what the ABI is known to say, and which clauses say it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pvhspec.commands.common import Subparsers, command, spec_of, spec_option

if TYPE_CHECKING:
    from pvhspec.facts import Fact
    from pvhspec.ir.ir import Spec

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "facts",
        "what the ABI is known to say, and which clauses say it",
        "Lists the facts the project set out with, every hypercall of Xen's public headers with "
        "its commands, and the statements of its first documents: for each the clauses, the "
        "examples that break one, and what holds a hypervisor to them; or the reason why there is "
        "none. With names or patterns, those alone, and their clauses by name.",
        """
pvhspec facts
pvhspec facts 'GNT-*' S2-08
pvhspec facts EVTCHNOP_send
pvhspec facts --format json
""",
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="names, or patterns of them")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    spec_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from pvhspec.facts import facts, rows_of

    spec = spec_of(args.spec)
    rows = list(rows_of(facts(spec, None if args.spec is None else args.spec / "facts"), args.ids))
    if args.format == "json":
        from pvhspec.report.json import dumped

        print(dumped({"version": 1, "facts": [_object(spec, fact) for fact in rows]}))
    else:
        print("\n".join(_text(spec, rows, bool(args.ids))))
    return int(not rows)


def _object(spec: Spec, fact: Fact) -> dict[str, Any]:
    from pvhspec.facts import backends, examples_of

    return {
        "id": fact.id,
        "what": fact.what,
        "list": fact.source,
        "group": fact.group,
        "clauses": fact.clauses,
        "counterexamples": examples_of(spec, fact.clauses),
        "held_by": backends(spec, fact.clauses),
        "reason": fact.reason,
    }


def _text(spec: Spec, rows: list[Fact], named: bool) -> Iterator[str]:
    from pvhspec.facts import backends, examples_of

    group = ""
    for fact in rows:
        if fact.group != group:
            group = fact.group
            yield from ("", group) if fact is not rows[0] else (group,)
        if fact.reason is not None:
            yield f"  {fact.id:<12} {fact.what}: none; {fact.reason}"
            continue
        count, broken = len(fact.clauses), examples_of(spec, fact.clauses)
        held = ", ".join(backends(spec, fact.clauses))
        yield f"  {fact.id:<12} {fact.what}: {count} clauses, {broken} counterexamples; {held}"
        if named:
            yield from (f"    {clause}" for clause in fact.clauses)
    without = sum(fact.reason is not None for fact in rows)
    yield from ("", f"{len(rows)} facts, {len(rows) - without} described, {without} with a reason")
