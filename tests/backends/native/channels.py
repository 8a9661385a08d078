"""Random traces of event channels: as Xen would have it, broken, and with parts that nobody saw."""

from __future__ import annotations

import random
import struct
from typing import Any

from pvhspec.traces import Complete, Event, Guest, Header, Hypervisor, Origin
from tests.backends.native.damage import KINDS, Made, hurt

__all__ = ["made"]

_ADDRESS = 0x101D000
_SELF = 0x7FF0
_EINVAL, _ENOENT, _EEXIST, _ESRCH, _EPERM = -22, -2, -17, -3, -1
_PER_VCPU = (0, 1, 7, 13)


class _Xen:
    """Event channels of one domain with two vCPUs, as far as these traces go."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.ports: dict[int, tuple[Any, ...]] = {}
        self.notify: dict[int, int] = {}
        self.pending: set[int] = set()
        self.mask: set[int] = set()
        self.selector: set[tuple[int, int]] = set()
        self.upcall: set[int] = set()
        self.events: list[Event] = []
        self.valid = 64

    # ---- events ---------------------------------------------------------------------------------

    def say(self, kind: str, vcpu: int = 0, **fields: Any) -> None:
        """Something happens."""
        self.events.append(Event(kind, len(self.events), fields, None, 0, vcpu))

    def call(self, command: int, before: bytes, ret: int, after: bytes | None = None) -> None:
        """An event channel operation."""
        self.say(
            "hypercall", self.rng.choice((0, 0, 0, 1)), width=64, cpl=0, via="page", nr=32,
            args=(command, _ADDRESS), ret=ret, arg_readable=True, arg_writable=True,
            **{"in": ((_ADDRESS, before),), "out": ((_ADDRESS, after or before),)},
        )  # fmt: skip

    # ---- what Xen does --------------------------------------------------------------------------

    def free(self) -> int:
        """The port that a new channel gets."""
        port = next(p for p in range(1, 4096) if p not in self.ports)
        if port >= self.valid:
            self.valid += 64
        return port

    def hit(self, port: int) -> None:
        """An event on a port."""
        if port in self.pending:
            return
        self.pending.add(port)
        if port not in self.mask:
            self.announce(port)

    def announce(self, port: int) -> None:
        """Its vCPU is told."""
        vcpu = self.notify.get(port, 0)
        if (vcpu, port >> 6) not in self.selector:
            self.selector.add((vcpu, port >> 6))
            self.upcall.add(vcpu)

    def port(self) -> int:
        """A port, mostly one that is open."""
        if self.ports and self.rng.random() < 0.9:
            return self.rng.choice(list(self.ports))
        return self.rng.choice((0, 1, 5, 63, 64, 70, 4095, 5000, 0x20000, 0xFFFFFFFF))

    # ---- steps ----------------------------------------------------------------------------------

    def bind_ipi(self) -> None:
        """EVTCHNOP_bind_ipi."""
        vcpu = self.rng.choice((0, 0, 1, 1, 2, 200))
        before = struct.pack("<II", vcpu, 0xEEEEEEEE)
        if vcpu > 1:
            self.call(7, before, _ENOENT)
            return
        port = self.free()
        self.ports[port], self.notify[port] = ("ipi",), vcpu
        self.call(7, before, 0, struct.pack("<II", vcpu, port))

    def alloc_unbound(self) -> None:
        """EVTCHNOP_alloc_unbound."""
        owner, peer = self.rng.choice((_SELF, 0, _SELF, 5)), self.rng.choice((_SELF, 0, 3))
        before = struct.pack("<HHI", owner, peer, 0)
        if owner == 5:
            self.call(6, before, _ESRCH)
            return
        port = self.free()
        self.ports[port] = ("unbound", 0 if peer == _SELF else peer)
        self.call(6, before, 0, struct.pack("<HHI", owner, peer, port))

    def bind_virq(self) -> None:
        """EVTCHNOP_bind_virq."""
        virq, vcpu = self.rng.choice((0, 1, 2, 9, 30)), self.rng.choice((0, 0, 1, 3))
        before = struct.pack("<III", virq, vcpu, 0)
        taken = any(
            c == ("virq", virq) and (virq not in _PER_VCPU or self.notify.get(p, 0) == vcpu)
            for p, c in self.ports.items()
        )
        if virq >= 24 or (virq not in _PER_VCPU and vcpu):
            self.call(1, before, _EINVAL)
        elif vcpu > 1:
            self.call(1, before, _ENOENT)
        elif taken:
            self.call(1, before, _EEXIST)
        else:
            port = self.free()
            self.ports[port], self.notify[port] = ("virq", virq), vcpu
            self.call(1, before, 0, struct.pack("<III", virq, vcpu, port))

    def interdomain(self) -> None:
        """EVTCHNOP_bind_interdomain, to a port of the domain itself."""
        far = self.port()
        before = struct.pack("<H2xII", _SELF, far, 0)
        if self.ports.get(far) != ("unbound", 0):
            self.call(0, before, _EINVAL)
            return
        port = self.free()
        self.ports[port], self.ports[far] = ("inter", far), ("inter", port)
        self.hit(port)
        self.call(0, before, 0, struct.pack("<H2xII", _SELF, far, port))

    def send(self) -> None:
        """EVTCHNOP_send."""
        port = self.port()
        bound = self.ports.get(port)
        good = bound is not None and bound[0] != "virq"
        if good and bound is not None and bound[0] == "ipi":
            self.hit(port)
        if good and bound is not None and bound[0] == "inter":
            self.hit(bound[1])
        self.call(4, struct.pack("<I", port), 0 if good else _EINVAL)

    def close(self) -> None:
        """EVTCHNOP_close."""
        port = self.port()
        bound = self.ports.pop(port, None)
        if bound is not None:
            if bound[0] == "inter" and bound[1] != port:
                self.ports[bound[1]] = ("unbound", 0)
            self.pending.discard(port)
            self.notify.pop(port, None)
        self.call(3, struct.pack("<I", port), _EINVAL if bound is None else 0)

    def unmask(self) -> None:
        """EVTCHNOP_unmask."""
        port = self.port()
        if port in self.mask and port in self.ports:
            self.mask.discard(port)
            if port in self.pending:
                self.announce(port)
        self.call(9, struct.pack("<I", port), 0 if port < self.valid else _EINVAL)

    def bind_vcpu(self) -> None:
        """EVTCHNOP_bind_vcpu, of ports that may have another vCPU."""
        port, vcpu = self.port(), self.rng.choice((0, 1, 4))
        before = struct.pack("<II", port, vcpu)
        bound = self.ports.get(port)
        if vcpu > 1:
            self.call(8, before, _ENOENT)
        elif bound is None or bound[0] == "ipi" or (bound[0] == "virq" and bound[1] in _PER_VCPU):
            self.call(8, before, _EINVAL)
        else:
            self.notify[port] = vcpu
            self.call(8, before, 0)

    def store(self) -> None:
        """The guest clears a word, or masks."""
        what = self.rng.choice(("pending", "mask", "pending_sel", "upcall_pending"))
        index, value = 0, 0
        if what == "pending":
            self.pending = {p for p in self.pending if p >= 64}
        elif what == "mask":
            value = self.rng.getrandbits(8)
            self.mask = {p for p in self.mask if p >= 64} | {p for p in range(8) if value >> p & 1}
        else:
            index = self.rng.choice((0, 1))
            if what == "pending_sel":
                self.selector = {(v, w) for v, w in self.selector if v != index}
            else:
                self.upcall.discard(index)
        self.say("store", width=64, what=f"evtchn_{what}", index=index, value=value)

    def look(self) -> None:
        """The guest reads the words."""
        pending, mask = (
            {0: sum(1 << p for p in ports if p < 64)} for ports in (self.pending, self.mask)
        )
        vcpus = {
            v: {"upcall_pending": int(v in self.upcall),
                "sel": sum(1 << w for x, w in self.selector if x == v)} for v in (0, 1)
        }  # fmt: skip
        self.say(
            "shared_info", width=64, pending=pending, mask=mask,
            vcpus=vcpus, all=max((0, *self.pending, *self.mask)) < 64,
        )  # fmt: skip

    def other(self) -> None:
        """Something that has nothing to do with ports."""
        which = self.rng.randrange(6)
        if which == 0:
            self.say("cpuid", leaf=0x40000000, subleaf=0, eax=0x40000005, ebx=0x566E6558,
                     ecx=0x65584D4D, edx=0x4D4D566E)  # fmt: skip
        elif which == 1:
            self.say("note", text="a note")
        elif which == 2:
            self.say("interruptible", vcpu=self.rng.choice((0, 1)))
        elif which == 3:
            self.say("hypercall", width=64, cpl=0, nr=17, args=(0, 0), ret=0x40011)
        elif which == 4:
            self.say("hypercall", width=64, cpl=0, nr=63, args=(), ret=-38)
        else:
            self.say("hypercall", width=64, cpl=0, nr=29, args=(0, 0), ret=0)


_STEPS = (
    ("bind_ipi", 5), ("alloc_unbound", 3), ("bind_virq", 1), ("interdomain", 2), ("send", 9),
    ("close", 4), ("unmask", 2), ("bind_vcpu", 1), ("store", 3), ("look", 1), ("other", 1),
)  # fmt: skip


def made(seed: int, length: int = 40) -> Made:
    """A trace: a third as it should be, a third broken, a third with parts missing."""
    rng = random.Random(seed)
    xen = _Xen(rng)
    names, weights = zip(*_STEPS, strict=True)
    plain = rng.random() < 0.3  # nothing from outside
    for _ in range(rng.randrange(3, length)):
        name = rng.choices(names, weights)[0]
        if plain and name in ("bind_virq", "bind_vcpu"):
            continue
        getattr(xen, name)()
    header = Header(
        origin=Origin("test", "tests"), synthetic=True, hypervisor=Hypervisor("xen", "4.17.7"),
        guest=Guest("pvh_dom0"), cpu_vendor="AuthenticAMD", from_boot=True,
        complete=Complete(True, True, True, True, rng.random() < 0.8),
        given={
            "domain_exists": {"*": False, "0": True}, "domain_privileged": {"*": False, "0": True},
            "domain_paused": {"*": False}, "max_evtchn_port": {"0": 0x7FFFFFFF},
            "vcpu_exists": {"*": False, "0,0": True, "0,1": True}, "xen_attached": {"*": False},
            "virq_handler": {"*": 0}, "nr_pirqs": {"0": 208},
        },
    )  # fmt: skip
    if rng.random() < 0.5:
        header = header._replace(given={**header.given, "memory_to_spare": {"*": True}})
    return hurt(Made(header, xen.events), KINDS[seed % 3], rng)
