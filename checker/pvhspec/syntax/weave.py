"""Puts an author's comments and blank lines back into text that was laid out anew.

The formatter changes blanks, and where prose is cut into strings; nothing else. So a character is
known by its number, counted without blanks, quotes and comments, and has the same number before
and after. A comment on a line of its own stays before the character it stood before; one at the
end of a line stays on the line of the character it followed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

from pvhspec.syntax.layout import Line

__all__ = ["Asides", "asides", "squeeze", "weave"]

_CODE = re.compile(r'(?:"[^"]*"|[^"#])*')


@dataclass(slots=True)
class Asides:
    """Comments and blank lines of a text, by the number of a character.

    `before[n]` stands on lines of its own before character n: comments, and `""` for blank lines.
    `after[n]` are comments that follow character n on its line.
    """

    before: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    after: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    squeezed: str = ""


def squeeze(text: str) -> str:
    """The text without blanks and quotes."""
    return "".join(text.replace('"', "").split())


def asides(text: str) -> Asides:
    """The comments and blank lines of a text that parses."""
    found = Asides()
    parts: list[str] = []
    count = 0
    for line in text.split("\n"):
        match = _CODE.match(line)
        end = match.end() if match else 0
        code, comment = squeeze(line[:end]), line[end:].strip()
        parts.append(code)
        count += len(code)
        if comment and line[:end].strip():
            found.after[count - 1].append(comment)
        elif comment:
            found.before[count].append(comment)
        elif not line.strip():
            found.before[count].append("")
    found.squeezed = "".join(parts)
    return found


def weave(lines: list[Line], notes: Asides) -> str:
    """The lines with the comments, and with the blank lines where each kind of line has them."""
    out: list[str] = []
    count = 0
    for line in lines:
        begin, count = count, count + len(squeeze(line.text))
        above = list(notes.before.get(begin, ())) if count > begin else []
        for n in range(begin + 1, count):
            above.extend(c for c in notes.before.get(n, ()) if c)
        trailing = [c for n in range(begin, count) for c in notes.after.get(n, ())]
        if len(trailing) > 1:
            above, trailing = [*above, *trailing], []
        depth = line.indent + 2 if line.kind == "close" else line.indent
        out.extend(" " * depth + c if c else "" for c in _spaced(above, line.kind, bool(out)))
        out.append(" " * line.indent + "  ".join([line.text, *trailing]))
    last = _spaced(notes.before.get(count, []), "end", bool(out))
    return "\n".join([*out, *last]) + "\n"


def _spaced(above: list[str], kind: str, inside: bool) -> list[str]:
    """What stands before a line, with at most one blank line in a row."""
    if kind == "space":
        return [c for c in above if c]
    kept: list[str] = []
    if kind == "gap" or (kind in ("item", "close", "end") and above and not above[0]):
        kept.append("")
    for comment in above:
        if comment or (kept and kept[-1]):
            kept.append(comment)
    commented = any(kept)
    if kept and not kept[-1] and (kind in ("close", "end") or (kind == "hard" and not commented)):
        kept.pop()
    return kept if inside or not kept or kept[0] else kept[1:]
