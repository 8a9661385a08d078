"""Programs in which two vCPUs make calls at the same time.

What came first is not known beforehand, so that the model is right about the state only until the
first race after a reset; it still draws what is likely to be about something. The verdict does not
hang on it: the trace says which calls overlapped.
"""

from __future__ import annotations

from dataclasses import replace

from pvhspec.backends.machine.careful import OWN_FRAMES
from pvhspec.backends.machine.model import Ask
from pvhspec.conform.render import step_of
from pvhspec.conform.scenes import Scenes
from pvhspec.conform.writer import Writer
from pvhspec.ir.ir import Operation
from pvhspec.programs.shared import start_vcpu
from pvhspec.targets import steps as st
from pvhspec.targets.steps import Step

__all__ = ["Races"]

_CALLS = 500  # of a program: a race takes longer than as many calls one after the other
_BEFORE = (0, 12)  # calls of vCPU 0 alone, for the race to be about something
_AT_ONCE = (1, 2, 2, 3, 3, 4, 8)  # calls of each
_NOT_DOWN = "vcpu.areas.VCPUOP_register_vcpu_info.not_down"
#: Each of these takes many steps under no one lock, or goes over to another way of telling events.
_LONG = ("EVTCHNOP_reset", "EVTCHNOP_init_control", "EVTCHNOP_expand_array")


class Races:
    """Episodes of a program that races."""

    def __init__(self, writer: Writer, scenes: Scenes) -> None:
        self.writer, self.scenes, self.random = writer, scenes, writer.random
        calm = [o for o in writer.operations if o.modelled and not o.name.startswith(_LONG)]
        self.among = [o for o in calm if o.name.startswith("EVTCHNOP")] or calm

    def all(self) -> None:
        """The whole program after its beginning."""
        by_sipi: list[Step] = [st.Sipi(), st.AwaitVcpu()]
        self.writer.steps += self.random.choice((by_sipi, start_vcpu(1)))
        most = min(_CALLS, self.writer.plan.calls)
        while self.writer.calls < most:
            self.episode()
        self.stop()

    def episode(self) -> None:
        """Some races, and back to no ports."""
        for _ in range(self.random.randrange(1, 5)):
            few = [self.random.choice(self.among) for _ in range(5)]
            among = few if self.random.random() < 0.5 else self.among
            for _ in range(self.random.randrange(*_BEFORE)):
                self.writer.call(2, among)
            self.race(among)
        self.scenes.audit()
        self.scenes.clear()

    def stop(self) -> None:
        """What is refused while the other vCPU is up; then it is stopped."""
        writer = self.writer
        its = {"vcpuid": 1, "mfn": OWN_FRAMES + 1, "offset": 0, "arg": 0}
        for name in ("VCPUOP_up", "VCPUOP_register_vcpu_info", "VCPUOP_down", "VCPUOP_is_up"):
            op = writer.named(name)
            moves = name.endswith("info") and not writer.offers(_NOT_DOWN)
            if op is not None and not moves:  # what has been moved, nobody follows here
                takes = [p.name for p in op.params] + [s.name for s in op.slots]
                values = {key: value for key, value in its.items() if key in takes}
                if op.struct is not None:
                    values.pop("arg")
                writer.steps.append(step_of(Ask(op, values), writer.layouts))

    def race(self, among: list[Operation]) -> None:
        """Two lists of calls, of like operations on like ports."""
        count = self.random.choice(_AT_ONCE)
        first = tuple(self.call(among) for _ in range(count))
        second = tuple(self.call(among) for _ in range(count))
        self.writer.steps.append(st.Race(first, second))
        self.writer.calls += 2 * count
        self.writer.snapshot()

    def call(self, among: list[Operation]) -> st.Hypercall:
        """A call by the model, which has it that those before it are over."""
        ask, _ = self.writer.drawer.best(2, among)
        return step_of(replace(ask, cpl=0), self.writer.layouts)
