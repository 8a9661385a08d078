"""One list of executions for every backend: a specification, what happens, what is said of it.

Each is small and about one rule of grammar/README.md. `expect` is everything that is said of the
event: clause names after the module's, and `yes` (conforms), `no` (violates) or `?` (cannot be
seen).

`scenarios.py` has single calls of the specification itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["ALL", "Execution", "Step"]

Said = Literal["yes", "no", "?"]


@dataclass(frozen=True)
class Step:
    """An operation or an event. A field that is None is not seen; `ret` None: no result seen."""

    name: str
    fields: dict[str, Any]
    ret: int | None
    out: dict[str, int]
    memory: tuple[bytes, bytes] | None
    strayed: tuple[int, ...]
    is_call: bool
    expect: dict[str, Said]


@dataclass(frozen=True)
class Execution:
    """Steps of one execution; `debts` are the obligations open at its end."""

    name: str
    text: str
    steps: tuple[Step, ...]
    debts: tuple[str, ...] = ()
    given: dict[str, dict[str, Any]] | None = None
    from_boot: bool = True
    authority: str = "implemented"


def call(
    name: str,
    ret: int | None,
    expect: dict[str, Said],
    out: dict[str, int] | None = None,
    memory: tuple[bytes, bytes] | None = None,
    strayed: tuple[int, ...] = (),
    **fields: Any,
) -> Step:
    """A hypercall and its result."""
    return Step(name, fields, ret, out or {}, memory, strayed, True, expect)


def event(name: str, expect: dict[str, Said], **fields: Any) -> Step:
    """An event of another kind."""
    return Step(name, fields, None, {}, None, (), False, expect)


def ok(name: str, *more: str) -> dict[str, Said]:
    """A call that came out as it should: its success, and what else is said to hold."""
    return {f"{name}.{part}": "yes" for part in ("success", *more)}


HEAD = """
hypercall op = 32 (cmd : u32) documented xen:a.h "x" { error ENOSYS no_cmd when not known_command }
struct args size 8 { 0 a : u32  4 b : u32 }
"""

# ---- errors -------------------------------------------------------------------------

ERRORS = (
    HEAD
    + """
