"""Files like `xentrace` writes them, and the plainest way to read them, for comparison."""

from __future__ import annotations

import random
from collections import deque
from struct import pack, unpack_from

from pvhspec.traces.xentrace_cpu import LOST
from pvhspec.traces.xentrace_records import Record


def record(event: int, *words: int, tsc: int | None = None) -> bytes:
    """One record."""
    head = event | len(words) << 28 | (0 if tsc is None else 1 << 31)
    stamp = b"" if tsc is None else pack("<Q", tsc)
    return pack("<I", head) + stamp + pack(f"<{len(words)}I", *words)


def window(cpu: int, *parts: bytes) -> bytes:
    """One window of a CPU."""
    body = b"".join(parts)
    return record(0x1F003, cpu, len(body)) + body


def runs(dom: int, vcpu: int, tsc: int) -> bytes:
    """A vCPU begins to run."""
    return record(0x21101, dom << 16 | vcpu, tsc=tsc)


def stops(dom: int, vcpu: int, tsc: int, state: int = 2) -> bytes:
    """A vCPU stops running, and is blocked now."""
    return record(0x21001 | state << 4, dom << 16 | vcpu, tsc=tsc)


def lost(count: int, dom: int, vcpu: int, since: int, tsc: int) -> bytes:
    """Records were lost from `since` to `tsc`; this vCPU runs now."""
    return record(LOST, count, vcpu << 16 | dom, since & 0xFFFFFFFF, since >> 32, tsc=tsc)


class _Cpu:
    """One CPU of a made machine, with three vCPUs that run nowhere else."""

    def __init__(self, rng: random.Random, number: int) -> None:
        self.rng = rng
        self.clock = 10**12 + rng.randrange(1000)
        self.states = {(5, 3 * number): 1, (5, 3 * number + 1): 1, (32767, number): 0}
        self.who: tuple[int, int] | None = (32767, number)

    def tick(self) -> int:
        self.clock += self.rng.randrange(1, 400)
        return self.clock

    def step(self) -> list[bytes]:
        """A few records that belong together."""
        rng, tick = self.rng, self.tick
        if self.who is None:
            self.who = rng.choice(list(self.states))
            made = []
            if self.states[self.who] != 1:  # it wakes first
                change = 0x21011 | self.states[self.who] << 8
                made.append(record(change, self.who[0] << 16 | self.who[1], tsc=tick()))
            self.states[self.who] = 0
            return [*made, runs(*self.who, tsc=tick())]
        what = rng.randrange(9)
        if what == 0:
            who, self.who = self.who, None
            idle = who[0] == 32767
            self.states[who] = 1 if idle else rng.choice((1, 2, 3))
            return [stops(*who, tsc=tick(), state=self.states[who])]
        if what == 1:
            return [record(0x1F002, *(rng.getrandbits(32) for _ in range(rng.randrange(8))))]
        if what == 2:
            words = (rng.getrandbits(32) for _ in range(rng.randrange(8)))
            return [record(0x22FFF, *words, tsc=tick())]
        if what == 3 and rng.random() < 0.1:
            since = tick()
            return [lost(rng.randrange(1, 50), *self.who, since, tick())]
        if what < 5 or self.who[0] == 32767:
            return [record(0x802FFF, 1, 2, 3, tsc=tick())]
        if what == 5:
            return [record(0x82004, rng.randrange(256), 0), record(0x8200D, 0x8B, 1, 2)]
        code, rip = rng.choice((10, 18, 12)), 0xFFFFFFFF81000000 | 17 * 32 + 5
        made = [record(0x81102, code, rip & 0xFFFFFFFF, rip >> 32, tsc=tick())]
        if code == 18:
            made.append(record(0x82012, rng.choice((17, 24, 32))))
        if code == 10:
            made.append(record(0x8200E, 0x40000000, 0, 0x40000005, 1, 2, 3))
        return [*made, record(0x81001, tsc=tick())]


def some_file(seed: int, cpus: int = 4, rounds: int = 6) -> bytes:
    """Rounds of windows, as xentrace takes them from a machine of so many CPUs."""
    rng = random.Random(seed)
    machine = [_Cpu(rng, number) for number in range(cpus)]
    parts = []
    for turn in range(rounds):
        for number, cpu in enumerate(machine):
            if turn and rng.random() < 0.2:
                continue
            body = [part for _ in range(rng.randrange(1, 30)) for part in cpu.step()]
            parts.append(window(number, *body))
        now = max(cpu.clock for cpu in machine)
        for cpu in machine:
            cpu.clock = now + rng.randrange(1, 500)
    return b"".join(parts)


def ties(seed: int, cpus: int = 3, windows: int = 4) -> bytes:
    """Windows in which time often stands still, or goes backwards by what was lost."""
    rng = random.Random(seed)
    parts = []
    for turn in range(windows):
        for number in range(cpus):
            clock, body = 10 * turn, []
            for _ in range(rng.randrange(12)):
                clock += rng.choice((0, 0, 1, 2))
                body.append(record(0x22FFF, number, tsc=clock if rng.random() < 0.7 else None))
                if rng.random() < 0.1:
                    body.append(lost(1, 3, number, rng.randrange(clock + 1), clock))
            parts.append(window(number, *body))
    return b"".join(parts)


def plainly_merged(found: list[Record]) -> list[Record]:
    """The records of all CPUs in the order of time: always the first of the CPU that is furthest
    behind; of those that are equally far the one that was read last."""
    cpus = {record.cpu for record in found}
    queues = {cpu: deque(record for record in found if record.cpu == cpu) for cpu in cpus}
    read = {cpu: turn for turn, cpu in enumerate(sorted(queues))}
    merged = []
    while queues:
        cpu = min(queues, key=lambda c: (queues[c][0].order, -read[c]))
        merged.append(queues[cpu].popleft())
        read[cpu] = len(read) + len(merged)
        if not queues[cpu]:
            del queues[cpu]
    return merged


def plainly_read(data: bytes) -> list[Record]:
    """Every record of a whole file, each CPU's in its own order, CPUs one after the other."""
    pieces: dict[int, list[tuple[int, int]]] = {}
    at = 0
    while at < len(data):
        _, cpu, size = unpack_from("<III", data, at)
        pieces.setdefault(cpu, []).append((at + 12, at + 12 + size))
        at += 12 + size
    found = []
    for cpu, windows in pieces.items():
        dom: int | None = None
        vcpu: int | None = None
        order = tsc = 0
        for start, end in windows:
            at = start
            while at < end:
                (head,) = unpack_from("<I", data, at)
                begin, at = at, at + 4
                if head >> 31:
                    (order,) = (tsc,) = unpack_from("<Q", data, at)
                    at += 8
                size = 4 * (head >> 28 & 7)
                payload, at = data[at : at + size], at + size
                event = head & 0xFFFFFFF
                key = unpack_from("<Q", payload, 8)[0] if event == LOST else order
                found.append(Record(key, tsc, cpu, event, payload, dom, vcpu, begin))
                if event == LOST:
                    dom, vcpu = unpack_from("<HH", payload, 4)
                elif event >> 12 == 0x21:
                    if event >> 8 & 15 == 0:
                        dom = vcpu = None
                    if event >> 4 & 15 == 0:
                        vcpu, dom = unpack_from("<HH", payload)
    return found
