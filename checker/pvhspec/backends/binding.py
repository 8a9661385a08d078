"""From a trace's events to what backends judge: fields by the specification's names.

The event kinds of `traces/format.md` and the `event` declarations of the specification meet here
and nowhere else. What a trace does not show is left out, so that it counts as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from pvhspec.backends.dispatch import Dispatch
from pvhspec.backends.memory import MemoryImage
from pvhspec.backends.multicall import entries
from pvhspec.backends.protocol import Call, Seen
from pvhspec.backends.shown import Map, fifo_words, image, shared_info, store
from pvhspec.ir.ir import EventKind, Operation, Spec
from pvhspec.names.gates import Version, parse_version
from pvhspec.traces import Event, Header
from pvhspec.types.types import BitsType

__all__ = ["Binder", "header_mode", "header_version", "member"]

_MASK64 = (1 << 64) - 1
_EFAULT = 14
_MOST_STRUCTURES = 4096  #: in one hypercall; of more nothing is said
_VENDORS = {"AuthenticAMD": "amd", "HygonGenuine": "amd", "GenuineIntel": "intel"}
_REGISTER_NAMES = {f"r{n}": f"e{n}" for n in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "ip")}
_REGISTER_NAMES["rflags"] = "eflags"


def header_version(header: Header) -> Version | None:
    """The release the header names, None if it names none."""
    text = header.hypervisor.version
    try:
        return parse_version(text) if text else None
    except ValueError:
        return None


def header_mode(header: Header) -> str | None:
    """The mode the header names."""
    return header.guest.mode


class Binder:
    """Makes `Seen` events of a trace's events, for one trace.

    `release_told` False: nobody said which release of Xen the guest is shown; `version` only
    chooses the rules.
    """

    def __init__(
        self,
        spec: Spec,
        version: Version,
        mode: str,
        vendor: str | None,
        release_told: bool = True,
    ) -> None:
        self._spec = spec
        self._vendor = vendor
        self._memory = {"guest": MemoryImage(), "hw": MemoryImage()}
        self._common: dict[str, Any] = {}
        if release_told:
            self._common["release"] = version[0] << 16 | version[1]
        vendors = spec.enums.get("CpuVendor", {})
        if vendor is not None:
            name = _VENDORS.get(vendor, "other")
            if name in vendors:
                self._common["vendor"] = vendors[name]
        self._dispatch = Dispatch(spec, version, mode)
        self._special: dict[str, Callable[[Event, dict[str, Any]], None]] = {
            "shared_info": shared_info,
            "store": partial(store, spec.enums.get("SharedWord", {})),
            "fifo_words": fifo_words,
            "hypercall": self._hypercall,
            "image": image,
        }

    @property
    def constants(self) -> Mapping[str, int]:
        """What every event of the trace is said to have."""
        return self._common

    def bind(self, events: Iterable[Event]) -> Iterator[Seen]:
        """The events that backends judge; `mem` events only add to what is known of memory."""
        for event in events:
            self.remember(event)
            if event.kind != "mem":
                yield from self.each(event)

    def beside(self, version: Version, mode: str, release_told: bool) -> Binder:
        """One for another release and mode, that knows of the same memory for ever."""
        other = Binder(self._spec, version, mode, self._vendor, release_told)
        other._memory = self._memory
        return other

    def remember(self, event: Event) -> None:
        """Take in what an event shows of memory."""
        if event.kind in ("mem", "hypercall_page"):
            view = event.get("view") or "guest"
            # A new one: events that were given out keep what was known at their time.
            more = self._memory[view].extended(event.get("gpa"), event.get("bytes"))
            self._memory[view] = more

    def each(self, event: Event) -> list[Seen]:
        """The calls of an event: of a hypercall that is given several structures, one for each
        that Xen came to; of a multicall its own; any other event is one."""
        found = [
            seen for part in entries(event) for seen in self._several(part) or [self.one(part)]
        ]
        for seen in found:
            if seen.call is not None:
                seen.call.strayed = ()
        return found or self._several(event) or [self.one(event)]

    def _several(self, event: Event) -> list[Seen]:
        """The calls of a hypercall that is given several structures: one for each that Xen came to.
        With fewer than two it is a call like any other."""
        number, args = event.get("nr"), event.get("args") or ()
        if event.kind != "hypercall" or number is None:
            return []
        op = self._dispatch.operation(number, args)
        if op is None or op.each is None or op.struct_size is None:
            return []
        names = [p.name for p in op.params]
        at, counted = names.index(op.pointer or names[-1]), names.index(op.each)
        if max(at, counted) >= len(args) or args[at] is None or args[counted] is None:
            return []
        width, start = event.get("width"), args[at]
        size = op.struct_size[1 if width == 32 else 0]
        count = args[counted] & 0xFFFFFFFF
        if count < 2 or count > _MOST_STRUCTURES or size == 0:
            return []
        ret, found = event.get("ret"), list[Seen]()
        failed = ret is not None and ret < 0
        for place in range(count):
            address = start + place * size
            part = {**event.fields, "args": [*args[:at], address, *args[at + 1 :]]}
            shown = _bytes_at(event.get("in"), address, size) is not None
            good = shown and event.get("arg_writable") is not False
            last = failed and (place == count - 1 or not (good and event.get("arg_readable")))
            if (failed and ret != -_EFAULT) or event.get("arg_readable") is False:
                last = True  # it failed before any structure was looked at, or at the first
            if failed and not last:
                part["ret"] = 0
            seen = self.one(event._replace(fields=part))
            if seen.call is not None and place:
                seen.call.strayed = ()
            found.append(seen)
            if last:
                break
        return found

    def one(self, event: Event) -> Seen:
        """An event, where what it shows of memory was taken in."""
        fields = dict(self._common)
        if event.dom is not None:
            fields["caller"] = event.dom
        if event.vcpu is not None:
            fields["current"] = event.vcpu
        fields["memory"] = self._memory[event.get("view") or "guest"]
        kind = self._spec.events.get(event.kind)
        if kind is not None:
            self._plain(event, kind, fields)
        special = self._special.get(event.kind)
        if special is not None:
            special(event, fields)
        call = self._call(event, fields) if event.kind == "hypercall" else None
        begin, end = event.get("begin"), event.get("end")
        span = None if begin is None or end is None else (begin, end)
        return Seen(event.kind, event.seq, event.origin, fields, call, span)

    # ---- fields -----------------------------------------------------------------------------

    def _plain(self, event: Event, kind: EventKind, fields: dict[str, Any]) -> None:
        """Fields that have the same name on both sides, nested ones as `cs.base`."""
        flat = dict(_flattened(event.fields))
        for name, index, type_ in kind.fields:
            value = flat.get(name)
            if index or value is None:
                continue
            if isinstance(value, str) and isinstance(type_, BitsType) and type_.name:
                value = member(self._spec.enums.get(type_.name, {}), value)
            if isinstance(value, int) and not isinstance(value, bool):
                if isinstance(type_, BitsType):
                    value &= (1 << type_.width) - 1
                else:
                    value = bool(value)
            if value is not None:
                fields[name] = value

    def _hypercall(self, event: Event, fields: dict[str, Any]) -> None:
        ret = event.get("ret")
        if ret is not None:
            fields["ret"] = ret & _MASK64
        args = event.get("args")
        if args is not None:
            fields["arg"] = given = Map()
            for n, value in enumerate(args):
                if value is not None:
                    given[(n,)] = value
        names = event.get("clobbered")
        if names is not None:
            order = _ARGUMENTS[event.get("width") or 64]
            fields["clobbered"] = table = Map(False)
            for name in names:
                if name in order:
                    table[(order.index(name),)] = True

    # ---- hypercalls ---------------------------------------------------------------------------

    def _call(self, event: Event, fields: dict[str, Any]) -> Call | None:
        number, args = event.get("nr"), event.get("args") or ()
        if number is None:
            return None
        op = self._dispatch.operation(number, args)
        if op is None:
            return None
        width = event.get("width")
        if width is None and op.struct_size and op.struct_size[0] != op.struct_size[1]:
            return None
        for param, value in zip(op.params, args, strict=False):
            if value is not None and isinstance(param.type, BitsType):
                fields[param.name] = value & ((1 << param.type.width) - 1)
        ret = event.get("ret")
        readable, writable = event.get("arg_readable"), event.get("arg_writable")
        before = after = None
        strayed: tuple[int, ...] = ()
        names = [p.name for p in op.params]
        at = names.index(op.pointer) if op.pointer in names else len(names) - 1
        if op.struct_size is not None and 0 <= at < len(args) and args[at] is not None:
            address = args[at] if len(args) >= len(op.params) else None
            size = op.struct_size[1 if width == 32 else 0]
            before = _bytes_at(event.get("in"), address, size)
            after = _bytes_at(event.get("out"), address, size)
            if readable is None and before is not None:
                readable = True
            narrow = 1 if width == 32 else 0
            self._slots(op, narrow, before, after, fields)
            whole = size if op.each is None else size * fields.get(op.each, 1)
            own = [] if address is None else [(address, whole)]
            own += _arrays(op, narrow, event, fields)
            strayed = _strayed(event.get("in"), event.get("out"), own)
        if readable is not None:
            fields["readable"] = readable
        if writable is None and ret is not None and ret >= 0 and after is not None:
            writable = True
        if writable is not None:
            fields["writable"] = writable
        return Call(op, ret, before, after, strayed)

    @staticmethod
    def _slots(
        op: Operation,
        narrow: int,
        before: bytes | None,
        after: bytes | None,
        fields: dict[str, Any],
    ) -> None:
        for slot in op.slots:
            start = slot.offset[narrow]
            end = start + slot.size[narrow]
            if slot.size[narrow] > 8:
                continue
            if slot.read and before is not None:
                fields[slot.name] = int.from_bytes(before[start:end], "little")
            if after is not None:
                fields[f"out.{slot.name}"] = int.from_bytes(after[start:end], "little")


def member(enum: Mapping[str, int], word: str) -> int | None:
    """The member of an enum that a word of the trace names."""
    for name, value in enum.items():
        if name.lower() == word.lower() or name.lower().endswith(f"_{word.lower()}"):
            return value
    return None


_ARGUMENTS = {
    64: ("rdi", "rsi", "rdx", "r10", "r8", "r9"),
    32: ("ebx", "ecx", "edx", "esi", "edi", "ebp"),
}


def _flattened(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested fields by dotted names; those of `regs` and `segs` without that word."""
    for name, value in fields.items():
        if not isinstance(name, str):
            continue
        if isinstance(value, dict):
            inner = "" if name in ("regs", "segs") else f"{prefix}{name}."
            yield from _flattened(value, inner)
        else:
            yield prefix + _REGISTER_NAMES.get(name, name), value