operation any_order = op.1 takes args documented xen:a.h "x" {
  in a
  error EPERM first  when a < 2
  error EINVAL second when a == 1 or a == 2
  error ENOMEM full  maybe
  error ENOENT again maybe when a == 8
  success {}
}
operation ordered = op.2 takes args documented xen:a.h "x" {
  in a, b
  error ENOENT other when a == 9
  in order {
    error EPERM first  when a == 1
    error EINVAL second when b == 1
  }
  error EBUSY third when a == 1 or a == 9
  success {}
}
every hypercall documented xen:a.h "x" { error EPERM ring when cpl != 0 }
"""
)

errors = [
    Execution("any error whose condition holds", ERRORS, (
        call("any_order", -1, {"any_order.first": "yes"}, a=1),
        call("any_order", -22, {"any_order.second": "yes"}, a=1),
        call("any_order", -12, {"any_order.full": "yes"}, a=1),
        call("any_order", -12, {"any_order.full": "yes"}, a=7),
        call("any_order", 0, ok("any_order"), a=7),
        call("any_order", -2, {"any_order.again": "yes"}, a=8),
        call("any_order", 0, ok("any_order"), a=8),
    )),
    Execution("success while an error is due", ERRORS, (
        call("any_order", 0, {"any_order.first": "no"}, a=0),
        call("any_order", 0, {"any_order.second": "no"}, a=2),
    )),
    Execution("an error that is not due", ERRORS, (
        call("any_order", -1, {"any_order.first": "no"}, a=7),
        call("any_order", -1, {"any_order.second": "no"}, a=2),
        call("any_order", -16, {"any_order.success": "no"}, a=7),
        call("any_order", -2, {"any_order.again": "no"}, a=7),
    )),
    Execution("in order, the first that holds", ERRORS, (
        call("ordered", -1, {"ordered.first": "yes"}, a=1, b=1),
        call("ordered", -22, {"ordered.first": "no"}, a=1, b=1),
        call("ordered", -22, {"ordered.second": "yes"}, a=9, b=1),
        call("ordered", -16, {"ordered.second": "no"}, a=9, b=1),
        call("ordered", -16, {"ordered.third": "yes"}, a=9, b=0),
        call("ordered", -2, {"ordered.other": "yes"}, a=9, b=0),
        call("ordered", -2, {"ordered.second": "no"}, a=9, b=1),
    )),
    Execution("errors of every hypercall come first", ERRORS, (
        call("ordered", -1, {"every.ring": "yes"}, a=9, b=1, cpl=3),
        call("ordered", -22, {"every.ring": "no"}, a=9, b=1, cpl=3),
    )),
    Execution("a command nobody has", ERRORS, (
        call("op.other", -38, {"op.no_cmd": "yes"}, cmd=77),
        call("op.other", 0, {"op.no_cmd": "no"}, cmd=77),
    )),
    Execution("an argument that was not seen", ERRORS, (
        call("any_order", -1, {"any_order.first": "?"}, a=None),
        call("any_order", 0, {"any_order.success": "?"}, a=None),
        call("any_order", -16, {"any_order.first": "no"}, a=None),
    )),
    Execution("a result that was not seen", ERRORS, (
        call("any_order", None, {"any_order.success": "?"}, a=7),
    )),
]  # fmt: skip

# ---- errors that an out field delivers ----------------------------------------------

STATUSES = """
every hypercall documented xen:a.h "x" { error EPERM ring when cpl != 0 }
hypercall op = 32 (cmd : u32, arg : pointer, count : u32) documented xen:a.h "x" {
  error EFAULT unreadable when not readable
}
enum Status : u16 { fine = 0  bad = 0xfffd  worse = 0xfffe }
struct args size 8 { 0 a : u32  4 st : Status  6 b : u16 }
state sx : u32 = 1
event look { x : u32 }
on look seen documented xen:a.h "x" { require x : x == sx }
operation ask = op.1 takes args each count documented xen:a.h "x" {
  in a
  out st, b
  in order {
    error EINVAL too_many when count > 2
    error bad wrong when a == 1
    error worse other when a < 3
  }
  error bad full maybe when a == 5
  error EFAULT lost after success when not writable
  success { sx := a  b := 7 }
}
operation tell = op.2 takes args each count documented xen:a.h "x" {
  in a
  out a
  error EINVAL odd when a == 3
  always "Xen says what it has." { a := sx }
  success { a := 9 }
}
"""

statuses = [
    Execution("a status is success, or an error that is due", STATUSES, (
        call("ask", 0, ok("ask", "success.b"), {"st": 0, "b": 7}, a=9, count=1),
        event("look", {"seen.x": "yes"}, x=9),
        call("ask", 0, {"ask.wrong": "yes"}, {"st": 0xFFFD}, a=1, count=1),
        call("ask", 0, {"ask.other": "yes"}, {"st": 0xFFFE}, a=2, count=1),
        call("ask", 0, {"ask.full": "yes"}, {"st": 0xFFFD}, a=5, count=1),
        event("look", {"seen.x": "yes"}, x=9),
        call("ask", 0, {"ask.wrong": "no"}, {"st": 0xFFFE}, a=1, count=1),
        call("ask", 0, {"ask.wrong": "no"}, {"st": 0}, a=1, count=1),
        call("ask", 0, {"ask.other": "no"}, {"st": 0xFFFE}, a=9, count=1),
        call("ask", 0, {"ask.success": "no"}, {"st": 0xFFF0}, a=9, count=1),
    )),
    Execution("what is returned comes before, or ends it all", STATUSES, (
        call("ask", -1, {"every.ring": "yes"}, a=1, count=1, cpl=3),
        call("ask", -14, {"op.unreadable": "yes"}, a=1, count=1, readable=False),
        call("ask", -22, {"ask.too_many": "yes"}, a=1, count=3),
        call("ask", 0, {"ask.too_many": "no"}, {"st": 0xFFFD}, a=1, count=3),
        call("ask", 3, {"ask.success": "no"}, {"st": 0xFFFD}, a=1, count=1),
    )),
    Execution("a status that cannot be written is not seen", STATUSES, (
        call("ask", -14, {"ask.lost": "yes"}, a=1, count=1, writable=False),
        event("look", {"seen.x": "yes"}, x=1),
        call("ask", -14, {"ask.lost": "yes"}, a=4, count=1, writable=False),
        event("look", {"seen.x": "yes"}, x=4),
        call("ask", 0, {"ask.lost": "no"}, {"st": 0xFFFD}, a=1, count=1, writable=False),
    )),
    Execution("a status that was not seen", STATUSES, (
        call("ask", 0, {}, a=1, count=1),
        call("ask", 0, {"ask.success": "?"}, a=9, count=1),
    )),
    Execution("what is told whatever is answered", STATUSES, (
        call("tell", 0, ok("tell", "success.a"), {"a": 9}, a=9, count=1),
        call("tell", -22, {"tell.odd": "yes", "tell.always": "yes"}, {"a": 1}, a=3, count=1),
        call("tell", -22, {"tell.odd": "yes", "tell.always": "yes", "tell.frame": "yes"}, {"a": 1},
             memory=(bytes([3, *[0] * 7]), bytes([1, *[0] * 7])), a=3, count=1),
        call("tell", -14, {"op.unreadable": "yes"}, a=3, count=1, readable=False),
        call("tell", -22, {"tell.always": "no"}, {"a": 3}, a=3, count=1),
    )),
    Execution("no structure, no status", STATUSES, (
        call("ask", 0, ok("ask"), a=1, count=0, readable=False, writable=False),
        event("look", {"seen.x": "yes"}, x=1),
        call("ask", -14, {"ask.lost": "no"}, a=1, count=0, readable=False),
    )),
]  # fmt: skip

# ---- effects ------------------------------------------------------------------------

EFFECTS = (
    HEAD
    + """
