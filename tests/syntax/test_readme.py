"""What grammar/README.md says is true: it names every word, and its one-column texts parse."""

from __future__ import annotations

import re

from pvhspec import _data
from pvhspec.syntax.parse import grammar
from pvhspec.syntax.question import question_grammar

README = (_data.grammar_dir() / "README.md").read_text()


def test_every_word_of_the_language_is_in_the_manual() -> None:
    terminals = [*grammar().terminals, *question_grammar().terminals]
    words = {t.pattern.value for t in terminals if t.pattern.type == "str"}
    missing = {w for w in words if w.isalpha() and not re.search(rf"\b{w}\b", README)}
    assert not missing


def test_the_manual_is_one_page() -> None:
    assert len(README.split("\n")) < 200
