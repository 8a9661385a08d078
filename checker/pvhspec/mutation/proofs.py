"""What `complete` and `prove` say of a mutant: only what its mistake can have touched is asked."""

from __future__ import annotations

import time

from pvhspec.backends.solver.complete import Finding, complete
from pvhspec.backends.solver.prove import steps_of
from pvhspec.ir.ir import Observation, Operation, Spec
from pvhspec.mutation.bench import Changed

__all__ = ["Proofs"]

_MOST_OPERATIONS = 3  # of those a mistake is in; what many inherit is alike in all


class Proofs:
    """The solver's side; what it finds in the specification as it is counts for nothing."""

    def __init__(self, base: Spec, budget: float) -> None:
        self._base, self._budget = base, budget
        self._known: dict[tuple[str, ...], set[tuple[str, str]]] = {}

    def finding(self, spec: Spec, what: Changed) -> str:
        """A hole that the mistake makes; empty if there is none."""
        ids = sorted(what.operations)[:_MOST_OPERATIONS]
        names = tuple(o.name for o in spec.operations if o.id in ids)
        if not names and not what.others:
            return ""
        # Structures and gates are looked at whatever is named; of no operation, only they.
        found = self._found(spec, names)
        if names not in self._known:
            self._known[names] = {(f.kind, f.subject) for f in self._found(self._base, names)}
        for f in found:
            if f.kind != "open" and (f.kind, f.subject) not in self._known[names]:
                return f"{f.kind}: {f.subject}: {f.what}"
        return ""

    def _found(self, spec: Spec, names: tuple[str, ...]) -> list[Finding]:
        return complete(
            spec, names or ("no operation",), budget=max(3.0, self._budget), jobs=1, cache=False
        )

    def refuted(self, spec: Spec, what: Changed) -> str:
        """An invariant that the mistake breaks; empty if none is."""
        everything = bool(what.states or what.invariants)
        if not everything and not what.operations and not what.blocks:
            return ""

        def touched(item: Operation | Observation | str) -> bool:
            if everything or isinstance(item, str):
                return everything
            return item.id in what.operations or item.id in what.blocks

        end = time.process_time() + self._budget
        for invariant in spec.invariants:
            for step in steps_of(spec, invariant, touched, max(3.0, self._budget)):
                if step.outcome.status == "refuted":
                    return f"{step.what} breaks {invariant.name}"
                if time.process_time() > end:
                    return ""
        return ""