state sx : u32 = 1
state sy : u32 = 2
state sbit[p : Port] : bool = false
event look { x : u32  y : u32 }
event peek { at : Port  bit : bool }
on look seen documented xen:a.h "x" { require x : x == sx  require y : y == sy }
on peek cell documented xen:a.h "x" { require same : bit == sbit[at] }
operation swap = op.1 documented xen:a.h "x" { success { sx := sy  sy := sx } }
operation twice = op.2 documented xen:a.h "x" { success { sx := 5  if sy == 2 { sx := 6 } } }
operation all_but_one = op.3 takes args documented xen:a.h "x" {
  in a
  error EINVAL odd when a >= 64
  success { for all p : Port where p >= 8 { sbit[p] := true }  sbit[a] := false }
}
operation one_then_all = op.4 documented xen:a.h "x" {
  success { sbit[0] := false  for all p : Port where sx == 1 { sbit[p] := true } }
}
operation refused = op.5 takes args documented xen:a.h "x" {
  in a
  error EPERM no when a == 1
  error EFAULT lost after success when a == 2
  error ENOMEM full maybe
  always { sy := sy + 1 }
  success { sx := 9 }
}
"""
)

effects = [
    Execution("statements read the state before", EFFECTS, (
        call("swap", 0, ok("swap")),
        event("look", {"seen.x": "yes", "seen.y": "yes"}, x=2, y=1),
        event("look", {"seen.x": "no", "seen.y": "yes"}, x=1, y=1),
    )),
    Execution("the last write wins", EFFECTS, (
        call("twice", 0, ok("twice")),
        event("look", {"seen.x": "yes", "seen.y": "yes"}, x=6, y=2),
    )),
    Execution("for all cells, then one", EFFECTS, (
        call("all_but_one", 0, ok("all_but_one"), a=20),
        event("peek", {"cell.same": "yes"}, at=7, bit=False),
        event("peek", {"cell.same": "yes"}, at=63, bit=True),
        event("peek", {"cell.same": "yes"}, at=20, bit=False),
        event("peek", {"cell.same": "no"}, at=8, bit=False),
    )),
    Execution("one cell, then all", EFFECTS, (
        call("one_then_all", 0, ok("one_then_all")),
        event("peek", {"cell.same": "yes"}, at=0, bit=True),
        event("peek", {"cell.same": "yes"}, at=40, bit=True),
        event("peek", {"cell.same": "no"}, at=41, bit=False),
    )),
    Execution("a cell nobody knows which", EFFECTS, (
        call("all_but_one", 0, {"all_but_one.success": "?"}, a=None),
        event("peek", {"cell.same": "yes"}, at=3, bit=False),
        event("peek", {"cell.same": "?"}, at=50, bit=False),
        event("peek", {"cell.same": "?"}, at=51, bit=True),
        event("peek", {"cell.same": "no"}, at=2, bit=True),
    )),
    Execution("after an error nothing has changed but always", EFFECTS, (
        call("refused", -1, {"refused.no": "yes"}, a=1),
        event("look", {"seen.x": "yes", "seen.y": "yes"}, x=1, y=3),
        call("refused", -12, {"refused.full": "yes"}, a=0),
        event("look", {"seen.x": "yes", "seen.y": "yes"}, x=1, y=4),
        call("refused", -14, {"refused.lost": "yes"}, a=2),
        event("look", {"seen.x": "yes", "seen.y": "yes"}, x=9, y=5),
    )),
    Execution("whether it succeeded was not seen, and shows later", EFFECTS, (
        call("refused", None, {"refused.success": "?"}, a=0),
        event("look", {"seen.x": "?", "seen.y": "yes"}, x=9, y=3),
        event("look", {"seen.x": "yes", "seen.y": "yes"}, x=9, y=3),
        event("look", {"seen.x": "no", "seen.y": "yes"}, x=1, y=3),
    )),
    Execution("a violation does not make the next event one", EFFECTS, (
        event("look", {"seen.x": "no", "seen.y": "yes"}, x=8, y=2),
        event("look", {"seen.x": "?", "seen.y": "yes"}, x=8, y=2),
        call("refused", 0, {"refused.no": "no"}, a=1),
        event("look", {"seen.x": "yes", "seen.y": "yes"}, x=9, y=3),
        call("refused", -16, {"refused.success": "no"}, a=0),
        event("look", {"seen.x": "yes", "seen.y": "?"}, x=9, y=4),
    )),
]  # fmt: skip

# ---- what is returned ---------------------------------------------------------------

RESULTS = (
    HEAD
    + """
