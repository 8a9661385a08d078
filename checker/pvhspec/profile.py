"""How often a guest crosses into the hypervisor, and what for: counted, not judged.

A crossing is an exit of the vCPU. What it was for is told by the event that belongs to it, a
hypercall or an access to a port, where the trace has one; where it has no exits, each of those is a
crossing. A guest operation is what the guest was about, whatever way its mode has for it: page
tables are changed by mmu_update in one, and in another by stores that nobody sees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pvhspec.backends.dispatch import Dispatch
from pvhspec.ir.ir import Spec
from pvhspec.names.gates import Version
from pvhspec.traces import Event
from pvhspec.traces.exits import exit_kind

__all__ = ["OPERATIONS", "Profile", "profile"]

#: Guest operations, with the hypercalls, commands of hypercalls, exits and devices they use.
OPERATIONS: dict[str, tuple[str, ...]] = {
    "change page tables": (
        "mmu_update", "update_va_mapping", "update_va_mapping_otherdomain", "mmuext_op",
    ),
    "switch address spaces, flush TLBs": ("cr", "tlb flush", "cache flush"),
    "load descriptors, stacks and registers": (
        "set_trap_table", "set_gdt", "update_descriptor", "stack_switch", "fpu_taskswitch",
        "set_segment_base", "set_debugreg", "get_debugreg", "iret", "descriptor table", "debug",
        "msr", "task switch",
    ),
    "take interrupts and faults": (
        "set_callbacks", "callback_op", "nmi_op", "interrupt window", "exception", "apic",
        "interrupt controller",
    ),
    "send and bind events": ("event_channel_op", "event_channel_op_compat"),
    "set timers, read clocks": (
        "set_timer_op", "vcpu_op 6", "vcpu_op 7", "vcpu_op 8", "vcpu_op 9", "clock read", "timer",
    ),
    "wait and yield": ("sched_op", "sched_op_compat", "halt", "pause"),
    "manage vCPUs": ("vcpu_op",),
    "share memory": ("grant_table_op",),
    "change the memory map": ("memory_op", "tmem_op", "second-stage fault"),
    "drive devices": ("physdev_op", "physdev_op_compat", "io", "pci", "serial line", "console_io"),
    "ask or choose what there is": ("xen_version", "vm_assist", "cpuid"),
    "make several calls at once": ("multicall",),
    "manage domains": (
        "platform_op", "sysctl", "domctl", "hvm_op", "dm_op", "xsm_op", "argo_op", "hypfs_op",
        "paging_domctl_cont", "kexec_op", "mca", "xenoprof_op", "xenpmu_op",
    ),
    "be interrupted by the host": ("interrupt", "preemption timer"),
}  # fmt: skip
_OPERATION = {what: name for name, found in OPERATIONS.items() for what in found}
_OTHER = "something else"

#: Hypercalls whose first argument is a command.
_WITH_COMMANDS = {12, 17, 18, 20, 21, 24, 28, 29, 30, 32, 33, 34, 37, 40, 42}
#: Devices of an IBM PC that a monitor may emulate, by their ports.
_PORTS = {
    "interrupt controller": (0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1),
    "timer": (0x40, 0x41, 0x42, 0x43, 0x61, 0x70, 0x71),
    "pci": tuple(range(0xCF8, 0xD00)),
    "serial line": (*range(0x3F8, 0x400), *range(0x2F8, 0x300)),
}
_DEVICE = {port: device for device, ports in _PORTS.items() for port in ports}
#: MSRs that are a clock's or the interrupt controller's: the TSC's, its deadline, x2APIC's.
_MSRS = {0x10: "timer", 0x6E0: "timer", 0x1B: "interrupt controller"}
_MSRS |= dict.fromkeys(range(0x800, 0x900), "interrupt controller")

#: Kinds of events that belong to an exit of the same kind.
_DETAILS = ("hypercall", "cpuid", "msr", "io", "cr")


@dataclass(slots=True)
class Profile:
    """What was counted. `crossings`: by kind, and what it was in particular; `operations`: the
    same by guest operation; `injected`: what came the other way, by kind and vector."""

    path: str
    title: str
    events: int = 0
    crossings: dict[str, Counter[str]] = field(default_factory=dict)
    operations: Counter[str] = field(default_factory=Counter)
    injected: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All crossings."""
        return sum(sum(found.values()) for found in self.crossings.values())


