"""What the probe wrote, as the events of traces/format.md.

Records are taken one at a time from chunks of any size. Output that stops anywhere gives every
whole record before that point; the last event is always `end`, with reason `cut` where the probe
did not say so itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pvhspec.targets import wire
from pvhspec.targets.clocks import clock_event
from pvhspec.targets.ringing import ring_event
from pvhspec.targets.steps import (
    AREA_SIZE,
    BUFFER_SPACE,
    Area,
    Buf,
    Hypercall,
    Note,
    Program,
    Read,
    ReadOnly,
    Step,
    Unreadable,
)  # fmt: skip
from pvhspec.targets.wire import Record

Event = dict[str, Any]
_MAX_PAYLOAD = 1 << 25  # bytes; anything longer is not a record


#: The kind of what is no event of a trace: from here on it is the other domain's turn.
TURN = "turn"

#: What the label of a read begins with that tells of an entry of a grant table.
GRANT_LABEL = "grant entry: "


#: The kinds of events that a run of the probe can show, beside the note on how it ended.
RECORDED = frozenset({
    "apic", "cpuid", "entry", "fifo_words", "grant_entry", "grant_status", "hypercall",
    "hypercall_page", "image", "interruptible", "mem", "msr", "note", "shared_info", "store",
    "time", "touch", "upcall", "wallclock",
})  # fmt: skip


@dataclass(slots=True)
class _Call:
    """A call that has been announced and has not returned yet."""

    event: Event
    ranges: list[tuple[int, bytes]]


@dataclass(slots=True)
class Decoder:
    """Turns the probe's output into events. After the first record `vendor` and `width` are known.

    `dom` is put into every event where it is given; `name` names the source in `origin`. An event
    that a step of the program caused also carries that step's index, `step`.
    """

    program: Program = field(default_factory=Program)
    dom: int | None = None
    name: str = "guest.out"
    vendor: str | None = None
    width: int | None = None
    finished: bool = False  #: the probe said it was done
    _seq: int = 0
    frames: tuple[int, int] | None = None  #: of the buffers and the area: the first, the one after
    _scratch_to_alias: int = 0
    _calls: dict[int, _Call] = field(default_factory=dict)
    _crash: str = ""

    def events(self, chunks: Iterable[bytes]) -> Iterator[Event]:
        """All events of one run, `end` last."""
        racing: list[Event] = []  # calls of two vCPUs, held back until all are there
        entry: Event | None = None  # held back until the memory it points to has been given
        reason, text = "cut", "the output stops before the probe said it was done"
        for kind, flags, vcpu, step, tsc, payload, offset in _records(chunks):
            if kind == Record.END:
                self.finished = True
                crashed = int.from_bytes(payload[:4], "little") != 0
                reason, text = ("crash", self._crash) if crashed else ("shutdown", "")
                break
            try:
                fields = _HANDLERS[kind](self, flags, vcpu, self._step(step), payload, tsc)
                if fields is not None and step != wire.NO_STEP:
                    fields["step"] = step
            except (KeyError, IndexError, ValueError, OverflowError, struct.error):
                text = f"the output is not a record of the probe at byte {offset}"
                break
            if fields is None:
                continue
            event = self._event(fields, vcpu, tsc, offset)
            if "end" in event:
                racing.append(event)
                continue
            yield from self._numbered(*_in_order(racing))
            if kind == Record.ENTRY:
                entry = event
            elif entry is not None and not (kind == Record.MEM and flags):
                yield from self._numbered(entry, event)
                entry = None
            else:
                yield from self._numbered(event)
        yield from self._numbered(entry, *_in_order(racing))
        for vcpu, call in sorted(self._calls.items()):
            yield from self._numbered(self._event(call.event, vcpu, None, None))
        end: Event = {"kind": "end", "reason": reason}
        if text:
            end["text"] = text
        yield from self._numbered(self._event(end, None, None, None))

    def _numbered(self, *events: Event | None) -> Iterator[Event]:
        for event in events:
            if event is not None:
                event["seq"] = self._seq
                self._seq += 1
                yield event

    def _step(self, number: int) -> Step | None:
        return self.program.steps[number] if number < len(self.program.steps) else None

    def _event(self, fields: Event, vcpu: int | None, ts: int | None, at: int | None) -> Event:
        event: Event = {"kind": fields["kind"], "seq": 0}
        if ts is not None:
            event["ts"] = ts
        if self.dom is not None and vcpu is not None:
            event["dom"] = self.dom
        if vcpu is not None:
            event["vcpu"] = vcpu
        if at is not None:
            event["origin"] = f"{self.name}@{at}"
        event.update(fields)
        return event

    # One method a record: the event's fields, or None where the record is none by itself.

    def hello(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> None:
        width, _, vendor, scratch, _, alias, _ = wire.HELLO.unpack(payload)
        self.width = width
        self.vendor = vendor.decode("ascii", "replace").rstrip("\0")
        self._scratch_to_alias = alias - scratch
        self.frames = scratch >> 12, (scratch + BUFFER_SPACE + AREA_SIZE) >> 12

    def entry(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        state = dict(zip(wire.ENTRY_WORDS, wire.ENTRY.unpack(payload), strict=True))
        state["efer"] = state["efer_hi"] << 32 | state["efer_lo"]
        selectors = ("cs", "ds", "es", "ss", "fs", "gs", "ldtr", "tr")
        registers = (*wire.ENTRY_WORDS[:8], "eip", "eflags", "cr0", "cr2", "cr3", "cr4", "efer",
                     "dr6", "dr7")  # fmt: skip
        return {
            "kind": "entry",
            "view": "guest",
            "regs": {name: hex(state[name]) for name in registers},
            "segs": {name: {"sel": hex(state[name])} for name in selectors},
            "gdtr": {"base": hex(state["gdt_base"]), "limit": hex(state["gdt_limit"])},
            "idtr": {"base": hex(state["idt_base"]), "limit": hex(state["idt_limit"])},
        }

    def mem(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        what = step.what if isinstance(step, Read) and not flags else wire.LABELS[flags]
        if what.startswith(GRANT_LABEL):
            return _granted(what.removeprefix(GRANT_LABEL), payload[8:])
        if (ring := ring_event(what, payload[8:])) is not None:
            return ring
        gpa = int.from_bytes(payload[:8], "little")
        if (clock := clock_event(what, payload[8:], vcpu, ts)) is not None:
            return clock
        kind = "hypercall_page" if what == "hypercall_page" else "mem"
        event: Event = {"kind": kind, "view": "guest", "gpa": hex(gpa), "bytes": payload[8:].hex()}
        if what == "hypercall_page":
            event["kind"] = what
        elif what:
            event["what"] = what
        return event

    def cpuid(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        names = ("leaf", "subleaf", "eax", "ebx", "ecx", "edx")
        values = zip(names, wire.CPUID.unpack(payload), strict=True)
        return {"kind": "cpuid", **{name: hex(value) for name, value in values}}

    def msr(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        is_write, fault, index, value = wire.MSR.unpack(payload)
        event: Event = {"kind": "msr", "width": self.width, "op": "write" if is_write else "read"}
        event["index"] = hex(index)
        if is_write or not fault:
            event["value"] = hex(value)
        event["fault"] = bool(fault)
        return event

    def call(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> None:
        nr, by_page, cpl, args, buffers = wire.CALL_OUT.unpack_from(payload)
        at = wire.CALL_OUT.size
        values = []
        for _ in range(args):
            values.append(int.from_bytes(payload[at : at + 8], "little"))
            at += 8
        ranges = []
        for _ in range(buffers):
            address, length = wire.RANGE.unpack_from(payload, at)
            at += wire.RANGE.size
            ranges.append((address, payload[at : at + length]))
            at += length
        event: Event = {
            "kind": "hypercall",
            "width": self.width,
            "cpl": cpl,
            "via": "page" if by_page else "direct",
            "nr": nr,
            "args": [hex(value) for value in values],
            "ts_call": ts,
        }
        if isinstance(step, Hypercall):
            event.update(_reach(step))
            ranges = self._through_alias(step, ranges)
        event["in"] = [[hex(address), data.hex()] for address, data in ranges]
        self._calls[vcpu] = _Call(event, ranges)

    def order(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> None:
        event = self._calls[vcpu].event
        event["begin"], event["end"] = wire.ORDER.unpack(payload)

    def returned(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        call = self._calls.pop(vcpu)
        fault, clobbered, value = wire.RETURN.unpack_from(payload)
        changed = payload[wire.RETURN.size : wire.RETURN.size + len(call.ranges)]
        at = wire.RETURN.size + len(call.ranges)
        event = call.event
        if fault:
            return {**event, "fault": fault - 1}
        event["ret"] = value - (1 << 64) if value >> 63 else value
        out = []
        for (address, before), differs in zip(call.ranges, changed, strict=True):
            after = payload[at : at + len(before)] if differs else before
            at += len(before) if differs else 0
            out.append([hex(address), after.hex()])
        event["out"] = out
        names = wire.ARGUMENT_NAMES[self.width or 32]
        event["clobbered"] = [name for bit, name in enumerate(names) if clobbered >> bit & 1]
        return event

    def _through_alias(
        self, step: Hypercall, ranges: list[tuple[int, bytes]]
    ) -> list[tuple[int, bytes]]:
        """Ranges at the addresses the call was given: a read-only buffer is seen at its alias."""
        aliased = {argument.index for argument in step.args if isinstance(argument, ReadOnly)}
        return [
            (address + self._scratch_to_alias if number in aliased else address, data)
            for number, (address, data) in enumerate(ranges)
        ]

    def shared(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        pending: dict[str, str] = {}
        mask: dict[str, str] = {}
        vcpus: dict[str, dict[str, Any]] = {}
        for what, index, value in wire.SHARED_WORD.iter_unpack(payload):
            if what < 2:
                (pending, mask)[what][str(index)] = hex(value)
            elif what == 2:
                vcpus.setdefault(str(index), {})["sel"] = hex(value)
            else:
                name = ("upcall_pending", "upcall_mask")[what - 3]
                vcpus.setdefault(str(index), {})[name] = value
        return {"kind": "shared_info", "width": flags, "pending": pending, "mask": mask,
                "vcpus": vcpus, "all": True}  # fmt: skip

    def fifo(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        words: dict[str, str] = {}
        blocks: dict[str, dict[str, Any]] = {}
        ports = 0
        for what, index, value in wire.SHARED_WORD.iter_unpack(payload):
            match wire.SHARED_WHAT[what]:
                case "fifo_word":
                    words[str(index)] = hex(value)
                case "fifo_ready":
                    blocks[str(index)] = {"ready": hex(value), "heads": {}}
                case "fifo_head":
                    blocks[str(index // 16)]["heads"][str(index % 16)] = value
                case _:
                    ports = value
        return {"kind": "fifo_words", "ports": ports, "words": words, "blocks": blocks}

    def turn(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        return {"kind": TURN}

    def apic(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        register, value = wire.APIC.unpack(payload)
        return {"kind": "apic", "register": hex(register), "value": hex(value)}

    def store(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        what, index, value = wire.SHARED_WORD.unpack(payload)
        return {"kind": "store", "what": wire.SHARED_WHAT[what], "width": flags, "index": index,
                "value": hex(value)}  # fmt: skip

    def touch(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        gfn, before, stored, after, fault = wire.TOUCH.unpack(payload)
        event: Event = {"kind": "touch", "gfn": hex(gfn), "fault": bool(fault)}
        if not fault:
            event |= {"before": hex(before), "stored": hex(stored), "after": hex(after)}
        return event

    def upcall(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        return {"kind": "upcall", "vector": int.from_bytes(payload[:4], "little")}

    def window(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        return {"kind": "interruptible"}

    def crash(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        vector, error, ip, address = wire.CRASH.unpack(payload)
        self._crash = (
            f"the probe took exception {vector}, error code {error:#x}, at {ip:#x}, "
            f"cr2 {address:#x}"
        )
        return {"kind": "note", "text": self._crash}

    def note(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        text = step.text if isinstance(step, Note) and not flags else wire.REMARKS[flags]
        self._crash = text  # where the probe ends itself, it has just said why
        return {"kind": "note", "text": text}

    def fault(self, flags: int, vcpu: int, step: Step | None, payload: bytes, ts: int) -> Event:
        return {"kind": "note", "text": f"memory not there: exception {payload[0]}"}


_Handler = Callable[[Decoder, int, int, Step | None, bytes, int], Event | None]
_HANDLERS: dict[int, _Handler] = {
    Record.HELLO: Decoder.hello,
    Record.ENTRY: Decoder.entry,
    Record.MEM: Decoder.mem,
    Record.CPUID: Decoder.cpuid,
    Record.MSR: Decoder.msr,
    Record.CALL: Decoder.call,
    Record.RETURN: Decoder.returned,
    Record.SHARED: Decoder.shared,
    Record.STORE: Decoder.store,
    Record.UPCALL: Decoder.upcall,
    Record.WINDOW: Decoder.window,
    Record.CRASH: Decoder.crash,
    Record.NOTE: Decoder.note,
    Record.FAULT: Decoder.fault,
    Record.ORDER: Decoder.order,
    Record.FIFO: Decoder.fifo,
    Record.APIC: Decoder.apic,
    Record.TOUCH: Decoder.touch,
    Record.TURN: Decoder.turn,
}


def _granted(label: str, data: bytes) -> Event:
    """An entry of a grant table, in version 1 or 2, or the status word of one."""
    what, _, ref = label.partition(" ")
    if what == "status":
        return {
            "kind": "grant_status",
            "ref": int(ref),
            "status": hex(int.from_bytes(data, "little")),
        }
    event: Event = {"kind": "grant_entry", "ref": int(ref), "stored": what == "stored"}
    event["flags"] = hex(int.from_bytes(data[:2], "little"))
    event["domid"] = int.from_bytes(data[2:4], "little")
    event["low"] = hex(int.from_bytes(data[4:8], "little"))
    if len(data) > 8:
        event["high"] = hex(int.from_bytes(data[8:], "little"))
    return event


def _in_order(calls: list[Event]) -> list[Event]:
    """The calls of a race as they ended; the list given is empty afterwards."""
    ordered = sorted(calls, key=lambda call: int(call["end"]))
    calls.clear()
    return ordered


def _reach(step: Hypercall) -> Event:
    """What is known of the pointer argument; nothing where no argument is known to be one."""
    pointers = [a for a in step.args if isinstance(a, Buf | Area | ReadOnly | Unreadable)]
    if not pointers:
        return {}
    readable = not any(isinstance(argument, Unreadable) for argument in pointers)
    read_only = any(isinstance(argument, ReadOnly) for argument in pointers)
    return {"arg_readable": readable, "arg_writable": readable and not read_only}


def _records(
    chunks: Iterable[bytes],
) -> Iterator[tuple[int, int, int, int, int, bytes, int]]:
    """(type, flags, vcpu, step, tsc, payload, offset in the output) of every whole record."""
    data = bytearray()
    offset = 0  # of data[0] in the whole output
    started = False
    for chunk in chunks:
        data += chunk
        at = 0
        if not started:
            found = data.find(wire.OUTPUT_MAGIC)
            if found < 0:
                continue
            started = True
            at = found + len(wire.OUTPUT_MAGIC)
        while len(data) - at >= wire.RECORD.size:
            kind, flags, vcpu, step, length, tsc = wire.RECORD.unpack_from(data, at)
            if length > _MAX_PAYLOAD:
                yield 0, 0, 0, 0, 0, b"", offset + at
                return
            end = at + wire.RECORD.size + length
            if len(data) < end:
                break
            payload = bytes(data[at + wire.RECORD.size : end])
            yield kind, flags, vcpu, step, tsc, payload, offset + at
            at = end
        del data[:at]
        offset += at


def decode(raw: bytes | Iterable[bytes], program: Program) -> Iterator[Event]:
    """Events, as traces/format.md has them, from what the probe wrote; stops where it was cut."""
    return Decoder(program).events([raw] if isinstance(raw, bytes) else raw)