state used[p : Port] : bool = p == 0
state count : u64 = 7
operation open = op.1 takes args documented xen:a.h "x" {
  out b
  error ENOSPC full when not exists p : Port | not used[p]
  success choose lowest chosen : Port where not used[chosen] { b := chosen  used[chosen] := true }
}
operation pick = op.2 takes args documented xen:a.h "x" {
  out b
  success choose chosen : Port where used[chosen] { b := chosen  used[chosen] := false }
}
operation total = op.3 documented xen:a.h "x" { success returns count {} }
operation free = op.4 documented xen:a.h "x" { success returns any {} }
operation told = op.5 takes args documented xen:a.h "x" {
  in a
  out b
  success {
    if a == 1 { b := u32(count) }
    ensure small "Small." : out.b < 100
  }
}
"""
)
A, B = b"\1\0\0\0", b"\7\0\0\0"

results = [
    Execution("the lowest is chosen", RESULTS, (
        call("open", 0, ok("open", "chosen", "chosen.lowest", "success.b"), out={"b": 1}),
        call("open", 0, ok("open", "chosen", "chosen.lowest", "success.b"), out={"b": 2}),
        call("open", 0, {"open.chosen.lowest": "no"}, out={"b": 9}),
    )),
    Execution("one that is not free is chosen", RESULTS, (
        call("open", 0, {"open.chosen": "no"}, out={"b": 0}),
    )),
    Execution("the lowest is known without being shown", RESULTS, (
        call("open", 0, ok("open")),
        call("open", 0, {"open.chosen": "no"}, out={"b": 1}),
    )),
    Execution("a free choice", RESULTS, (
        call("pick", 0, {"pick.chosen": "no"}, out={"b": 5}),
    )),
    Execution("the result of success", RESULTS, (
        call("total", 7, ok("total")),
        call("free", 12345, ok("free")),
        call("free", 0, ok("free")),
        call("total", 8, {"total.success": "no"}),
    )),
    Execution("a 32-bit caller sees the low half", RESULTS, (
        call("total", (5 << 32) + 7, ok("total"), width=32),
        call("total", (5 << 32) + 7, {"total.success": "no"}, width=64),
    )),
    Execution("a value nobody knew is learned from what is returned", RESULTS, (
        call("total", 30, ok("total")),
        call("total", 30, ok("total")),
        call("total", 31, {"total.success": "no"}),
    ), from_boot=False),
    Execution("what is ensured of the results", RESULTS, (
        call("told", 0, ok("told", "success.b", "small"), a=1, out={"b": 7}),
        call("told", 0, {"told.success.b": "no"}, a=1, out={"b": 8}),
        call("told", 0, {"told.small": "no"}, a=2, out={"b": 200}),
        call("told", 0, ok("told") | {"told.small": "?", "told.success": "?"}, a=2),
    )),
    Execution("the caller's memory", RESULTS, (
        call("told", 0, ok("told", "success.b", "small", "frame"), a=1, out={"b": 7},
             memory=(A + A, A + B)),
        call("told", 0, ok("told", "success.b", "small") | {"told.frame": "no"}, a=1,
             out={"b": 7}, memory=(A + A, B + B)),
        call("told", 0, ok("told", "small") | {"told.frame": "no"}, a=2, out={"b": 7},
             memory=(A + A, A + B)),
        call("told", 0, ok("told", "success.b", "small") | {"told.frame": "no"}, a=1,
             out={"b": 7}, memory=(A + A, A + B), strayed=(0x1000,)),
    )),
]  # fmt: skip

# ---- what the world outside does ----------------------------------------------------

DRIFT = (
    HEAD
    + """
