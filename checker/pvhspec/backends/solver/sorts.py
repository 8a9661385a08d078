"""Types and values of the IR as Z3 has them, and back."""

from __future__ import annotations

from typing import Any, assert_never

import z3

from pvhspec.types.types import BitsType, BoolType, EnumType, Type

__all__ = ["Sorts", "Term", "bound", "in_range"]

Term = Any  # a Z3 expression


class Sorts:
    """The sorts of one run: an enum with payloads is a datatype, made once."""

    def __init__(self) -> None:
        self._enums: dict[str, Any] = {}

    def sort(self, type_: Type) -> Any:
        """The sort of a type."""
        match type_:
            case BoolType():
                return z3.BoolSort()
            case BitsType(width=width):
                return z3.BitVecSort(width)
            case EnumType(name=name):
                if name not in self._enums:
                    self._enums[name] = self._datatype(type_)
                return self._enums[name]
            case _:
                assert_never(type_)

    def _datatype(self, type_: EnumType) -> Any:
        made = z3.Datatype(type_.name)
        for variant in type_.variants:
            fields = [
                (f"{type_.name}.{variant.name}.{name}", self.sort(kind))
                for name, kind in variant.payload
            ]
            made.declare(f"{type_.name}.{variant.name}", *fields)
        return made.create()

    def const(self, name: str, type_: Type) -> Term:
        """A constant nothing is known of."""
        return z3.Const(name, self.sort(type_))

    def value(self, type_: Type, value: Any) -> Term:
        """A known value as a term."""
        match type_:
            case BoolType():
                return z3.BoolVal(bool(value))
            case BitsType(width=width):
                return z3.BitVecVal(value, width)
            case EnumType(variants=variants):
                variant, *payload = value if isinstance(value, tuple) else (value,)
                kinds = [kind for _, kind in variants[variant].payload]
                parts = [self.value(k, v) for k, v in zip(kinds, payload, strict=True)]
                return self.make(type_, variant, parts)
            case _:
                assert_never(type_)

    def make(self, type_: EnumType, variant: int, parts: list[Term]) -> Term:
        """An enum value from its parts."""
        constructor = self.sort(type_).constructor(variant)
        return constructor(*parts)

    def test(self, type_: EnumType, variant: int, value: Term) -> Term:
        """Whether a value is of a variant."""
        return self.sort(type_).recognizer(variant)(value)

    def part(self, type_: EnumType, variant: int, index: int, value: Term) -> Term:
        """Item `index` of the payload."""
        return self.sort(type_).accessor(variant, index)(value)

    def known(self, type_: Type, term: Term) -> Any:
        """The value of a term that a model has made concrete."""
        match type_:
            case BoolType():
                return z3.is_true(term)
            case BitsType():
                return term.as_long()
            case EnumType(variants=variants):
                sort = self.sort(type_)
                for i, variant in enumerate(variants):
                    if term.decl().eq(sort.constructor(i)):
                        kinds = [kind for _, kind in variant.payload]
                        parts = zip(kinds, term.children(), strict=True)
                        return (i, *(self.known(k, c) for k, c in parts))
                raise ValueError(f"{term} is no value of {type_.name}")
            case _:
                assert_never(type_)


def bound(type_: Type) -> int | None:
    """One more than the largest value, where the type says less than its width does."""
    if isinstance(type_, BitsType) and type_.below is not None:
        return type_.below if type_.below < 1 << type_.width else None
    return None


def in_range(sorts: Sorts, type_: Type, term: Term) -> Term:
    """Whether a term is a value of its type, payloads included."""
    if isinstance(type_, EnumType):
        parts = [
            z3.Implies(sorts.test(type_, i, term), within)
            for i, variant in enumerate(type_.variants)
            for j, (_, kind) in enumerate(variant.payload)
            for within in [in_range(sorts, kind, sorts.part(type_, i, j, term))]
            if not z3.is_true(within)
        ]
        return z3.And(*parts) if parts else z3.BoolVal(True)
    limit = bound(type_)
    return z3.BoolVal(True) if limit is None else z3.ULT(term, limit)
