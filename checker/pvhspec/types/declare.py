"""From declarations to types: bit-vectors, enums and the layout of structures."""

from __future__ import annotations

from dataclasses import dataclass

from pvhspec.diagnostics import code
from pvhspec.names.report import Stop
from pvhspec.names.symbols import Scope, Symbols
from pvhspec.syntax import ast
from pvhspec.types import layout
from pvhspec.types.types import BOOL, BitsType, EnumType, Type, VariantInfo

__all__ = ["Struct", "StructField", "TypeTable", "fold"]

NOT_A_TYPE = code("PVH301", "The name is not a type that can stand here.")
BAD_BOUND = code("PVH302", "A bound or count is not a number known from the text.")
BAD_BITS = code("PVH303", "A bit field lies outside its type, or over another.")
BAD_LAYOUT = code("PVH304", "A field lies outside its structure, is misaligned, or over another.")

_NUMBER = "write a number, or a const of this module or an imported one"
_PLAIN = {f"u{w}": BitsType(w) for w in (1, 8, 16, 32, 64)}
RECURSIVE = code("PVH305", "A type is made of itself.")

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


def fold(expr: ast.Expr | None, scope: Scope, depth: int = 16) -> int | None:
    """A number known from the text: a literal or a constant, through at most `depth` of them."""
    match expr:
        case ast.Number(value=value):
            return value
        case ast.Paren(value=inner):
            return fold(inner, scope, depth)
        case ast.Ref(name=name):
            symbol = scope.find(name)
            if symbol is not None and isinstance(symbol.decl, ast.ConstDecl) and depth:
                return fold(symbol.decl.value, scope, depth - 1)
    return None


class TypeTable:
    """The types of a specification, each made once."""

    def __init__(self, symbols: Symbols, scopes: dict[str, Scope]) -> None:
        self._symbols = symbols
        self._scopes = scopes
        self._made: dict[str, Type] = {}
        self._making: list[str] = []
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
            why, remedy = f"{name.text} is not a type", None
            if isinstance(symbol.decl, ast.StructDecl):
                remedy = f"a structure lies at an address: let x = {name.text} at …"
            raise scope.stop(NOT_A_TYPE, name.span, why, remedy)
        if name.text in self._making:
            chain = " of ".join([*self._making[self._making.index(name.text) :], name.text])
            raise scope.stop(RECURSIVE, name.span, f"{chain}: a type cannot be made of itself")
        if name.text not in self._made:
            self._making.append(name.text)
            try:
                self._made[name.text] = self._make(symbol.decl, self._scopes[symbol.module])
            finally:
                self._making.pop()
        return self._made[name.text]

    def bits(self, name: ast.Name, scope: Scope) -> BitsType:
        """As `of`, where only a bit-vector will do."""
        found = self.of(name, scope)
        if not isinstance(found, BitsType):
            why = f"{name.text} is not a bit-vector"
            raise scope.stop(NOT_A_TYPE, name.span, why, "a number is needed here: u8 to u64")
        return found

    def _make(self, decl: ast.TypeDecl | ast.BitsDecl | ast.EnumDecl, scope: Scope) -> Type:
        match decl:
            case ast.TypeDecl():
                base = self.bits(decl.base, scope)
                below = fold(decl.below, scope)
                if decl.below is not None and below is None:
                    why = "the bound is not a number known from the text"
                    raise scope.stop(BAD_BOUND, decl.below.span, why, _NUMBER)
                if (
                    decl.below is not None
                    and below is not None
                    and not 0 < below <= 1 << base.width
                ):
                    why = f"u{base.width} has no {below} values"
                    raise scope.stop(BAD_BOUND, decl.below.span, why)
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
        taken: dict[int, str] = {}
        for f in decl.fields:
            bits = range(f.low, f.high + 1)
            if not bits:
                why, remedy = "the high bit comes first", f"write {f.name.text} @ {f.low}..{f.high}"
                scope.error(BAD_BITS, f.span, why, remedy)
            elif f.high >= width:
                why = f"there is no bit {f.high} in u{width}: the highest is {width - 1}"
                scope.error(BAD_BITS, f.span, why)
            elif other := next((taken[b] for b in bits if b in taken), None):
                scope.error(BAD_BITS, f.span, f"{f.name.text} lies over {other}")
            taken.update(dict.fromkeys(bits, f.name.text) if f.high < width else {})
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
                    try:
                        found = self._field(item, scope, when)
                    except Stop:
                        continue
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
            why = "the count is not a number known from the text"
            raise scope.stop(BAD_BOUND, item.type.span, why, _NUMBER)
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
            scope.error(BAD_LAYOUT, item.span, why, "correct the offset, or the size of the struct")
            return
        if any(used[offset : offset + length]):
            why = f"{field.name} lies over another field ({width}-bit layout)"
            scope.error(BAD_LAYOUT, item.span, why, "put the fields of a union in either { … }")
            return
        used[offset : offset + length] = [1] * length