state armed : bool = false
state flag : bool = false may rise when armed
state level : u32 = 3 may change when armed
event look { flag_seen : bool  level_seen : u32 }
event arm { to : bool }
event clear { x : u8 }
on look seen documented xen:a.h "x" {
  require flag : flag_seen == flag
  require level : level_seen == level
}
on arm now documented xen:a.h "x" { armed := to }
on clear now documented xen:a.h "x" { flag := false }
"""
)

drift = [
    Execution("nothing rises by itself", DRIFT, (
        event("look", {"seen.flag": "yes", "seen.level": "yes"}, flag_seen=False, level_seen=3),
        event("look", {"seen.flag": "no", "seen.level": "yes"}, flag_seen=True, level_seen=3),
    )),
    Execution("while it may rise it may, and then stays", DRIFT, (
        event("arm", {}, to=True),
        event("look", {"seen.flag": "?", "seen.level": "?"}, flag_seen=False, level_seen=8),
        event("look", {"seen.flag": "?", "seen.level": "?"}, flag_seen=True, level_seen=3),
        event("look", {"seen.flag": "no", "seen.level": "?"}, flag_seen=False, level_seen=4),
    )),
    Execution("what has changed stays once nothing may change it", DRIFT, (
        event("arm", {}, to=True),
        event("look", {"seen.flag": "?", "seen.level": "?"}, flag_seen=True, level_seen=8),
        event("arm", {}, to=False),
        event("look", {"seen.flag": "yes", "seen.level": "?"}, flag_seen=True, level_seen=9),
        event("look", {"seen.flag": "yes", "seen.level": "yes"}, flag_seen=True, level_seen=9),
        event("clear", {}),
        event("look", {"seen.flag": "yes", "seen.level": "no"}, flag_seen=False, level_seen=8),
    )),
]  # fmt: skip

# ---- obligations --------------------------------------------------------------------

DEBTS = (
    HEAD
    + """
