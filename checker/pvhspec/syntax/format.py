"""The one layout of specification text: `pvhspec fmt`.

It owns blanks, line ends and where prose is cut; the author owns everything else, with comments,
parentheses and single blank lines among it. Formatting twice changes nothing, and all of `spec/`
is its fixed point.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePath

from pvhspec.diagnostics import Diagnostic, code
from pvhspec.syntax import ast
from pvhspec.syntax.format_item import item_doc
from pvhspec.syntax.format_parts import block, head_doc, prose_doc
from pvhspec.syntax.layout import LINE, Doc, Group, Line, Nest, cat, fill, render
from pvhspec.syntax.parse import parse_manifest, parse_module
from pvhspec.syntax.weave import asides, weave

__all__ = ["format_manifest", "format_module", "format_text", "is_manifest"]

FAULT = code("PVH190", "The formatter would have changed the text: a fault in pvhspec.")


def is_manifest(path: str) -> bool:
    """The manifest is the one file that is not a module."""
    return PurePath(path).name == "pvh.abi"


def format_text(text: str, path: str) -> tuple[str | None, list[Diagnostic]]:
    """The text laid out, or what is wrong with it."""
    if is_manifest(path):
        manifest, errors = parse_manifest(text, path)
        result = None if manifest is None else format_manifest(manifest, text)
    else:
        module, errors = parse_module(text, path)
        result = None if module is None else format_module(module, text)
    if result is not None and asides(result).squeezed != asides(text).squeezed:
        fault = Diagnostic(FAULT, "the formatter would have changed this text", path=path)
        return None, [replace(fault, remedy="nothing was written; please report this file")]
    return result, errors


def format_module(module: ast.Module, text: str = "") -> str:
    """A module; `text` is what it was parsed from, for its comments and blank lines."""
    lines = _header("module", module.name, module.prose)
    for n, names in enumerate(module.imports):
        listed = fill(name.text for name in names)
        lines += _begin("item" if n else "gap", render(cat("import ", Nest(listed))))
    before: ast.Item | None = None
    size = 0
    for item in module.items:
        own = render(item_doc(item))
        tight = type(item) is type(before) and size == len(own) == 1
        lines += _begin("item" if tight else "gap", own)
        before, size = item, len(own)
    return weave(lines, asides(text))


def format_manifest(manifest: ast.Manifest, text: str = "") -> str:
    """The manifest: like a module, but lines of a kind stand together as a table."""
    lines = _header("abi", manifest.name, manifest.prose)
    for first, second in pairwise([None, *manifest.items]):
        kind = "item" if first and type(first) is type(second) else "gap"
        if second is not None:
            lines += _begin(kind, render(_manifest_item(second, manifest.items)))
    return weave(lines, asides(text))


def _manifest_item(item: ast.ManifestItem, items: Iterable[ast.ManifestItem]) -> Doc:
    if isinstance(item, ast.ModulesDecl):
        return cat("modules ", block([name.text for name in item.names]))
    width = max(len(other.name.text) for other in items if type(other) is type(item))
    name = item.name.text.ljust(width)
    match item:
        case ast.ModeDecl(prose=prose):
            return Group(cat(f"mode {name}", prose_doc(prose)))
        case ast.GroupDecl(members=members):
            return cat(f"group {name} = ", Nest(fill(m.text for m in members)))
        case ast.VersionsDecl(releases=releases):
            return cat(f"versions {name} ", Nest(fill(releases)))
        case ast.SourceDecl(repository=repository, commit=commit):
            return Group(cat(f'source {name} = "{repository}"', Nest(cat(LINE, f'at "{commit}"'))))


def _header(word: str, name: ast.Name, prose: str | None) -> list[Line]:
    return render(head_doc(f"{word} {name.text}", prose, broken=word == "module"))


def _begin(kind: str, lines: list[Line]) -> list[Line]:
    return [replace(lines[0], kind=kind), *lines[1:]]
