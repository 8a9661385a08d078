"""What memory a hypercall's arguments reach, by the specification: for captures from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pvhspec.ir.ir import Operation, Spec

__all__ = ["ranges_of"]

_UNKNOWN = 64  # bytes kept where an argument may be a pointer, to something not specified
_LOWEST = 0x1000  # numbers below are no pointers


def ranges_of(spec: Spec) -> Callable[[int, tuple[int, ...], int], Iterator[tuple[int, int]]]:
    """(number, arguments, width) -> [(linear address, bytes)].

    Of an operation that takes a structure, that structure. Of every other call, a few bytes at
    each argument that could be an address: what is not there is left out by whoever reads it.
    """
    takes: dict[tuple[int, int | None], Operation] = {
        (op.number, op.command): op
        for op in spec.operations
        if op.number is not None and op.struct_size is not None
    }

    def ranges(number: int, args: tuple[int, ...], width: int) -> Iterator[tuple[int, int]]:
        op = takes.get((number, args[0] & 0xFFFF_FFFF)) or takes.get((number, None))
        if op is not None and op.struct_size is not None and op.params:
            yield args[len(op.params) - 1], op.struct_size[1 if width == 32 else 0]
            return
        for value in dict.fromkeys(args):
            if value >= _LOWEST:
                yield value, _UNKNOWN

    return ranges
