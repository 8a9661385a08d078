"""What a condition needs some cell to hold, so that values of a variable need not be tried.

`exists p | channel[d, p] is virq(n) and …` cannot hold for a port that is known to be free. Of
many ports that were touched, only those are looked at for which the cell may be as it has to be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pvhspec.backends.interpreter.values import ANY, OneOf, is_known
from pvhspec.ir.ir import Cell, Const, Expr, Is, Make, Op, Quant, Var

if TYPE_CHECKING:
    from pvhspec.backends.interpreter.path import Path

__all__ = ["Need", "needed"]


@dataclass(frozen=True, slots=True)
class Need:
    """A cell must hold one of these truths, or be of one of these variants; the variable is at one
    place of its index, and the others can be found before it has a value."""

    state: str
    place: int
    indices: tuple[Callable[[Path], Any], ...]
    admits: frozenset[Any]

    def at(self, path: Path) -> tuple[Any, ...]:
        """The index without the variable."""
        return tuple(
            0 if i == self.place else path.resolve(f(path)) for i, f in enumerate(self.indices)
        )

    def left(self, path: Path, index: tuple[Any, ...], values: Collection[int]) -> Collection[int]:
        """Those of the values for which the cell may hold what it must."""
        store, place = path.store, self.place
        if not is_known(index) or store.drift(self.state) is not None:
            return values
        before, behind = index[:place], index[place + 1 :]
        return [v for v in values if self._admitted(store.read(self.state, (*before, v, *behind)))]

    def _admitted(self, value: Any) -> bool:
        if value is ANY or isinstance(value, OneOf):
            return True
        return (value[0] if isinstance(value, tuple) else value) in self.admits


def needed(node: Expr, variable: Var) -> dict[Cell, frozenset[Any]]:
    """Without what in a cell a condition cannot hold, for every cell with the variable in its index
    of which that can be said."""
    match node:
        case Is(value=Cell() as cell, variant=variant):
            return _of(cell, variant, variable)
        case (
            Op(op="eq", args=(Cell() as cell, Make(variant=variant)))
            | Op(op="eq", args=(Make(variant=variant), Cell() as cell))
        ):
            return _of(cell, variant, variable)
        case Op(op="eq", args=(Cell() as cell, Const(value=value))) if isinstance(value, tuple):
            return _of(cell, value[0], variable)
        case Cell():
            return _of(node, True, variable)
        case Op(op="not", args=(Cell() as cell,)):
            return _of(cell, False, variable)
        case Op(op="and", args=args):
            both: dict[Cell, frozenset[Any]] = {}
            for part in args:
                for cell, admits in needed(part, variable).items():
                    both[cell] = both.get(cell, admits) & admits
            return both
        case Op(op="or", args=args):
            first, *others = (needed(part, variable) for part in args)
            return {
                cell: admits.union(*(other[cell] for other in others))
                for cell, admits in first.items()
                if all(cell in other for other in others)
            }
        case Quant(kind="exists", body=body):
            return needed(body, variable)
    return {}


def _of(cell: Cell, what: Any, variable: Var) -> dict[Cell, frozenset[Any]]:
    return {cell: frozenset({what})} if cell.indices.count(variable) == 1 else {}
