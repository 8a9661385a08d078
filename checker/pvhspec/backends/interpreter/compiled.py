"""A specification made ready for one release, mode and authority.

Everything is made when it is first needed, and serves any number of executions.
"""

from __future__ import annotations

from collections.abc import Container

from pvhspec.backends.interpreter.evaluate import Compiler
from pvhspec.backends.interpreter.observation import Watcher
from pvhspec.backends.interpreter.operation import Stepper
from pvhspec.ir.ir import Operation, Spec
from pvhspec.names.gates import Version

__all__ = ["Compiled"]


class Compiled:
    """The step functions of operations and events.

    `authority` `documented` passes over clauses that only an implementation promises.
    """

    def __init__(
        self,
        spec: Spec,
        version: Version,
        mode: str,
        authority: str = "implemented",
    ) -> None:
        self.spec = spec
        self.compiler = Compiler(spec.states, version, mode)
        self.disregard = (
            {c.id for c in spec.clauses.values() if c.authority == "implemented"}
            if authority == "documented"
            else set()
        )
        self._errno = {v: k for k, v in spec.enums.get("Errno", {}).items()}
        self._steppers: dict[str, Stepper] = {}
        self._watchers: dict[str, list[Watcher]] = {}
        self._other: Compiled | None = None
        self._own_operations: Container[str] = ()
        self._own_kinds: Container[str] = ()

    def stepper(self, op: Operation) -> Stepper:
        """The step function of an operation."""
        if op.id not in self._steppers:
            other = self._other
            if other is not None and op.id not in self._own_operations:
                return other.stepper(op)
            made = Stepper(op, self.compiler, self._errno, self.disregard)
            self._steppers[op.id] = made
        return self._steppers[op.id]

    def watchers(self, kind: str) -> list[Watcher]:
        """The `on` blocks for a kind of event."""
        if kind not in self._watchers:
            other = self._other
            if other is not None and kind not in self._own_kinds:
                return other.watchers(kind)
            made = [Watcher(o, self.compiler) for o in self.spec.observations if o.event == kind]
            self._watchers[kind] = [w for w in made if not w.never]
        return self._watchers[kind]

    def take_over(self, other: Compiled, operations: Container[str], kinds: Container[str]) -> None:
        """Use what another makes ready, but for these operations and kinds of events.

        The other must be of the same states, release, mode and authority.
        """
        self.compiler = other.compiler
        self._other, self._own_operations, self._own_kinds = other, operations, kinds