state due[v : VcpuId] : bool = false
state off[v : VcpuId] : bool = false
event ring { cpu : VcpuId }
event stop { cpu : VcpuId }
event enter { cpu : VcpuId }
event inject { cpu : VcpuId  vector : u8 }
on ring now documented xen:a.h "x" { due[cpu] := true }
on stop now documented xen:a.h "x" { off[cpu] := true }
on inject now documented xen:a.h "x" { due[cpu] := false }
obligation upcall(v : VcpuId) documented xen:a.h "x" {
  when due[v]
  then inject where cpu == v and vector == 0xf3
  before enter where cpu == v
  unless off[v]
}
"""
)

debts = [
    Execution("paid", DEBTS, (
        event("ring", {}, cpu=1), event("enter", {}, cpu=0),
        event("inject", {"upcall": "yes"}, cpu=1, vector=0xF3), event("enter", {}, cpu=1),
    )),
    Execution("broken", DEBTS, (
        event("ring", {}, cpu=1), event("inject", {}, cpu=2, vector=0xF3),
        event("enter", {"upcall": "no"}, cpu=1),
    )),
    Execution("open at the end", DEBTS, (event("ring", {}, cpu=1),), debts=("upcall",)),
    Execution("no longer owed", DEBTS, (
        event("ring", {}, cpu=1), event("stop", {}, cpu=1), event("enter", {}, cpu=1),
    )),
    Execution("who entered was not seen", DEBTS, (
        event("ring", {}, cpu=1), event("enter", {}, cpu=None),
        event("inject", {"upcall": "yes"}, cpu=1, vector=0xF3),
    )),
    Execution("the vector was not seen", DEBTS, (
        event("ring", {}, cpu=1), event("inject", {"upcall": "?"}, cpu=1, vector=None),
        event("enter", {}, cpu=1),
    )),
]  # fmt: skip

# ---- how the state begins -----------------------------------------------------------

BEGIN = (
    HEAD
    + """
