"""What an error says of types and names, and what may be done about it."""

from __future__ import annotations

from pvhspec.names.symbols import Symbol
from pvhspec.syntax import ast
from pvhspec.types.types import BOOL, BitsType, EnumType, Type, shown

__all__ = ["a_type", "convertible", "use"]


def a_type(kind: Type) -> str:
    """A type in a sentence."""
    name = shown(kind)
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def convertible(found: Type, want: Type) -> str | None:
    """What may be done about a value of the wrong type."""
    if want == BOOL:
        return "compare it: … != 0" if isinstance(found, BitsType) else None
    if not isinstance(want, BitsType) or isinstance(found, EnumType):
        return None
    if isinstance(found, BitsType) and found.width == want.width:
        return f"they are not the same thing; if it is meant all the same: {shown(want)}(…)"
    if isinstance(found, BitsType):
        return (
            f"{shown(found)} has {found.width} bits, {shown(want)} {want.width}: {shown(want)}(…)"
        )
    return f"convert it: {shown(want)}(…)"


def use(symbol: Symbol) -> str | None:
    """How a name is used that was used in a wrong way."""
    match symbol.decl:
        case ast.DefDecl() | ast.MacroDecl():
            if isinstance(symbol.decl, ast.MacroDecl):
                return "an effect is no value: it is called by itself"
            return f"call it: {symbol.name}(…)"
        case ast.StateDecl(params=params):
            return f"it is a state: {symbol.name}[…]" if params else f"it is a state: {symbol.name}"
        case ast.StructDecl():
            return f"a structure lies at an address: let x = {symbol.name} at …"
        case ast.ConstDecl():
            return "it is a constant"
    return None
