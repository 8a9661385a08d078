"""The language server protocol, over standard input and output (pygls).

A change is checked once no other has come for a moment. Lines and columns of the protocol count
from 0, columns in UTF-16 units; everything below counts from 1, in characters.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls import uris
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from pvhspec import __version__
from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.editor import answers
from pvhspec.editor.occurrences import Occurrence
from pvhspec.editor.project import Project, folder_of
from pvhspec.syntax import ast
from pvhspec.syntax.format import format_text

__all__ = ["Server", "serve"]

_QUIET = 0.15  # seconds without a change before the text is checked
_FULL = lsp.TextDocumentSyncKind.Full
_SYMBOLS = {
    "type": lsp.SymbolKind.Class, "bits": lsp.SymbolKind.Struct, "enum": lsp.SymbolKind.Enum,
    "struct": lsp.SymbolKind.Struct, "const": lsp.SymbolKind.Constant,
    "context": lsp.SymbolKind.Variable, "event": lsp.SymbolKind.Event,
    "state": lsp.SymbolKind.Variable, "predicate": lsp.SymbolKind.Boolean,
    "function": lsp.SymbolKind.Function, "effect": lsp.SymbolKind.Function,
    "hypercall": lsp.SymbolKind.Interface, "operation": lsp.SymbolKind.Method,
    "on": lsp.SymbolKind.Event, "invariant": lsp.SymbolKind.Property,
    "obligation": lsp.SymbolKind.Property, "clause": lsp.SymbolKind.Property,
}  # fmt: skip
_COMPLETIONS = {
    "keyword": lsp.CompletionItemKind.Keyword, "local": lsp.CompletionItemKind.Variable,
    "struct": lsp.CompletionItemKind.Struct, "state": lsp.CompletionItemKind.Variable,
    "const": lsp.CompletionItemKind.Constant, "module": lsp.CompletionItemKind.Module,
    "predicate": lsp.CompletionItemKind.Function, "function": lsp.CompletionItemKind.Function,
    "effect": lsp.CompletionItemKind.Function, "operation": lsp.CompletionItemKind.Method,
    "event": lsp.CompletionItemKind.Event, "type": lsp.CompletionItemKind.Class,
}  # fmt: skip


class Server(LanguageServer):
    """The projects that are open, by folder, and the checks that are due."""

    def __init__(self) -> None:
        super().__init__("pvhspec", __version__, text_document_sync_kind=_FULL)
        self.projects: dict[Path, Project] = {}
        self._due: dict[Path, asyncio.TimerHandle] = {}
        self._told: dict[Path, set[str]] = {}

    def project(self, uri: str) -> tuple[Project | None, str]:
        """The project of a file, and the file's path; None where there is no pvh.abi above it."""
        path = uris.to_fs_path(uri) or ""
        folder = folder_of(Path(path))
        if folder is None:
            return None, path
        known = self.projects.get(folder)
        if known is None:
            known = self.projects[folder] = Project(folder)
        return known, path

    def ready(self, uri: str) -> tuple[Project | None, str]:
        """As `project`, with what has been typed so far taken in."""
        project, path = self.project(uri)
        if project is not None and (project.folder in self._due or project.whole is None):
            self.check(project)
        return project, path

    def changed(self, uri: str, text: str | None) -> None:
        """What an editor holds of a file is another; the check comes in a moment."""
        project, path = self.project(uri)
        if project is None:
            return
        project.edit(path, text)
        due = self._due.pop(project.folder, None)
        if due is not None:
            due.cancel()
        loop = asyncio.get_running_loop()
        self._due[project.folder] = loop.call_later(_QUIET, self.check, project)

    def check(self, project: Project) -> None:
        """Check a project now, and tell what is wrong in each of its files."""
        due = self._due.pop(project.folder, None)
        if due is not None:
            due.cancel()
        found: dict[str, list[Diagnostic]] = {}
        for each in project.check():
            found.setdefault(each.path or str(project.folder / "pvh.abi"), []).append(each)
        told = self._told.get(project.folder, set())
        for path in sorted(told | set(found)):
            lines = project.text(path).split("\n")
            params = lsp.PublishDiagnosticsParams(
                uri=uris.from_fs_path(path) or "",
                diagnostics=[_diagnostic(each, lines) for each in found.get(path, ())],
            )
            self.text_document_publish_diagnostics(params)
        self._told[project.folder] = set(found)

    def here(self, params: Any) -> tuple[Project, str, Occurrence] | None:
        """The name at the place of a request."""
        project, path = self.ready(params.text_document.uri)
        if project is None:
            return None
        line, column = _place(project.text(path).split("\n"), params.position)
        found = project.at(path, line, column)
        return None if found is None else (project, path, found)


# ---- places ------------------------------------------------------------------------------------


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _place(lines: list[str], position: lsp.Position) -> tuple[int, int]:
    """Line and column, from 1, in characters."""
    text = lines[position.line] if position.line < len(lines) else ""
    part = text.encode("utf-16-le")[: 2 * position.character]
    return position.line + 1, len(part.decode("utf-16-le", "ignore")) + 1


def _position(lines: list[str], line: int, column: int) -> lsp.Position:
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    return lsp.Position(max(0, line - 1), _units(text[: max(0, column - 1)]))


def _range(lines: list[str], span: ast.Span) -> lsp.Range:
    start = _position(lines, span.line, span.column)
    return lsp.Range(start, _position(lines, span.end_line, span.end_column))


