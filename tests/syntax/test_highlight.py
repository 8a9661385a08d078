"""Colours follow the grammar: no text is left without one, and no word of it is forgotten."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from lark import Token
from lark.lexer import PatternStr
from pygments.lexers import find_lexer_class_by_name
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
)

from pvhspec import _data
from pvhspec.highlight import SpecLexer, textmate
from pvhspec.syntax.keywords import keywords
from pvhspec.syntax.parse import grammar

ROOT = Path(__file__).parents[2]
FILES = sorted([*_data.spec_dir().rglob("*.abi"),
                *(_data.grammar_dir() / "examples" / "accept").rglob("*.abi")])  # fmt: skip
KINDS = {
    "STRING": String.Double, "PATH": String.Other, "VERSION": Number, "INT": Number,
    "COMMENT": Comment,
}  # fmt: skip


def test_pygments_finds_the_lexer() -> None:
    """By its entry point."""
    assert find_lexer_class_by_name("pvhspec") is SpecLexer


def test_keywords_are_those_of_the_grammar() -> None:
    """Every word that Lark made a token of, and no other."""
    made = {t.pattern.value for t in grammar().terminals if isinstance(t.pattern, PatternStr)}
    words = {word for word in made if word[0].isalpha()}
    assert words | {"after"} == set(keywords())


def test_every_text_lexes_as_the_parser_lexes_it() -> None:
    """Each token of Lark's lies in tokens of the lexer of the same kind; nothing is an error."""
    lark = grammar()
    for path in FILES:
        text = path.read_text()
        colour: dict[int, Any] = {}
        for at, kind, value in SpecLexer().get_tokens_unprocessed(text):
            assert kind is not Error, (path, text.count("\n", 0, at) + 1, value)
            colour |= dict.fromkeys(range(at, at + len(value)), kind)
        assert len(colour) == len(text)
        start = "manifest" if path.name == "pvh.abi" else "module"
        for token in lark.parse(text, start=start).scan_values(lambda v: isinstance(v, Token)):
            wanted = KINDS.get(token.type)
            assert token.start_pos is not None
            got = colour[token.start_pos]
            if wanted is not None:
                assert got in wanted, (path, token.line, token, got)
            elif token.type == "NAME":
                assert any(got in kind for kind in (Name, Keyword, Operator.Word)), (path, token)


def test_an_unknown_sign_is_an_error() -> None:
    assert Error in {kind for _, kind, _ in SpecLexer().get_tokens_unprocessed("a ; b")}


def test_the_textmate_grammar_is_the_one_made() -> None:
    """`python -m pvhspec.highlight` brings it up to date."""
    assert json.loads((ROOT / "editors/pvhspec.tmLanguage.json").read_text()) == textmate()
    package = json.loads((ROOT / "editors/package.json").read_text())
    for entry in package["contributes"]["grammars"]:
        assert (ROOT / "editors" / entry["path"]).is_file()
        assert entry["scopeName"] == textmate()["scopeName"]


@pytest.mark.parametrize("path", FILES[::6], ids=lambda p: p.stem)
def test_textmate_patterns_cover_the_text(path: Path) -> None:
    """What no pattern takes is blanks and brackets."""
    patterns = [re.compile(p["match"]) for p in textmate()["patterns"]]
    for line in path.read_text().splitlines():
        at = 0
        while at < len(line):
            found = next((m for p in patterns if (m := p.match(line, at)) and m.group()), None)
            assert found or line[at] in " (){}[],.:", (line, at)
            at = found.end() if found else at + 1


def test_punctuation_is_told_from_operators() -> None:
    kinds = {value: kind for _, kind, value in SpecLexer().get_tokens_unprocessed("a := b[c] => d")}
    assert kinds[":="] is Operator
    assert kinds["["] is Punctuation