state fact[d : DomId] : bool = given (d == 0)
state open_[d : DomId] : bool = any
state plain[d : DomId] : bool = false
event look { at : DomId  bit : bool }
on look fact documented xen:a.h "x" { require r : bit == fact[at] }
on look open_ documented xen:a.h "x" { require r : bit == open_[at] }
on look plain documented xen:a.h "x" { require r : bit == plain[at] }
"""
)

begin = [
    Execution("as the text says, where nothing else does", BEGIN, (
        event("look", {"fact.r": "yes", "open_.r": "?", "plain.r": "no"}, at=0, bit=True),
    )),
    Execution("as the trace says", BEGIN, (
        event("look", {"fact.r": "yes", "open_.r": "?", "plain.r": "no"}, at=5, bit=True),
        event("look", {"fact.r": "no", "open_.r": "?", "plain.r": "yes"}, at=6, bit=False),
        event("look", {"fact.r": "?", "open_.r": "?", "plain.r": "yes"}, at=7, bit=False),
    ), given={"fact": {"5": True, "6": True}}),
    Execution("from somewhere in the middle", BEGIN, (
        event("look", {"fact.r": "?", "open_.r": "?", "plain.r": "?"}, at=0, bit=True),
        event("look", {"fact.r": "yes", "open_.r": "yes", "plain.r": "yes"}, at=0, bit=True),
        event("look", {"fact.r": "no", "open_.r": "no", "plain.r": "no"}, at=0, bit=False),
    ), given={}, from_boot=False),
]  # fmt: skip

# ---- lists behind addresses -----------------------------------------------------------

LISTS = """
bits Word : u64 { start @ 63..6  command @ 5..0 }
hypercall op = 32 (cmd : Word) documented xen:a.h "x" { error ENOSYS no_cmd when not known_command }
type Number = u64 below 0x100000
struct args size 16 { 0 at : u64  8 count : u32  12 more : u32 }
struct element size 4 { 0 port : Port }
struct error_code size 4 { 0 code : u32 }
state taken[p : Port] : bool = false
operation take = op.1 takes args documented xen:a.h "x" {
  in at, count
  in array list[i : Number] : element at at for count
  out array errs[i : Number] : error_code at at for count
  let first = u64(cmd) >> 6
  success
    choose lowest done : Number where
      done >= first and (done == u64(count) or taken[list.port[done]] or list.port[done] > 9)
    returns u64(done)
  {
    if list.readable {
      for all i : Number where i < done { taken[list.port[i]] := true }
      for all i : Number where i < done { errs.code[i] := 7 }
    }
  }
}
"""


def behind(**fields: tuple[int, ...]) -> dict[str, Any]:
    """What was seen of the elements of lists."""
    return {
        f"{'out.' if name == 'errs' else ''}{name}.{'code' if name == 'errs' else 'port'}":
        {(i,): v for i, v in enumerate(values)}
        for name, values in fields.items()
    } | {"list.readable": True}  # fmt: skip


TAKES = ok("take", "done", "done.lowest")
lists = [
    Execution("a list is gone through until one is not to be had", LISTS, (
        call("take", 2, TAKES, at=16, count=2, cmd=1, **behind(list=(4, 5))),
        call("take", 1, TAKES, at=16, count=3, cmd=1, **behind(list=(6, 5, 7))),
        call("take", 0, TAKES, at=16, count=1, cmd=1, **behind(list=(4,))),
        call("take", 1, TAKES, at=16, count=1, cmd=1, **behind(list=(7,))),
    )),
    Execution("it has gone too far, and not far enough", LISTS, (
        call("take", 1, {"take.done.lowest": "no"}, at=16, count=1, cmd=1, **behind(list=(12,))),
        call("take", 0, {"take.done": "no"}, at=16, count=1, cmd=1, **behind(list=(3,))),
    )),
    Execution("what is written into a list", LISTS, (
        call("take", 1, ok("take", "done", "done.lowest", "success.errs.code"),
             at=16, count=1, cmd=1, **behind(list=(4,), errs=(7,))),
        call("take", 1, {"take.success.errs.code": "no"}, at=16, count=1, cmd=1,
             **behind(list=(5,), errs=(8,))),
    )),
    Execution("a list that was not seen", LISTS, (
        call("take", 1, {"take.done": "?", "take.done.lowest": "?", "take.success": "?"},
             at=16, count=2, cmd=1, **behind()),
    )),
    Execution("a command that is a part of its word", LISTS, (
        call("take", 2, TAKES, at=16, count=2, cmd=1 | 1 << 6, **behind(list=(12, 5))),
    )),
]  # fmt: skip

# ---- authority ----------------------------------------------------------------------

WHO = (
    HEAD
    + """
event look { x : u32 }
on look seen documented xen:a.h "x" {
  require promised "…" : x < 10
  require done "…" : x < 5 implemented xen:a.c "y"
}
operation try_it = op.1 takes args documented xen:a.h "x" {
  in a
  error EPERM no when a == 1 implemented xen:a.c "y"
  success {}
}
"""
)

authority = [
    Execution("an implementation's habits count", WHO, (
        event("look", {"seen.promised": "yes", "seen.done": "no"}, x=7),
        call("try_it", 0, {"try_it.no": "no"}, a=1),
    )),
    Execution("unless only what is documented is asked for", WHO, (
        event("look", {"seen.promised": "yes"}, x=7),
        event("look", {"seen.promised": "no"}, x=11),
        call("try_it", 0, {}, a=1),
        call("try_it", 0, {"try_it.success": "yes"}, a=2),
    ), authority="documented"),
]  # fmt: skip

ALL = [*errors, *statuses, *effects, *results, *drift, *debts, *begin, *lists, *authority]
