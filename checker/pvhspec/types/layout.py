"""Structures as they lie in memory: all that is left of a declaration once it has been checked."""

from __future__ import annotations

from dataclasses import dataclass

from pvhspec.types.types import BitsType

__all__ = ["Struct", "StructField"]


@dataclass(frozen=True, slots=True)
class StructField:
    """A field: type, offset and size in bytes (64-bit, 32-bit); `count` > 1 for arrays."""

    name: str
    type: BitsType
    offset: tuple[int, int]
    size: tuple[int, int]
    count: int


@dataclass(frozen=True, slots=True)
class Struct:
    """A structure in memory; `size` in bytes (64-bit, 32-bit)."""

    name: str
    size: tuple[int, int]
    fields: tuple[StructField, ...]
