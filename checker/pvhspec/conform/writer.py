"""Writing a program down while foretelling what it does: calls, stores, and looks at what is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from pvhspec.backends.machine.draw import Drawer, offered
from pvhspec.backends.machine.guard import guarded
from pvhspec.backends.machine.model import Ask, Foretold, Model, chosen_field
from pvhspec.conform.render import area_frame, own_area, step_of
from pvhspec.ir.ir import Operation, Spec, Version
from pvhspec.programs import Layouts
from pvhspec.programs.shared import fill_page
from pvhspec.targets import steps as st
from pvhspec.targets.steps import Step
from pvhspec.traces import Event
from pvhspec.types.types import EnumType

__all__ = ["SELF", "SHARED", "STUBS", "Plan", "Width", "Writer"]

Width = Literal[32, 64]
SELF = 0x7FF0  # DOMID_SELF
PAGE_MSR = 0x40000000
SHARED, STUBS = 0, 0x4000  # places in the area: shared_info
_IRET = 23
_TASK_PRIORITY = 0x80  # a register of the local APIC
_VCPU_INFO, _TIME_AT, _TIME_SIZE = 64, 32, 32  # sizes, and where in vcpu_info the time is
_WALLCLOCKS: dict[int, tuple[int, int]] = {64: (0xC00, 16), 32: (0x900, 40)}  # where, how long
_EARLY = 200_000_000  # ns of system time that are over when a program begins


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
    race: bool = False  # two vCPUs make calls at the same time


class Writer:
    """The steps so far, and the model that has made them, too. `counts` says how often each clause
    was foretold, in this program and in those before it."""

    def __init__(
        self, spec: Spec, version: Version, mode: str, plan: Plan, seen: Counter[str]
    ) -> None:
        self.plan = plan
        self.where = version, mode
        self.random = Random(f"{plan.seed}/{plan.number}")
        exists = {"*": False} | {f"0,{v}": True for v in range(plan.vcpus)}
        given: dict[str, dict[str, Any]] = {"vcpu_exists": exists}
        given["frame"] = {f"0,{page}": "ram" for page in st.SPARE_FRAMES} | {"*": "no_page"}
        self.model = Model(spec, version, mode, width=plan.width, given=given)
        self.layouts = Layouts(spec, plan.width)
        self.counts = Counter(seen)
        self.start = Counter(seen)
        self.operations = offered(self.model.spec, version, mode)
        self.drawer = Drawer(self.model, self.random, self.counts, self.operations)
        self.steps: list[Step] = []
        self.calls = 0
        self.layout: Width = plan.width  # of shared_info, as the steps so far read it
        self.slots: dict[
            tuple[str, int], int
        ] = {}  # a type and a value of it -> slot that holds it
        self.next_slot = 0
        self.vcpu_info: dict[int, int] = {}  # where it is in the area, if no more in shared_info
        self.page = False
        self.succeeded: dict[str, Ask] = {}  # the last call of an operation that was to succeed
        self.disturbed: set[str] = set()  # states that calls may have changed unseen
        self.clocks = 0  # how often the time was read
        kind = self.model.spec.states["frame"].type if "frame" in self.model.spec.states else None
        self.plain_frames: tuple[Any, ...] = ()
        if isinstance(kind, EnumType):
            self.plain_frames = tuple((kind.index(name),) for name in ("no_page", "ram"))

    def offers(self, clause: str) -> bool:
        """Whether this release and mode have a clause."""
        found = self.model.spec.clauses.get(clause)
        return found is None or found.gate.open(*self.where)

    def named(self, name: str) -> Operation | None:
        """The operation of a name, if there is one here."""
        return next((o for o in self.operations if o.name == name), None)

    def begin(self) -> None:
        """Shared_info where the program can see it; for some, in the caller's own layout."""
        self.place(0, 0, SHARED)
        self.steps.append(st.UseSharedInfo(st.Area(SHARED)))
        if self.plan.width != 64:
            self.steps.append(st.UseSharedInfo(st.Area(SHARED), 64))
        self.layout = 64
        if self.plan.latch:
            self.fill_page()

    # ---- calls -----------------------------------------------------------------------------

    def call(self, tries: int, among: list[Operation]) -> Foretold:
        """The call of a few that shows the rarest clause."""
        ask, told = self.drawer.best(tries, among)
        self.emit(ask, told)
        return told

    def ask(self, ask: Ask) -> Foretold | None:
        """A call, if it can be foretold."""
        told = self.model.foretell(ask)
        if told is not None:
            self.drawer.take(told)
            self.emit(ask, told)
        return told

    def varied(self, op: Operation) -> Ask:
        """A call that is like one that succeeded but for a value or two; or any."""
        fresh, last = self.drawer.call(op), self.succeeded.get(op.name)
        if last is None or not fresh.values or self.random.random() < 0.5:
            return fresh
        changed = self.random.sample(sorted(fresh.values), min(len(fresh.values), self._few()))
        values = {**last.values, **{name: fresh.values[name] for name in changed}}
        arrays = fresh.arrays if self.random.random() < 0.5 else last.arrays
        like = Ask(op, values, fresh.memory, fresh.cpl, fresh.number, arrays)
        return guarded(like, self.model, self.random)

    def _few(self) -> int:
        return self.random.choice((1, 1, 2))

    def emit(self, ask: Ask, told: Foretold) -> None:
        """The step of a call, and what has to follow it."""
        step = self._step(ask, told)
        stub = self.page and not ask.cpl and 0 <= step.nr < 128 and step.nr != _IRET
        if stub and self.random.random() < 0.3:
            step = st.Hypercall(step.nr, step.args, step.buffers, step.saves, "page")
        self.steps.append(step)
        self.calls += 1
        self._follow_mappings(ask, told)
        self.disturbed.update(ask.op.disturbs)
        self.disturbed.update(state for state, _ in told.path.writes if state == "grant_version")
        if not told.code and ask.op.number is not None:
            self.succeeded[ask.op.name] = ask
        if ask.op.name == "VCPUOP_register_vcpu_info" and not told.code:
            at = own_area(ask.values["vcpuid"]) + ask.values["offset"]
            self.steps.append(st.UseVcpuInfo(ask.values["vcpuid"], st.Area(at)))
            self.vcpu_info[ask.values["vcpuid"]] = at
        self.follow_layout()
        moved = any(state == "shared_info_at" for state, _ in told.path.writes)
        if moved and self.model.cell("shared_info_at", 0) != area_frame(SHARED):
            self.place(0, 0, SHARED)

    def _follow_mappings(self, ask: Ask, told: Foretold) -> None:
        """What is mapped where; for letting it go."""
        model, at = self.model, ask.values.get("host_addr", 0)
        if ask.op.name == "GNTTABOP_map_grant_ref":
            model.mapped.append(at)
            chosen = chosen_field(ask.op)
            if not told.code and chosen is not None and chosen[0] in told.out:
                model.held[told.out[chosen[0]]] = at, ask.values["ref"]
        elif ask.op.name == "GNTTABOP_unmap_grant_ref" and not told.code and at:
            model.held.pop(ask.values["handle"], None)

    def _step(self, ask: Ask, told: Foretold) -> st.Hypercall:
        kinds = {slot.name: slot.type.name for slot in ask.op.slots}
        slots = {
            name: st.Slot(self.slots[kinds[name] or "", value])
            for name, value in ask.values.items()
            if (kinds.get(name), value) in self.slots and not self._plainly(kinds[name])
        }
        return step_of(ask, self.layouts, self._saved(ask, told), slots)

    def _saved(self, ask: Ask, told: Foretold) -> tuple[int, str, bool] | None:
        """A slot for what Xen is going to choose."""
        chosen = chosen_field(ask.op)
        if told.code or chosen is None or self._plainly(chosen[1]):
            return None
        if ask.memory == "unreadable" or ask.op.pointer in ask.values:  # nothing is written to it
            return None
        variable, kind, field = chosen
        if variable not in told.out:
            return None
        slot = self.next_slot
        self.next_slot = (slot + 1) % st.SLOTS
        self.slots = {known: s for known, s in self.slots.items() if s != slot}
        self.slots[kind, told.out[variable]] = slot
        return slot, field, False

    def _plainly(self, kind: str | None) -> bool:
        """Whether a value is given as a number: Xen gives the lowest port, else nobody knows."""
        return kind == "Port" and self.random.random() < 0.4

    def forget(self, kind: str) -> None:
        """What slots hold of a kind is over."""
        self.slots = {known: s for known, s in self.slots.items() if known[0] != kind}

    # ---- looking -----------------------------------------------------------------------------

    def snapshot(self) -> None:
        """All shared words."""
        self.steps.append(st.Shared(self.plan.vcpus, self.layout))

    def status(self, port: int) -> None:
        """What Xen says a port is bound to."""
        op = self.named("EVTCHNOP_status")
        if op is not None:
            self.ask(Ask(op, {"dom": SELF, "port": port}))

    def touched(self, told: Foretold) -> None:
        """What Xen says of the ports that a call has changed."""
        ports = {i[1]: None for (s, i) in told.path.writes if s in ("channel", "notify")}
        for port in list(ports)[:3]:
            self.status(port)
        pages = {i[1]: None for (s, i) in told.path.writes if s == "frame"}
        for gfn in [g for g in pages if g in st.SPARE_FRAMES][:3]:
            self.touch(gfn)

    def touch(self, gfn: int) -> None:
        """What is at a frame number, if it is memory or nothing: a store shows it."""
        what = self.model.cell("frame", 0, gfn)
        if what in self.plain_frames:
            value = self.random.getrandbits(64)
            self.steps.append(st.Touch(gfn, value))
            after = value if what == self.plain_frames[1] else (1 << 64) - 1
            self.happen("touch", {"gfn": gfn, "stored": value, "after": after, "fault": False})

    def clock(self, vcpu: int) -> None:
        """What time it is: the copy in a vCPU's vcpu_info. The model takes it to be early."""
        at = self.vcpu_info.get(vcpu, SHARED + vcpu * _VCPU_INFO) + _TIME_AT
        self.steps.append(st.Read(st.Area(at), _TIME_SIZE, f"vcpu_time_info {vcpu}"))
        self.clocks += 1
        now = {"version": 2 * self.clocks, "tsc_timestamp": self.clocks, "system_time": _EARLY}
        self.happen("time", {"of": vcpu, **now})

    def wallclock(self) -> None:
        """When Xen started, in shared_info: a time that stays, for all that the model knows."""
        at, size = _WALLCLOCKS[64 if self.model.cell("shared_info_64", 0) else 32]
        self.steps.append(st.Read(st.Area(SHARED + at), size, "wallclock"))
        self.clocks += 1
        self.happen("wallclock", {"version": 2 * self.clocks, "second": 0, "nanosecond": 0})

    def window(self, spins: int, *, clear: bool, limit: int) -> None:
        """Interrupts are let in; what is taken, by the model."""
        self.steps.append(st.Window(spins, clear, limit))
        vector = self.model.cell("upcall_vector", 0, 0)
        if vector and self.model.cell("requested", 0, 0, vector):
            if self.model.cell("lapic_on", 0, 0) and not self.model.cell("lapic_priority", 0, 0):
                self.happen("upcall", {"vector": vector})
        elif clear and self.model.cell("callback_set", 0):
            self.happen("store", {"what": "evtchn_upcall_pending", "index": 0, "value": 0,
                                  "width": self.layout})  # fmt: skip
        self.happen("interruptible", {})

    def apic(self, register: int, value: int) -> None:
        """A register of the local APIC is written. No priority is the class of a vector that may
        have been chosen: QEMU then tells Xen at once, and for ever, that it could be delivered."""
        if register == _TASK_PRIORITY and 3 <= value >> 4 < 7:
            value = 0x70
        self.steps.append(st.Apic(register, value))
        self.happen("apic", {"register": register, "value": value})

    def open_ports(self) -> list[int]:
        """The ports that something is bound to."""
        cells = self.drawer.pools.bundles.not_zero("channel")
        return sorted(port for domain, port in cells if not domain)

    # ---- stores ------------------------------------------------------------------------------

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

    def place(self, space: int, index: int, page: int) -> None:
        """A page of Xen's is put into the area, wherever it is."""
        op = self.named("XENMEM_add_to_physmap")
        if op is not None:
            gpfn = area_frame(page)
            self.ask(Ask(op, {"domid": SELF, "space": space, "idx": index, "gpfn": gpfn}))

    def fill_page(self) -> None:
        """The hypercall page, which decides on the layout of shared_info, too."""
        self.steps += fill_page(STUBS)
        self.page = True
        self.happen("msr", {"op": "write", "index": PAGE_MSR, "value": 0x1000000, "fault": False,
                            "width": self.plan.width})  # fmt: skip
        self.follow_layout()

    def happen(self, kind: str, fields: dict[str, Any]) -> None:
        """Go on to the state after an event that is no call."""
        event = Event(kind, 0, fields, dom=0, vcpu=0)
        self.counts.update(self.model.happen(event))

    def follow_layout(self) -> None:
        """Read shared_info as it is laid out now."""
        layout: Width = 64 if self.model.cell("shared_info_64", 0) else 32
        if layout != self.layout:
            self.layout = layout
            self.steps.append(st.UseSharedInfo(st.Area(SHARED), layout))
