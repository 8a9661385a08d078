"""Markdown pages of a specification: a module each, with every clause, and an index of all.

Names lead to where they are declared, citations to the line's file at the pinned commit, clauses to
the traces of the corpus that show them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pvhspec.editor.occurrences import occurrences
from pvhspec.ir.ir import Citation, Clause, Spec
from pvhspec.names.load import Sources
from pvhspec.names.report import Reporter
from pvhspec.names.symbols import Symbols, collect
from pvhspec.report.source import clause_lines
from pvhspec.syntax import ast

__all__ = ["Book", "reference"]

_KINDS: dict[type, str] = {
    ast.TypeDecl: "type", ast.BitsDecl: "bits", ast.EnumDecl: "enum", ast.StructDecl: "structure",
    ast.ConstDecl: "constant", ast.ContextDecl: "context", ast.EventDecl: "event",
    ast.StateDecl: "state", ast.MacroDecl: "effect", ast.HypercallDecl: "hypercall",
    ast.OperationDecl: "operation", ast.InvariantDecl: "invariant",
    ast.ObligationDecl: "obligation",
}  # fmt: skip


@dataclass(slots=True)
class Book:
    """A specification to be read: text, meaning, and which traces decided which clauses."""

    spec: Spec
    sources: Sources
    shown_by: Mapping[str, list[str]] = field(default_factory=dict)

    symbols: Symbols = field(init=False)
    clauses: dict[str, list[Clause]] = field(init=False)  #: by the file they stand in

    def __post_init__(self) -> None:
        self.symbols = collect(self.sources, Reporter(self.sources.texts))
        self.clauses = {}
        for clause in self.spec.clauses.values():
            self.clauses.setdefault(clause.path, []).append(clause)


def reference(book: Book) -> dict[str, str]:
    """Pages by file name: `index.md`, `clauses.md`, and one a module."""
    pages = {"index.md": _index(book), "clauses.md": _all_clauses(book)}
    for module in book.sources.modules:
        pages[_file(module.name.text)] = "\n".join(_module(book, module)) + "\n"
    return pages


def _file(module: str) -> str:
    return f"{module}.md"


# ---- lists ---------------------------------------------------------------------------------------


def _index(book: Book) -> str:
    lines = ["# The ABI", "", book.sources.manifest.prose or "", ""]
    lines += ["In reading order. [All clauses](clauses.md) is a list by name.", ""]
    lines += ["| module | clauses | what it says |", "|---|---|---|"]
    for module in book.sources.modules:
        name = module.name.text
        count = len(book.clauses.get(module.path, ()))
        lines.append(f"| [{name}]({_file(name)}) | {count or ''} | {_cell(module.prose or '')} |")
    lines += ["", "## Modes", "", "| mode | |", "|---|---|"]
    lines += [f"| `{mode}` | {_cell(prose)} |" for mode, prose in book.spec.modes.items()]
    lines += ["", "Groups: " + "; ".join(
        f"`{name}` is {', '.join(f'`{m}`' for m in sorted(members))}"
        for name, members in book.spec.groups.items()
    ) + "."]  # fmt: skip
    releases = ", ".join(".".join(map(str, release)) for release in book.spec.releases)
    return "\n".join([*lines, "", f"Releases: {releases}.", ""])


def _all_clauses(book: Book) -> str:
    shown = sum(1 for clause in book.spec.clauses if book.shown_by.get(clause))
    told = f"{len(book.spec.clauses)} clauses; {shown} of them are decided by captures of real "
    told += "hypervisors that are in the corpus."
    lines = ["# All clauses", "", told, "", "| clause | authority | shown |", "|---|---|---|"]
    modules = {module.path: module.name.text for module in book.sources.modules}
    for clause in sorted(book.spec.clauses.values(), key=lambda c: c.id):
        link = f"[{clause.id}]({_file(modules[clause.path])}#{clause.id})"
        lines.append(
            f"| {link} | {clause.authority} | {len(book.shown_by.get(clause.id, ())) or ''} |"
        )
    return "\n".join(lines) + "\n"


# ---- a module ------------------------------------------------------------------------------------


def _module(book: Book, module: ast.Module) -> Iterator[str]:
    name = module.name.text
    yield from (f"# {name}", "", _text(module.prose or ""), "")
    imported = [n.text for line in module.imports for n in line]
    if imported:
        links = ", ".join(f"[{each}]({_file(each)})" for each in imported)
        yield from (f"Builds on {links}.", "")
    used = _uses(book, module)
    clauses = sorted(book.clauses.get(module.path, ()), key=lambda c: c.line)
    lines = book.sources.texts[module.path]
    for item in module.items:
        first, last = item.span.line, item.span.end_line
        own = [clause for clause in clauses if first <= clause.line <= last]
        yield from _heading(item)
        prose = getattr(item, "prose", None)
        if prose and not isinstance(item, ast.ExampleDecl):
            yield from (_text(prose), "")
        yield from ("```pvhspec", *lines[first - 1 : last], "```", "")
        named = used.get(item.span, [])
        if named:
            yield from (f"Uses {', '.join(named)}.", "")
        for clause in own:
            yield from _clause(book, clause, alone=clause.line != first)


def _heading(item: ast.Item) -> Iterator[str]:
    match item:
        case ast.ExampleDecl(prose=prose, violates=violates):
            kind = "Example" if violates is None else "Counterexample"
            yield f"### {kind}: {_text(prose)}"
        case ast.EveryDecl():
            yield "## every hypercall"
        case ast.OnDecl(event=event, name=name):
            yield f"## on {event.text}: {name.text} {{ #{name.text} }}"
        case ast.DefDecl(name=name, result=result):
            kind = "predicate" if result is None else "function"
            yield f"## {kind} {name.text} {{ #{name.text} }}"
        case _:
            yield f"## {_KINDS[type(item)]} {item.name.text} {{ #{item.name.text} }}"
    yield ""


def _uses(book: Book, module: ast.Module) -> dict[ast.Span, list[str]]:
    """Links to what each declaration names, but for itself."""
    found: dict[ast.Span, dict[str, str]] = {}
    items = iter(module.items)
    item = next(items, None)
    for each in occurrences(module, book.symbols):
        while item is not None and (each.span.line, each.span.column) >= (
            item.span.end_line, item.span.end_column,
        ):  # fmt: skip
            item = next(items, None)
        if item is None or each.span.line < item.span.line or each.target.kind != "name":
            continue
        symbol = book.symbols.by_name.get(each.target.name)
        own = getattr(item, "name", None)
        if symbol is None or (own is not None and symbol.decl is item):
            continue
        declared = getattr(symbol.decl, "name", None)
        if declared is not None:
            link = f"[{declared.text}]({_file(symbol.module)}#{declared.text})"
            found.setdefault(item.span, {})[declared.text] = link
    return {span: list(links.values()) for span, links in found.items()}


def _clause(book: Book, clause: Clause, alone: bool) -> Iterator[str]:
    """A clause; `alone`: with its own lines, where they are not those of the declaration."""
    yield from (f"#### {clause.id} {{ #{clause.id} }}", "")
    if clause.prose:
        yield from (_text(clause.prose), "")
    if alone:
        yield from ("```pvhspec", *clause_lines(clause), "```", "")
    yield f"- {clause.authority}; {str(clause.gate) or 'every release and mode'}"
    for citation in clause.citations:
        yield f"- cited: {_citation(book.spec, citation)}"
    for example in book.spec.examples:
        if example.violates == clause.id:
            yield f"- broken by: {_text(example.name)}"
    shown = book.shown_by.get(clause.id, [])
    if shown:
        named = ", ".join(f"`{name}`" for name in shown[:4])
        more = f" and {len(shown) - 4} more" if len(shown) > 4 else ""
        yield f"- shown by {named}{more}"
    yield ""


def _citation(spec: Spec, citation: Citation) -> str:
    repository, commit = spec.sources.get(citation.source, (citation.source, ""))
    where = f"{repository}@{commit[:12]}"
    anchor = f' "{citation.anchor}"' if citation.anchor else ""
    shown = f"`{citation.path}`{_text(anchor)}"
    if not commit:
        return f"{shown} of {where}"
    return f"[{shown}](https://github.com/{repository}/blob/{commit}/{citation.path})"


def _text(prose: str) -> str:
    """Prose as Markdown that says just this: nothing in it is markup, but for `names`."""
    parts = re.split(r"(`[^`\n]+`)", prose)
    return "".join(part if n % 2 else _escaped(part) for n, part in enumerate(parts))


def _escaped(text: str) -> str:
    escaped = html.escape(text, quote=False)
    return "".join(f"\\{c}" if c in "\\`*_[]{}#|" else c for c in escaped)


def _cell(prose: str) -> str:
    return _text(prose).replace("\n", " ")
