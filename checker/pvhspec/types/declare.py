"""From declarations to types: bit-vectors, enums and the layout of structures."""

from __future__ import annotations

from dataclasses import dataclass

from pvhspec.diagnostics import code
from pvhspec.names.symbols import Scope, Symbols
from pvhspec.syntax import ast
from pvhspec.types import layout
from pvhspec.types.types import BOOL, BitsType, EnumType, Type, VariantInfo

__all__ = ["Struct", "StructField", "TypeTable", "fold"]

NOT_A_TYPE = code("PVH301", "The name is not a type that can stand here.")
BAD_BOUND = code("PVH302", "A bound or count is not a number known from the text.")
BAD_BITS = code("PVH303", "A bit field lies outside its type, or over another.")
BAD_LAYOUT = code("PVH304", "A field lies outside its structure, is misaligned, or over another.")

_PLAIN = {f"u{w}": BitsType(w) for w in (1, 8, 16, 32, 64)}
# Types whose size follows the caller's width: (64-bit, 32-bit) bytes.
_BY_WIDTH = {"ulong": (8, 4), "pointer": (8, 4)}


@dataclass(frozen=True, slots=True)
class StructField:
    """A field: type, offset and size in bytes (64-bit, 32-bit); `count` > 1 for arrays.

    `when` are the conditions, in the text, under which the field is there.
    """

    name: str
    type: BitsType
    offset: tuple[int, int]
    size: tuple[int, int]
    count: int
    when: tuple[ast.Expr, ...]
    gates: tuple[ast.Gate, ...]


@dataclass(frozen=True, slots=True)
class Struct:
    """A structure in memory; `size` in bytes (64-bit, 32-bit)."""

    name: str
    size: tuple[int, int]
    fields: tuple[StructField, ...]

    def field(self, name: str) -> StructField | None:
        """A field by name, or None."""
        return next((f for f in self.fields if f.name == name), None)

    def laid_out(self) -> layout.Struct:
        """Where its fields are, without the text of the conditions under which they are there."""
        fields = (
            layout.StructField(f.name, f.type, f.offset, f.size, f.count) for f in self.fields
        )
        return layout.Struct(self.name, self.size, tuple(fields))


def fold(expr: ast.Expr | None, scope: Scope) -> int | None:
    """A number known from the text: a literal or a constant."""
    match expr:
        case ast.Number(value=value):
            return value
        case ast.Paren(value=inner):
            return fold(inner, scope)
        case ast.Ref(name=name):
            symbol = scope.find(name)
            if symbol is not None and isinstance(symbol.decl, ast.ConstDecl):
                return fold(symbol.decl.value, scope)
    return None


