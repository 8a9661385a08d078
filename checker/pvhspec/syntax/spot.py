"""Where a parse stopped: what was found, what could have come, what was being written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lark import Token, Tree
from lark.exceptions import UnexpectedInput, UnexpectedToken

from pvhspec.syntax.forms import CLAUSE_WORDS, FORMS, ITEM_WORDS, MANIFEST_WORDS

__all__ = ["Spot", "spot"]

_WORD = re.compile(
    r'"[^"\n]*"?|[a-z][a-z0-9]*:[A-Za-z0-9_./+-]+|[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*'
    r"|[&|!=<>+*/%^~:?-]+|[^\s]"
)
_PIECE = re.compile(r'"[^"\n]*"|#[^\n]*|\S')
_HIDDEN = re.compile(r'("[^"\n]*")|#[^\n]*')


@dataclass(frozen=True)
class Spot:
    """One place where the text does not follow the grammar.

    `found` is the whole word or run of signs there ("" at the end of the file), `token` what the
    lexer made of its beginning. `accepts` are the words that could have come, and the kinds NAME,
    INT, VERSION, STRING, PATH, MODULE; "" is the end of the file. `stack` is what was being
    written, innermost last: words as written, kinds of words, and names of grammar rules.
    `swallowed`: the word here begins something new, but was taken for a name, as something before
    it is not finished.
    """

    text: str
    offset: int
    token: str
    accepts: frozenset[str]
    stack: tuple[str, ...]
    swallowed: bool = False

    @cached_property
    def found(self) -> str:
        match = _WORD.match(self.text, self.offset)
        return match.group() if match else ""

    @cached_property
    def before(self) -> list[str]:
        """The words before, the nearest last."""
        start = max(self.text.rfind("\n", 0, max(self.offset - 400, 0)), 0)
        text = _HIDDEN.sub(lambda m: m.group(1) or "", self.text[start : self.offset])
        return ["", "", "", *_WORD.findall(text)]

    @cached_property
    def begins_item(self) -> bool:
        """Whether a declaration begins here."""
        return self.column == 1 and self.found in ITEM_WORDS | MANIFEST_WORDS

    @cached_property
    def begins(self) -> bool:
        """Whether a declaration or a clause begins here: what is missing is missing before."""
        start = self.text.rfind("\n", 0, self.offset) + 1
        alone = not self.text[start : self.offset].strip()
        return self.begins_item or (alone and self.found in CLAUSE_WORDS)

    @property
    def end_before(self) -> int:
        """Where the text before ends, without comments."""
        return _end(self.text, self.offset)

    @cached_property
    def signs(self) -> str:
        """The run of operator signs around the place, of which `found` may be only the end."""
        begin = self.offset
        while begin > 0 and self.text[begin - 1] in "&|!=<>+*/%^~:?-":
            begin -= 1
        match = re.compile(r"[&|!=<>+*/%^~:?-]*").match(self.text, begin)
        return match.group() if match else ""

    @cached_property
    def line(self) -> int:
        return self.text.count("\n", 0, self.offset) + 1

    @cached_property
    def column(self) -> int:
        return self.offset - self.text.rfind("\n", 0, self.offset)

    @cached_property
    def open_brackets(self) -> list[int]:
        """Where the brackets stand that are open here, the innermost last."""
        opened: list[int] = []
        start = self._declaration()
        for match in re.finditer(r'"[^"\n]*"|#[^\n]*|[({\[\]})]', self.text[start : self.offset]):
            if match.group() in "({[":
                opened.append(start + match.start())
            elif match.group() in ")}]" and opened:
                opened.pop()
        return opened

    def _declaration(self) -> int:
        """Where the declaration begins: the last word of one at the start of a line."""
        words = "|".join(sorted(ITEM_WORDS | MANIFEST_WORDS))
        starts = re.compile(rf"^(?:{words})\b", re.MULTILINE)
        return max((m.start() for m in starts.finditer(self.text, 0, self.offset)), default=0)

    @cached_property
    def construct(self) -> str | None:
        """The word of the innermost construct being written."""
        found = self.inside(FORMS)
        outer = {"on": ("example", "counterexample"), "given": ("state",)}
        return self.inside(outer.get(found or "", ())) or found

    def inside(self, words: Mapping[str, Any] | Sequence[str] | frozenset[str]) -> str | None:
        """The innermost construct being written whose word is one of these."""
        return next((w for w in reversed(self.stack) if w in words), None)


def spot(error: UnexpectedInput, text: str, words: Mapping[str, str]) -> Spot:
    """What Lark knows of an error, in the words of the language; `words` names its terminals."""
    offset, token = _end(text, len(text)), ""
    if isinstance(error, UnexpectedToken):
        if error.token.type != "$END":
            offset, token = error.token.start_pos or 0, str(error.token)
    elif error.pos_in_stream is not None:
        offset = error.pos_in_stream
        token = text[offset : offset + 1]
    parser = getattr(error, "interactive_parser", None)
    accepts: set[str] = set()
    stack: list[str] = []
    if parser is not None:
        accepts = {words.get(name, name) for name in parser.accepts()}
        for value in parser.parser_state.value_stack[-400:]:
            if isinstance(value, Token):
                stack.append(words.get(value.type, value.type))
            elif isinstance(value, Tree):
                stack.append(str(value.data))
            else:
                stack.append("")
    begin = text.rfind("\n", 0, offset) + 1
    word = text[begin:offset].strip()
    starts = word in ITEM_WORDS | MANIFEST_WORDS and text[begin : begin + 1] == word[0]
    if (starts or word in CLAUSE_WORDS) and ":=" not in accepts and stack[-1:] != [word]:
        offset = text.index(word, begin)
        return Spot(text, offset, word, frozenset(), tuple(stack[:-1]), swallowed=True)
    return Spot(text, offset, token, frozenset(accepts), tuple(stack))


def _end(text: str, offset: int) -> int:
    begin = max(text.rfind("\n", 0, max(offset - 4000, 0)), 0)
    ends = [m.end() for m in _PIECE.finditer(text, begin, offset) if not m.group().startswith("#")]
    return ends[-1] if ends else 0
