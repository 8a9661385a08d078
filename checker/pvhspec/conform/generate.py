"""Programs for the probe, generated from the specification, one boot's worth each.

A program is a row of episodes. Each begins where the last one ended: ports are closed by
EVTCHNOP_reset and the shared words cleared by stores, and what a reset leaves behind is known to
the model, so nothing has to be fresh for the verdict to be right. A boot costs more than a
thousand calls.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pvhspec.backends.machine.draw import chapter
from pvhspec.conform.meanwhile import Meanwhile
from pvhspec.conform.races import Races
from pvhspec.conform.scenes import Scenes, clauses_of
from pvhspec.conform.writer import Plan, Width, Writer
from pvhspec.ir.ir import Operation, Spec, Version
from pvhspec.targets.steps import Program

__all__ = ["Generated", "Plan", "Width", "generate"]

_EPISODE = (30, 160)  # steps of an episode
_EASY = 300  # calls of a program before it looks for what is rare less often
_ALIKE = 0.4  # of the episodes are about a single chapter
_AIMED = 0.6  # of the calls are of the operations that were asked for


@dataclass(slots=True)
class Generated:
    """A program and what it was expected to show."""

    plan: Plan
    program: Program
    calls: int
    counts: Counter[str]


def generate(spec: Spec, version: Version, mode: str, plan: Plan, seen: Counter[str]) -> Generated:
    """The program of a plan. `seen` says how often earlier programs were to show each clause."""
    program = _Program(Writer(spec, version, mode, plan, seen))
    return program.racing() if plan.race else program.whole()


class _Program:
    def __init__(self, writer: Writer) -> None:
        self.writer, self.plan, self.random = writer, writer.plan, writer.random
        self.meanwhile = Meanwhile(writer)
        self.scenes = Scenes(writer, self.meanwhile.grants)
        self.everything = writer.operations
        self.two_level = [
            o for o in self.everything if not o.name.startswith("EVTCHNOP_init_control")
        ]
        self.aimed = _aimed(self.everything, self.plan.only)

    def whole(self) -> Generated:
        """All steps."""
        writer, plan = self.writer, self.plan
        queues = plan.number % 3 == 2  # FIFO comes late: what it leaves is less certain
        writer.begin()
        if not self.aimed:
            self.meanwhile.survey()
        self.scenes.rehearse()
        while writer.calls < plan.calls:
            self.episode()
            if queues and writer.calls > plan.calls * 0.7:
                self.scenes.clear()
                self.scenes.fifo(self.random.randrange(15, 50), self.everything)
        if plan.number % 6 == 2:
            self.scenes.pile()
            self.scenes.clear()
        takers = {op.name for op in self.scenes.takers}
        if plan.flood and (not self.aimed or any(op.name in takers for op in self.aimed)):
            self.scenes.flood()
        elif plan.number % 4 == 2:
            self.scenes.brink(self.random.choice(self.scenes.takers))
        writer.snapshot()
        self.meanwhile.last()
        return self.made()

    def racing(self) -> Generated:
        """All steps, of a program in which two vCPUs run."""
        self.writer.begin()
        Races(self.writer, self.scenes).all()
        return self.made()

    def made(self) -> Generated:
        """What has been written."""
        writer = self.writer
        gained = Counter({c: n - writer.start[c] for c, n in writer.counts.items()})
        return Generated(self.plan, Program(tuple(writer.steps)), writer.calls, +gained)

    def episode(self) -> None:
        """Some steps in one style, then back to no ports and clear words."""
        writer, random = self.writer, self.random
        among = self.two_level
        if random.random() < 0.25:  # few operations, so that they meet each other often
            some = [writer.drawer.weighted(among) for _ in range(7)]
            among = list({id(o): o for o in some if o.modelled}.values()) or self.two_level
        elif self.aimed or random.random() < _ALIKE:  # of one chapter, which no other disturbs
            about = chapter(random.choice(self.aimed or [o for o in among if o.modelled]))
            among = [o for o in among if chapter(o) == about]
        looks, asks = random.choice((0.03, 0.1, 0.3)), random.choice((0.02, 0.1))
        events = random.choice((0.03, 0.15))
        end = writer.calls + random.randrange(*_EPISODE)
        while writer.calls < min(end, self.plan.calls):
            if random.random() < events:
                self.meanwhile.any()
            else:
                eager = writer.calls < _EASY or random.random() < 0.25
                # What was asked for, among what it needs to be about something.
                aimed = self.aimed and random.random() < _AIMED
                told = writer.call(4 if eager else 1, self.aimed if aimed else among)
                if random.random() < asks:
                    writer.touched(told)
            if random.random() < looks:
                writer.snapshot()
        self.scenes.aim(tuple(self.aimed))
        self.scenes.audit()
        if random.random() < 0.8:
            self.scenes.clear()


def _aimed(operations: list[Operation], only: tuple[str, ...]) -> list[Operation]:
    """The operations that the clauses asked for are about."""

    def about(op: Operation) -> bool:
        clauses = {op.id, *clauses_of(op), *(e.clause for e in op.errors)}
        return any(fnmatchcase(c, p) for c in clauses for p in only)

    return [o for o in operations if only and about(o)]
