"""The page of what the ABI is known to say: each fact with its clauses, examples and traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pvhspec.facts import LISTS, Fact, backends, examples_of, facts
from pvhspec.ir.ir import Spec

__all__ = ["facts_page"]

_HEAD = """\
# Facts and where they are said

Each row is a fact that the project set out with, a hypercall of Xen's public headers or one of its
commands, or a statement of the documents it began with. *Clauses* say it, *counterexamples* break
them, *traces* of the corpus decide them. *Held by*: a trace as it is judged (by the interpreter, by
machine code, and by the solver as a whole), calls that are generated for a real hypervisor, proofs.
`pvhspec facts ID` prints the same.
"""


def facts_page(spec: Spec, shown_by: Mapping[str, list[str]]) -> str:
    """The page."""
    rows = facts(spec)
    without = sum(row.reason is not None for row in rows)
    lines = [_HEAD, f"{len(rows)} facts; {without} of them have a reason in place of a clause.", ""]
    for name, title in LISTS.items():
        lines += [f"## {title}", "", "| | | clauses | counterexamples | traces | held by |"]
        lines.append("|---|---|---|---|---|---|")
        lines += [_row(spec, row, shown_by) for row in rows if row.source == name]
        lines.append("")
    return "\n".join(lines)


def _row(spec: Spec, row: Fact, shown_by: Mapping[str, list[str]]) -> str:
    if row.reason is not None:
        return f"| {_plain(row.id)} | {_plain(row.what)} | none: {_plain(row.reason)} | | | |"
    traces = {trace for clause in row.clauses for trace in shown_by.get(clause, ())}
    cells = [
        _plain(row.id),
        _plain(row.what),
        ", ".join(_links(row.clauses)),
        str(examples_of(spec, row.clauses) or ""),
        str(len(traces) or ""),
        ", ".join(backends(spec, row.clauses)),
    ]
    return f"| {' | '.join(cells)} |"


def _links(clauses: list[str]) -> Iterator[str]:
    """Clauses by their declarations, which stand for all of them where there are many."""
    found: dict[tuple[str, str], list[str]] = {}
    for clause in clauses:
        folder, module, declared, *_ = clause.split(".")
        found.setdefault((f"{folder}.{module}", declared), []).append(clause)
    for (module, declared), own in found.items():
        more = f" ({len(own)})" if len(own) > 1 else ""
        yield f"[{_plain(f'{module}.{declared}')}](reference/{module}.md#{own[0]}){more}"


def _plain(text: str) -> str:
    return "".join(f"\\{c}" if c in "_*`|<[]" else c for c in text)
