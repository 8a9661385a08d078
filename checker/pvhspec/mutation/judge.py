"""One mutant and one witness: whether it is noticed."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Literal

from pvhspec.backends.examples import run_example
from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.ir.ir import Spec
from pvhspec.mutation.bench import Bench, Changed, Where
from pvhspec.mutation.corpus import Shown, differs, telling
from pvhspec.mutation.make import Mutant
from pvhspec.mutation.proofs import Proofs

__all__ = ["KILLERS", "WITNESSES", "Court", "Killer", "Verdict", "Witness"]

Killer = Literal["checker", "examples", "traces", "complete", "prove", "same", ""]
KILLERS: tuple[Killer, ...] = ("checker", "examples", "traces", "complete", "prove")

Witness = Literal["examples", "traces", "proofs"]
WITNESSES: tuple[Witness, ...] = ("examples", "traces", "proofs")  # the cheapest first

_FOR_ONE_RUN = 20.0  # seconds; an example takes a hundredth of it
_NOT_TO_BE_RUN = (KeyError, IndexError, TypeError, AttributeError, ValueError)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who noticed a mutant, and by what. `same`: the same specification comes of it, so nobody
    can; empty: nobody did. `example`: the number of the one that did."""

    killer: Killer
    by: str = ""
    seconds: float = 0.0
    example: int = -1


class _Late(Exception):
    pass


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise _Late if it takes longer, and again until somebody hears it: what is raised while an
    object is cleared away is lost. A module is imported to its end, or it could never be again."""

    def late(_signal: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_globals.get("__name__") == "importlib._bootstrap":
                return
            frame = frame.f_back
        raise _Late

    def unheard(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, _Late):
            sys.__unraisablehook__(lost)

    before, hook = signal.signal(signal.SIGPROF, late), sys.unraisablehook
    sys.unraisablehook = unheard
    signal.setitimer(signal.ITIMER_PROF, max(seconds, 0.01), 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        sys.unraisablehook = hook


class Court:
    """Judges mutants; `budget` is for traces and for proofs, in seconds of a core for each mutant:
    how busy the machine is makes no difference."""

    def __init__(self, bench: Bench, shown: tuple[Shown, ...], budget: float) -> None:
        self._bench, self._shown, self._budget = bench, shown, budget
        self._proofs = Proofs(bench.spec, budget)

    def verdict(self, mutant: Mutant, witness: Witness) -> Verdict:
        """Whether a witness notices the mutant, or the checker before it."""
        start = time.process_time()
        found = self._verdict(mutant, witness)
        return replace(found, seconds=time.process_time() - start)

    def _verdict(self, mutant: Mutant, witness: Witness) -> Verdict:
        spec, what, error = self._bench.mutated(mutant)
        if what is None:
            return Verdict("checker", error)
        if what.nothing:
            return Verdict("same")
        if witness == "examples":
            return self._by_examples(mutant, spec, what)
        if witness == "traces":
            found = self._by_traces(mutant, spec, what)
            return Verdict("traces" if found else "", found or "")
        if found := self._proofs.finding(spec, what):
            return Verdict("complete", found)
        if found := self._proofs.refuted(spec, what):
            return Verdict("prove", found)
        return Verdict("")

    def _by_examples(self, mutant: Mutant, spec: Spec, what: Changed) -> Verdict:
        ready: dict[Where, Compiled] = {}
        for number in self._bench.choose(mutant, what):
            example = self._bench.spec.examples[number]
            where = (example.version, example.mode)
            if where not in ready:
                ready[where] = self._bench.ready(spec, what, where)
            try:
                with _limited(_FOR_ONE_RUN):
                    wrong = run_example(spec, example, ready[where]).wrong
            except _Late:
                wrong = f"takes more than {_FOR_ONE_RUN:g} s"
            except _NOT_TO_BE_RUN as error:
                wrong = f"cannot be run: {type(error).__name__} {error}"
            if wrong is not None:
                return Verdict("examples", f"“{example.name}” {wrong}", example=number)
        return Verdict("")

    def _by_traces(self, mutant: Mutant, spec: Spec, what: Changed) -> str | None:
        end = time.process_time() + self._budget
        for trace in telling(
            self._bench.spec, what.with_readers(self._bench.readers), mutant.place, self._shown
        ):
            if time.process_time() > end:
                return None
            try:
                with _limited(_FOR_ONE_RUN):
                    found = differs(spec, trace)
            except _Late:
                continue
            except _NOT_TO_BE_RUN as error:
                found = f"cannot be judged: {type(error).__name__} {error}"
            if found:
                return found
        return None
