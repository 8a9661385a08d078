"""Other checkers on the same protocol, each fed from memory, so that only its own work is timed.

Run by the table in the Python that has them: `python peers.py reelay|reelay-send|rtamt TRACE`.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from byhand import CLOSE, OPEN, SEND, in_memory

_WORDS = {OPEN: "open", SEND: "send", CLOSE: "close"}
_IS_OPEN = "(not {op: close, port: *p}) since {op: open, port: *p}"
_SEND = "({op: send, port: *p} -> (" + _IS_OPEN + "))"
_CLOSE = "({op: close, port: *p} -> pre(" + _IS_OPEN + "))"
_OPEN = "(not ({op: open, port: *p} and pre(" + _IS_OPEN + ")))"


def reelay(events: list[tuple[int, int]], clauses: tuple[str, ...]) -> tuple[int, float]:
    """Past-time temporal logic over all ports at once."""
    import reelay as peer  # type: ignore[import-not-found, unused-ignore]

    pattern = f"forall[p]. {' and '.join(clauses)}"
    monitor = peer.discrete_timed_monitor(pattern=pattern, semantics="boolean", condense=False)
    fed = [{"op": _WORDS[command], "port": str(port)} for command, port in events]
    began = time.process_time()
    wrong = sum(not monitor.update(event)["value"] for event in fed)
    return wrong, time.process_time() - began


def rtamt(events: list[tuple[int, int]]) -> tuple[int, float]:
    """Signal temporal logic has no data: the events of one port only are told from the others."""
    import rtamt as peer  # type: ignore[import-not-found, unused-ignore]

    spec = peer.StlDiscreteTimeOnlineSpecification()
    for name in ("opened", "sent", "closed", "out"):
        spec.declare_var(name, "float")
    is_open = "((closed < 0.5) since (opened >= 0.5))"
    spec.spec = f"out = ((sent >= 0.5) or (closed >= 0.5)) implies (prev {is_open})"
    spec.parse()
    spec.pastify()
    fed: list[Any] = []
    for command, port in events:
        one = [0.0, 0.0, 0.0]
        if port == 1:
            one[(OPEN, SEND, CLOSE).index(command)] = 1.0
        fed.append([("opened", one[0]), ("sent", one[1]), ("closed", one[2])])
    began = time.process_time()
    wrong = sum(spec.update(at, event) < 0 for at, event in enumerate(fed))
    return wrong, time.process_time() - began


def main() -> None:
    """The command."""
    which, path = sys.argv[1:]
    events = in_memory(path)
    if which == "rtamt":
        wrong, seconds = rtamt(events)
    else:
        wrong, seconds = reelay(
            events, (_SEND,) if which == "reelay-send" else (_SEND, _CLOSE, _OPEN)
        )
    print(json.dumps({"events": len(events), "wrong": wrong, "seconds": seconds}))


if __name__ == "__main__":
    main()
