"""Text to syntax tree: Lark, LALR(1), with many errors in one run."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from lark import Lark
from lark.exceptions import UnexpectedInput

from pvhspec import _data
from pvhspec.diagnostics import Diagnostic
from pvhspec.syntax import ast
from pvhspec.syntax.build import Builder
from pvhspec.syntax.errors import all_errors, too_deep, tree_too_deep
from pvhspec.syntax.source import check_text

__all__ = ["grammar", "parse_manifest", "parse_module"]


def grammar(*, strict: bool = False) -> Lark:
    """The grammar; `strict` refuses what would be decided behind the author's back.

    The tests read it strictly; that needs a package which reading specifications does not.
    """
    return Lark(
        (_data.grammar_dir() / "pvh.lark").read_text(encoding="utf-8"),
        parser="lalr",
        start=["module", "manifest"],
        strict=strict,
        maybe_placeholders=True,
        propagate_positions=True,
    )


_grammar = lru_cache(maxsize=1)(grammar)


def parse_module(text: str, path: str) -> tuple[ast.Module | None, list[Diagnostic]]:
    """Parse one module; with errors, None and all of them that can be told apart."""
    tree, errors = _parse(text, path, "module")
    if tree is None:
        return None, errors
    span, name, prose, imports, items = tree
    return ast.Module(path, span, name, prose, imports, items), errors


def parse_manifest(text: str, path: str) -> tuple[ast.Manifest | None, list[Diagnostic]]:
    """Parse a manifest (`pvh.abi`)."""
    tree, errors = _parse(text, path, "manifest")
    if tree is None:
        return None, errors
    span, name, prose, items = tree
    return ast.Manifest(path, span, name, prose, items), errors


def _parse(text: str, path: str, start: str) -> tuple[Any | None, list[Diagnostic]]:
    errors = check_text(text, path) or too_deep(text, path)
    if errors:
        return None, errors
    lark = _grammar()
    try:
        tree = lark.parse(text, start=start)
    except UnexpectedInput:
        return None, all_errors(text, path, lark, start)
    errors = tree_too_deep(tree, text, path)
    return (None, errors) if errors else (Builder().transform(tree), [])
