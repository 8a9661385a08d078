"""Specification texts for tests, and what is done to them."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from random import Random
from typing import Any

from pvhspec import _data
from pvhspec.syntax import ast
from pvhspec.syntax.format import is_manifest
from pvhspec.syntax.parse import parse_manifest, parse_module

EXAMPLES = _data.grammar_dir() / "examples"
ACCEPT = sorted((EXAMPLES / "accept").rglob("*.abi"))
REJECT = sorted((EXAMPLES / "reject").rglob("*.abi"))
SPEC = sorted(_data.spec_dir().rglob("*.abi"))

# A token, or a run of strings: only there may blanks and comments stand between.
_TOKEN = re.compile(
    r'"[^"\n]*"|after\s+success|[a-z][a-z0-9]*:[A-Za-z0-9_./+-]+|[0-9]+\.[0-9]+(?:\.[0-9]+)?'
    r"|[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*|[A-Za-z0-9_]+|:=|==|!=|<=|>=|<<|>>|=>|->|\.\.|[^\sA-Za-z0-9_]"
)
_COMMENT = re.compile(r'("[^"\n]*")|#[^\n]*')


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def tree(text: str, path: str) -> ast.Module | ast.Manifest:
    parse = parse_manifest if is_manifest(path) else parse_module
    module, errors = parse(text, path)
    assert module is not None, "\n".join(e.render() for e in errors)
    return module


def spanless(node: Any) -> Any:
    """The tree without its places."""
    if isinstance(node, tuple):
        return tuple(spanless(n) for n in node)
    if is_dataclass(node):
        shown = (f.name for f in fields(node) if f.name != "span")
        return (type(node).__name__, *(spanless(getattr(node, n)) for n in shown))
    return node


def tokens(text: str) -> list[str]:
    bare = _COMMENT.sub(lambda m: m.group(1) or "", text)
    return [" ".join(t.split()) if t.startswith("after") else t for t in _TOKEN.findall(bare)]


BLANKS = [" ", " ", "  ", "\n", "\n", "\n\n", "\n\n\n", "\t", "\r\n"]
COMMENTS = ["# a", "#b", "## c #", '# "d', "#", "# :="]


def respaced(text: str, seed: int, comments: bool = True) -> str:
    """The same tokens with other blanks, and comments, between them."""
    random = Random(seed)
    often = random.choice([0.02, 0.3]) if comments else 0
    parts: list[str] = []
    for token in tokens(text):
        parts += [token, random.choice(BLANKS)]
        if random.random() < often:
            parts += [random.choice(COMMENTS), "\n", random.choice(BLANKS)]
    return "".join(parts)


def comments(text: str) -> list[str]:
    return sorted(m.group().strip() for m in _COMMENT.finditer(text) if not m.group(1))
