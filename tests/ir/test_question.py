"""Questions: what they are taken for, and what is said of those that are not understood."""

from __future__ import annotations

from functools import cache

import pytest

from pvhspec.ir.cache import load_sources, load_spec
from pvhspec.ir.lower.question import Lexicon
from pvhspec.ir.questions import Always, AtEvent, CanReturn, Reach, Rules, WhichErrors
from pvhspec.syntax.question import NAME, question_grammar, words_after


@cache
def lexicon() -> Lexicon:
    spec, errors = load_spec()
    sources, more = load_sources()
    assert spec is not None, errors
    assert sources is not None, more
    return Lexicon(spec, sources)


UNDERSTOOD = {
    "can send return EPERM in pvh": CanReturn,
    "can EVTCHNOP_send succeed?": CanReturn,
    "can alloc_unbound return EPERM when owner != caller": CanReturn,
    "can alloc_unbound succeed when out.port == 3": CanReturn,
    "which errors can bind_virq return to an unprivileged domain on 4.17": WhichErrors,
    "which errors can event_channel_op return": WhichErrors,
    "is there a reachable state with two ports bound to one VIRQ": Reach,
    "is there a reachable state with a port bound to an ipi": Reach,
    "can channel[caller, 5] == ipi hold since 4.15 until 4.17": Reach,
    "always forall p : Port | channel[caller, p] == reserved => p == 0": Always,
    "must cr4 == 0 at entry in pvh": AtEvent,
    "can cr0.PG at entry": AtEvent,
    "what must hold of cr4 at entry": Rules,
    "what must hold of cs.base at entry when current == 0": Rules,
}


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_understood(text: str) -> None:
    made, errors = lexicon().lower(text)
    assert errors == []
    assert type(made) is UNDERSTOOD[text]


# What is wrong, its code, and a word of the message or the remedy.
NOT_UNDERSTOOD = [
    ("", "PVH133", "can OPERATION return ERROR"),
    ("does it work", "PVH133", "begins no question"),
    ("can send return", "PVH133", "expected a name"),
    ("can send return EPERM under pvh", "PVH133", "expected at, in,"),
    ("can channel[caller, 5] = ipi", "PVH117", "=="),
    ("can (" + "(" * 200, "PVH102", "deep"),
    ("can \x07", "PVH106", "U+0007"),
    ("can sned return EPERM", "PVH380", "send"),
    ("can bind return EPERM", "PVH381", "EVTCHNOP_bind_virq"),
    ("can send return EPREM", "PVH382", "EPERM"),
    ("can send return EPERM at entry", "PVH383", "operation"),
    ("can width == 3", "PVH383", "at which event"),
    ("what must hold of cr4", "PVH383", "entry"),
    ("can channel[caller, 5] == ipi to a privileged domain", "PVH383", "nobody calls"),
    ("what must hold of cr44 at entry", "PVH384", "cr4"),
    ("what must hold of cs at entry", "PVH384", "cs.base"),
    ("what must hold of cr4 at etnry", "PVH384", "entry"),
    ("can send return EPERM to a purple domain", "PVH384", "unprivileged"),
    ("is there a reachable state with two pigs bound to one virq", "PVH384", "two ports"),
    ("can send return EPERM in pvhh", "PVH213", "pvh"),
    ("can send return EPERM on 4.99", "PVH214", "4.17"),
    ("can chanel[caller, 5] == ipi", "PVH211", "channel"),
    ("can channel[caller, 5] == 5", "PVH310", "unbound"),
]


@pytest.mark.parametrize(("text", "code", "word"), NOT_UNDERSTOOD)
def test_not_understood(text: str, code: str, word: str) -> None:
    made, errors = lexicon().lower(text)
    assert made is None
    assert [e.code for e in errors] == [code]
    assert word in errors[0].render()


def test_the_grammar_decides_nothing_behind_anybodys_back() -> None:
    question_grammar(strict=True)


def test_the_words_that_may_follow() -> None:
    assert words_after("") == {"can", "which", "is", "what", "must", "always"}
    assert {"return", "succeed"} <= words_after("can send ")
    assert words_after("can send return ") == {NAME}
    assert {"in", "on", "when", "to"} <= words_after("can send return EPERM ")
    assert words_after("nothing of this kind") == frozenset()
