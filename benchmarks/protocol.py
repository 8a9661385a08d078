"""`python -m benchmarks.protocol OUT --events 1e6`: long synthetic traces of one protocol.

A domain alone on Xen 4.17 opens event channels (EVTCHNOP_bind_ipi), sends on them and closes them,
never more than so many at once: the protocol of the numbers that other checkers are compared by.
Every call conforms. `--hidden 0.5` leaves out the result of half the calls, and the memory after
them; what was opened then is used all the same. The header says that the trace is synthetic.

The protocol is played a block at a time, and a block ends with everything closed: after a few
different blocks they come again with other times, so that a hundred million events cost no more
than writing them.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pvhspec.traces import Complete, Guest, Header, Hypervisor, Origin
from pvhspec.traces.writer import dump_header

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Block", "Shape", "batch", "blocks", "header", "lines", "write"]

OPEN, SEND, CLOSE = 7, 4, 3  # EVTCHNOP_bind_ipi, EVTCHNOP_send, EVTCHNOP_close
ADDRESS = 0x101D000
_EVENTS = 1 << 16  # in one block
_DIFFERENT = 8  # blocks, before they come again


class Shape(NamedTuple):
    """How long a trace is, in how many domains, over how many ports of each, and what part of the
    results is hidden."""

    events: int
    ports: int = 64
    hidden: float = 0.0
    domains: int = 1


class Block(NamedTuple):
    """Calls one after the other: domain, command, port, and whether the result is hidden."""

    first: int  #: the number of its first event
    domain: npt.NDArray[np.uint32]
    command: npt.NDArray[np.uint8]
    port: npt.NDArray[np.uint32]
    hidden: npt.NDArray[np.bool_]


def header(shape: Shape) -> Header:
    """What such a trace says of itself."""
    domains = [str(d) for d in range(shape.domains)]
    seen = shape.hidden == 0
    return Header(
        origin=Origin("benchmark", "benchmarks.protocol"),
        synthetic=True,
        hypervisor=Hypervisor("xen", "4.17.7"),
        guest=Guest("pvh_dom0"),
        cpu_vendor="AuthenticAMD",
        clock="ns",
        from_boot=True,
        complete=Complete(True, True, seen, seen, True),
        given={
            "domain_exists": {"*": False, **dict.fromkeys(domains, True)},
            "domain_privileged": {"*": False, "0": True},
            "domain_paused": {"*": False},
            "vcpu_exists": {"*": False, **{f"{d},0": True for d in domains}},
            "max_evtchn_port": dict.fromkeys(domains, 2147483647),
            "memory_to_spare": {"*": True},
            "xen_attached": {"*": False},
            "virq_handler": {"*": 0},
        },
    )


def blocks(shape: Shape, seed: int = 1) -> Iterator[Block]:
    """The calls of a trace. The last block may be shorter, and then leaves channels open."""
    different = min(_DIFFERENT, -(-shape.events // _EVENTS))
    played = [_turns(seed + n, shape) for n in range(different)]
    first = 0
    for columns in itertools.cycle(played):
        if first >= shape.events:
            return
        left = min(len(columns[0]), shape.events - first)
        yield Block(first, *(column[:left] for column in columns))
        first += left


def _turns(seed: int, shape: Shape) -> tuple[Any, Any, Any, Any]:
    """Every domain plays by itself, and each makes one call in its turn."""
    count = _EVENTS // shape.domains
    each = [_played((seed, d), count, shape.ports) for d in range(shape.domains)]
    command, port = (np.stack(columns, axis=1).ravel() for columns in zip(*each, strict=True))
    return (
        np.tile(np.arange(shape.domains, dtype=np.uint32), count), command, port,
        np.random.default_rng((seed, 1)).random(len(command)) < shape.hidden,
    )  # fmt: skip


def _played(seed: tuple[int, int], count: int, ports: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    chances = rng.random(count).tolist()
    which = rng.random(count).tolist()
    free, used = list(range(ports, 0, -1)), list[int]()
    command, port = [], []
    for n in range(count):
        chance = chances[n]
        left = count - n
        if len(used) >= left:
            chance = 1.0  # only time enough to close them all
        elif len(used) == left - 1:
            chance = 0.5  # and none to open another
        elif not used:
            chance = 0.0
        if chance < 0.2 and free:
            free.sort(reverse=True)  # Xen gives the lowest port that is free
            used.append(free.pop())
            command.append(OPEN)
            port.append(used[-1])
        elif chance < 0.8:
            command.append(SEND)
            port.append(used[int(which[n] * len(used))])
        else:
            at = int(which[n] * len(used))
            used[at], used[-1] = used[-1], used[at]
            free.append(used.pop())
            command.append(CLOSE)
            port.append(free[-1])
    return np.array(command, np.uint8), np.array(port, np.uint32)


def lines(block: Block) -> bytes:
    """A block as JSON Lines, as the project's writer makes them."""
    made = []
    columns = (c.tolist() for c in (block.domain, block.command, block.port, block.hidden))
    for seq, (dom, command, port, hidden) in enumerate(zip(*columns, strict=True), block.first):
        raw = port.to_bytes(4, "little").hex()
        before = "00000000eeeeeeee" if command == OPEN else raw
        after = f"00000000{raw}" if command == OPEN else raw
        done = "" if hidden else '"ret": 0, '
        left = "" if hidden else f', "out": [["{ADDRESS:#x}", "{after}"]]'
        made.append(
            f'{{"kind": "hypercall", "seq": {seq}, "ts": {1000 + 250 * seq}, '
            f'"dom": {dom}, "vcpu": 0, '
            f'"width": 64, "cpl": 0, "via": "page", "nr": 32, '
            f'"args": ["{command:#x}", "{ADDRESS:#x}"], {done}'
            f'"arg_readable": true, "arg_writable": true, '
            f'"in": [["{ADDRESS:#x}", "{before}"]]{left}}}\n'
        )
    return "".join(made).encode()


