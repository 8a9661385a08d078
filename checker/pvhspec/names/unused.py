"""What an operation or an `on` block works out and never uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from pvhspec.diagnostics import code
from pvhspec.names.symbols import Scope
from pvhspec.syntax import ast

__all__ = ["check_used"]

UNUSED = code("PVH216", "A let is never used.")


def check_used(items: Iterable[ast.CallItem | ast.OnItem], scope: Scope) -> None:
    """Every let of a declaration is used somewhere in it.

    An in field need not be: it may only say what a caller gives.
    """
    items = list(items)
    used = {name for item in items for name in _used(item)}
    for item in items:
        if isinstance(item, ast.Let) and item.name.text not in used:
            scope.error(UNUSED, item.name.span, f"{item.name.text} is never used", "remove it")


def _used(node: Any) -> Iterator[str]:
    """The names that a part of the text refers to."""
    if isinstance(node, tuple):
        for each in node:
            yield from _used(each)
    elif isinstance(node, ast.Ref):
        yield node.name
    elif is_dataclass(node) and not isinstance(node, ast.Span):
        for field in fields(node):
            yield from _used(getattr(node, field.name))
