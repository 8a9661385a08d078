"""All mutants of a specification: where each mistake stands, and the tree that has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from pvhspec.mutation.operators import DROP, Around, changes
from pvhspec.names.load import Sources
from pvhspec.syntax import ast
from pvhspec.syntax.format_expr import expr_doc
from pvhspec.syntax.layout import render

__all__ = ["Mutant", "mutants", "with_mutant", "without_examples"]

_NAMED = (ast.ErrorClause, ast.Choose, ast.ClauseBlock, ast.Ensure, ast.Require)
_NOT_MUTATED = (ast.ExampleDecl, ast.ContextDecl, ast.EventDecl)
_NO_PLACE_FOR_MISTAKES = {"span", "cites", "prose", "text", "gates", "tail"}
_EXPRESSIONS = (
    ast.Number, ast.Truth, ast.Ref, ast.Member, ast.Index, ast.Call, ast.Unary, ast.Binary,
    ast.Paren, ast.Conditional, ast.Quantified, ast.Among, ast.Since, ast.ModeIs, ast.Is,
)  # fmt: skip
_WIDE = 72  # characters of text shown

Step = str | int


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake. `place` is the clause or declaration it is in, `old` and `new` its text.

    `steps` lead from the module of number `module` to the node that `node` stands for.
    """

    place: str
    kind: str
    old: str
    new: str
    path: str
    line: int
    module: int
    steps: tuple[Step, ...]
    node: Any

    @property
    def declaration(self) -> tuple[int, int]:
        """The module's number, and that of the declaration in it."""
        return self.module, int(self.steps[1])

    @property
    def what(self) -> str:
        """The mistake in a line, by which a list of reasons names it."""
        return f"{self.kind}: {self.old} -> {self.new}" if self.new else f"{self.kind}: {self.old}"


def mutants(sources: Sources) -> Iterator[Mutant]:
    """Every mutant, in reading order."""
    for number, module in enumerate(sources.modules):
        for at, item in enumerate(module.items):
            if isinstance(item, _NOT_MUTATED):
                continue
            name = getattr(item, "name", None)
            place = f"{module.name.text}.{'every' if name is None else name.text}"
            walk = _Walk(number, module.path, sources.texts[module.path])
            yield from walk.of(item, place, ("items", at), Around())


@dataclass(frozen=True, slots=True)
class _Walk:
    module: int
    path: str
    lines: list[str]

    def of(
        self, node: Any, place: str, steps: tuple[Step, ...], around: Around
    ) -> Iterator[Mutant]:
        if isinstance(node, _NAMED):
            place = f"{place}.{node.name.text}"
        elif isinstance(node, ast.Success | ast.Always):
            place = f"{place}.{type(node).__name__.lower()}"
        for change in changes(node, around):
            yield self._mutant(node, change.kind, change.new, place, steps)
        inside = around.fields
        if isinstance(node, ast.OperationDecl):
            inside = tuple(
                n.text for i in node.items if isinstance(i, ast.InFields) for n in i.names
            )
        for field in fields(node):
            if field.name in _NO_PLACE_FOR_MISTAKES:
                continue
            value = getattr(node, field.name)
            near = Around(inside, field.name, node)
            if isinstance(value, tuple):
                for at, each in enumerate(value):
                    if is_dataclass(each):
                        yield from self.of(each, place, (*steps, field.name, at), near)
            elif is_dataclass(value) and not isinstance(value, ast.Name):
                yield from self.of(value, place, (*steps, field.name), near)

    def _mutant(
        self, node: Any, kind: str, new: Any, place: str, steps: tuple[Step, ...]
    ) -> Mutant:
        if new is DROP:
            old, after = self._shown(node), ""
        elif isinstance(new, _EXPRESSIONS):
            old, after = self._shown(node), self._shown(new)
        else:
            old, after = self._difference(node, new)
        span = node.span
        return Mutant(place, kind, old, after, self.path, span.line, self.module, steps, new)

    def _difference(self, old: Any, new: Any) -> tuple[str, str]:
        """What differs in two nodes of one kind, in words."""
        for field in fields(old):
            was, now = getattr(old, field.name), getattr(new, field.name)
            if was == now or field.name in ("span", "text"):
                continue
            if isinstance(was, ast.Name) and isinstance(now, ast.Name):
                return was.text, now.text
            if is_dataclass(was) and type(was) is type(now) and not isinstance(was, _EXPRESSIONS):
                return self._difference(was, now)
            if isinstance(was, tuple) and isinstance(now, tuple):
                if len(was) != len(now):
                    gone = [each for each in was if each not in now]
                    return self._shown(gone[0]) if gone else field.name, ""
                one, two = next((a, b) for a, b in zip(was, now, strict=True) if a != b)
                return self._difference(one, two)
            return self._named(was), self._named(now)
        return type(old).__name__, ""

    def _named(self, value: Any) -> str:
        if is_dataclass(value):
            return self._shown(value)
        return "" if value is None else str(value).lower()

    def _shown(self, node: Any) -> str:
        """The text of a node, on one line; of a long one the beginning."""
        if isinstance(node, _EXPRESSIONS):
            text = " ".join(line.text.strip() for line in render(expr_doc(node)))
        else:
            text = self._source(node)
        return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"

    def _source(self, node: Any) -> str:
        if isinstance(node, ast.ErrorClause):
            return f"error {node.errno.text} {node.name.text}" + (" maybe" if node.maybe else "")
        if isinstance(node, ast.Gate):
            return f"{node.kind} {', '.join(node.values)}"
        span = node.span
        lines = self.lines[span.line - 1 : span.end_line]
        lines[-1] = lines[-1][: span.end_column - 1]
        lines[0] = lines[0][span.column - 1 :]
        return " ".join(" ".join(lines).split())


def with_mutant(sources: Sources, mutant: Mutant) -> Sources:
    """The sources with the mistake in them."""
    module = sources.modules[mutant.module]
    changed = _put(module, mutant.steps, mutant.node)
    modules = (*sources.modules[: mutant.module], changed, *sources.modules[mutant.module + 1 :])
    return replace(sources, modules=modules)


def without_examples(sources: Sources) -> Sources:
    """The sources without their examples."""
    modules = tuple(
        replace(m, items=tuple(i for i in m.items if not isinstance(i, ast.ExampleDecl)))
        for m in sources.modules
    )
    return replace(sources, modules=modules)


def _put(node: Any, steps: tuple[Step, ...], new: Any) -> Any:
    if not steps:
        return new
    first, *rest = steps
    if isinstance(first, int):
        inner = _put(node[first], tuple(rest), new)
        return (*node[:first], *(() if inner is DROP else (inner,)), *node[first + 1 :])
    value = _put(getattr(node, first), tuple(rest), new)
    return replace(node, **{first: value})