class TypeTable:
    """The types of a specification, each made once."""

    def __init__(self, symbols: Symbols, scopes: dict[str, Scope]) -> None:
        self._symbols = symbols
        self._scopes = scopes
        self._made: dict[str, Type] = {}
        self._structs: dict[str, Struct] = {}

    def of(self, name: ast.Name, scope: Scope) -> Type:
        """The type a name stands for; reports and raises Stop if it is none."""
        if name.text == "bool":
            return BOOL
        if name.text in _PLAIN:
            return _PLAIN[name.text]
        if name.text in _BY_WIDTH:
            return BitsType(64, name.text)
        symbol = scope.lookup(name.text, name.span)
        if symbol.variant is not None or not isinstance(
            symbol.decl, ast.TypeDecl | ast.BitsDecl | ast.EnumDecl
        ):
            raise scope.stop(NOT_A_TYPE, name.span, f"{name.text} is not a type")
        if name.text not in self._made:
            self._made[name.text] = self._make(symbol.decl, self._scopes[symbol.module])
        return self._made[name.text]

    def bits(self, name: ast.Name, scope: Scope) -> BitsType:
        """As `of`, where only a bit-vector will do."""
        found = self.of(name, scope)
        if not isinstance(found, BitsType):
            raise scope.stop(NOT_A_TYPE, name.span, f"{name.text} is not a bit-vector")
        return found

    def _make(self, decl: ast.TypeDecl | ast.BitsDecl | ast.EnumDecl, scope: Scope) -> Type:
        match decl:
            case ast.TypeDecl():
                base = self.bits(decl.base, scope)
                below = fold(decl.below, scope)
                if decl.below is not None and below is None:
                    raise scope.stop(BAD_BOUND, decl.below.span, "the bound is not a number")
                return BitsType(base.width, decl.name.text, below)
            case ast.BitsDecl():
                return self._bits(decl, scope)
            case ast.EnumDecl():
                if decl.base is not None:
                    return BitsType(self.bits(decl.base, scope).width, decl.name.text)
                variants = tuple(
                    VariantInfo(
                        v.name.text, tuple((p.name.text, self.of(p.type, scope)) for p in v.params)
                    )
                    for v in decl.variants
                )
                return EnumType(decl.name.text, variants)

    def _bits(self, decl: ast.BitsDecl, scope: Scope) -> BitsType:
        width = self.bits(decl.base, scope).width
        taken = 0
        for f in decl.fields:
            mask = (1 << (f.high + 1)) - (1 << f.low) if f.low <= f.high else 0
            if f.high >= width or not mask or taken & mask:
                why = f"bits {f.high}..{f.low} of u{width}: outside, empty, or already named"
                scope.error(BAD_BITS, f.span, why, "write the high bit first: type @ 3..0")
            taken |= mask
        fields = tuple((f.name.text, f.high, f.low) for f in decl.fields)
        return BitsType(width, decl.name.text, None, fields)

    # ---- structures -------------------------------------------------------------------------

    def struct(self, name: ast.Name, scope: Scope) -> Struct:
        """The structure a name stands for; reports and raises Stop if it is none."""
        symbol = scope.lookup(name.text, name.span)
        if not isinstance(symbol.decl, ast.StructDecl):
            raise scope.stop(NOT_A_TYPE, name.span, f"{name.text} is not a struct")
        if name.text not in self._structs:
            self._structs[name.text] = self._layout(symbol.decl, self._scopes[symbol.module])
        return self._structs[name.text]

    def _layout(self, decl: ast.StructDecl, scope: Scope) -> Struct:
        size = _both(decl.size)
        fields: list[StructField] = []
        taken: tuple[list[int], list[int]] = ([0] * size[0], [0] * size[1])
        self._items(decl.items, scope, size, (), fields, taken)
        return Struct(decl.name.text, size, tuple(fields))

    def _items(
        self,
        items: tuple[ast.StructItem, ...],
        scope: Scope,
        size: tuple[int, int],
        when: tuple[ast.Expr, ...],
        fields: list[StructField],
        taken: tuple[list[int], list[int]],
    ) -> None:
        for item in items:
            match item:
                case ast.Field():
                    found = self._field(item, scope, when)
                    fields.append(found)
                    _place(found, item, scope, size, taken)
                case ast.FieldWhen():
                    self._items(item.items, scope, size, (*when, item.test), fields, taken)
                case ast.Either():
                    before = (list(taken[0]), list(taken[1]))
                    for alternative in item.alternatives:
                        own = (list(before[0]), list(before[1]))
                        self._items(alternative, scope, size, when, fields, own)
                        for whole, part in zip(taken, own, strict=True):
                            whole[:] = [a | b for a, b in zip(whole, part, strict=True)]

    def _field(self, item: ast.Field, scope: Scope, when: tuple[ast.Expr, ...]) -> StructField:
        kind = self.bits(item.type.name, scope)
        one = _BY_WIDTH.get(item.type.name.text, (kind.width // 8, kind.width // 8))
        count = 1 if item.type.count is None else fold(item.type.count, scope)
        if count is None or count < 1:
            raise scope.stop(BAD_BOUND, item.type.span, "the count is not a number")
        size = (one[0] * count, one[1] * count)
        return StructField(item.name.text, kind, _both(item.offset), size, count, when, item.gates)


def _both(offset: ast.Offset) -> tuple[int, int]:
    return offset.wide, offset.wide if offset.narrow is None else offset.narrow


def _place(
    field: StructField,
    item: ast.Field,
    scope: Scope,
    size: tuple[int, int],
    taken: tuple[list[int], list[int]],
) -> None:
    """Every byte of a structure belongs to one field, in both layouts."""
    for width, offset, length, whole, used in zip(
        (64, 32), field.offset, field.size, size, taken, strict=True
    ):
        if offset + length > whole:
            why = f"{field.name} ends at {offset + length} of {whole} ({width}-bit layout)"
            scope.error(BAD_LAYOUT, item.span, why)
            return
        if any(used[offset : offset + length]):
            why = f"{field.name} lies over another field ({width}-bit layout)"
            scope.error(BAD_LAYOUT, item.span, why, "put the fields of a union in either { … }")
            return
        used[offset : offset + length] = [1] * length
