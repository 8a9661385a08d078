"""Colours for specification text: a Pygments lexer and a TextMate grammar, from `pvh.lark`'s words.

Pygments is looked for only where it is used: `pygmentize -l pvhspec spec/evtchn/bind.abi`.
"""

from __future__ import annotations

import re
from typing import Any

from pygments.lexer import RegexLexer, words
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
)

from pvhspec.syntax.keywords import TYPES, declaring, keywords, operators

__all__ = ["SpecLexer", "textmate"]

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_AUTHORITY = ("documented", "implemented")
_CONSTANTS = ("true", "false", "undefined", "any", "maybe", "unseen")
_WORDLIKE = ("and", "or", "not", "is", "among", "forall", "exists")
_PATH = r"[a-z][a-z0-9]*:[A-Za-z0-9_./+-]+"
_VERSION = r"[0-9]{1,4}\.[0-9]{1,4}(?:\.[0-9]{1,4})?(?![A-Za-z0-9_])"
_NUMBER = r"(?:0x[0-9a-fA-F][0-9a-fA-F_]*|0|[1-9][0-9_]*)(?![A-Za-z0-9_])"
_SIGNS = tuple(sign for sign in operators() if not re.fullmatch(r"[](){}[,.:]", sign))


class SpecLexer(RegexLexer):
    """The language of grammar/README.md."""

    name = "pvhspec"
    aliases = ["pvhspec", "abi"]  # noqa: RUF012 - as Pygments has it
    filenames = ["*.abi"]  # noqa: RUF012
    url = "grammar/README.md"
    tokens = {  # noqa: RUF012
        "root": [
            (r"\s+", Text.Whitespace),
            (r"#[^\n]*", Comment.Single),
            (r'"[^"\n]*"', String.Double),
            (_PATH, String.Other),
            (_VERSION, Number.Float),
            (_NUMBER, Number),
            (words(_AUTHORITY, suffix=r"\b", prefix=r"\b"), Keyword.Pseudo),
            (words(_CONSTANTS, suffix=r"\b", prefix=r"\b"), Keyword.Constant),
            (words(_WORDLIKE, suffix=r"\b", prefix=r"\b"), Operator.Word),
            (rf"(?m)^({'|'.join(declaring())})\b", Keyword.Declaration),
            (words(keywords(), suffix=r"\b", prefix=r"\b"), Keyword),
            (words(TYPES, suffix=r"\b", prefix=r"\b"), Keyword.Type),
            (r"[A-Z][A-Z0-9_]{2,}\b", Name.Constant),
            (_NAME, Name),
            (words(_SIGNS), Operator),
            (r"[](){}[,.:]", Punctuation),
        ]
    }


def textmate() -> dict[str, Any]:
    """The TextMate grammar, which editors read: editors/pvhspec.tmLanguage.json."""

    def match(scope: str, pattern: str) -> dict[str, str]:
        return {"name": f"{scope}.pvhspec", "match": pattern}

    def among(names: tuple[str, ...]) -> str:
        return rf"\b(?:{'|'.join(names)})\b"

    signs = "|".join(re.escape(sign) for sign in _SIGNS)
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "pvhspec",
        "scopeName": "source.pvhspec",
        "fileTypes": ["abi"],
        "patterns": [
            match("comment.line.number-sign", r"#.*$"),
            match("string.quoted.double", r'"[^"]*"'),
            match("string.unquoted.citation", _PATH),
            match("constant.numeric.version", _VERSION),
            match("constant.numeric", _NUMBER),
            match("storage.modifier.authority", among(_AUTHORITY)),
            match("constant.language", among(_CONSTANTS)),
            match("keyword.operator.word", among(_WORDLIKE)),
            match("storage.type.declaration", rf"^(?:{'|'.join(declaring())})\b"),
            match("keyword.control", among(keywords())),
            match("support.type", among(TYPES)),
            match("constant.other", r"\b[A-Z][A-Z0-9_]{2,}\b"),
            match("variable.other", rf"\b{_NAME}\b"),
            match("keyword.operator", signs),
        ],
    }


if __name__ == "__main__":
    import json
    from pathlib import Path

    target = Path(__file__).resolve().parents[2] / "editors" / "pvhspec.tmLanguage.json"
    target.write_text(json.dumps(textmate(), indent=2) + "\n", encoding="utf-8")
