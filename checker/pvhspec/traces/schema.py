"""The event schema `pvh-trace/1` as one table: kinds, their fields, the types of the fields.

This is `traces/format.md` for programs. Reader, writer and generators are made from it, and so can
a columnar twin be: every type here has a column type (`Int` is an integer of that width with
validity, `Record` a struct, `Rows` a list of structs, `Table` a map). A field that is absent is
unknown; inside lists and tables, where position or key matter, unknown is `None`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

__all__ = [
    "COMMON",
    "HEADER",
    "KINDS",
    "SCHEMA",
    "Bytes",
    "Choice",
    "Field",
    "Flag",
    "Given",
    "Int",
    "Items",
    "Kind",
    "Record",
    "Rows",
    "Table",
    "Text",
    "Type",
]

SCHEMA = "pvh-trace/1"


class Int(NamedTuple):
    """An integer of so many bits, written in hex or not; `values`, if any, are all there are."""

    bits: int
    signed: bool = False
    hex: bool = False
    values: tuple[int, ...] = ()


class Flag(NamedTuple):
    """`true` or `false`."""


class Text(NamedTuple):
    """Any string."""


class Choice(NamedTuple):
    """One of these words."""

    words: tuple[str, ...]


class Bytes(NamedTuple):
    """Memory, lowest address first, as lower-case hex without a prefix."""


class Items(NamedTuple):
    """A list; `None` in it is unknown. Columnar: a list of nullable items."""

    item: Int | Text
    at_most: int | None = None


class Rows(NamedTuple):
    """A list of pairs with the same columns, neither of them unknown."""

    columns: tuple[Field, Field]


class Record(NamedTuple):
    """An object with these fields, each of which may be absent."""

    fields: tuple[Field, ...]


class Table(NamedTuple):
    """An object from indices to values; a value `None` is unknown."""

    value: Int | Record


class Given(NamedTuple):
    """The header's `given`: state name to {indices: value}, read by whoever knows the state."""


Type: TypeAlias = Int | Flag | Text | Choice | Bytes | Items | Rows | Record | Table | Given


class Field(NamedTuple):
    """One field: its name, its type, whether an event of this kind must have it."""

    name: str
    type: Type
    required: bool = False


class Kind(NamedTuple):
    """One kind of event."""

    name: str
    fields: tuple[Field, ...]


_U8, _U32, _U64 = Int(8), Int(32), Int(64)
_X16, _X32, _X64 = Int(16, hex=True), Int(32, hex=True), Int(64, hex=True)
_WIDTH = Field("width", Int(8, values=(32, 64)))
_VIEW = Field("view", Choice(("hw", "guest")), required=True)


def _all(names: str, type: Type) -> tuple[Field, ...]:
    return tuple(Field(name, type) for name in names.split())


_REGISTERS = Record(
    _all("eax ebx ecx edx esi edi ebp esp eip eflags", _X64)
    + _all("rax rbx rcx rdx rsi rdi rbp rsp rip rflags", _X64)
    + _all("r8 r9 r10 r11 r12 r13 r14 r15", _X64)
    + _all("cr0 cr2 cr3 cr4 cr8 efer dr0 dr1 dr2 dr3 dr6 dr7", _X64)
)
_SEGMENT = Record(
    (Field("sel", _X16), Field("base", _X64), Field("limit", _X32), Field("attr", _X16))
)
_SEGMENTS = Record(_all("cs ds es ss fs gs ldtr tr", _SEGMENT))
_TABLE_REGISTER = Record((Field("base", _X64), Field("limit", _X32)))
_MEMORY = Rows((Field("address", _X64), Field("bytes", Bytes())))
_VCPU_INFO = Record((Field("upcall_pending", _U8), Field("upcall_mask", _U8), Field("sel", _X64)))
_OP = Field("op", Choice(("read", "write")))
_PORT_STATUS = ("free", "reserved", "unbound", "interdomain", "pirq", "virq", "ipi")
#: What a toolstack does that is an event of its own.
DOMCTLS = ("pausedomain", "unpausedomain", "getdomaininfo", "resumedomain", "soft_reset")
_SHARED_WORDS = (
    "evtchn_pending", "evtchn_mask", "evtchn_pending_sel", "evtchn_upcall_pending",
    "fifo_word", "fifo_ready", "fifo_head",
)  # fmt: skip
_CONTROL_BLOCK = Record((Field("ready", _X32), Field("heads", Table(_X32))))

