"""The words of the language, from the grammar itself: for highlighting and completion."""

from __future__ import annotations

import re
from functools import lru_cache

from pvhspec import _data
from pvhspec.syntax.forms import ITEM_WORDS, MANIFEST_WORDS

__all__ = ["TYPES", "declaring", "keywords", "operators"]

_LITERAL = re.compile(r'"((?:[^"\\]|\\.)+)"')
#: Types that no module declares.
TYPES = ("bool", "u8", "u16", "u32", "u64", "pointer")


@lru_cache(maxsize=1)
def _literals() -> tuple[frozenset[str], frozenset[str]]:
    words: set[str] = {"after", "lowest"}  # tokens of their own in the grammar
    signs: set[str] = set()
    for line in (_data.grammar_dir() / "pvh.lark").read_text(encoding="utf-8").splitlines():
        rule = line.split("//", 1)[0]
        if rule.strip() and not re.match(r"^[A-Z]", rule):
            for literal in _LITERAL.findall(rule):
                (words if literal[0].isalpha() else signs).add(literal)
    return frozenset(words), frozenset(signs)


def keywords() -> tuple[str, ...]:
    """Every word that the grammar knows, in alphabetic order."""
    return tuple(sorted(_literals()[0]))


def operators() -> tuple[str, ...]:
    """Every sign that the grammar knows, the longest first."""
    return tuple(sorted(_literals()[1], key=lambda sign: (-len(sign), sign)))


def declaring() -> tuple[str, ...]:
    """The words that begin a declaration."""
    return tuple(sorted(ITEM_WORDS | MANIFEST_WORDS | {"module", "import", "abi"}))
