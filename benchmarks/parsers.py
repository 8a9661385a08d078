"""`python -m benchmarks.parsers`: what could read JSON Lines, on lines as the project writes them.

Each library that is installed, and what `pvhspec.scan` does with the same bytes, in turn, best of
three, of the processor's time and one thread. What a library leaves to do is said: only the last
line has numbers, bytes and nulls in columns.
"""

from __future__ import annotations

import io
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from benchmarks.protocol import Shape, blocks, header, lines

from pvhspec.traces.writer import dump_header

_EVENTS = 300_000


def main() -> int:
    """The command."""
    body = b"".join(lines(block) for block in blocks(Shape(_EVENTS)))
    found: dict[str, list[float]] = {}
    for _, (name, run) in itertools.product(range(3), list(_ways(body))):
        since = time.process_time()
        run()
        found.setdefault(name, []).append(time.process_time() - since)
    print("| what | million events/s |\n|---|---|")
    for name, seconds in found.items():
        print(f"| {name} | {_EVENTS / min(seconds) / 1e6:.2f} |")
    return 0


def _ways(body: bytes) -> Iterator[tuple[str, Callable[[], object]]]:
    each = body.splitlines()
    yield "json: objects", lambda: [json.loads(line) and None for line in each]
    if (orjson := _installed("orjson")) is not None:
        yield "orjson: objects", lambda: [orjson.loads(line) and None for line in each]
    if (msgspec := _installed("msgspec")) is not None:
        fields = [
            *((n, int | None, None) for n in ("seq", "ts", "dom", "vcpu", "width", "cpl")),
            *((n, int | None, None) for n in ("nr", "ret")),
            *((n, str | None, None) for n in ("kind", "via")),
            *((n, bool | None, None) for n in ("arg_readable", "arg_writable")),
            ("args", list[str | int | None] | None, None),
            ("in_", list[tuple[str, str]] | None, None),
            ("out", list[tuple[str, str]] | None, None),
        ]  # fmt: skip
        made = msgspec.defstruct("Call", fields, rename={"in_": "in"}, gc=False)
        decode = msgspec.json.Decoder(made).decode
        yield "msgspec: structs, hex is text", lambda: [decode(line) and None for line in each]
    if (simdjson := _installed("simdjson")) is not None:
        parser = simdjson.Parser()

        def parsed() -> None:
            for line in each:
                parser.parse(line)

        yield "pysimdjson: parsed, nothing taken out", parsed
    yield from _tables(body)


def _tables(body: bytes) -> Iterator[tuple[str, Callable[[], object]]]:
    import pyarrow as pa
    import pyarrow.json

    pairs = pa.list_(pa.list_(pa.string()))
    schema = pa.schema(
        [(n, pa.uint64()) for n in ("seq", "ts", "dom", "vcpu", "width", "cpl", "nr")]
        + [("kind", pa.string()), ("via", pa.string()), ("args", pa.list_(pa.string()))]
        + [("ret", pa.int64()), ("arg_readable", pa.bool_()), ("arg_writable", pa.bool_())]
        + [("in", pairs), ("out", pairs)]
    )
    options = {
        "read_options": pa.json.ReadOptions(use_threads=False, block_size=1 << 22),
        "parse_options": pa.json.ParseOptions(schema, unexpected_field_behavior="ignore"),
    }
    yield (
        "pyarrow.json: columns, hex is text",
        lambda: pa.json.read_json(io.BytesIO(body), **options),
    )
    from pvhspec.scan.lines import ColumnLinesReader

    whole = dump_header(header(Shape(_EVENTS))) + body

    def scanned() -> None:
        stream: Any = io.BufferedReader(io.BytesIO(whole))
        for _ in ColumnLinesReader(stream, "lines").batches():
            pass

    yield "pvhspec.scan: columns", scanned


def _installed(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


if __name__ == "__main__":
    sys.exit(main())
