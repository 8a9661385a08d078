"""What is read only by those who ask for it: a row of things, kept as the bytes they come from."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

__all__ = ["Packed", "unpickled"]

T_co = TypeVar("T_co", covariant=True)


class Packed(Sequence[T_co], Generic[T_co]):
    """A tuple that is unpacked when somebody first looks into it.

    The examples are half of a compiled specification, and no verdict needs them.
    """

    __slots__ = ("_bytes", "_items")

    def __init__(self, items: Sequence[T_co]) -> None:
        self._bytes = pickle.dumps(tuple(items), protocol=pickle.HIGHEST_PROTOCOL)
        self._items: tuple[T_co, ...] | None = None

    def _all(self) -> tuple[T_co, ...]:
        if self._items is None:
            found: tuple[T_co, ...] = unpickled(self._bytes)
            self._items = found
        return self._items

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, index: int | slice) -> T_co | tuple[T_co, ...]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[T_co]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (tuple, Packed)) and self._all() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __reduce__(self) -> tuple[Any, ...]:
        return _packed, (self._bytes,)


def _packed(held: bytes) -> Packed[Any]:
    made: Packed[Any] = Packed.__new__(Packed)
    made._bytes, made._items = held, None
    return made


def unpickled(held: bytes) -> Any:
    """What was pickled. Nothing of it is garbage yet, so nobody looks for any meanwhile."""
    was = gc.isenabled()
    gc.disable()
    try:
        return pickle.loads(held)
    finally:
        if was:
            gc.enable()
