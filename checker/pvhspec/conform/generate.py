"""Programs for the probe, generated from the specification, one boot's worth each.

A program is a row of episodes. Each begins where the last one ended: ports are closed by
EVTCHNOP_reset and the shared words cleared by stores, and what a reset leaves behind is known to
the model, so nothing has to be fresh for the verdict to be right. A boot costs more than a
thousand calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from pvhspec.backends.machine.draw import Drawer, offered
from pvhspec.backends.machine.model import Ask, Foretold, Model
from pvhspec.conform.render import step_of
from pvhspec.ir.ir import Op, Operation, Spec, Version
from pvhspec.programs import Layouts
from pvhspec.targets import steps as st
from pvhspec.targets.steps import Program, Step
from pvhspec.traces import Event

__all__ = ["Generated", "Plan", "generate"]

Width = Literal[32, 64]
_MEMORY_OP, _ADD_TO_PHYSMAP, _SELF = 12, 7, 0x7FF0
_PAGE_MSR = 0x40000000
_SHARED, _STUBS = 0, 0x4000  # places in the area
_EPISODE = (30, 160)  # steps of an episode
_AIMED = 0.6  # of the calls are of the operations that were asked for
_EASY = 300  # calls of a program before it looks for what is rare less often


@dataclass(frozen=True, slots=True)
class Plan:
    """What one boot is to be: all that a program's text hangs on."""

    seed: int
    number: int
    width: Width
    vcpus: int
    calls: int
    flood: bool
    latch: bool
    only: tuple[str, ...] = ()


@dataclass(slots=True)
class Generated:
    """A program and what it was expected to show."""

    plan: Plan
    program: Program
    calls: int
    counts: Counter[str]


def generate(spec: Spec, version: Version, mode: str, plan: Plan, seen: Counter[str]) -> Generated:
    """The program of a plan. `seen` says how often earlier programs were to show each clause."""
    return _Writer(spec, version, mode, plan, seen).program()