def profile(
    spec: Spec, path: str, title: str, place: tuple[Version, str], events: Iterable[Event]
) -> Profile:
    """Count the crossings of a trace of a release and mode."""
    count = _Count(spec, Profile(path, title), Dispatch(spec, *place))
    for event in events:
        count.add(event)
    return count.finished()


class _Count:
    def __init__(self, spec: Spec, found: Profile, dispatch: Dispatch) -> None:
        self._spec, self._found, self._dispatch = spec, found, dispatch
        # Exits whose event is still to come, by vCPU and kind.
        self._owing: Counter[tuple[int | None, int | None, str]] = Counter()

    def add(self, event: Event) -> None:
        """Count one event."""
        self._found.events += 1
        kind = event.kind
        who = (event.dom, event.vcpu, kind)
        if kind == "vmexit":
            kind = exit_kind(event)
            if kind in _DETAILS:
                self._owing[event.dom, event.vcpu, kind] += 1
            else:
                self._crossed(kind, _name_of_exit(event), _OPERATION.get(kind, _OTHER))
        elif kind in _DETAILS:
            if self._owing[who]:
                self._owing[who] -= 1
            self._crossed(kind, *self._told(event))
        elif kind in ("inject", "upcall"):
            what = str(event.get("what") or "") if kind == "inject" else "upcall"
            vector = event.get("vector")
            told = "vector not seen" if vector is None else f"vector {vector:#x}"
            self._found.injected.setdefault(what or "event", Counter())[told] += 1

    def finished(self) -> Profile:
        """What was counted, with the exits of which nobody told more."""
        for (_, _, kind), number in self._owing.items():
            if number:
                self._crossed(kind, "not told", _OPERATION.get(kind, _OTHER), number)
        self._owing.clear()
        return self._found

    def _crossed(self, kind: str, what: str, operation: str, number: int = 1) -> None:
        self._found.crossings.setdefault(kind, Counter())[what] += number
        self._found.operations[operation] += number

    def _told(self, event: Event) -> tuple[str, str]:
        """What it was in particular, and the guest operation it belongs to."""
        match event.kind:
            case "hypercall":
                return self._call(event)
            case "cpuid":
                leaf = event.get("leaf")
                return "leaf not seen" if leaf is None else f"leaf {leaf:#x}", _OPERATION["cpuid"]
            case "io":
                port = event.get("port")
                device = _DEVICE.get(port, "io")
                shown = "port not seen" if port is None else f"port {port:#x}"
                return f"{event.get('op') or 'access'} {shown}", _OPERATION.get(device, _OTHER)
            case "msr":
                index = event.get("index")
                device = _MSRS.get(index, "msr")
                shown = "not seen" if index is None else f"{index:#x}"
                return f"{event.get('op') or 'access'} {shown}", _OPERATION[device]
            case _:
                number = event.get("number")
                shown = "CR" if number is None else f"CR{number}"
                space = "cr" if number in (None, 3) else "descriptor table"
                return f"{event.get('op') or 'access'} {shown}", _OPERATION[space]

    def _call(self, event: Event) -> tuple[str, str]:
        number = event.get("nr")
        if number is None:
            return "number not seen", _OTHER
        known = self._spec.hypercalls.get(number)
        name = f"number {number}" if known is None else known.name
        args = event.get("args") or ()
        command = f"{name} {args[0] & 0xFFFFFFFF}" if args and args[0] is not None else name
        operation = _OPERATION.get(command, _OPERATION.get(name, _OTHER))
        op = self._dispatch.operation(number, args)
        if op is not None and op.number is not None and op.command is not None:
            return f"{name}: {op.name}", operation
        return command if number in _WITH_COMMANDS else name, operation


def _name_of_exit(event: Event) -> str:
    reason, code = event.get("reason"), event.get("code")
    if reason is not None:
        return str(reason)
    arch = event.get("arch")
    return "not told" if code is None else f"{arch or 'exit'} {code:#x}"
