"""The common mistakes: each has its code, its message and its remedy.

A rule looks at a `Spot` and says what is wrong, or None. The first that speaks is heard, so the
special ones stand before the general ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from pvhspec.diagnostics import code
from pvhspec.syntax.forms import FORMS, ITEM_WORDS, MANIFEST_WORDS
from pvhspec.syntax.spot import Spot

__all__ = ["GENERAL", "Mistake", "mistake"]

UNEXPECTED = code("PVH101", "The text does not follow the grammar here.")
UNCLOSED = code("PVH110", "A bracket is opened and not closed.")
UNOPENED = code("PVH111", "A bracket is closed that was not opened.")
NO_MODULE_LINE = code("PVH112", "A file does not begin with what it is.")
UNTERMINATED = code("PVH113", "A string is not closed on its line.")
CHARACTER = code("PVH114", "A character has no meaning in the language.")
COMMENT = code("PVH115", "A comment is written as in another language.")
OPERATOR = code("PVH116", "An operator is written as in another language.")
EQUALS = code("PVH117", "One of `=`, `:=`, `==` and `:` stands where another belongs.")
ELSE_IF = code("PVH118", "`else if` is not one word, and its second `if` needs a block.")
NUMBER = code("PVH119", "A number is misspelt.")
RELEASE = code("PVH120", "A release stands for a number, or a number for a release.")
KEYWORD = code("PVH121", "A word of the language stands where it has another meaning, or none.")
QUANTIFIER = code("PVH122", "A quantifier or a conditional is an operand without parentheses.")
CHAINED = code("PVH123", "A comparison is compared.")
BAR = code("PVH124", "The formula of a quantifier does not follow a `|`.")
NO_TYPE = code("PVH125", "A name that is made here has no type.")
NO_CAUSE = code("PVH126", "An error says neither `when` nor `maybe`, or has no name.")
AUTHORITY = code("PVH127", "A citation does not begin with its authority.")
CITATION = code("PVH128", "A citation names no source and path.")
ORDER = code("PVH129", "The parts of a clause are in the wrong order.")
SEPARATOR = code("PVH130", "A separator stands where nothing separates.")
ARM = code("PVH131", "An arm of a `match` is not written `pattern -> { … }`.")
MISSING = code("PVH132", "One certain word or sign is missing.")

# What is said where nothing better is known.
GENERAL = frozenset({UNEXPECTED, NO_MODULE_LINE, KEYWORD, SEPARATOR, MISSING})

_FOREIGN = {
    "&&": "and",
    "||": "or",
    "!": "not",
    "===": "==",
    "!==": "!=",
    "<>": "!=",
    "~=": "!=",
    "/=": "!=",
    "<=>": "==",
    "<->": "==",
    "==>": "=>",
    "->": "=>",
    "::": ":",
}
_NO_SUCH = {"/", "%", "**", "?", "++", "--", "+=", "-=", "*=", "|=", "&=", "^=", "//="}
_WORDS = {"implies": "=>", "iff": "==", "xor": "^", "in": "among", "mod": "", "div": ""}
_QUOTES = "“”„«»‘’'`"
_TAIL_WORDS = frozenset({"since", "until", "modes", "documented", "implemented"})
_PATH = re.compile(r"[a-z][a-z0-9]*:[A-Za-z0-9_./+-]+")
_EXPRESSION = frozenset({"NAME", "INT", "("})
_VALUE_RULES = """
    forall exists not_exists ite implies or_ and_ not_ eq ne lt le gt ge is_ among bor bxor band
    shl shr add sub mul bnot neg member_of index call name number true false paren
