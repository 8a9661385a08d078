"""Questions: text to syntax tree, and which words may come next.

The grammar is `question.lark`, read together with the expressions of `pvh.lark`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from lark import Lark, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.tree import Meta

from pvhspec import _data
from pvhspec.diagnostics import Diagnostic, code
from pvhspec.syntax.ast import questions as ast
from pvhspec.syntax.ast.exprs import Expr
from pvhspec.syntax.build import Builder
from pvhspec.syntax.build_expr import Children, span_of
from pvhspec.syntax.errors import parse_error, too_deep, tree_too_deep
from pvhspec.syntax.mistakes import GENERAL
from pvhspec.syntax.source import check_text

__all__ = ["FORMS", "NAME", "PARTS", "PATH", "parse_question", "question_grammar", "words_after"]

NO_QUESTION = code("PVH133", "A question is not of a form that is understood.")

PATH = "question"  # what stands for a file in errors
NAME = "NAME"

FORMS = (
    "can OPERATION return ERROR",
    "can OPERATION succeed",
    "which errors can OPERATION return",
    "is there a reachable state with EXPR",
    "can EXPR",
    "must EXPR",
    "what must hold of FIELD at EVENT",
)
PARTS = "in MODE, on RELEASE, when EXPR, to an unprivileged domain, at EVENT"
_COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4}


def question_grammar(*, strict: bool = False) -> Lark:
    """The grammar of questions; `strict` as for the grammar of specifications."""
    folder = _data.grammar_dir()
    files = ("pvh.lark", "question.lark")
    return Lark(
        "\n".join((folder / name).read_text(encoding="utf-8") for name in files),
        parser="lalr",
        start="question",
        strict=strict,
        maybe_placeholders=True,
        propagate_positions=True,
    )


_grammar = lru_cache(maxsize=1)(question_grammar)


def parse_question(text: str) -> tuple[ast.Question | None, list[Diagnostic]]:
    """Parse one question; None and what is wrong with it."""
    errors = check_text(text, PATH) or too_deep(text, PATH)
    if errors:
        return None, errors
    lark = _grammar()
    try:
        tree = lark.parse(text)
    except UnexpectedInput as error:
        return None, [_wrong(error, text, lark)]
    errors = tree_too_deep(tree, text, PATH)
    return (None, errors) if errors else (_Builder().transform(tree), [])


def _wrong(error: UnexpectedInput, text: str, lark: Lark) -> Diagnostic:
    found, accepts = parse_error(error, text, PATH, lark)
    if found.code not in GENERAL:
        return found
    at = found.column or 1
    rest = text.split("\n")[(found.line or 1) - 1][at - 1 :].split()
    word = f"`{rest[0]}`" if rest else "the end"
    if not text[: at - 1].split():
        remedy = "\n".join((*FORMS, f"and after it: {PARTS}"))
        what = f"{word} begins no question" if rest else "there is no question"
    else:
        what = f"{word} cannot stand here in a question" if rest else "the question goes on"
        words = sorted(w for w in accepts if w.isalpha() and w.islower())
        name = ["a name"] if NAME in accepts else []
        remedy = "expected " + ", ".join((*name, *words)) if words or name else f"or: {PARTS}"
    return Diagnostic(
        NO_QUESTION, what, remedy, PATH, found.line, found.column, found.end_column,
        found.source_line,
    )  # fmt: skip


def words_after(text: str) -> frozenset[str]:
    """The words that may follow the beginning of a question; `NAME` for a name."""
    lark = _grammar()
    words = {t.name: t.pattern.value for t in lark.terminals if t.pattern.type == "str"}
    parser: Any = lark.parse_interactive(text)
    try:
        for _ in parser.exhaust_lexer():
            pass
    except (UnexpectedToken, UnexpectedCharacters):
        return frozenset()
    found = set(parser.accepts())
    if "COUNT" in found:
        words["COUNT"] = "two"
    return frozenset(words.get(name, name) for name in found)


@v_args(meta=True)
class _Builder(Builder):
    """The nodes of `pvhspec.syntax.ast.questions`."""

    def question(self, meta: Meta, c: Children) -> ast.Question:
        return ast.Question(span_of(meta), c[0], tuple(x for x in c[1:] if x is not None))

    def can_return(self, meta: Meta, c: Children) -> ast.CanReturn:
        return ast.CanReturn(span_of(meta), c[0], c[1])

    def can_succeed(self, meta: Meta, c: Children) -> ast.CanReturn:
        return ast.CanReturn(span_of(meta), c[0], None)

    def which_errors(self, meta: Meta, c: Children) -> ast.WhichErrors:
        return ast.WhichErrors(span_of(meta), c[0])

    def can_be(self, meta: Meta, c: Children) -> ast.CanBe:
        return ast.CanBe(span_of(meta), _only_expr(c))

    def reachable(self, meta: Meta, c: Children) -> ast.CanBe:
        return ast.CanBe(span_of(meta), _only_expr(c))

    def must_be(self, meta: Meta, c: Children) -> ast.MustBe:
        return ast.MustBe(span_of(meta), _only_expr(c))

    def must_hold(self, meta: Meta, c: Children) -> ast.MustHold:
        return ast.MustHold(span_of(meta), c[0])

    def ports(self, meta: Meta, c: Children) -> ast.Described:
        count, what, one, bound = c
        same = str(one) == "one"
        return ast.Described(span_of(meta), _COUNTS[str(count)], what, same, bound)

    def in_modes(self, meta: Meta, c: Children) -> ast.InModes:
        return ast.InModes(span_of(meta), c[0])

    def on_release(self, meta: Meta, c: Children) -> ast.OnRelease:
        return ast.OnRelease(span_of(meta), str(c[0]))

    def at_event(self, meta: Meta, c: Children) -> ast.AtEvent:
        return ast.AtEvent(span_of(meta), c[0])

    def to_domain(self, meta: Meta, c: Children) -> ast.ToDomain:
        return ast.ToDomain(span_of(meta), c[0])

    def when_(self, meta: Meta, c: Children) -> ast.When:
        return ast.When(span_of(meta), c[0])


def _only_expr(c: Children) -> Expr:
    return next(x for x in c if x is not None and not isinstance(x, str))  # type: ignore[no-any-return]