class _Writer:
    def __init__(
        self, spec: Spec, version: Version, mode: str, plan: Plan, seen: Counter[str]
    ) -> None:
        self.plan = plan
        self.random = Random(f"{plan.seed}/{plan.number}")
        exists = {"*": False} | {f"0,{v}": True for v in range(plan.vcpus)}
        self.model = Model(spec, version, mode, width=plan.width, given={"vcpu_exists": exists})
        self.layouts = Layouts(spec, plan.width)
        self.before = Counter(seen)
        operations = offered(self.model.spec, version, mode)
        self.drawer = Drawer(self.model, self.random, self.before, operations)
        self.two_level = [o for o in operations if not o.name.startswith("EVTCHNOP_init_control")]
        self.everything = operations
        self.aimed = _aimed(operations, plan.only)
        self.start = Counter(self.before)
        self.steps: list[Step] = []
        self.calls = 0
        self.layout = plan.width  # of shared_info, as the steps so far read it
        self.slots: dict[int, int] = {}  # port -> slot that holds it
        self.next_slot = 0
        self.page = False

    def program(self) -> Generated:
        self.begin()
        while self.calls < self.plan.calls:
            self.episode()
        if self.plan.number % 6 == 2:
            self.pile()
            self.clear()
        if self.plan.flood:
            self.flood()
        self.snapshot()
        gained = Counter({c: n - self.start[c] for c, n in self.before.items()})
        return Generated(self.plan, Program(tuple(self.steps)), self.calls, +gained)

    # ---- the frame -------------------------------------------------------------------------

    def begin(self) -> None:
        """Shared_info where the program can see it; for some, in the caller's own layout."""
        wide = self.plan.width == 64
        data = _SELF.to_bytes(2, "little") + bytes(22 if wide else 14)
        frame = st.Patch(16 if wide else 12, 8 if wide else 4, st.Area(_SHARED, 12))
        buffer = st.Buffer(data, (frame,))
        self.steps.append(st.Hypercall(_MEMORY_OP, (_ADD_TO_PHYSMAP, st.Buf(0)), (buffer,)))
        self.calls += 1
        self.layout = 64
        self.steps.append(st.UseSharedInfo(st.Area(_SHARED), 64))
        if self.plan.latch:
            self.fill_page()

    def episode(self) -> None:
        """Some steps in one style, then back to no ports and clear words."""
        fifo = self.plan.number % 3 == 2 and self.random.random() < 0.4
        among = self.everything if fifo else self.two_level
        narrow = self.random.random() < 0.25
        if narrow:  # few operations, so that they meet each other often
            among = list(
                {id(o): o for o in (self.drawer.weighted(among) for _ in range(7))}.values()
            )
            among = [o for o in among if o.modelled] or self.two_level
        looks = self.random.choice((0.03, 0.1, 0.3))
        events = self.random.choice((0.03, 0.15))
        end = self.calls + self.random.randrange(*_EPISODE)
        while self.calls < min(end, self.plan.calls):
            way = self.random.random()
            if way < events:
                self.other_event()
            else:
                eager = self.calls < _EASY or self.random.random() < 0.25
                # What was asked for, among what it needs to be about something.
                aimed = self.aimed and self.random.random() < _AIMED
                self.call(4 if eager else 1, self.aimed if aimed else among)
            if self.random.random() < looks:
                self.snapshot()
        self.snapshot()
        if self.random.random() < 0.8:
            self.clear()

    def clear(self) -> None:
        """Close all ports, and clear the words."""
        reset = self.layouts.operations.get("EVTCHNOP_reset")
        if reset is not None:
            self.ask(Ask(_same(self.everything, reset), {"dom": _SELF}))
        self.slots.clear()
        held = self.drawer.pools.bundles.holding
        for name in ("evtchn_pending", "evtchn_mask"):
            ports = sorted({i[1] for i in held(name, True) if i[0] == 0})
            for word in dict.fromkeys(p // self.layout for p in ports):
                self.store(name, word, "set", 0)
        for vcpu in range(self.plan.vcpus):
            self.store("evtchn_pending_sel", vcpu, "set", 0)
            self.store("evtchn_upcall_pending", vcpu, "set", 0)
        self.snapshot()

    def flood(self) -> None:
        """Operations again and again, until the ports are used up."""
        takers = [o for o in self.two_level if o.choices]
        left = 1100 if not self.model.cell("shared_info_64", 0) else 200
        for op in self.random.sample(takers, len(takers)):
            left -= self.repeat(op, left)
        for _ in range(40):
            self.call(2, takers)
        self.snapshot()

    def pile(self) -> None:
        """What can only be counted up is counted up until no more is taken."""
        fifo = next((o for o in self.everything if o.name == "EVTCHNOP_init_control"), None)
        if fifo is not None:
            self.ask(Ask(fifo, {"vcpu": 0, "offset": 0, "control_gfn": 0}))
        for op in self.everything:
            if any(isinstance(u.value, Op) and u.value.op == "add" for u in op.updates):
                self.repeat(op, 140)

    def repeat(self, op: Operation, most: int) -> int:
        """A call that succeeds, until it does not any more; how often it was made."""
        ask = self.good(op)
        for count in range(most):
            told = self.model.foretell(ask)
            if told is None:
                return count
            self.drawer.take(told)
            self.emit(ask, told)
            if told.code:
                return count + 1
        return most

    def good(self, op: Operation) -> Ask:
        """Arguments with which an operation succeeds, if some are found."""
        ask = self.drawer.call(op)
        for _ in range(60):
            told = self.model.foretell(ask)
            if told is not None and not told.code:
                break
            ask = self.drawer.call(op)
        return ask

    # ---- calls -----------------------------------------------------------------------------

    def call(self, tries: int, among: list[Operation]) -> None:
        ask, told = self.drawer.best(tries, among)
        self.emit(ask, told)

    def ask(self, ask: Ask) -> None:
        told = self.model.foretell(ask)
        if told is not None:
            self.drawer.take(told)
            self.emit(ask, told)

    def emit(self, ask: Ask, told: Foretold) -> None:
        """The step of a call, and what has to follow it."""
        step = self.step(ask, told)
        stub = self.page and not ask.cpl and 0 <= step.nr < 128 and step.nr != 23
        if stub and self.random.random() < 0.3:
            step = st.Hypercall(step.nr, step.args, step.buffers, step.saves, "page")
        self.steps.append(step)
        self.calls += 1
        self.follow_layout()

    def step(self, ask: Ask, told: Foretold) -> st.Hypercall:
        kinds = {slot.name: slot.type.name for slot in ask.op.slots}
        slots = {
            name: st.Slot(self.slots[value])
            for name, value in ask.values.items()
            if kinds.get(name) == "Port" and value in self.slots and self.random.random() < 0.5
        }
        return step_of(ask, self.layouts, self.saved(ask.op, told), slots)

    def saved(self, op: Operation, told: Foretold) -> tuple[int, str, bool] | None:
        """A slot for the port that a call is going to give."""
        if told.code or not op.choices or self.random.random() < 0.4:
            return None
        port = told.out.get(op.choices[0].var.name)
        field = next(
            (
                u.target
                for u in op.updates
                if u.target[:4] == "out." and u.value == op.choices[0].var
            ),
            None,
        )
        if port is None or field is None:
            return None
        slot = self.next_slot
        self.next_slot = (slot + 1) % st.SLOTS
        for old in [p for p, s in self.slots.items() if s == slot]:
            del self.slots[old]
        self.slots[port] = slot
        return slot, field.removeprefix("out."), False

    # ---- other events ------------------------------------------------------------------------

    def other_event(self) -> None:
        kinds: list[Callable[[], None]] = [
            self.touch, self.touch, self.touch, self.touch, self.window, self.window,
            self.cpuid, self.msr, self.stray,
        ]  # fmt: skip
        self.random.choice(kinds)()

    def snapshot(self) -> None:
        self.steps.append(st.Shared(self.plan.vcpus, self.layout))

    def touch(self) -> None:
        """The guest changes a shared word itself."""
        what = self.random.choices(("mask", "pending", "selector", "upcall"), (6, 3, 2, 2))[0]
        vcpu = self.random.randrange(self.plan.vcpus)
        width = self.layout
        if what == "upcall":
            self.store("evtchn_upcall_pending", vcpu, "set", self.random.randrange(2))
            return
        setting = self.random.random() < 0.55
        if what == "selector":
            full = (1 << width) - 1
            bit = 1 << self.random.choice((0, 0, 0, 1, width - 1))
            if self.random.random() < 0.5:
                self.store("evtchn_pending_sel", vcpu, "set", 0)
            else:
                self.store("evtchn_pending_sel", vcpu, "or" if setting else "and",
                           bit if setting else full ^ bit)  # fmt: skip
            return
        port = self.drawer.pools.bundles.of_kind("Port", self.random)
        if port is None or port >= width * width:
            port = self.random.randrange(12)
        bits = self.random.choice((1 << port % width, 1 << port % width, (1 << width) - 1))
        name: st.StoreWhat = "evtchn_mask" if what == "mask" else "evtchn_pending"
        value = bits if setting else ((1 << width) - 1) ^ bits
        self.store(name, port // width, "or" if setting else "and", value)

    def stray(self) -> None:
        """A store in the layout that is not in use, seen, and taken back."""
        if self.layout == 32 or self.random.random() < 0.8:
            return
        self.snapshot()
        word, value = self.random.randrange(4), 1 << self.random.randrange(32)
        for now in (value, 0):
            self.steps += [
                st.UseSharedInfo(st.Area(_SHARED), 32),
                st.Store("evtchn_mask", word, "set", now),
                st.UseSharedInfo(st.Area(_SHARED), 64),
            ]
            self.happen("store", {"what": "evtchn_mask", "index": word, "value": now, "width": 32})
            self.snapshot()

    def store(
        self, what: st.StoreWhat, index: int, op: Literal["or", "and", "set"], value: int
    ) -> None:
        """A store, and what it leaves in the word."""
        width = self.layout
        now = 0
        if what in ("evtchn_pending", "evtchn_mask"):
            cells = [self.model.cell(what, 0, index * width + b) for b in range(width)]
        elif what == "evtchn_pending_sel":
            cells = [self.model.cell(what, 0, index, b) for b in range(width)]
        else:
            cells = [self.model.cell(what, 0, index)]
        for bit, cell in enumerate(cells):
            now |= (cell is True) << bit
        now = now | value if op == "or" else now & value if op == "and" else value
        self.steps.append(st.Store(what, index, op, value))
        self.happen("store", {"what": what, "index": index, "value": now, "width": width})
        if what in ("evtchn_pending", "evtchn_mask"):
            for bit in range(width):
                at = (0, index * width + bit)
                if (cells[bit] is True) != bool(now >> bit & 1):
                    self.drawer.pools.bundles.note(what, at, bool(now >> bit & 1))

    def window(self) -> None:
        """Interrupts are let in."""
        keep = self.random.random() < 0.15
        self.steps.append(st.Window(self.random.choice((8, 64)), not keep, 4))
        if not keep and self.model.cell("callback_set", 0):
            self.happen("store", {"what": "evtchn_upcall_pending", "index": 0, "value": 0,
                                  "width": self.layout})  # fmt: skip

    def cpuid(self) -> None:
        leaf = self.random.choice((*range(0x40000000, 0x40000007), 0x400000FF, 0x40000100, 0, 1))
        self.steps.append(st.Cpuid(leaf, self.random.choice((0, 0, 1, 2, 3, 0xFFFFFFFF))))

    def msr(self) -> None:
        """Xen's MSRs, and no others."""
        way = self.random.random()
        index = _PAGE_MSR + self.random.choice((1, 2, 0x100, 0x1FF, 0x200, 0x2FF))
        if way < 0.25:
            self.steps.append(st.ReadMsr(_PAGE_MSR))
        elif way < 0.45:
            self.steps.append(st.ReadMsr(index))
        elif way < 0.6:
            self.steps.append(st.WriteMsr(index, self.random.randrange(3)))
        elif way < 0.75:
            low = self.random.choice((1, 2, 0x800, 0xFFF))
            self.steps.append(st.WriteMsr(_PAGE_MSR, st.Area(_STUBS + low)))
        elif way < 0.85:
            self.steps.append(st.WriteMsr(_PAGE_MSR, 1 << self.random.randrange(52, 64)))
        elif self.plan.latch:
            self.fill_page()

    def fill_page(self) -> None:
        """The hypercall page, which decides on the layout of shared_info, too."""
        page = st.Area(_STUBS)
        self.steps += [
            st.WriteMsr(_PAGE_MSR, page),
            st.Read(page, 4096, "hypercall_page"),
            st.UseHypercallPage(page),
        ]
        self.page = True
        self.happen("msr", {"op": "write", "index": _PAGE_MSR, "value": 0x1000000, "fault": False,
                            "width": self.plan.width})  # fmt: skip
        self.follow_layout()

    def happen(self, kind: str, fields: dict[str, Any]) -> None:
        event = Event(kind, 0, fields, dom=0, vcpu=0)
        self.drawer.counts.update(self.model.happen(event))

    def follow_layout(self) -> None:
        """Read shared_info as it is laid out now."""
        layout: Width = 64 if self.model.cell("shared_info_64", 0) else 32
        if layout != self.layout:
            self.layout = layout
            self.steps.append(st.UseSharedInfo(st.Area(_SHARED), layout))


def _same(operations: list[Operation], op: Operation) -> Operation:
    return next(o for o in operations if o.id == op.id)


def _aimed(operations: list[Operation], only: tuple[str, ...]) -> list[Operation]:
    """The operations that the clauses asked for are about."""
    from fnmatch import fnmatchcase

    def about(op: Operation) -> bool:
        clauses = {
            op.success,
            op.id,
            *(e.clause for e in op.errors),
            *(u.clause for u in op.updates),
        }
        return any(fnmatchcase(c, p) for c in clauses for p in only)

    return [o for o in operations if only and about(o)]
