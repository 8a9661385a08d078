"""A program's text as tokens."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from pvhspec.programs.errors import BAD_STEP, BAD_TOKEN, Bad, Place

__all__ = ["Cursor", "Token", "tokenize"]

Kind = Literal["number", "name", "slot", "string", "mark", "end"]
_TOKEN = re.compile(
    r"""(?P<space>[ \t]+|\#.*)
      | (?P<number>0x[0-9a-fA-F_]+|[0-9][0-9_]*)(?![A-Za-z0-9_])
      | (?P<slot>\$[0-9]+)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<mark>->|\.\.|<<|>>|\|=|&=|[=()\[\]{},:.+*&|~-])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a program. `value` is a number's or slot's value, or a string's text."""

    kind: Kind
    text: str
    place: Place
    value: int | str = 0


def tokenize(lines: list[str]) -> tuple[list[list[Token]], list[Bad]]:
    """Statements as tokens, each with an `end`. A statement is a line; brackets let it go on."""
    statements: list[list[Token]] = []
    errors: list[Bad] = []
    current: list[Token] = []
    depth = 0
    for number, line in enumerate(lines, 1):
        try:
            found = _line(line, number)
        except Bad as bad:
            errors.append(bad)
            current, depth = [], 0
            continue
        current += found
        depth = max(0, depth + sum(_DEPTH.get(token.text, 0) for token in found))
        if current and (depth == 0 or number == len(lines)):
            last = current[-1].place
            current.append(Token("end", "end of line", Place(last.line, last.last, last.last + 1)))
            statements.append(current)
            current, depth = [], 0
    return statements, errors


_DEPTH = {"(": 1, "[": 1, ")": -1, "]": -1}


def _line(line: str, number: int) -> list[Token]:
    found: list[Token] = []
    at = 0
    while at < len(line):
        match = _TOKEN.match(line, at)
        if match is None:
            raise Bad(
                BAD_TOKEN, Place(number, at, at + 1), f"{line[at]!r} means nothing here",
                'a string is not closed; end it with "' if line[at] == '"' else None,
            )  # fmt: skip
        at, text = match.end(), match.group()
        place = Place(number, match.start(), match.end())
        match match.lastgroup:
            case "number":
                found.append(Token("number", text, place, _number(text, place)))
            case "slot":
                found.append(Token("slot", text, place, int(text[1:])))
            case "name":
                found.append(Token("name", text, place))
            case "string":
                found.append(Token("string", text, place, _string(text, place)))
            case "mark":
                found.append(Token("mark", text, place))
    return found


def _number(text: str, place: Place) -> int:
    digits = text.replace("_", "")
    if len(digits) > 24 or digits == "0x":
        raise Bad(BAD_TOKEN, place, f"{text[:30]} is not a number of 64 bits")
    return int(digits, 0) if digits.startswith("0x") else int(digits)


def _string(text: str, place: Place) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        raise Bad(BAD_TOKEN, place, 'in a string, write \\" for " and \\\\ for \\') from None


class Cursor:
    """Goes through the tokens of one statement."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def now(self) -> Token:
        """The token that comes next."""
        return self._tokens[self._at]

    def peek(self, distance: int = 1) -> Token:
        """A token further on."""
        return self._tokens[min(self._at + distance, len(self._tokens) - 1)]

    def take(self) -> Token:
        """The next token, left behind; the last is never left."""
        token = self.now
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def accept(self, *texts: str) -> Token | None:
        """The next token if it is one of these marks or words."""
        if self.now.kind in ("mark", "name") and self.now.text in texts:
            return self.take()
        return None

    def expect(self, text: str) -> Token:
        """The next token, which has to be this mark or word."""
        found = self.accept(text)
        if found is None:
            raise self.bad(f"`{text}` expected")
        return found

    def of_kind(self, kind: Kind, what: str) -> Token:
        """The next token, which has to be of a kind."""
        if self.now.kind != kind:
            raise self.bad(f"{what} expected")
        return self.take()

    def end(self) -> None:
        """Nothing may follow."""
        if self.now.kind != "end":
            raise self.bad("the step ends before this")

    def bad(self, message: str, remedy: str | None = None) -> Bad:
        """An error at the next token."""
        return Bad(BAD_STEP, self.now.place, f"{message}, not {self.now.text}", remedy)
