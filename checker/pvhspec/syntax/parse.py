"""Text to syntax tree: Lark, LALR(1), strict, with many errors in one run."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from lark import Lark
from lark.exceptions import UnexpectedInput, VisitError

from pvhspec import _data
from pvhspec.diagnostics import Diagnostic
from pvhspec.syntax import ast
from pvhspec.syntax.build import Builder
from pvhspec.syntax.errors import explain

__all__ = ["parse_manifest", "parse_module"]

# Where a new declaration begins: a word at the very start of a line. After an error the parser
# goes on from the next one.
_ITEM = re.compile(r"^(?=[a-z])", re.MULTILINE)


@lru_cache(maxsize=1)
def _parser() -> Lark:
    """The parser; building it takes longer than any parse."""
    grammar = (_data.grammar_dir() / "pvh.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        start=["module", "manifest", "item"],
        strict=True,
        maybe_placeholders=True,
        propagate_positions=True,
    )


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
    try:
        return Builder().transform(_parser().parse(text, start=start)), []
    except UnexpectedInput as first:
        return None, _all_errors(text, path, first)
    except VisitError as error:  # pragma: no cover - a fault in Builder, not in the text
        raise error.orig_exc from error
    except RecursionError:
        return None, [Diagnostic("PVH102", "nested too deeply", path=path)]


def _all_errors(text: str, path: str, first: UnexpectedInput) -> list[Diagnostic]:
    """The first error, then one at most for each later declaration, parsed on its own."""
    lines = text.splitlines()
    errors = [explain(first, lines, path)]
    starts = [m.start() for m in _ITEM.finditer(text)]
    for begin, end in zip(starts, [*starts[1:], len(text)], strict=True):
        line = text.count("\n", 0, begin)
        if line + 1 <= (errors[0].line or 0):
            continue
        try:
            _parser().parse("\n" * line + text[begin:end], start="item")
        except UnexpectedInput as error:
            errors.append(explain(error, lines, path))
        except RecursionError:
            errors.append(Diagnostic("PVH102", "nested too deeply", path=path, line=line + 1))
    return errors
