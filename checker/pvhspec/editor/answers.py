"""What an editor shows: text for a name, words that may follow, the outline, a rename's edits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pvhspec.diagnostics import Diagnostic, PvhError, code
from pvhspec.editor.occurrences import Occurrence, field_names
from pvhspec.editor.project import Project, Whole
from pvhspec.ir.ir import Clause
from pvhspec.report.source import citation_text
from pvhspec.syntax import ast
from pvhspec.syntax.keywords import keywords

__all__ = ["Entry", "completions", "definitions", "hover", "outline", "rename"]

CANNOT_RENAME = code("PVH560", "What stands here cannot be renamed, or not to that.")

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_LINES = 14  # of a declaration, in a hover
Decl = ast.Item | ast.Variant


# ---- definition and hover ------------------------------------------------------------------------


def definitions(project: Project, here: Occurrence) -> list[tuple[str, ast.Span]]:
    """Where what is named here is declared."""
    return [(path, each.span) for path, each in project.all_of(here.target) if each.defines]


def hover(project: Project, here: Occurrence) -> str:
    """Markdown: how it is declared, what it says, on whose authority, and where that is found."""
    whole = project.whole
    if whole is None:
        return ""
    target = here.target
    if target.kind == "clause":
        clause = whole.spec.clauses.get(f"{target.owner}.{target.name}")
        return "" if clause is None else _of_clause(whole, clause)
    if target.kind == "module":
        for module in whole.sources.modules:
            if module.name.text == target.name:
                return f"**{target.name}**\n\n{module.prose or ''}"
    if target.kind == "mode":
        return f"**mode {target.name}**\n\n{whole.symbols.modes.get(target.name, '')}"
    if target.kind == "source":
        repository, commit = whole.symbols.pinned.get(target.name, ("", ""))
        return f"**source {target.name}**\n\n`{repository}` at `{commit}`"
    if target.kind == "name":
        symbol = whole.symbols.by_name.get(target.name)
        if symbol is not None:
            decl: Decl = symbol.decl if symbol.variant is None else symbol.variant
            path = next(m.path for m in whole.sources.modules if m.name.text == symbol.module)
            text = _fenced(_lines(whole, path, decl.span))
            said = "\n\n".join(_said(whole, decl))
            return f"{text}\n\n{said}\n\n*{symbol.module}*"
    for path, span in definitions(project, here):
        line = whole.sources.texts[path][span.line - 1].strip()
        return _fenced([line])
    return ""


def _said(whole: Whole, decl: Decl) -> Iterator[str]:
    prose = getattr(decl, "prose", None)
    if prose:
        yield prose
    tail = getattr(decl, "tail", None)
    for cite in () if tail is None else tail.cites:
        repository, commit = whole.symbols.pinned.get(cite.source, (cite.source, ""))
        anchor = f' "{cite.anchor}"' if cite.anchor else ""
        yield f"{cite.authority}: `{repository}@{commit[:12]} {cite.path}`{anchor}"


def _of_clause(whole: Whole, clause: Clause) -> str:
    parts = [f"**{clause.id}**", clause.prose or "", f"*{clause.authority}*"]
    parts.append(f"applies: {clause.gate}" if str(clause.gate) else "")
    parts += [f"cited: `{citation_text(whole.spec, c)}`" for c in clause.citations]
    return "\n\n".join(part for part in parts if part)


def _lines(whole: Whole, path: str, span: ast.Span) -> list[str]:
    lines = whole.sources.texts[path][span.line - 1 : span.end_line]
    return lines if len(lines) <= _MOST_LINES else [*lines[:_MOST_LINES], "…"]


def _fenced(lines: list[str]) -> str:
    return "\n".join(["```pvhspec", *lines, "```"])


# ---- completion ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """Something with a name: a word that may follow, or a line of an outline.

    `kind` is that of the declaration (`struct`, `operation`, …), `keyword`, `local` or `clause`.
    """

    name: str
    kind: str
    detail: str
    path: str = ""
    span: ast.Span | None = None
    inner: tuple[Entry, ...] = ()


def completions(project: Project, path: str, line: int, column: int) -> list[Entry]:
    """What may be written at a place (from 1); the text there need not parse."""
    whole = project.whole
    if whole is None:
        return [Entry(word, "keyword", "") for word in keywords()]
    lines = project.text(path).split("\n")
    before = lines[line - 1][: column - 1] if line <= len(lines) else ""
    before = before.removesuffix(match.group()) if (match := _last_word(before)) else before
    module = whole.modules.get(path)
    if re.search(r"\berror\s+$", before):
        return [e for e in _names(whole, module) if e.kind == "enum Errno"]
    if re.search(r"(?:\bmodes\s+|\bmodes\s[\w ,]*,\s*|\bmode\s+is\s+)$", before):
        modes = {**whole.symbols.modes, **dict.fromkeys(whole.symbols.groups, "group")}
        return [Entry(name, "mode", prose) for name, prose in modes.items()]
    if re.search(r"^import\s[\w ,.]*$", before):
        return [Entry(m.name.text, "module", m.prose or "") for m in _before(whole, module)]
    if re.search(r"\b(?:documented|implemented)\s+$", before):
        return [Entry(f"{s}:", "source", r) for s, (r, _) in whole.symbols.pinned.items()]
    local = _locals(project, module, line) if module is not None else []
    words = [Entry(word, "keyword", "") for word in keywords()]
    return [*local, *_names(whole, module), *words]


def _last_word(text: str) -> re.Match[str] | None:
    return re.search(r"[A-Za-z_][A-Za-z0-9_.]*$", text)


def _before(whole: Whole, module: ast.Module | None) -> Iterator[ast.Module]:
    for each in whole.sources.modules:
        if each is module:
            return
        yield each


def _names(whole: Whole, module: ast.Module | None) -> list[Entry]:
    """What a module sees: its own names, and those of the modules it imports."""
    seen = None
    if module is not None:
        seen = {module.name.text} | whole.symbols.imports.get(module.name.text, set())
    return [
        Entry(s.name, _kind(s.decl, s.variant), _prose(s.decl, s.variant))
        for s in whole.symbols.by_name.values()
        if seen is None or s.module in seen
    ]


def _kind(decl: ast.Item, variant: ast.Variant | None) -> str:
    if variant is not None and isinstance(decl, ast.EnumDecl):
        return f"enum {decl.name.text}"
    if isinstance(decl, ast.DefDecl):
        return "predicate" if decl.result is None else "function"
    return _KINDS.get(type(decl), "")


_KINDS: dict[type, str] = {
    ast.TypeDecl: "type", ast.BitsDecl: "bits", ast.EnumDecl: "enum", ast.StructDecl: "struct",
    ast.ConstDecl: "const", ast.ContextDecl: "context", ast.EventDecl: "event",
    ast.StateDecl: "state", ast.MacroDecl: "effect", ast.HypercallDecl: "hypercall",
    ast.OperationDecl: "operation", ast.OnDecl: "on", ast.InvariantDecl: "invariant",
    ast.ObligationDecl: "obligation", ast.EveryDecl: "every", ast.ExampleDecl: "example",
}  # fmt: skip


def _prose(decl: ast.Item, variant: ast.Variant | None) -> str:
    return getattr(decl if variant is None else variant, "prose", None) or ""


def _locals(project: Project, module: ast.Module, line: int) -> list[Entry]:
    """Names that the declaration around a line has for itself, and the fields it speaks of."""
    around = [item for item in module.items if item.span.line <= line]
    if not around:
        return []
    item = around[-1]
    found: dict[str, Entry] = {}
    for each in project.occurrences(module.path):
        inside = item.span.line <= each.span.line <= item.span.end_line
        if inside and each.target.kind in ("local", "field"):
            found.setdefault(each.target.name, Entry(each.target.name, "local", "here"))
    whole = project.whole
    assert whole is not None
    owner = item.struct if isinstance(item, ast.OperationDecl) else None
    owner = item.event if isinstance(item, ast.OnDecl) else owner
    if owner is not None and (symbol := whole.symbols.by_name.get(owner.text)):
        for name in field_names(symbol.decl):
            found.setdefault(name.text, Entry(name.text, "local", f"field of {owner.text}"))
    return list(found.values())


# ---- outline -------------------------------------------------------------------------------------


def outline(whole: Whole, module: ast.Module) -> list[Entry]:
    """The declarations of a module, and the clauses in each."""
    return [
        Entry(
            _title(item), _kind(item, None), _prose(item, None), module.path, item.span,
            tuple(_inner(item, module.path)),
        )
        for item in module.items
    ]  # fmt: skip


def _title(item: ast.Item) -> str:
    if isinstance(item, ast.ExampleDecl):
        return item.prose
    return "every hypercall" if isinstance(item, ast.EveryDecl) else item.name.text


def _inner(item: ast.Item, path: str) -> Iterator[Entry]:
    parts = getattr(item, "items", None) or ()
    if isinstance(item, ast.EnumDecl):
        parts = item.variants
    for part in parts:
        for each in part.errors if isinstance(part, ast.InOrder) else (part,):
            if isinstance(each, ast.ErrorClause | ast.Require | ast.Ensure | ast.Variant):
                yield Entry(each.name.text, "clause", each.prose or "", path, each.span)
            elif isinstance(each, ast.Success):
                yield Entry("success", "clause", each.prose or "", path, each.span)


# ---- rename --------------------------------------------------------------------------------------


def rename(project: Project, here: Occurrence, new: str) -> list[tuple[str, ast.Span]]:
    """The places to write `new` at. Raises PvhError where the text would not mean the same.

    The new text is read and checked as a whole before anything is said.
    """
    whole = project.whole
    assert whole is not None
    target = here.target
    if target.kind not in ("name", "local", "clause"):
        remedy = {
            "field": "a field is called as the trace schema or the C header call it",
            "module": "move the file, and name it in pvh.abi",
        }.get(target.kind, "change pvh.abi")
        raise _refused(f"{target.name} cannot be renamed here", remedy)
    if _WORD.fullmatch(new) is None or new in keywords():
        raise _refused(f"{new!r} is not a name", "letters, digits and _, and no word of grammar")
    places = [(path, each.span) for path, each in project.all_of(target)]
    trial = project.copy()
    for path, text in edited(project, places, new).items():
        trial.edit(path, text)
    problem = next((d for d in trial.check() if d.severity == "error"), None)
    if problem is not None:
        raise _refused(f"{target.name} cannot be called {new}", problem.headline())
    assert trial.whole is not None
    if len(trial.all_of(target._replace(name=new))) != len(places):
        why = f"{new} means something else where {target.name} stands"
        raise _refused(f"{target.name} cannot be called {new}", why)
    return places


def edited(project: Project, places: list[tuple[str, ast.Span]], new: str) -> dict[str, str]:
    """The files of some places, with `new` written at each."""
    files: dict[str, list[str]] = {}
    for path, span in sorted(places, key=lambda p: (p[0], -p[1].line, -p[1].column)):
        lines = files.setdefault(path, project.text(path).split("\n"))
        line = lines[span.line - 1]
        lines[span.line - 1] = line[: span.column - 1] + new + line[span.end_column - 1 :]
    return {path: "\n".join(lines) for path, lines in files.items()}


def _refused(what: str, remedy: str) -> PvhError:
    return PvhError(Diagnostic(CANNOT_RENAME, what, remedy))
