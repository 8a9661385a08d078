"""An editor, as far as a language server can tell: JSON-RPC over the pipes of `pvhspec lsp`."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

_LIMIT = 30.0  # seconds for one answer


class Editor:
    """A client with a folder open. `diagnostics` are the last that came, by path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.diagnostics: dict[Path, list[dict[str, Any]]] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pvhspec", "lsp"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._data = b""
        self._asked = 0
        self._versions: dict[Path, int] = {}
        root = folder.as_uri()
        self.capabilities = self.ask(
            "initialize", {"processId": None, "rootUri": root, "capabilities": {}}
        )["capabilities"]
        self.tell("initialized", {})

    def __enter__(self) -> Editor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        try:
            if kind is None:
                self.ask("shutdown", None)
                self.tell("exit", None)
                assert self._process.wait(_LIMIT) == 0
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()

    def open(self, path: Path, text: str | None = None) -> None:
        """Open a file, with its text or another."""
        document = {"uri": path.as_uri(), "languageId": "pvhspec", "version": 0,
                    "text": path.read_text() if text is None else text}  # fmt: skip
        self.tell("textDocument/didOpen", {"textDocument": document})

    def type(self, path: Path, text: str) -> None:
        """The buffer has this text now; the file does not."""
        version = self._versions[path] = self._versions.get(path, 0) + 1
        document = {"uri": path.as_uri(), "version": version}
        self.tell("textDocument/didChange",
                  {"textDocument": document, "contentChanges": [{"text": text}]})  # fmt: skip

    def at(self, method: str, path: Path, text: str, word: str, **more: Any) -> Any:
        """Ask about the place in `text` where `word` first stands; `|` in it is the place."""
        before, _, after = word.partition("|")
        place = text.index(before + after) + len(before)
        line = text.count("\n", 0, place)
        column = place - text.rfind("\n", 0, place) - 1
        position = {"line": line, "character": column}
        document = {"uri": path.as_uri()}
        return self.ask(
            f"textDocument/{method}", {"textDocument": document, "position": position, **more}
        )

    def told(self, path: Path, codes: list[str]) -> list[dict[str, Any]]:
        """Wait until these codes are what is wrong in a file, and give them."""
        end = time.monotonic() + _LIMIT
        while [d["code"] for d in self.diagnostics.get(path, [])] != codes:
            assert time.monotonic() < end, self.diagnostics.get(path)
            self._message(end)
        return self.diagnostics[path]

    # ---- the wire --------------------------------------------------------------------------------

    def tell(self, method: str, params: Any) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method: str, params: Any) -> Any:
        """The result, or the error's message."""
        self._asked += 1
        self._send({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
        end = time.monotonic() + _LIMIT
        while True:
            message = self._message(end)
            if message.get("id") == self._asked and "method" not in message:
                return message["error"] if "error" in message else message["result"]

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _message(self, end: float) -> dict[str, Any]:
        head = self._until(
            lambda: self._data.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in self._data else 0, end
        )
        length = int(head.split(b"Content-Length:")[1].split(b"\r\n")[0])
        body = self._until(lambda: length if len(self._data) >= length else 0, end)
        message: dict[str, Any] = json.loads(body)
        if message.get("method") == "textDocument/publishDiagnostics":
            path = Path(message["params"]["uri"].removeprefix("file://"))
            self.diagnostics[path] = message["params"]["diagnostics"]
        return message

    def _until(self, ready: Any, end: float) -> bytes:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while not (size := ready()):
            readable, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            assert readable, "the server does not answer"
            part = os.read(pipe, 65536)
            assert part, "the server is gone"
            self._data += part
        taken, self._data = self._data[:size], self._data[size:]
        return taken
