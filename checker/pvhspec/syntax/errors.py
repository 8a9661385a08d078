"""Syntax errors: many of one text, without those that only follow from another.

After an error the parser goes on from the next declaration, or from the next clause of the block
it is in; what it had not finished is forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput
from lark.parsers.lalr_interactive_parser import InteractiveParser

from pvhspec.diagnostics import Diagnostic, code
from pvhspec.syntax.forms import CLAUSE_WORDS, ITEM_WORDS, MANIFEST_WORDS
from pvhspec.syntax.mistakes import mistake
from pvhspec.syntax.spot import Spot, spot

__all__ = ["MOST_ERRORS", "all_errors", "parse_error", "too_deep", "tree_too_deep"]

TOO_DEEP = code("PVH102", "An expression or a block is nested too deeply.")

MOST_ERRORS = 30
MOST_DEPTH = 100

# Where the parser may go on: the first word of a line, and where brackets open and close.
_STEP = re.compile(
    r'"[^"\n]*"|#[^\n]*|[{}]'
    r"|^[ \t]*(?:(?P<NAME>[A-Za-z_][\w.]*(?:\[[^\n\]]*\])*(?=[ \t]*:?==?[ \t]))"
    r"|(?P<INT>[0-9]\w*)\b|(?P<word>[A-Za-z]+)\b)",
    re.MULTILINE,
)
_BRACKET = re.compile(r'"[^"\n]*"|#[^\n]*|[({\[\]})]')
_STARTS = ITEM_WORDS | MANIFEST_WORDS
_FIRST = {
    "module": [("module", "module"), ("MODULE", "a.b")],
    "manifest": [("abi", "abi"), ("NAME", "a")],
}


def all_errors(text: str, path: str, lark: Lark, start: str) -> list[Diagnostic]:
    """What is wrong with a text that does not parse."""
    words = _words(lark)
    found: list[Diagnostic] = []
    reached = -1

    def on_error(error: UnexpectedInput) -> bool:
        nonlocal reached
        at = spot(error, text, words)
        found.append(_diagnostic(at, path))
        parser = getattr(error, "interactive_parser", None)
        if parser is None or len(found) >= MOST_ERRORS:
            return False
        if at.accepts & {"module", "abi"}:  # go on as if the first line were there
            for word, value in _FIRST[start]:
                name = next(n for n, w in words.items() if w == word)
                parser.feed_token(Token(name, value))
        reached = _go_on(parser, text, max(at.offset, reached + 1), words)
        return reached >= 0

    with suppress(UnexpectedInput):
        lark.parse(text, start=start, on_error=on_error)
    first: dict[tuple[int | None, int | None], Diagnostic] = {}
    for each in found:
        first.setdefault((each.line, each.column), each)
    return list(first.values())


def parse_error(
    error: UnexpectedInput, text: str, path: str, lark: Lark
) -> tuple[Diagnostic, frozenset[str]]:
    """The one error of a text that is too short to go on after it, and what could have come."""
    at = spot(error, text, _words(lark))
    return _diagnostic(at, path), at.accepts


def _words(lark: Lark) -> dict[str, str]:
    """The terminals of a grammar in the words of the language."""
    words = {t.name: _word(t.name, t.pattern.value, t.pattern.type) for t in lark.terminals}
    return {**words, "$END": ""}


def too_deep(text: str, path: str) -> list[Diagnostic]:
    """One error if brackets are nested deeper than the passes after this one may go down."""
    depth = 0
    for match in _BRACKET.finditer(text):
        sign = match.group()
        if sign in "({[":
            depth += 1
        elif sign in ")}]":
            depth -= 1
        if depth > MOST_DEPTH:
            at = match.start()
            line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
            return [_deep(text, path, line, column)]
    return []


def tree_too_deep(tree: Tree[Token], text: str, path: str) -> list[Diagnostic]:
    """The same of what is nested without brackets: long chains of operators."""
    level: list[Tree[Token]] = [tree]
    for _ in range(MOST_DEPTH):
        level = [c for t in level for c in t.children if isinstance(c, Tree)]
        if not level:
            return []
    at = next((t.meta for t in level if not t.meta.empty), None)
    return [_deep(text, path, *((at.line, at.column) if at else (1, 1)))]


def _deep(text: str, path: str, line: int, column: int) -> Diagnostic:
    what, remedy = f"nested more than {MOST_DEPTH} deep", "give a part of it a name of its own"
    source = text.split("\n", line)[line - 1]
    return Diagnostic(TOO_DEEP, what, remedy, path, line, column, column + 1, source)


def _word(name: str, pattern: str, kind: str) -> str:
    if kind == "str":
        return pattern
    return pattern.replace(r"\s+", " ") if re.fullmatch(r"[a-z \\+]+", pattern) else name


def _diagnostic(at: Spot, path: str) -> Diagnostic:
    what = mistake(at)
    offset = at.offset if what.offset is None else what.offset
    begin = at.text.rfind("\n", 0, offset) + 1
    end = at.text.find("\n", offset)
    source = at.text[begin : end if end >= 0 else len(at.text)]
    line, column = at.text.count("\n", 0, offset) + 1, offset - begin + 1
    width = max(len(at.found), 1) if what.offset is None else 1
    return Diagnostic(
        what.code, what.message, what.remedy, path, line, column, column + width, source
    )


def _go_on(parser: InteractiveParser, text: str, offset: int, words: Mapping[str, str]) -> int:
    """Put the parser where it can go on, and say from which offset; -1 if nowhere."""
    names = {word: name for name, word in words.items()}
    state = parser.lexer_thread.state
    opened = [getattr(value, "type", "") for value in parser.parser_state.value_stack]
    depth = opened.count(names["{"])
    for at, word, closed in _steps(text, offset):
        kept = None if word in _STARTS else depth - closed
        if state is None or not _unwind(parser, names[word], names["{"], kept):
            continue
        state.line_ctr.char_pos = at
        state.line_ctr.line = text.count("\n", 0, at) + 1
        state.line_ctr.line_start_pos = text.rfind("\n", 0, at) + 1
        state.line_ctr.column = at - state.line_ctr.line_start_pos + 1
        return at
    return -1


def _steps(text: str, offset: int) -> Iterator[tuple[int, str, int]]:
    """Where the parser may go on: the place, the word there, how many blocks were closed before.

    Clauses of this block and of those around it, ends of them, and the next declaration.
    """
    depth = closed = 0
    begin = text.rfind("\n", 0, offset) + 1
    if text[begin:offset].strip():
        begin = offset
    for match in _STEP.finditer(text, begin):
        kind, sign = match.lastgroup, match.group()
        if kind == "word":
            at, word = match.start(kind), match.group(kind)
            if at == match.start() and word in _STARTS:
                yield at, word, closed
            elif depth == 0 and word in CLAUSE_WORDS:
                yield at, word, closed
                yield at, "NAME", closed
        elif kind is not None:
            if depth == 0 and match.start(kind) > offset:
                yield match.start(kind), kind, closed
        elif sign == "{":
            depth += 1
        elif sign == "}" and depth:
            depth -= 1
        elif sign == "}":
            yield match.start(), "}", closed
            closed += 1


def _unwind(parser: InteractiveParser, terminal: str, brace: str, kept: int | None) -> bool:
    """Forget what is unfinished until the word can follow and `kept` blocks are open.

    The parser is left as it was if that never comes to be.
    """
    states, values = parser.parser_state.state_stack, parser.parser_state.value_stack
    before = list(states), list(values)
    choices: Callable[[], Mapping[str, object]] = parser.choices
    accepts: Callable[[], set[str]] = parser.accepts
    depth = sum(getattr(value, "type", "") == brace for value in values)
    while len(states) > 1 and (kept is None or depth >= kept):
        last = getattr(values[-1], "type", brace)  # not in the middle of something
        here = kept is None or (depth == kept and last == brace)
        if here and terminal in choices() and terminal in accepts():
            return True
        states.pop()
        depth -= getattr(values.pop(), "type", "") == brace
    states[:], values[:] = before
    return False
