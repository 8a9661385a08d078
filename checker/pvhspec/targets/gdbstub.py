"""GDB's remote protocol to QEMU's debugger stub, as much of it as captures need."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["ANSWER_WITHIN", "LOOK_EVERY", "Lost", "Stub", "connected"]

LOOK_EVERY = 0.05  #: seconds between looks at whether it is worth waiting any longer
ANSWER_WITHIN = 5.0  #: seconds
_PIECE = 1024  # bytes of memory asked for in one packet


class Lost(Exception):
    """The debugger stub or the monitor went away or answered nothing of use."""


class Stub:
    """A connection to the stub: requests and answers, breakpoints and memory.

    Answers are not acknowledged: QEMU takes the next request for it, and a byte that reaches it
    while the guest runs would stop the guest.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._data = b""

    def ask(self, command: str) -> str:
        """The answer to a request."""
        self.send(command)
        return self.answer()

    def send(self, *commands: str) -> None:
        """Requests, whose answers come in their order."""
        self._channel.sendall(
            b"".join(b"$%s#%02x" % (c.encode(), sum(c.encode()) & 0xFF) for c in commands)
        )

    def answer(self, wait: Callable[[], None] | None = None) -> str:
        """The next packet. `wait` is called over and over while there is none; it may raise."""
        while not (found := re.search(rb"\$([^#]*)#..", self._data, re.DOTALL)):
            try:
                part = self._channel.recv(65536)
            except TimeoutError:
                if wait is None:
                    raise
                wait()
                continue
            if not part:
                raise Lost("the debugger stub closed the connection")
            self._data += part
        self._data = self._data[found.end() :]
        return found[1].decode("latin-1")

    def let_go(self) -> None:
        """The guest goes on by itself; it may be at its end before there is an answer."""
        with suppress(OSError, Lost):
            self.ask("D")

    def memory(self, address: int, length: int) -> bytes:
        """Guest-physical memory (paging is off at entry); shorter where it is not there."""
        result = b""
        while len(result) < length:
            part = min(_PIECE, length - len(result))
            answer = self.ask(f"m{address + len(result):x},{part:x}")
            if not re.fullmatch(r"(?:[0-9a-f]{2})+", answer):
                break
            result += bytes.fromhex(answer)
        return result


@contextmanager
def connected(path: Path, wait: Callable[[], None]) -> Iterator[socket.socket]:
    """A connection to a socket that QEMU may not have made yet; `wait` as for `Stub.answer`."""
    with socket.socket(socket.AF_UNIX) as channel:
        while True:
            try:
                channel.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                wait()
                time.sleep(0.005)
        channel.settimeout(ANSWER_WITHIN)
        yield channel
