"""Questions as a user types them, and their answers."""

from __future__ import annotations

from functools import cache

from pvhspec.backends.solver.query import Answer, Options
from pvhspec.commands.query import answered
from pvhspec.ir.cache import load_sources
from pvhspec.ir.ir import Spec
from pvhspec.ir.lower.question import Lexicon
from pvhspec.ir.questions import Question
from tests.backends.solver.edited import real_spec

PLACE = ((4, 17), frozenset(("pvh_dom0",)))


@cache
def names() -> Lexicon:
    """The names of the real specification."""
    sources, errors = load_sources()
    assert sources is not None, errors
    return Lexicon(real_spec(), sources)


def ask(text: str, spec: Spec | None = None, **options: int | float) -> Answer:
    """The answer on 4.17 in pvh_dom0, where the question says nothing else."""
    return asked(text, spec, **options)[1]


def asked(text: str, spec: Spec | None = None, **options: int | float) -> tuple[Question, Answer]:
    """The question as it was understood, too. `spec`: another one of the same names."""
    lexicon = names()
    if spec is not None:
        other = Lexicon.__new__(Lexicon)
        other.spec, other.symbols, other.context = spec, lexicon.symbols, lexicon.context
        lexicon = other
    depth = int(options.get("depth", 3))
    budget = float(options.get("budget", 60.0))
    return answered(lexicon, text, *PLACE, Options(depth, budget, jobs=1, cache=False))
