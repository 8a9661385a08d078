"""What `xen-hvmctx DOMAIN` prints: the registers Xen keeps for each vCPU of a HVM or PVH domain.

They are what the guest itself would read: Xen saves the control registers the guest set, not those
it runs on. A domain that was created paused (`xl create -p`) and never ran shows its entry state.
The text does not say whether it did run, so `hvmctx` takes the registers for those of some moment,
and who knows better says `hvmctx-entry`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from pvhspec.traces.event import Event
from pvhspec.traces.foreign import TextReader, number

__all__ = ["HvmctxEntryReader", "HvmctxReader"]

_DOMAIN = re.compile(r"HVM save record for domain (\d{1,5})$")
_ENTRY = re.compile(r"Entry \d{1,6}: type (\d{1,6}) instance (\d{1,6}), length \d{1,9}$")
_CPU = 2  # HVM_SAVE_CODE(CPU)
_REGISTER = re.compile(
    r"\b(r[abcd]x|r[sd]i|r[bs]p|r8|r9|r1[0-5]|rip|rflags|cr[0234]|dr[0-367]|efer) +"
    r"(?:0x)?([0-9a-f]{1,16})\b"
)
_HEX = r"(?:0x)?([0-9a-f]{1,16})"
_SEGMENT = re.compile(
    rf" *([cdefgs]s|tr|ldtr) +{_HEX} \( *{_HEX} \+ +{_HEX} / +{_HEX}\)$"
)  # selector (base + limit / attributes)
_TABLE = re.compile(rf" *([ig]dtr) +\( *{_HEX} \+ +{_HEX}\)$")
_LMA = 1 << 10


class HvmctxReader(TextReader):
    """Each vCPU's registers, at some moment."""

    method = "xen-hvmctx"
    _kind = "state"

    def __init__(self, stream: BinaryIO, path: str) -> None:
        header = {"hypervisor": {"name": "xen"}, "from_boot": self._kind == "entry"}
        super().__init__(stream, path, header)

    def events(self) -> Iterator[Event]:
        """One event for each vCPU."""
        dom: int | None = None
        vcpu: int | None = None
        fields: dict[str, Any] = {}
        begun = 0
        for at, line in self.lines():
            if domain := _DOMAIN.match(line):
                dom = number(domain[1], 10, 16)
            elif entry := _ENTRY.match(line):
                yield from self._registers(fields, begun, vcpu, dom)
                fields, begun = {}, at
                vcpu = int(entry[2]) if int(entry[1]) == _CPU else None
            elif vcpu is not None:
                _take(line, fields)
            elif dom is None and line:
                self._passed_over += 1
        if not self.truncated:
            yield from self._registers(fields, begun, vcpu, dom)

    def _registers(
        self, fields: dict[str, Any], at: int, vcpu: int | None, dom: int | None
    ) -> Iterator[Event]:
        registers = fields.get("regs", {})
        if "rip" not in registers:
            return
        if not registers.get("efer", 0) & _LMA:  # the names of the mode it is in
            for name in [n for n in registers if n[0] == "r" and not n[1:].isdigit()]:
                if not registers[name] >> 32:
                    registers["e" + name[1:]] = registers.pop(name)
        yield self.event(self._kind, {"view": "guest", **fields}, at, None, vcpu, dom)


class HvmctxEntryReader(HvmctxReader):
    """The registers of a domain that never ran: its entry state."""

    _kind = "entry"


def _take(line: str, fields: dict[str, Any]) -> None:
    if segment := _SEGMENT.match(line):
        name, *words = segment.groups()
        sel, base, limit, attr = (int(word, 16) for word in words)
        if sel < 1 << 16 and limit < 1 << 32 and attr < 1 << 16:
            values = {"sel": sel, "base": base, "limit": limit, "attr": attr}
            fields.setdefault("segs", {})[name] = values
    elif table := _TABLE.match(line):
        base, limit = int(table[2], 16), int(table[3], 16)
        if limit < 1 << 32:
            fields[table[1]] = {"base": base, "limit": limit}
    else:
        found = {name: int(value, 16) for name, value in _REGISTER.findall(line)}
        if found:
            fields.setdefault("regs", {}).update(found)