# Fields every event may have. `seq` is set by the reader where a trace leaves it out.
COMMON: tuple[Field, ...] = (
    Field("seq", _U64),
    Field("ts", _U64),
    Field("dom", _U32),
    Field("vcpu", _U32),
    Field("origin", Text()),
    Field("step", _U32),
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "mem",
            (
                _VIEW,
                Field("gpa", _X64, required=True),
                Field("bytes", Bytes(), required=True),
                Field("what", Text()),
            ),
        ),
        Kind(
            "entry",
            (
                _VIEW,
                Field("regs", _REGISTERS),
                Field("segs", _SEGMENTS),
                Field("gdtr", _TABLE_REGISTER),
                Field("idtr", _TABLE_REGISTER),
            ),
        ),
        Kind(
            "image",
            (
                Field("entry", _X64),
                Field("note_size", _U32),
                Field("relocatable", Flag()),
                Field("segments", Rows((Field("gpa", _X64), Field("size", _X64)))),
            ),
        ),
        Kind("cpuid", _all("leaf subleaf eax ebx ecx edx", _X32)),
        Kind(
            "msr",
            (
                _WIDTH,
                Field("op", Choice(("read", "write")), required=True),
                Field("index", _X32),
                Field("value", _X64),
                Field("fault", Flag()),
            ),
        ),
        Kind(
            "hypercall",
            (
                _WIDTH,
                Field("cpl", Int(8, values=(0, 1, 2, 3))),
                Field("via", Choice(("page", "direct"))),
                Field("nr", _U64),
                Field("args", Items(_X64, at_most=6)),
                Field("ret", Int(64, signed=True)),
                Field("arg_readable", Flag()),
                Field("arg_writable", Flag()),
                Field("in", _MEMORY),
                Field("out", _MEMORY),
                Field("clobbered", Items(Text())),
                Field("ts_call", _U64),
                Field("begin", _U64),
                Field("end", _U64),
            ),
        ),
        Kind(
            "shared_info",
            (
                _WIDTH,
                Field("pending", Table(_X64)),
                Field("mask", Table(_X64)),
                Field("vcpus", Table(_VCPU_INFO)),
                Field("all", Flag()),
            ),
        ),
        Kind(
            "store",
            (
                _WIDTH,
                Field("what", Choice(_SHARED_WORDS), required=True),
                Field("index", _U32),
                Field("value", _X64),
            ),
        ),
        Kind(
            "fifo_words",
            (
                Field("ports", _U32),
                Field("words", Table(_X32)),
                Field("blocks", Table(_CONTROL_BLOCK)),
            ),
        ),
        Kind(
            "grant_entry",
            (
                Field("ref", _U32),
                Field("stored", Flag()),
                *_all("flags domid", _X16),
                Field("low", _X32),
                Field("high", _X64),
            ),
        ),
        Kind("grant_status", (Field("ref", _U32), Field("status", _X16))),
        Kind(
            "ring",
            (
                Field("what", Choice(("xencons_ring", "xenstore_ring")), required=True),
                *_all("out_prod out_cons in_prod in_cons", _X32),
                *_all("connection error server_features", _U32),
            ),
        ),
        Kind(
            "xs_message",
            (
                Field("to", Choice(("to_server", "to_guest")), required=True),
                *_all("type req_id tx_id len", _U32),
            ),
        ),
        Kind("xenbus", (Field("device", Text()), Field("state_written", _U32))),
        Kind("apic", (Field("register", _X32), Field("value", _X32))),
        Kind(
            "hypercall_page",
            (_VIEW, Field("gpa", _X64, required=True), Field("bytes", Bytes(), required=True)),
        ),
        Kind("touch", (*_all("gfn before stored after", _X64), Field("fault", Flag()))),
        Kind(
            "toolstack",
            (
                Field("command", Choice(DOMCTLS), required=True),
                Field("domain", _X16),
                Field("ret", Int(64, signed=True)),
            ),
        ),
        Kind("interruptible", ()),
        Kind(
            "time",
            (
                Field("of", _U32),
                Field("version", _U32),
                *_all("tsc_timestamp system_time", _X64),
                Field("tsc_to_system_mul", _X32),
                Field("tsc_shift", Int(8, signed=True)),
                Field("flags", Int(8)),
                Field("tsc", _X64),
            ),
        ),
        Kind(
            "wallclock",
            (Field("version", _U32), Field("second", _X64), Field("nanosecond", _U32)),
        ),
        Kind("upcall", (Field("vector", _U32),)),
        Kind(
            "inject",
            (
                Field("what", Choice(("interrupt", "exception"))),
                Field("vector", _U32),
                Field("error", _X32),
            ),
        ),
        Kind(
            "vmexit",
            (
                Field("arch", Choice(("svm", "vmx"))),
                Field("code", _X64),
                Field("reason", Text()),
                *_all("rip info1 info2", _X64),
            ),
        ),
        Kind("vmentry", (Field("rip", _X64),)),
        Kind("cr", (_OP, Field("number", Int(8)), Field("value", _X64))),
        Kind("io", (_OP, Field("port", _X16), Field("size", Int(8)), Field("value", _X32))),
        Kind(
            "channel",
            (
                Field("port", _U32),
                Field("pending", Flag()),
                Field("masked", Flag()),
                Field("status", Choice(_PORT_STATUS)),
                *_all("notify remote_dom remote_port pirq virq", _U32),
            ),
        ),
        Kind(
            "state",
            (
                _VIEW,
                Field("regs", _REGISTERS),
                Field("segs", _SEGMENTS),
                Field("gdtr", _TABLE_REGISTER),
                Field("idtr", _TABLE_REGISTER),
            ),
        ),
        Kind("lost", (Field("count", _U64),)),
        Kind(
            "end",
            (
                Field("reason", Choice(("shutdown", "crash", "hang", "cut")), required=True),
                Field("text", Text()),
            ),
        ),
        Kind("note", (Field("text", Text()),)),
    )
}

HEADER = Record(
    (
        Field("schema", Text(), required=True),
        Field("origin", Record(_all("method tool file", Text()))),
        Field("synthetic", Flag()),
        Field("hypervisor", Record(_all("name version sha256", Text()))),
        Field("guest", Record(_all("mode sha256", Text()))),
        Field("cpu", Record(_all("vendor", Text()))),
        Field("clock", Choice(("tsc", "ns", "none"))),
        Field("from_boot", Flag()),
        Field("complete", Record(_all("events args results memory domains", Flag()))),
        Field("given", Given()),
    )
)
