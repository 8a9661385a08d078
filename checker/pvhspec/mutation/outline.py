"""Which declarations of the text speak of which: what a mistake in one can show in.

Lowering a mutant takes the part of the text around its mistake, and what was found of a mutant
holds until a declaration changes that it hangs on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any

from pvhspec.names.load import Sources
from pvhspec.syntax import ast

__all__ = ["At", "Outline"]

At = tuple[int, int]  # the module's number, and the declaration's in it

# Declarations without which the others mean the same, unless they speak of them.
_LEFT_OUT = (
    ast.OperationDecl, ast.OnDecl, ast.InvariantDecl, ast.ObligationDecl, ast.DefDecl,
    ast.MacroDecl, ast.ExampleDecl,
)  # fmt: skip
_WHOLE = (ast.EveryDecl, ast.HypercallDecl)  # what no operation takes is theirs, too
_NO_NAMES = {"span", "prose", "cites", "kind", "op", "text", "gates"}


_EVERY = ast.Name(ast.Span(0, 0, 0, 0), "every")


@dataclass(slots=True)
class _Declared:
    module: str
    item: ast.Item
    text: str
    refers: frozenset[At] = frozenset()
    users: set[At] = field(default_factory=set)


class Outline:
    """Every declaration, with those that it names and those that name it."""

    def __init__(self, sources: Sources) -> None:
        self._all: dict[At, _Declared] = {}
        self._needs: dict[At, frozenset[At]] = {}
        named: dict[str, set[At]] = {}
        for number, module in enumerate(sources.modules):
            lines = sources.texts[module.path]
            for at, item in enumerate(module.items):
                place = number, at
                text = "\n".join(lines[item.span.line - 1 : item.span.end_line])
                self._all[place] = _Declared(module.name.text, item, f"{module.name.text}\n{text}")
                for name in _declares(item):
                    named.setdefault(name, set()).add(place)
        for place, declared in self._all.items():
            names = set(_names(declared.item))
            refers = {at for n in names for at in named.get(n, ())} - {place}
            declared.refers = frozenset(refers)
            for other in refers:
                self._all[other].users.add(place)

    def id(self, place: At) -> str:
        """What ids of clauses of a declaration begin with."""
        declared = self._all[place]
        return f"{declared.module}.{getattr(declared.item, 'name', _EVERY).text}"

    def users(self, place: At) -> frozenset[At]:
        """A declaration, and all that speak of it, however far; examples are none of them."""
        found, left = {place}, [place]
        while left:
            for user in self._all[left.pop()].users - found:
                if not isinstance(self._all[user].item, ast.ExampleDecl):
                    found.add(user)
                    left.append(user)
        return frozenset(found)

    def needs(self, place: At) -> frozenset[At]:
        """A declaration, and all that it speaks of, however far."""
        if place not in self._needs:
            found, left = {place}, [place]
            while left:
                new = self._all[left.pop()].refers - found
                found |= new
                left += new
            self._needs[place] = frozenset(found)
        return self._needs[place]

    def content(self, places: Iterable[At]) -> bytes:
        """The text of declarations and of all they speak of."""
        whole = {at for place in places for at in self.needs(place)}
        return self.digest(self._all[at].text for at in sorted(whole))

    @staticmethod
    def digest(texts: Iterable[str]) -> bytes:
        """Texts in few bytes."""
        return hashlib.sha256("\0".join(sorted(texts)).encode()).digest()

    def examples(self) -> dict[At, frozenset[At]]:
        """The examples in reading order, each with all that it speaks of."""
        found = (at for at, d in self._all.items() if isinstance(d.item, ast.ExampleDecl))
        return {at: self.needs(at) for at in found}

    def all_of(self, *kinds: type) -> frozenset[At]:
        """The declarations of some kinds."""
        return frozenset(at for at, d in self._all.items() if isinstance(d.item, kinds))

    def cut(self, sources: Sources, users: frozenset[At]) -> Sources | None:
        """Sources of the same declarations cut down to some and what they need. None: what has
        these in it cannot be cut."""
        if any(isinstance(self._all[at].item, _WHOLE) for at in users):
            return None
        kept = {at for at, d in self._all.items() if not isinstance(d.item, _LEFT_OUT)}
        kept = {need for at in kept | users for need in self.needs(at)}
        modules = tuple(
            replace(m, items=tuple(i for at, i in enumerate(m.items) if (number, at) in kept))
            for number, m in enumerate(sources.modules)
        )
        return replace(sources, modules=modules)


def _declares(item: ast.Item) -> Iterator[str]:
    name = getattr(item, "name", None)
    if isinstance(name, ast.Name):
        yield name.text
    if isinstance(item, ast.EnumDecl):
        yield from (v.name.text for v in item.variants)
    if isinstance(item, ast.OnDecl):
        yield f"on {item.event.text}"


def _names(item: ast.Item) -> Iterator[str]:
    """The words in a declaration that may be names of others."""
    yield from _words(item)
    if isinstance(item, ast.ExampleDecl):  # blocks speak of events without being named
        events = [s for s in item.steps if isinstance(s, ast.StepEvent)]
        yield from (f"on {e.name.text}" for e in events)
        if any(not e.name.text.islower() for e in events):
            yield "on hypercall"


def _words(node: Any) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.text
    elif isinstance(node, str):
        yield node
    elif isinstance(node, tuple):
        for each in node:
            yield from _words(each)
    elif is_dataclass(node):
        for name in _fields(node.__class__):
            yield from _words(getattr(node, name))


@cache
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if f.name not in _NO_NAMES)
