"""The specification as a state machine for other people's tests, by way of Hypothesis.

    from pvhspec.testing import spec_machine

    TestEventChannels = spec_machine("evtchn").TestCase

tests the model against itself; with `xen="4.17"`, or the path of an image, every execution is a
program that a PVH dom0 runs on that Xen, judged when it is over.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pvhspec.backends.machine.model import Ask, Foretold, Model
from pvhspec.backends.machine.rules import ModelSystem, System, machine_class
from pvhspec.diagnostics import PvhError
from pvhspec.ir.cache import load_spec
from pvhspec.names.gates import parse_version

if TYPE_CHECKING:
    from hypothesis.stateful import RuleBasedStateMachine

    from pvhspec.ir.ir import Spec

__all__ = ["XenSystem", "spec_machine"]


def spec_machine(
    chapter: str | None = None,
    *,
    xen: str | Path | None = None,
    release: str = "4.17",
    mode: str = "pvh_dom0",
    width: Literal[32, 64] = 64,
    spec: Path | None = None,
) -> type[RuleBasedStateMachine]:
    """A Hypothesis `RuleBasedStateMachine` with a rule for every operation.

    `chapter` is the first part of a module's name, as `evtchn` or `hypercall`; None is all of
    them together. Without `xen` the system tested is the model itself, in `release` and `mode`.
    Raises PvhError for a specification with errors, TargetError where Xen cannot be run.
    """
    found, errors = load_spec(spec)
    if found is None:
        raise PvhError(*errors)
    known = found
    if xen is not None:
        from pvhspec.conform.generated import release_of

        release = release_of(known, str(xen))[0]
    version = parse_version(release)

    def system(model: Model) -> System:
        if xen is None:
            return ModelSystem(known, version, mode, model)
        return XenSystem(known, str(xen), width)

    return machine_class(known, version, mode, width=width, only=chapter, system=system)


class XenSystem:
    """A real Xen: calls are gathered, and run and judged when the execution is over."""

    def __init__(self, spec: Spec, image: str, width: Literal[32, 64]) -> None:
        from pvhspec.programs import Layouts

        self._spec, self._image, self._width = spec, image, width
        self._layouts = Layouts(spec, width)
        self._steps: list[Any] = []

    def call(self, ask: Ask, told: Foretold) -> list[str]:
        """Remember the call."""
        from pvhspec.conform.render import step_of

        self._steps.append(step_of(ask, self._layouts))
        return []

    def finish(self) -> list[str]:
        """Run what was gathered; what Xen did that is not allowed."""
        from pvhspec.conform.boots import boot
        from pvhspec.report.verdict import Selection
        from pvhspec.targets import Program

        if not self._steps:
            return []
        came = boot(
            self._spec, self._image, Program(tuple(self._steps)), width=self._width, vcpus=1,
            selection=Selection(),
        )  # fmt: skip
        found = [f"{b.clause}: {b.event}: seen {b.seen}, allowed {b.allowed}" for b in came.broken]
        return found + ([came.trouble] if came.trouble else [])
