"""Documents and how they are laid out in 100 columns.

A document is text with places where a line may end. A `Group` is put on one line where it fits;
where it does not, its own line ends are taken and the groups inside are asked in turn. This is
all the formatter knows about width; what it says about the language is in `format.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

__all__ = [
    "CLOSE",
    "HARD",
    "ITEM",
    "LINE",
    "SOFT",
    "WIDTH",
    "Align",
    "Break",
    "Cat",
    "Doc",
    "Either",
    "Group",
    "Line",
    "Nest",
    "Prose",
    "cat",
    "fill",
    "flat_width",
    "join",
    "render",
]

WIDTH = 100


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a line may end.

    `space` and `soft` are a blank or nothing where their group fits on a line. The others always
    end the line: `item` begins something that may have a blank line before it, `close` begins
    with the brace that closes a block.
    """

    kind: Literal["space", "soft", "hard", "item", "close"]


LINE, SOFT = Break("space"), Break("soft")
HARD, ITEM, CLOSE = Break("hard"), Break("item"), Break("close")


@dataclass(frozen=True, slots=True)
class Cat:
    """One document after another."""

    parts: tuple[Doc, ...]


@dataclass(frozen=True, slots=True)
class Nest:
    """Lines that begin inside are indented by two more."""

    doc: Doc


@dataclass(frozen=True, slots=True)
class Align:
    """Lines that begin inside are indented to the column where it stands."""

    doc: Doc


@dataclass(frozen=True, slots=True)
class Group:
    """On one line if it fits; `broken` if it must not be."""

    doc: Doc
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Either:
    """`short` if it fits on this line, else `long`."""

    short: Doc
    long: Doc


@dataclass(frozen=True, slots=True)
class Prose:
    """Words for a reader: one string literal, or as many as are needed, each on its own line."""

    text: str


Doc: TypeAlias = str | Break | Cat | Nest | Align | Group | Either | Prose


def cat(*parts: Doc) -> Doc:
    """One after another."""
    return Cat(parts)


def join(separator: Doc, docs: Iterable[Doc]) -> Doc:
    """The documents with the separator between them."""
    parts: list[Doc] = []
    for doc in docs:
        if parts:
            parts.append(separator)
        parts.append(doc)
    return Cat(tuple(parts))


def fill(docs: Iterable[Doc], separator: str = ",") -> Doc:
    """As many on each line as fit."""
    parts: list[Doc] = []
    items = list(docs)
    for i, doc in enumerate(items):
        text = cat(doc, separator) if i + 1 < len(items) else doc
        parts.append(Group(cat(LINE, text)) if i else text)
    return Cat(tuple(parts))


@dataclass(frozen=True, slots=True)
class Line:
    """A line as laid out, and what kind of break stands before it."""

    indent: int
    text: str
    kind: str


_Work: TypeAlias = tuple[int, bool, Doc]  # indent, flat, document


def render(doc: Doc, indent: int = 0) -> list[Line]:
    """Lay a document out; the first line has kind `hard`."""
    lines: list[Line] = []
    text, at, kind = "", indent, "hard"
    work: list[_Work] = [(indent, False, doc)]
    while work:
        depth, flat, node = work.pop()
        match node:
            case str():
                text += node
            case Cat(parts):
                work.extend((depth, flat, part) for part in reversed(parts))
            case Nest(inner):
                work.append((depth + 2, flat, inner))
            case Align(inner):
                work.append((at + len(text), flat, inner))
            case Group(inner, broken):
                room = WIDTH - at - len(text)
                fits = flat or (not broken and _fits(room, inner, work))
                work.append((depth, fits, inner))
            case Either(short, long):
                fits = flat or _fits(WIDTH - at - len(text), short, work)
                work.append((depth, fits, short if fits else long))
            case Prose(words):
                if flat:
                    text += f'"{words}"'
                else:
                    wrapped = _wrap(words, WIDTH - 2 - depth)
                    work.append((depth, flat, join(HARD, wrapped)))
            case Break(how):
                if flat and how in ("space", "soft"):
                    text += " " if how == "space" else ""
                else:
                    lines.append(Line(at, text.rstrip(), kind))
                    text, at, kind = "", depth, how
            case _:
                assert_never(node)
    lines.append(Line(at, text.rstrip(), kind))
    return lines


def flat_width(doc: Doc) -> int:
    """How wide it is on one line; more than any line if it cannot be on one."""
    width = 0
    for text in _flat([doc]):
        if text is None:
            return WIDTH * 1000
        width += len(text)
    return width


def _flat(stack: list[Doc]) -> Iterator[str | None]:
    """The text on one line; None where a line must end. Uses up the stack."""
    while stack:
        node = stack.pop()
        match node:
            case str():
                yield node
            case Cat(parts):
                stack.extend(reversed(parts))
            case Nest(inner) | Align(inner):
                stack.append(inner)
            case Group(inner, broken):
                if broken:
                    yield None
                stack.append(inner)
            case Either(short):
                stack.append(short)
            case Prose(words):
                yield f'"{words}"'
            case Break(how):
                yield {"space": " ", "soft": ""}.get(how)
            case _:
                assert_never(node)


def _fits(room: int, doc: Doc, rest: list[_Work]) -> bool:
    """Whether the document on one line, and what follows up to a line end, is within `room`."""
    for text in _flat([doc]):
        if text is None:
            return False
        room -= len(text)
        if room < 0:
            return False
    for _, flat, following in reversed(rest):
        stack: list[Doc] = [following]
        while stack:
            node = stack.pop()
            match node:
                case str():
                    room -= len(node)
                case Cat(parts):
                    stack.extend(reversed(parts))
                case Nest(inner) | Align(inner) | Group(inner):
                    stack.append(inner)
                case Either(short):
                    stack.append(short)
                case Prose(words):
                    room -= len(words) + 2 if flat else 2
                case Break(how):
                    if not flat or how not in ("space", "soft"):
                        return True
                    room -= how == "space"
                case _:
                    assert_never(node)
            if room < 0:
                return False
    return True


def _wrap(words: str, width: int) -> list[Doc]:
    lines: list[str] = []
    for word in words.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [f'"{line}"' for line in lines] or ['""']
