"""The protocol checked by hand in Python: what somebody would write who needs only this.

`python byhand.py jsonl TRACE` reads the trace's lines; `python byhand.py tuples TRACE` reads them
first, and times the check alone. Says how many events there were, how many were wrong, and the
processor's seconds.
"""

from __future__ import annotations

import json
import sys
import time

OPEN, SEND, CLOSE = 7, 4, 3


def jsonl(path: str) -> tuple[int, int]:
    """Events, and those that are wrong."""
    count, wrong = 0, 0
    ports: set[int] = set()
    with open(path) as lines:
        next(lines)
        for line in lines:
            event = json.loads(line)
            count += 1
            command = int(event["args"][0], 0)
            out = event["out"][0][1]
            if command == OPEN:
                port = int.from_bytes(bytes.fromhex(out[8:16]), "little")
                if port in ports or event["ret"] != 0:
                    wrong += 1
                ports.add(port)
                continue
            port = int.from_bytes(bytes.fromhex(out[:8]), "little")
            if (port in ports) != (event["ret"] == 0):
                wrong += 1
            if command == CLOSE:
                ports.discard(port)
    return count, wrong


def tuples(events: list[tuple[int, int]]) -> int:
    """How many of them are wrong; all of them succeeded."""
    wrong = 0
    ports: set[int] = set()
    for command, port in events:
        if command == SEND:
            if port not in ports:
                wrong += 1
        elif command == OPEN:
            if port in ports:
                wrong += 1
            ports.add(port)
        else:
            if port not in ports:
                wrong += 1
            ports.discard(port)
    return wrong


def in_memory(path: str) -> list[tuple[int, int]]:
    """Commands and ports of a trace's events."""
    found = []
    with open(path) as lines:
        next(lines)
        for line in lines:
            event = json.loads(line)
            command = int(event["args"][0], 0)
            at = 8 if command == OPEN else 0
            raw = event["out"][0][1][at : at + 8]
            found.append((command, int.from_bytes(bytes.fromhex(raw), "little")))
    return found


def main() -> None:
    """The command."""
    how, path = sys.argv[1:]
    if how == "jsonl":
        count, wrong = jsonl(path)
        print(json.dumps({"events": count, "wrong": wrong, "seconds": time.process_time()}))
        return
    events = in_memory(path)
    began = time.process_time()
    wrong = tuples(events)
    spent = time.process_time() - began
    print(json.dumps({"events": len(events), "wrong": wrong, "seconds": spent}))


if __name__ == "__main__":
    main()
