"""Every node of the tree is made by some example, and says where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from pvhspec.syntax import ast
from pvhspec.syntax.ast import Span
from pvhspec.syntax.parse import parse_module
from tests.syntax.texts import ACCEPT, name_of, tree


def nodes(node: Any) -> Iterator[Any]:
    if isinstance(node, tuple):
        for each in node:
            yield from nodes(each)
    elif is_dataclass(node) and not isinstance(node, Span):
        yield node
        for field in fields(node):
            yield from nodes(getattr(node, field.name))


def text_at(text: str, span: Span) -> str:
    lines = text.split("\n")[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_column - 1]
    return "\n".join(lines)[span.column - 1 :]


def item(text: str) -> ast.Item:
    module, errors = parse_module(f"module a.b\n{text}", "a.abi")
    assert module is not None, "\n".join(e.render() for e in errors)
    (only,) = module.items
    return only


def body(text: str) -> ast.Expr:
    found = item(f"predicate p() = {text}")
    assert isinstance(found, ast.DefDecl)
    return found.body


def test_every_kind_of_node_has_an_example() -> None:
    made = {type(n) for path in ACCEPT for n in nodes(tree(path.read_text(), str(path)))}
    known = {c for c in vars(ast).values() if isinstance(c, type) and is_dataclass(c)} - {Span}
    assert {c.__name__ for c in known - made} == set()


@pytest.mark.parametrize("path", ACCEPT, ids=name_of)
def test_places(path: Any) -> None:
    text = path.read_text()
    for node in nodes(tree(text, str(path))):
        if isinstance(node, ast.Tail):
            continue
        shown = text_at(text, node.span)
        assert shown == shown.strip() != "", node
        if isinstance(node, ast.Name):
            assert shown == node.text
        if isinstance(node, ast.Number):
            assert shown == node.text
            assert int(shown.replace("_", ""), 0) == node.value
        if isinstance(node, ast.Cite):
            assert shown.startswith(f"{node.authority} {node.source}:{node.path}")
        for child in nodes(tuple(getattr(node, field.name) for field in fields(node))):
            if not isinstance(child, ast.Tail):
                assert child.span.line >= node.span.line
                assert child.span.end_line <= node.span.end_line


@pytest.mark.parametrize(
    "text, as_if",
    [
        ("a or b and c", "a or (b and c)"),
        ("a => b => c", "a => (b => c)"),
        ("a and b => c or d", "(a and b) => (c or d)"),
        ("not a == b", "not (a == b)"),
        ("not a and b", "(not a) and b"),
        ("a | b == c", "(a | b) == c"),
        ("a + b * c - d", "(a + (b * c)) - d"),
        ("a & b << c + d", "a & (b << (c + d))"),
        ("a | b ^ c & d", "a | (b ^ (c & d))"),
        ("~a[1].b", "~((a[1]).b)"),
        ("forall p : T | a and b", "forall p : T | (a and b)"),
        ("if a then b else c or d", "if a then b else (c or d)"),
        ("a is b(c) and d", "(a is b(c)) and d"),
    ],
)
def test_how_tightly_operators_bind(text: str, as_if: str) -> None:
    def bare(node: Any) -> Any:
        if isinstance(node, ast.Paren):
            return bare(node.value)
        if isinstance(node, tuple):
            return tuple(map(bare, node))
        if is_dataclass(node):
            names = [f.name for f in fields(node) if f.name != "span"]
            return (type(node), *(bare(getattr(node, n)) for n in names))
        return node

    assert bare(body(text)) == bare(body(as_if))


def test_most_words_can_be_names() -> None:
    found = item("struct size size 4 { 0 when : u32 0 type : mode }")
    assert isinstance(found, ast.StructDecl)
    assert [i.name.text for i in found.items if isinstance(i, ast.Field)] == ["when", "type"]


def test_prose_is_one_text() -> None:
    found = item('type A = u8 "one  two" "three"')
    assert isinstance(found, ast.TypeDecl)
    assert found.prose == "one two three"
