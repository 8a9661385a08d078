"""An event in the words of the specification, for people: `EVTCHNOP_close(port = 3) = 0`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pvhspec.backends.protocol import Call, Seen
from pvhspec.traces import Event

__all__ = ["event_parts", "event_told", "number"]

_MOST_ARGS = 8
# Fields that say which event of its kind it was; the rest is what the clause is about.
_SHOWN = {
    "cpuid": ("leaf", "subleaf"),
    "msr": ("op", "index", "value", "fault"),
    "store": ("what", "index", "value"),
    "grant_entry": ("ref", "stored", "flags", "domid"),
    "grant_status": ("ref", "status"),
    "upcall": ("vector",),
    "hypercall_page": ("gpa",),
    "end": ("reason",),
}
_VIEWS = {"guest": "seen by the guest", "hw": "seen from outside"}


def event_told(event: Event, seen: Seen) -> str:
    """What an event was, on one line."""
    return ", ".join(event_parts(event, seen))


def event_parts(event: Event, seen: Seen) -> list[str]:
    """The same in parts: what it was, then who did it, then where it comes from."""
    by = ""
    if event.kind == "hypercall":
        what = _call(event, seen)
        width = event.get("width")
        by = f"{width}-bit caller" if width else ""
    else:
        view = _VIEWS.get(str(event.get("view")))
        details = [f"{n} = {number(event.get(n))}" for n in _SHOWN.get(event.kind, ())
                   if event.get(n) is not None]  # fmt: skip
        what = " ".join([event.kind, ", ".join(details), f"({view})" if view else ""])
        what = " ".join(what.split())
    who = [f"vCPU {event.vcpu}" if event.vcpu else "", f"domain {event.dom}" if event.dom else ""]
    where = [f"step {event.step}" if event.step is not None else "", event.origin or ""]
    return [what, *filter(None, (by, *who, *where))]


def _call(event: Event, seen: Seen) -> str:
    call, ret = seen.call, event.get("ret")
    fault = event.get("fault")
    if fault is not None:
        came = f"ended in exception {fault}"
    else:
        came = "result not seen" if ret is None else f"= {number(ret)}"
    if call is None:
        args = ", ".join(number(a) for a in (event.get("args") or ())[:6])
        return f"hypercall {event.get('nr')}({args}) {came}"
    given = list(_given(call, seen))
    more = ", …" if len(given) > _MOST_ARGS else ""
    text = f"{call.operation.name}({', '.join(given[:_MOST_ARGS])}{more}) {came}"
    outs = [f"{s.name} = {number(seen.fields[f'out.{s.name}'])}" for s in call.operation.slots
            if s.written and seen.fields.get(f"out.{s.name}") is not None]  # fmt: skip
    if outs and ret is not None and ret >= 0:
        text += f" -> {', '.join(outs[:_MOST_ARGS])}"
    return text


def _given(call: Call, seen: Seen) -> Iterator[str]:
    op = call.operation
    for param in op.params[1:] if op.command is not None else op.params:
        if param.name in seen.fields and (op.struct is None or param is not op.params[-1]):
            yield f"{param.name} = {number(seen.fields[param.name])}"
    for slot in op.slots:
        if slot.read:
            value = seen.fields.get(slot.name)
            yield f"{slot.name} = {'not seen' if value is None else number(value)}"


def number(value: Any) -> str:
    """A value as a person reads it best: small numbers in decimal, others in hexadecimal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -4096 < value < 4096 else hex(value)
    return str(value)
