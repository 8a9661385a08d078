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

__all__ = ["Compiled", "compiled_for"]


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
        self.spec, self.version, self.mode = spec, version, mode
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

    def make_all(self) -> None:
        """Make everything now, for processes that are forked from this one."""
        for op in self.spec.operations:
            if op.gate.open(self.version, self.mode) or op.command is None:
                self.stepper(op)
        for kind in dict.fromkeys(o.event for o in self.spec.observations):
            self.watchers(kind)

    def take_over(
        self, other: Compiled, operations: Container[str], kinds: Container[str], *, compiler: bool
    ) -> None:
        """Use what another makes ready, but for these operations and kinds of events.

        The other must be of the same release, mode and authority, and of the same states as far as
        what is used has to do with them. `compiler`: all states are the same.
        """
        if compiler:
            self.compiler = other.compiler
        self._other, self._own_operations, self._own_kinds = other, operations, kinds


_FEW = 4  # of what was made ready are kept
# By what it was made of: executions that are judged one after the other are mostly of one kind.
_ready: dict[tuple[int, Version, str, str], Compiled] = {}


def compiled_for(
    spec: Spec, release: Version, mode: str, authority: str = "implemented"
) -> Compiled:
    """The specification made ready for a release, mode and authority; the last few are kept."""
    where = (id(spec), release, mode, authority)
    if where not in _ready:
        if len(_ready) >= _FEW:
            del _ready[next(iter(_ready))]
        _ready[where] = Compiled(spec, release, mode, authority)
    return _ready[where]