"""
_VALUES = frozenset(_VALUE_RULES.split())
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "is", "among"})


class Mistake(NamedTuple):
    """What is wrong; `offset` where it is not where the parse stopped."""

    code: str
    message: str
    remedy: str | None = None
    offset: int | None = None


Rule: TypeAlias = Callable[[Spot], "Mistake | None"]


def mistake(s: Spot) -> Mistake:
    """The first rule that speaks."""
    what = next((m for rule in _RULES if (m := rule(s))), None) or _anything(s)
    return what._replace(offset=s.end_before) if s.begins and what.offset is None else what


# ---- signs --------------------------------------------------------------------------------------


def _comment(s: Spot) -> Mistake | None:
    if s.text.startswith(("//", "/*", "*/", "(*"), s.offset):
        return Mistake(COMMENT, "a comment begins with `#`", "# like this, to the end of the line")
    return None


def _string(s: Spot) -> Mistake | None:
    if s.token == '"' and s.found.count('"') == 1:
        remedy = 'close it with `"`; long prose is many strings, one on each line'
        return Mistake(UNTERMINATED, "this string is not closed on its line", remedy)
    return None


def _character(s: Spot) -> Mistake | None:
    if s.token in _QUOTES and s.token:
        return Mistake(CHARACTER, 'a string stands between `"` and `"`')
    if s.token == ";":
        return None
    if s.token and (not s.token.isascii() or s.token in "\\$@`?"):
        signs = {"≤": "<=", "≥": ">=", "≠": "!=", "→": "->", "⇒": "=>", "∧": "and", "∨": "or"}
        signs |= {"¬": "not", "∀": "forall", "∃": "exists", "∈": "among", "…": ".."}
        help_ = f"write `{signs[s.token]}`" if s.token in signs else None
        if s.token == "@":
            return None
        return Mistake(CHARACTER, f"`{s.token}` has no meaning in the language", help_)
    return None


def _operator(s: Spot) -> Mistake | None:
    if s.token == "->":
        return None
    if s.signs in _FOREIGN and s.signs not in s.accepts:
        begin = s.text.rfind(s.signs, 0, s.offset + len(s.signs))
        right = _FOREIGN[s.signs]
        return Mistake(OPERATOR, f"`{s.signs}` is written `{right}` here", None, begin)
    if s.signs in _NO_SUCH:
        remedy = "arithmetic is + - * & | ^ ~ << >>; a choice is `if … then … else …`"
        return Mistake(OPERATOR, f"there is no `{s.signs}` in the language", remedy)
    if s.found in _WORDS and s.stack[-1:] and s.stack[-1] in _VALUES:
        right = _WORDS[s.found]
        message = f"`{s.found}` is written `{right}` here" if right else f"there is no `{s.found}`"
        help_ = "x among { a, b }" if s.found == "in" else None
        return Mistake(OPERATOR, message, help_)
    return None


def _equals(s: Spot) -> Mistake | None:
    if s.found not in ("=", ":=", "==", ":"):
        return None
    if s.signs == "==" and s.found == "=":  # its first half was what belongs here
        return Mistake(EQUALS, "`=` belongs here, not `==`", None, s.offset - 1)
    if ":=" in s.accepts:
        return Mistake(EQUALS, f"an assignment is written `:=`, not `{s.found}`")
    if "=" in s.accepts and not s.accepts & _COMPARISONS:
        return Mistake(EQUALS, f"`=` belongs here, not `{s.found}`")
    if s.found in ("=", ":=") and "==" in s.accepts:
        return Mistake(EQUALS, "two values are compared with `==`")
    if ":" in s.accepts and not s.accepts & _COMPARISONS:
        return Mistake(EQUALS, f"`:` belongs here, not `{s.found}`")
    return None


def _number(s: Spot) -> Mistake | None:
    if not s.token[:1].isdigit():
        return None
    word = re.compile(r"[A-Za-z0-9_]+").match(s.text, s.offset)
    text = word.group() if word else s.token
    if re.fullmatch(r"0x[0-9a-fA-F][0-9a-fA-F_]{0,39}|0|[1-9][0-9_]{0,39}", text):
        return None
    if len(text) > 40:
        return Mistake(NUMBER, "a number has at most 40 digits")
    remedy = "decimal without leading zeros, or hexadecimal after 0x: 10, 0x1f, 0x1000_0000"
    return Mistake(NUMBER, f"`{text}` is not a number", remedy)


def _release(s: Spot) -> Mistake | None:
    if "VERSION" in s.accepts and s.token[:1].isdigit():
        return Mistake(RELEASE, f"`{s.found}` is not a release", "a release is written 4.17")
    begin = s.offset - len(s.before[-2]) - 1
    word = re.compile(r"[0-9]+\.[0-9.]+").match(s.text, begin if s.before[-1] == "." else s.offset)
    if word is None:
        return None
    remedy = "numbers are whole; a release stands after since, until, versions and on"
    return Mistake(RELEASE, f"`{word.group()}` is not a number", remedy, word.start())


# ---- brackets and files -------------------------------------------------------------------------


def _module_line(s: Spot) -> Mistake | None:
    if s.accepts == {"module"}:
        return Mistake(NO_MODULE_LINE, "a module begins with its name", FORMS["module"])
    if s.accepts == {"abi"}:
        return Mistake(NO_MODULE_LINE, "the manifest begins with its name", FORMS["abi"])
    if s.accepts == {"MODULE"}:
        what = "a module is named by its folder and file, in small letters: evtchn.bind"
        return Mistake(NO_MODULE_LINE, what)
    if s.found == "import" and s.accepts & ITEM_WORDS:
        return Mistake(ORDER, "imports come before everything else", FORMS["module"])
    return None


def _bracket(s: Spot) -> Mistake | None:
    closing = s.found if s.found in (")", "]", "}") else ""
    if s.open_brackets:
        at = s.open_brackets[-1]
        sign = s.text[at]
        if s.found and not s.begins_item and (not closing or "({["[")}]".index(closing)] == sign):
            return None
        until = f"before `{s.found}` in line {s.line}" if s.found else "when the file ends"
        return Mistake(UNCLOSED, f"this `{sign}` is not closed {until}", None, at)
    if closing:
        return Mistake(UNOPENED, f"this `{closing}` closes nothing")
    return None


# ---- clauses ------------------------------------------------------------------------------------


def _swallowed(s: Spot) -> Mistake | None:
    if not s.swallowed:
        return None
    construct = s.construct or "module"
    what = f"`{construct}` is not finished before `{s.found}` in line {s.line}"
    return Mistake(UNEXPECTED, what, FORMS[construct], s.end_before)


def _else_if(s: Spot) -> Mistake | None:
    remedy = "if a { … } else { if b { … } }"
    if s.found == "if" and s.before[-1] == "else":
        return Mistake(ELSE_IF, "`else` is followed by a block", remedy)
    if s.before[-1] in ("elif", "elsif", "elseif"):
        return Mistake(ELSE_IF, f"there is no `{s.before[-1]}`", remedy)
    return None


def _operand(s: Spot) -> Mistake | None:
    before = s.before[-1]
    operators = {"and", "or", "not", "then", "+", "-", "*", "&", "|", "^", "~", *_COMPARISONS}
    word, offset = s.found, s.offset
    if before in ("forall", "exists", "if"):  # taken for a name, as it cannot stand there
        word, before, offset = before, s.before[-2], s.text.rfind(before, 0, s.offset)
    if word in ("forall", "exists", "if") and before in operators:
        remedy = f"put it in parentheses: {before} ({word} …)"
        return Mistake(QUANTIFIER, f"`{word}` cannot stand after `{before}`", remedy, offset)
    return None


def _comparison(s: Spot) -> Mistake | None:
    if s.found in _COMPARISONS and "and" in s.accepts and "==" not in s.accepts:
        remedy = "join them: a < b and b < c; or put one in parentheses"
        return Mistake(CHAINED, "a comparison cannot be compared", remedy)
    return None


def _bar(s: Spot) -> Mistake | None:
    if "|" in s.accepts and s.inside(("forall", "exists")) and "==" not in s.accepts:
        remedy = "forall p : Port, d : DomId | CONDITION"
        return Mistake(BAR, "the formula of a quantifier follows `|`", remedy)
    return None


def _typeless(s: Spot) -> Mistake | None:
    if s.construct in ("require", "ensure", "invariant") and ":" in s.accepts:
        return Mistake(MISSING, "the formula follows `:`", FORMS[s.construct])
    name = s.before[-1]
    if s.accepts == {":"} and name.isidentifier():
        return Mistake(NO_TYPE, f"`{name}` has no type", f"{name} : TYPE")
    return None


def _cause(s: Spot) -> Mistake | None:
    if s.construct != "error":
        return None
    if s.before[-1] in ("when", "maybe") and s.before[-3] == "error":
        what = "an error has a name of its own after its errno"
        return Mistake(NO_CAUSE, what, FORMS["error"])
    if "maybe" in s.accepts and s.found not in _TAIL_WORDS:
        remedy = "give its condition after `when`; `maybe` if it may come at any time"
        return Mistake(NO_CAUSE, "an error says `when` it is returned", remedy)
    return None


def _citation(s: Spot) -> Mistake | None:
    if s.accepts == {"PATH"}:
        remedy = f'{s.before[-1]} xen:xen/include/public/xen.h "anchor"'
        return Mistake(CITATION, "a citation names its source and the path in it", remedy)
    citing = s.found in ("from", "see", "source", "cite", "ref") or _PATH.match(s.found)
    if citing and "documented" in s.accepts:
        remedy = "documented: public headers and documents say so\nimplemented: the code does so"
        return Mistake(AUTHORITY, "a citation begins with its authority", remedy)
    return None


def _order(s: Spot) -> Mistake | None:
    construct = s.construct
    part = '"' if s.found.startswith('"') else s.found
    parts = {'"', "when", "maybe", "after", "choose", "returns", "may", "takes"} | _TAIL_WORDS
    if construct is None or part not in parts or s.accepts & _EXPRESSION:
        return None
    named = "prose" if part == '"' else f"`{part}`"
    form = FORMS[construct]
    if (part == '"' and '"' not in form) or (part in parts - _TAIL_WORDS and part not in form):
        return None
    return Mistake(ORDER, f"{named} cannot stand here in `{construct}`; the order is", form)


def _separator(s: Spot) -> Mistake | None:
    if s.found[:1] not in (",", ";"):
        return None
    return Mistake(SEPARATOR, f"`{s.found[0]}` separates nothing here", "remove it")


def _arm(s: Spot) -> Mistake | None:
    if "->" in s.accepts and s.inside(("match",)):
        return Mistake(ARM, "the block of an arm follows `->`", FORMS["match"])
    return None


# ---- anything else ------------------------------------------------------------------------------


def _keyword(s: Spot) -> Mistake | None:
    word = s.before[-1]
    offset = s.text.rfind(word, 0, s.offset)
    if word not in FORMS:
        return None
    if ":=" in s.accepts and s.stack[-1:] == ("NAME",):
        what = f"`{word}` cannot stand among the statements of a block"
        return Mistake(KEYWORD, what, None, offset)
    if s.stack[-1:] == (word,) and s.found in (":=", "=", ".", "[", "==", ",", ")"):
        what = f"`{word}` is a word of the language, and cannot be a name here"
        return Mistake(KEYWORD, what, FORMS[word], offset)
    return None


def _one(s: Spot) -> Mistake | None:
    if len(s.accepts) != 1:
        return None
    (only,) = s.accepts
    construct = s.construct
    remedy = FORMS[construct] if construct else None
    what = f"not {_shown(s.found)}" if s.found else "and the file ends"
    return Mistake(MISSING, f"{_kind(only)} belongs here, {what}", remedy)


def _anything(s: Spot) -> Mistake:
    if not s.found:
        form = FORMS.get(s.construct or "")
        return Mistake(UNEXPECTED, "the file ends too early", form)
    construct = s.construct
    if construct in ("module", "import", "abi", None):
        words = ", ".join(sorted(s.accepts & (ITEM_WORDS | MANIFEST_WORDS)))
        remedy = f"one begins with {words}" if words else None
        return Mistake(UNEXPECTED, f"{_shown(s.found)} begins no declaration", remedy)
    remedy = FORMS[construct]
    if len(s.accepts) <= 6:
        remedy = "expected " + ", ".join(sorted(map(_kind, s.accepts)))
    return Mistake(UNEXPECTED, f"{_shown(s.found)} cannot stand here in `{construct}`", remedy)


def _shown(found: str) -> str:
    if found.startswith('"'):
        return "a string"
    return f"`{found}`" if len(found) <= 40 else f"`{found[:40]}…`"


def _kind(word: str) -> str:
    kinds = {
        "NAME": "a name",
        "INT": "a number",
        "VERSION": "a release",
        "STRING": "a string",
        "PATH": "a source and path",
        "MODULE": "a module's name",
        "": "the end of the file",
    }
    return kinds.get(word, f"`{word}`")


_RULES: tuple[Rule, ...] = (
    _comment,
    _string,
    _module_line,
    _number,
    _release,
    _bracket,
    _swallowed,
    _else_if,
    _operand,
    _operator,
    _equals,
    _character,
    _comparison,
    _citation,
    _cause,
    _order,
    _arm,
    _bar,
    _typeless,
    _separator,
    _keyword,
    _one,
)
