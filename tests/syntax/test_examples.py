"""The files of grammar/examples: what is accepted, and what is rejected with which error where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pvhspec.diagnostics import Diagnostic
from pvhspec.syntax import mistakes
from pvhspec.syntax.format import is_manifest
from pvhspec.syntax.parse import grammar, parse_manifest, parse_module
from tests.small import compile_text
from tests.syntax.texts import ACCEPT, REJECT, name_of

_EXPECTED = re.compile(r"PVH\d{3}")


def marked(text: str) -> list[tuple[int, str]]:
    """The errors a file says it has: `### PVH101 PVH102` at the end of the line."""
    return [
        (number, code)
        for number, line in enumerate(text.split("\n"), 1)
        for code in _EXPECTED.findall(line.partition("###")[2])
    ]


def errors_of(text: str, path: Path) -> list[Diagnostic]:
    parse = parse_manifest if is_manifest(str(path)) else parse_module
    return parse(text, str(path))[1]


SYNTAX = [p for p in REJECT if all(c < "PVH200" for _, c in marked(p.read_text()))]

MEANING = [p for p in REJECT if p not in SYNTAX]


@pytest.mark.parametrize("path", ACCEPT, ids=name_of)
def test_accepted(path: Path) -> None:
    errors = errors_of(path.read_text(), path)
    assert not errors, "\n".join(e.render() for e in errors)


def check_rejected(text: str, errors: list[Diagnostic]) -> None:
    """The errors are those the text says it has, each with its line and its place in it."""
    expected = marked(text)
    assert expected, "no line says ### PVHnnn"
    found = sorted((e.line or 0, e.code) for e in errors)
    assert found == sorted(expected), "\n".join(e.render() for e in errors)
    for error in errors:
        assert error.source_line == text.split("\n")[(error.line or 1) - 1]
        assert error.column is not None


@pytest.mark.parametrize("path", SYNTAX, ids=name_of)
def test_rejected(path: Path) -> None:
    text = path.read_text()
    check_rejected(text, errors_of(text, path))


@pytest.mark.parametrize("path", MEANING, ids=name_of)
def test_rejected_for_what_it_means(path: Path) -> None:
    text = path.read_text()
    spec, errors = compile_text(text, str(path))
    assert spec is None
    check_rejected(text, errors)


def test_every_mistake_has_an_example() -> None:
    known = {value for value in vars(mistakes).values() if re.fullmatch(r"PVH\d{3}", str(value))}
    shown = {code for path in SYNTAX for _, code in marked(path.read_text())}
    assert known <= shown


def test_the_grammar_decides_nothing_behind_the_authors_back() -> None:
    pytest.importorskip("interegular", reason="pip install interegular")
    grammar(strict=True)


def test_every_rule_is_reached_by_an_accepted_example() -> None:
    lark = grammar()
    reached: set[str] = set()
    for path in ACCEPT:
        start = "manifest" if is_manifest(str(path)) else "module"
        tree = lark.parse(path.read_text(), start=start)
        reached |= {str(t.data) for t in tree.iter_subtrees()}
    known = {str(r.alias or r.origin.name) for r in lark.rules if not r.options.expand1 or r.alias}
    assert {r for r in known if not r.startswith("_")} - reached == set()