def batch(block: Block) -> pa.RecordBatch:
    """A block as columns: the same events as its lines are."""
    import pyarrow as pa

    from pvhspec.traces.columns import COLUMNS, KIND_CODES, arrow_schema

    rows = len(block.command)
    seq = np.arange(block.first, block.first + rows, dtype=np.uint64)
    opens = block.command == OPEN
    before = np.zeros((rows, 8), np.uint8)
    before[:, :4] = np.where(
        opens[:, None], 0, block.port.astype("<u4").view(np.uint8).reshape(-1, 4)
    )
    after = before.copy()
    before[opens, 4:] = 0xEE
    after[opens, 4:] = block.port[opens].astype("<u4").view(np.uint8).reshape(-1, 4)
    sizes = np.where(opens, 8, 4)

    def same(value: int, type: Any) -> Any:
        return pa.array(np.full(rows, value, type))

    def choice(name: str, word: str) -> Any:
        codes = pa.array(np.full(rows, COLUMNS[name].words.index(word), np.int8))
        return pa.DictionaryArray.from_arrays(codes, pa.array(COLUMNS[name].words))

    def memory(name: str, held: Any, shown: Any) -> Any:
        kind = arrow_schema().field(name).type
        lengths = sizes[shown]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        raw = held[shown][np.arange(8) < lengths[:, None]]
        count = len(lengths)
        content = pa.Array.from_buffers(
            pa.binary(), count, [None, pa.py_buffer(starts), pa.py_buffer(raw)]
        )
        address = pa.array(np.full(count, ADDRESS, np.uint64))
        items = pa.StructArray.from_arrays([address, content], fields=list(kind.value_type))
        offsets = np.concatenate([[0], np.cumsum(shown)]).astype(np.int32)
        valid = None if shown.all() else pa.py_buffer(np.packbits(shown, bitorder="little"))
        return pa.Array.from_buffers(
            kind, rows, [valid, pa.py_buffer(offsets)], int(rows - shown.sum()), children=[items]
        )

    unseen = block.hidden if block.hidden.any() else None
    assert choice("kind", "hypercall").indices[0].as_py() == KIND_CODES["hypercall"]
    columns = {
        "seq": pa.array(seq), "kind": choice("kind", "hypercall"), "ts": pa.array(1000 + 250 * seq),
        "dom": pa.array(block.domain), "vcpu": same(0, np.uint32), "width": same(64, np.uint8),
        "cpl": same(0, np.uint8), "via": choice("via", "page"), "nr": same(32, np.uint64),
        "args": same(2, np.uint8), "arg0": pa.array(block.command.astype(np.uint64)),
        "arg1": same(ADDRESS, np.uint64),
        "ret": pa.array(np.zeros(rows, np.int64), mask=unseen),
        "arg_readable": same(1, np.bool_), "arg_writable": same(1, np.bool_),
        "in": memory("in", before, np.ones(rows, np.bool_)),
        "out": memory("out", after, ~block.hidden),
    }  # fmt: skip
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=arrow_schema(list(columns)))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocol", description=__doc__)
    parser.add_argument("out", help="the trace to write: .jsonl, .arrow or .parquet; - is lines")
    parser.add_argument("--events", type=float, default=1e6)
    parser.add_argument("--ports", type=int, default=64)
    parser.add_argument("--hidden", type=float, default=0.0, help="of the results, from 0 to 1")
    parser.add_argument("--domains", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    shape = Shape(int(args.events), args.ports, args.hidden, args.domains)
    write(args.out, header(shape), blocks(shape, args.seed))
    return 0


def write(out: str, header: Header, made: Iterable[Block]) -> None:
    """Write a trace in the format that the name says."""
    if out.endswith((".arrow", ".parquet")):
        from pvhspec.traces.column_writer import ArrowWriter, ParquetWriter

        kind = ArrowWriter if out.endswith(".arrow") else ParquetWriter
        with kind(out, header) as writer:
            for block in made:
                writer.write(batch(block))
        return
    with Path("/dev/stdout" if out == "-" else out).open("wb") as stream:
        stream.write(dump_header(header))
        for block in made:
            stream.write(lines(block))


if __name__ == "__main__":
    sys.exit(main())
