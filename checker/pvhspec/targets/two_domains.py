"""One trace of two domains that act in turn: dom0, and the one it has made before its first step.

Both write to files of their own. Each says in its own where it gives the turn away, so that the
parts between can be put in order without a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from struct import Struct
from typing import Any

from pvhspec.targets.decoding import TURN
from pvhspec.traces.schema import DOMCTLS

__all__ = ["together"]

Event = dict[str, Any]

_DOMCTL = 36
_LOOKED_AT = (0, -22)  # what comes back where nothing was wrong with the call itself: 0, -EINVAL
_HEAD = Struct("<I4xH")  # of struct xen_domctl: the command, and whom it is about
_COMMANDS = dict(zip((3, 4, 5, 27, 79), DOMCTLS, strict=True))


def together(dom0: Iterable[Event], domu: Iterable[Event], made: int, steps: int) -> list[Event]:
    """The events of both. Of dom0's none before its step `made`: until then it is a toolstack.

    `steps` is how many it then has; those of the other domain are counted from there.
    """
    first = [_done(_counted(e, -made)) for e in dom0 if e.get("step", -1) >= made or _is_last(e)]
    second = [_counted(e, steps) for e in domu if e["kind"] != "end"]
    handed_over = [e for e in second if "step" not in e]
    acts = [e for e in second if "step" in e]
    end = [e for e in first if e["kind"] == "end"]
    turns = zip_longest(_turns(e for e in first if e["kind"] != "end"), _turns(acts), fillvalue=())
    return [*handed_over, *chain.from_iterable(chain(*each) for each in turns), *end]


def _is_last(event: Event) -> bool:
    """How it ended, and what was said of that."""
    return event["kind"] == "end" or (event["kind"] == "note" and "step" not in event)


def _done(event: Event) -> Event:
    """A domctl as what it asked of a domain, where that was looked at; any other event as it is."""
    if event.get("nr") != _DOMCTL or event.get("ret") not in _LOOKED_AT or not event["in"]:
        return event
    start, data = event["in"][0]
    head = bytes.fromhex(data)[int(event["args"][0], 16) - int(start, 16) :][: _HEAD.size]
    command, domain = _HEAD.unpack(head)
    if command not in _COMMANDS:
        return event
    known = {name: event[name] for name in ("seq", "ts", "dom", "vcpu", "origin", "step")}
    return {"kind": "toolstack", **known, "command": _COMMANDS[command],
            "domain": domain, "ret": event["ret"]}  # fmt: skip


def _counted(event: Event, by: int) -> Event:
    return {**event, "step": event["step"] + by} if "step" in event else event


def _turns(events: Iterable[Event]) -> Iterator[list[Event]]:
    """What was done in each turn. What is done after it was given away, and before the next, is
    the answer to a call that outlasted it."""
    turn: list[Event] = []
    for event in events:
        if event["kind"] == TURN:
            yield turn
            turn = []
        else:
            turn.append(event)
    yield turn
