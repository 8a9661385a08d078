"""Statements of a program's text, as they are written: the shape before any name is looked up."""

from __future__ import annotations

from dataclasses import dataclass, field

from pvhspec.programs.errors import BAD_BLOCK, Bad
from pvhspec.programs.tokens import Cursor, Token

__all__ = ["Block", "Line", "parse"]


@dataclass(slots=True)
class Line:
    """A step, or anything else that is one statement."""

    tokens: list[Token]


@dataclass(slots=True)
class Block:
    """`head {` … `}`."""

    head: list[Token]
    body: list[Line | Block] = field(default_factory=list)


def parse(statements: list[list[Token]]) -> tuple[list[Line | Block], list[Bad]]:
    """The statements with those between braces put into their blocks."""
    errors: list[Bad] = []
    top = Block([])
    open_blocks = [top]
    for tokens in statements:
        if tokens[0].text == "}" and tokens[0].kind == "mark":
            try:
                at = Cursor(tokens)
                at.take()
                at.end()
            except Bad as bad:
                errors.append(bad)
            if len(open_blocks) == 1:
                remedy = "remove it, or open a block before it"
                errors.append(Bad(BAD_BLOCK, tokens[0].place, "no block is open here", remedy))
            else:
                open_blocks.pop()
        elif tokens[-2].text == "{" and tokens[-2].kind == "mark":
            block = Block([*tokens[:-2], Token("end", "{", tokens[-2].place)])
            open_blocks[-1].body.append(block)
            open_blocks.append(block)
        else:
            open_blocks[-1].body.append(Line(tokens))
    for block in open_blocks[1:]:
        errors.append(Bad(BAD_BLOCK, block.head[0].place, "the block is not closed", "add }"))
    return top.body, errors
