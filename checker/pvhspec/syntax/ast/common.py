"""Where a node stands, and what every clause carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Authority", "Cite", "Gate", "Name", "Param", "Span", "Tail"]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a node stands in its file: lines and columns from 1, the end exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


Authority = Literal["documented", "implemented"]


# ---- what every clause carries ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cite:
    """A place in a pinned source: `anchor` is an identifier or a few words found there."""

    span: Span
    authority: Authority
    source: str
    path: str
    anchor: str | None


@dataclass(frozen=True, slots=True)
class Gate:
    """Where a clause applies: releases `since` to `until` (the last that has it), and modes."""

    span: Span
    kind: Literal["since", "until", "modes"]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tail:
    """Gates and citations, in the order they are written."""

    gates: tuple[Gate, ...] = ()
    cites: tuple[Cite, ...] = ()


@dataclass(frozen=True, slots=True)
class Name:
    """A word with its place: `text` may hold dots (`cs.base`, `evtchn.channel`)."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Param:
    """`name : type`, of a function, a state index, a quantifier."""

    span: Span
    name: Name
    type: Name
