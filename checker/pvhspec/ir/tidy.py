"""Makes a piece of IR shorter to read: plain names for variables, names for what is repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from pvhspec.ir.ir import Expr, Input, Op, Quant, Var
from pvhspec.types.types import BitsType, BoolType, EnumType, VariantInfo

__all__ = ["tidied"]

_TYPES = (BitsType, BoolType, EnumType, VariantInfo)
_OFTEN, _LARGE = 3, 4  # what occurs so often, and has so many parts, gets a name

T = TypeVar("T")


def tidied(item: T) -> tuple[T, list[tuple[str, Expr]]]:
    """The same with `p` for `p.114`, and with `$1` for a formula that is written often."""
    names: dict[str, str] = {}
    for node in _nodes(item):
        if isinstance(node, Var) and node.name not in names:
            names[node.name] = _fresh(node.name.split(".")[0], set(names.values()))
    plain = _renamed(item, names)
    shared: list[tuple[str, Expr]] = []
    while (found := _repeated(plain)) is not None:
        name = f"${len(shared) + 1}"
        shared.append((name, found))
        plain = _replaced(plain, found, Input(name, found.type))
    return plain, shared


def _fresh(name: str, taken: set[str]) -> str:
    number = 1
    while (f"{name}{number}" if number > 1 else name) in taken:
        number += 1
    return f"{name}{number}" if number > 1 else name


def _nodes(node: Any) -> Iterator[Any]:
    if isinstance(node, tuple):
        for each in node:
            yield from _nodes(each)
    elif is_dataclass(node) and not isinstance(node, _TYPES):
        yield node
        for field in fields(node):
            yield from _nodes(getattr(node, field.name))


def _repeated(item: Any) -> Expr | None:
    """The smallest choice or quantifier without variables of its own that is written often."""
    counts = Counter(
        node
        for node in _nodes(item)
        if (isinstance(node, Quant) or (isinstance(node, Op) and node.op == "ite"))
        and not _free(node)
    )
    often = [node for node, count in counts.items() if count >= _OFTEN and _size(node) >= _LARGE]
    return min(often, key=_size, default=None)


def _size(node: Any) -> int:
    return sum(1 for _ in _nodes(node))


def _free(node: Any) -> set[str]:
    """Variables that are bound outside."""
    used = {n.name for n in _nodes(node) if isinstance(n, Var)}
    bound = {v.name for n in _nodes(node) if isinstance(n, Quant) for v in n.vars}
    return used - bound


def _renamed(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, Var):
        return replace(node, name=names[node.name])
    return _through(node, lambda n: _renamed(n, names))


def _replaced(node: Any, old: Expr, new: Expr) -> Any:
    if node == old:
        return new
    return _through(node, lambda n: _replaced(n, old, new))


def _through(node: Any, change: Any) -> Any:
    if isinstance(node, tuple):
        return tuple(change(n) for n in node)
    if not is_dataclass(node) or isinstance(node, (*_TYPES, type)):
        return node
    changed = {
        f.name: new
        for f in fields(node)
        if (new := change(old := getattr(node, f.name))) is not old
    }
    return replace(node, **changed) if changed else node
