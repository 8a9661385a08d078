"""The parts all layouts share: headers, blocks, prose, gates, citations, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pvhspec.syntax import ast
from pvhspec.syntax.layout import (
    CLOSE,
    HARD,
    ITEM,
    LINE,
    Doc,
    Group,
    Nest,
    Prose,
    cat,
    fill,
    flat_width,
    join,
)

__all__ = [
    "block",
    "cite_docs",
    "gates_text",
    "head_doc",
    "names_doc",
    "pad",
    "prose_doc",
    "table",
]

# A column is not made wider than this for the sake of one long entry.
_COLUMN = 56

_NO_TAIL = ast.Tail()


def pad(text: str, width: int) -> str:
    """The text in a column of that width."""
    return text.ljust(width)


def names_doc(names: Iterable[ast.Name]) -> Doc:
    """`a, b, c`."""
    return fill(name.text for name in names)


def gates_text(gates: Iterable[ast.Gate]) -> str:
    """`since 4.18 modes pvh, hvm`."""
    return " ".join(f"{gate.kind} {', '.join(gate.values)}" for gate in gates)


def cite_docs(cites: Iterable[ast.Cite]) -> list[Doc]:
    """Each citation, to be put on a line of its own."""
    docs: list[Doc] = []
    for c in cites:
        anchor = "" if c.anchor is None else f' "{c.anchor}"'
        docs.append(f"{c.authority} {c.source}:{c.path}{anchor}")
    return docs


def prose_doc(prose: str) -> Doc:
    """Prose on the line it follows if all of it fits there, else on lines of its own."""
    return Group(Nest(cat(LINE, Prose(prose))))


def block(rows: Sequence[Doc]) -> Doc:
    """`{ … }` with each row on its own line."""
    if not rows:
        return "{}"
    return cat("{", Nest(cat(HARD, join(ITEM, rows))), CLOSE, "}")


def head_doc(
    head: Doc,
    prose: str | None,
    tail: ast.Tail = _NO_TAIL,
    extra: Iterable[Doc] = (),
    *,
    last: Iterable[Doc] = (),
    body: Doc | None = None,
    broken: bool = False,
    cites_inline: bool = False,
    extras_first: bool = False,
) -> Doc:
    """A header: the head, prose, gates, citations and what is between or after them.

    On one line if it fits and does not have prose together with something else that has lines of
    its own (citations, a condition); else each has its own lines, and the block's `{` its own.
    """
    gates = gates_text(tail.gates)
    cites = cite_docs(tail.cites)
    middle = list(extra)
    if gates and prose is None and not extras_first:
        head, gates = cat(head, f" {gates}"), ""
    parts: list[Doc] = [] if prose is None else [Prose(prose)]
    parts += [*(middle if extras_first else ()), *([gates] if gates else ()), *cites]
    parts += [*(() if extras_first else middle), *last]
    apart = bool(cites) and (prose is not None or not cites_inline or len(cites) > 1)
    header = cat(head, *(Nest(cat(LINE, part)) for part in parts))
    if body is None:
        return Group(header, broken=broken or apart)
    return cat(Group(cat(header, LINE), broken=broken or apart), body)


def table(rows: Sequence[tuple[Doc, str | None]]) -> list[Doc]:
    """Rows with a column of prose beside them, where it fits; else it has lines of its own."""
    widths = [flat_width(row) for row, _ in rows]
    titled = [w for w, (_, prose) in zip(widths, rows, strict=True) if prose]
    column = max((w for w in titled if w <= _COLUMN), default=0)
    docs: list[Doc] = []
    for width, (row, prose) in zip(widths, rows, strict=True):
        if prose is None:
            docs.append(row)
        else:
            docs.append(cat(row, " " * max(column - width, 0), prose_doc(prose)))
    return docs
