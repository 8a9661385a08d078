"""The repl on a terminal: completion, history, and Ctrl-C that ends a question, not the session."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pvhspec.commands.query import lexicon_of
from pvhspec.commands.repl import Completer

PATIENCE = 120.0  # seconds for one answer, on a busy machine


@cache
def completer() -> Completer:
    return Completer(lexicon_of(None))


@pytest.mark.parametrize(
    ("before", "word", "has", "lacks"),
    [
        ("", "", "can", "return"),
        ("can ", "bind_v", "bind_virq", "send"),
        ("can send ", "ret", "return", "EPERM"),
        ("can send return ", "EP", "EPERM", "EINVAL"),
        ("can send return EPERM ", "", "in", "can"),
        ("can send return EPERM in ", "pvh_", "pvh_dom0", "pv"),
        ("can send return EPERM on ", "4.1", "4.17", "4.4"),
        ("which errors can ", "bind_i", "bind_ipi", "bind_virq"),
        ("what must hold of ", "cr", "cr4", "eax"),
        ("what must hold of cr4 at ", "e", "entry", "cr4"),
        ("can channel[caller, 5] == ", "ip", "ipi", "send"),
        ("can exists p : ", "Po", "Port", "ipi"),
        ("", ":m", ":mode", ":quit"),
        (":mode ", "pvh_b", "pvh_boot", "pvh_dom0"),
        (":release ", "4.2", "4.20", "4.17"),
        ("this is no question ", "", None, "can"),
    ],
)
def test_what_may_come_next(before: str, word: str, has: str | None, lacks: str) -> None:
    found = completer().after(before, word)
    assert has is None or has in found
    assert lacks not in found
    assert all(f.startswith(word) for f in found)


class Terminal:
    """A repl on a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(XDG_STATE_HOME=str(folder), TERM="dumb")
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.execv(sys.executable, [sys.executable, "-m", "pvhspec", "repl", "--no-cache"])
        self.seen = ""

    def until(self, text: str) -> str:
        """What is printed up to a text."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {text!r} in {self.seen!r}"
            try:
                more = os.read(self.fd, 4096)
            except OSError:
                more = b""
            assert more, f"ended before {text!r}: {self.seen!r}"
            self.seen += more.decode(errors="replace")
        head, _, self.seen = self.seen.partition(text)
        return head

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.fd, text.encode())


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    os.close(made.fd)
    try:
        os.kill(made.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    os.waitpid(made.pid, 0)


def test_on_a_terminal(terminal: Terminal, tmp_path: Path) -> None:
    terminal.until("pvhspec> ")
    terminal.type("can fifo[caller] and channel[caller, 9] == ipi and channel[caller, 8] == ipi\n")
    terminal.until("questions: 1 of")  # it is at work
    terminal.type("\x03")
    assert "interrupted" in terminal.until("pvhspec> ")
    terminal.type("can bind_ip\treturn ENOENT on 4.17\n")
    answer = terminal.until("pvhspec> ")
    assert "yes: EVTCHNOP_bind_ipi can return -ENOENT" in answer
    terminal.type(":mode pvh\n")
    terminal.until("pvhspec pvh> ")
    terminal.type(":quit\n")
    _, status = os.waitpid(terminal.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "can bind_ipi return ENOENT on 4.17" in (tmp_path / "pvhspec" / "history").read_text()