def _bytes_at(ranges: Any, address: int | None, size: int) -> bytes | None:
    """`size` bytes at an address, if one of the recorded ranges holds them all."""
    if ranges is None or address is None:
        return None
    for start, raw in ranges:
        if start <= address and address + size <= start + len(raw):
            return bytes(raw[address - start : address - start + size])
    return None


def _arrays(
    op: Operation, narrow: int, event: Event, fields: dict[str, Any]
) -> Iterator[tuple[int, int]]:
    """What lies behind the handles of a call, as far as it was seen; where it lets something be
    written (address, size)."""
    for array in op.arrays:
        handle, count, size = fields.get(array.handle), fields.get(array.count), array.size[narrow]
        if handle is None or count is None:
            continue
        for ranges, prefix in ((event.get("in"), ""), (event.get("out"), "out.")):
            seen = _whole(ranges, handle, size, count)
            for at, name in enumerate(f"{prefix}{array.name}.{f.name}" for f in array.fields):
                table = fields[name] = Map()
                start = array.fields[at].offset[narrow]
                end = start + array.fields[at].size[narrow]
                for number, raw in enumerate(seen):
                    table[(number,)] = int.from_bytes(raw[start:end], "little")
        bad, fixed = event.get("unreadable"), event.get("unwritable")
        whole = len(_whole(event.get("in"), handle, size, count)) == count
        if whole or _inside(bad, handle):
            fields[f"{array.name}.readable"] = whole
        if whole or _inside(bad, handle) or _inside(fixed, handle):
            fields[f"{array.name}.writable"] = whole and not _inside(fixed, handle)
        if array.written:
            yield handle, size * count


def _whole(ranges: Any, address: int, size: int, most: int) -> list[bytes]:
    """The elements of an array that one recorded range holds, at most so many."""
    for start, raw in ranges or ():
        if start <= address < start + len(raw):
            there = min(most, (start + len(raw) - address) // size)
            return [
                bytes(raw[address - start + i * size : address - start + (i + 1) * size])
                for i in range(there)
            ]
    return []


def _inside(ranges: Any, address: int) -> bool:
    return any(start <= address < start + length for start, length in ranges or ())


def _strayed(before: Any, after: Any, own: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """Addresses whose bytes a call changed outside the structure and what it may write."""
    own = list(own)
    if not before or not after or not own:
        return ()
    old = dict(before)
    found: list[int] = []
    for start, raw in after:
        was = old.get(start)
        if was is None or was == raw:
            continue
        for at, (a, b) in enumerate(zip(was, raw, strict=False)):
            if a != b and not any(at_ <= start + at < at_ + size for at_, size in own):
                found.append(start + at)
    return tuple(found)
