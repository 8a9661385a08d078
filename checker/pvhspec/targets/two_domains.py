"""One trace of two domains that act in turn: dom0, and the one it has made before its first step.

Both write to files of their own. Each says in its own where it gives the turn away, so that the
parts between can be put in order without a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from typing import Any

from pvhspec.targets.decoding import TURN

__all__ = ["together"]

Event = dict[str, Any]


def together(dom0: Iterable[Event], domu: Iterable[Event], made: int, steps: int) -> list[Event]:
    """The events of both. Of dom0's none before its step `made`: until then it is a toolstack.

    `steps` is how many it then has; those of the other domain are counted from there.
    """
    first = [_counted(e, -made) for e in dom0 if e.get("step", -1) >= made or _is_last(e)]
    second = [_counted(e, steps) for e in domu if e["kind"] != "end"]
    handed_over = [e for e in second if "step" not in e]
    acts = [e for e in second if "step" in e]
    end = [e for e in first if e["kind"] == "end"]
    turns = zip_longest(_turns(e for e in first if e["kind"] != "end"), _turns(acts), fillvalue=())
    return [*handed_over, *chain.from_iterable(chain(*each) for each in turns), *end]


def _is_last(event: Event) -> bool:
    """How it ended, and what was said of that."""
    return event["kind"] == "end" or (event["kind"] == "note" and "step" not in event)


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
