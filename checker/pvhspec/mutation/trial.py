"""Whether an example notices a mistake, and the shortest of its kind that does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from pvhspec.backends.examples import Result, run_example
from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.protocol import Verdict
from pvhspec.ir.ir import Example, Spec
from pvhspec.mutation.bench import Bench, Changed, Where
from pvhspec.mutation.example_steps import Bound

__all__ = ["Trial"]

_NOT_TO_BE_RUN = (KeyError, IndexError, TypeError, AttributeError, ValueError, AssertionError)


class Trial:
    """The text as it is and with a mistake, ready to run examples."""

    def __init__(self, bench: Bench, spec: Spec, what: Changed) -> None:
        self._bench, self._spec, self._what = bench, spec, what
        base = bench.spec
        self._kinds = {"given", *base.events, *(o.name for o in base.operations)}
        self._base: dict[Where, Compiled] = {}
        self._ready: dict[Where, Compiled] = {}

    def _run(self, example: Example) -> Result | None:
        if not all(step.kind in self._kinds for step in example.steps):
            return None
        where = (example.version, example.mode)
        if where not in self._base:
            self._base[where] = Compiled(self._bench.spec, *where)
        try:
            return run_example(self._bench.spec, example, self._base[where])
        except _NOT_TO_BE_RUN:
            return None

    def notices(self, example: Example) -> str:
        """What is wrong with an example with the mistake; empty: nothing is."""
        where = (example.version, example.mode)
        if where not in self._ready:
            self._ready[where] = self._bench.ready(self._spec, self._what, where)
        try:
            return run_example(self._spec, example, self._ready[where]).wrong or ""
        except _NOT_TO_BE_RUN as error:
            return f"cannot be run: {error}"

    def good(self, example: Example) -> str:
        """What is wrong with the mistake, where nothing is with the text as it is."""
        result = self._run(example)
        return self.notices(example) if result is not None and result.wrong is None else ""

    def counter(self, example: Example) -> Example | None:
        """The counterexample that an example comes to in the text as it is."""
        result = self._run(example)
        if result is None:
            return None
        broken = {j.clause for j in result.judgements if j.verdict is Verdict.VIOLATES}
        return replace(example, violates=broken.pop()) if len(broken) == 1 else None

    def shortened(self, example: Example) -> Example:
        """The same without what it can do without, as long as it shows as much."""
        kind = self.good(example).split(" ")[0]
        for shorter in _SHORTER:
            again = True
            while again:
                again = False
                for other in shorter(example):
                    if self.good(other).split(" ")[0] == kind:
                        example, again = other, True
                        break
        return example


def _fewer_steps(example: Example) -> Iterator[Example]:
    for at in reversed(range(len(example.steps))):
        yield replace(example, steps=(*example.steps[:at], *example.steps[at + 1 :]))


def _fewer_fields(example: Example) -> Iterator[Example]:
    for at, step in enumerate(example.steps):
        if step.kind != "given":
            fewer = [replace(step, outs=less) for less in _without_one(step.outs)]
            fewer += [replace(step, values=less) for less in _without_one(step.values)]
            for other in fewer:
                yield replace(example, steps=(*example.steps[:at], other, *example.steps[at + 1 :]))


def _without_one(binds: tuple[Bound, ...]) -> Iterator[tuple[Bound, ...]]:
    for n in reversed(range(len(binds))):
        yield (*binds[:n], *binds[n + 1 :])


def _smaller(example: Example) -> Iterator[Example]:
    for at, step in enumerate(example.steps):
        for n, (name, index, value) in enumerate(step.values):
            if isinstance(value, bool) or not isinstance(value, int):
                continue
            for less in (v for v in (0, 1, 2, 5, 64, 0x1000) if v < value):
                values = (*step.values[:n], (name, index, less), *step.values[n + 1 :])
                other = replace(step, values=values)
                yield replace(example, steps=(*example.steps[:at], other, *example.steps[at + 1 :]))


_SHORTER: tuple[Callable[[Example], Iterator[Example]], ...] = (
    _fewer_steps, _fewer_fields, _smaller, _fewer_fields,
)  # fmt: skip