def _diagnostic(found: Diagnostic, lines: list[str]) -> lsp.Diagnostic:
    line, column = found.line or 1, found.column or 1
    span = ast.Span(line, column, line, found.end_column or column + 1)
    error = found.severity == "error"
    return lsp.Diagnostic(
        range=_range(lines, span),
        message=found.message + (f"\n{found.remedy}" if found.remedy else ""),
        severity=lsp.DiagnosticSeverity.Error if error else lsp.DiagnosticSeverity.Warning,
        code=found.code,
        source="pvhspec",
    )


def _symbol(entry: answers.Entry, lines: list[str]) -> lsp.DocumentSymbol:
    assert entry.span is not None
    whole = _range(lines, entry.span)
    end = min(
        entry.span.column + len(lines[entry.span.line - 1]), len(lines[entry.span.line - 1]) + 1
    )
    first = ast.Span(entry.span.line, entry.span.column, entry.span.line, end)
    return lsp.DocumentSymbol(
        name=entry.name or "?",
        kind=_SYMBOLS.get(entry.kind, lsp.SymbolKind.Object),
        range=whole,
        selection_range=_range(lines, first) if entry.span.line != entry.span.end_line else whole,
        detail=entry.kind,
        children=[_symbol(each, lines) for each in entry.inner],
    )


# ---- the protocol --------------------------------------------------------------------------------


def serve() -> Server:
    """A server with everything it answers; `start_io` runs it."""
    server = Server()

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        server.changed(params.text_document.uri, params.text_document.text)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.changed(uri, server.workspace.get_text_document(uri).source)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        server.changed(params.text_document.uri, None)

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def definition(params: lsp.DefinitionParams) -> list[lsp.Location]:
        found = server.here(params)
        return (
            [] if found is None else _locations(found[0], answers.definitions(found[0], found[2]))
        )

    @server.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    def references(params: lsp.ReferenceParams) -> list[lsp.Location]:
        found = server.here(params)
        if found is None:
            return []
        places = [(path, each.span) for path, each in found[0].all_of(found[2].target)]
        return _locations(found[0], places)

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hover(params: lsp.HoverParams) -> lsp.Hover | None:
        found = server.here(params)
        text = "" if found is None else answers.hover(found[0], found[2])
        content = lsp.MarkupContent(lsp.MarkupKind.Markdown, text)
        return lsp.Hover(content) if text else None

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION)
    def completion(params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        project, path = server.ready(params.text_document.uri)
        if project is None:
            return []
        line, column = _place(project.text(path).split("\n"), params.position)
        return [
            lsp.CompletionItem(
                each.name,
                kind=_COMPLETIONS.get(each.kind, lsp.CompletionItemKind.Value),
                detail=each.kind,
                documentation=each.detail or None,
            )
            for each in answers.completions(project, path, line, column)
        ]

    @server.feature(lsp.TEXT_DOCUMENT_RENAME)
    def rename(params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
        found = server.here(params)
        if found is None:
            return None
        project, _, here = found
        try:
            places = answers.rename(project, here, params.new_name)
        except PvhError as error:
            said = error.diagnostics[0]
            raise JsonRpcInvalidParams(f"{said.code} {said.message}: {said.remedy}") from None
        changes: dict[str, list[lsp.TextEdit]] = {}
        for location in _locations(project, places):
            edit = lsp.TextEdit(location.range, params.new_name)
            changes.setdefault(location.uri, []).append(edit)
        return lsp.WorkspaceEdit(changes=changes)

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
        uri = params.text_document.uri
        text = server.workspace.get_text_document(uri).source
        laid_out, _ = format_text(text.replace("\r\n", "\n"), uris.to_fs_path(uri) or "")
        if laid_out is None or laid_out == text:
            return []
        end = lsp.Position(text.count("\n") + 1, 0)
        return [lsp.TextEdit(lsp.Range(lsp.Position(0, 0), end), laid_out)]

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def symbols(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        project, path = server.ready(params.text_document.uri)
        module = None
        if project is not None and project.whole is not None:
            module = project.whole.modules.get(path)
        if project is None or project.whole is None or module is None:
            return []
        lines = project.whole.sources.texts[path]
        return [_symbol(each, lines) for each in answers.outline(project.whole, module)]

    @server.feature(lsp.WORKSPACE_SYMBOL)
    def everywhere(params: lsp.WorkspaceSymbolParams) -> list[lsp.SymbolInformation]:
        wanted = params.query.lower()
        return [
            found
            for project in server.projects.values()
            for found in _all_symbols(project)
            if wanted in found.name.lower()
        ]

    return server


def _locations(project: Project, places: list[tuple[str, ast.Span]]) -> list[lsp.Location]:
    return [
        lsp.Location(uris.from_fs_path(path) or "", _range(project.text(path).split("\n"), span))
        for path, span in places
    ]


def _all_symbols(project: Project) -> list[lsp.SymbolInformation]:
    if project.whole is None:
        return []
    found = []
    for module in project.whole.sources.modules:
        lines = project.whole.sources.texts[module.path]
        uri = uris.from_fs_path(module.path) or ""
        for entry in answers.outline(project.whole, module):
            for each in (entry, *entry.inner):
                assert each.span is not None
                where = lsp.Location(uri, _range(lines, each.span))
                kind = _SYMBOLS.get(each.kind, lsp.SymbolKind.Object)
                inside = module.name.text if each is entry else f"{module.name.text}.{entry.name}"
                found.append(lsp.SymbolInformation(where, each.name, kind, container_name=inside))
    return found
