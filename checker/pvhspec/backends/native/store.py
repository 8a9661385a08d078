"""The interpreter's store with its cells in the memory that native code works on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import numpy as np

from pvhspec.backends.interpreter.store import Saved, Store, _Touched
from pvhspec.backends.interpreter.values import ANY, is_known
from pvhspec.backends.native.layout import (
    FLAGS,
    OTHER,
    SLOTS,
    TOUCHED,
    UNKNOWN,
    WIDEST,
    Layout,
    Table,
    pack,
    unpack,
)
from pvhspec.ir.ir import State

__all__ = ["Block", "NativeStore"]

Index = tuple[Any, ...]
_TYPES = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class Block:
    """The memory. A slot is filled when its domain is first met."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.raw = np.zeros(layout.bytes + 64, np.uint8)  # pages nobody touches cost nothing
        skip = -self.raw.ctypes.data % 64
        self.raw = self.raw[skip : skip + layout.bytes]
        self.address = self.raw.ctypes.data
        self.used: dict[int, int] = {}  # domain: slot
        self.on_slot: list[Callable[[int, int], None]] = []

    def words(self, at: int, count: int, kind: Any = np.uint64) -> np.ndarray[Any, Any]:
        """So many numbers at an offset."""
        size = np.dtype(kind).itemsize * count
        return self.raw[at : at + size].view(kind)

    def array(self, table: Table, at: int, kind: Any, *per_slot: int) -> np.ndarray[Any, Any]:
        """Something of every cell of a table (or, `per_slot`, of every slot), by slot first."""
        shape = per_slot or (table.dims if table.dims else (1,))
        size = np.dtype(kind).itemsize
        strides = [size] * len(shape)
        for i in range(len(shape) - 2, -1, -1):
            strides[i] = strides[i + 1] * shape[i + 1]
        slots = SLOTS + 1 if table.slotted else 1
        start = self.layout.slots_at + at if table.slotted else at
        return np.ndarray(
            (slots, *shape), kind, self.raw.data, start, (self.layout.slot_bytes, *strides)
        )

    def slot(self, domain: int) -> int | None:
        """The slot of a domain, filled if it is new; None where there is none left."""
        found = self.used.get(domain)
        if found is not None:
            return found
        if len(self.used) >= SLOTS or not 0 <= domain < 1 << 16:
            return None
        slot = self.used[domain] = len(self.used) + 1
        for fill in self.on_slot:
            fill(domain, slot)
        self.raw[self.layout.header.slots + domain] = slot
        return slot


class Cells(MutableMapping[Index, Any]):
    """The touched cells of one state, as `Store` keeps them in a dictionary."""

    def __init__(self, store: NativeStore, state: State, table: Table) -> None:
        self._store, self._state, self._table = store, state, table
        block = store.block
        self.raw = block.array(table, table.cells, _TYPES[table.size])
        self.wide = (
            None
            if table.wide is None
            else block.array(table, table.wide, np.uint64, *(table.dims or (1,)), WIDEST // 64)
        )
        self.high = block.array(table, table.high, np.uint64, 1)
        self.writers = block.array(table, table.writers, np.uint64)
        self.other = _Touched(len(state.indices))  # what has no cell, or not a simple value
        self._slots = block.used
        self._seen: tuple[int, list[Index]] | None = None
        if table.slotted:
            self.raw[0] = UNKNOWN | OTHER  # of a domain that has no slot nothing is known
            block.on_slot.append(self._fill)
        else:
            self._fill(-1, 0)

    # ---- places --------------------------------------------------------------------------------

    def place(self, index: Index, make: bool = False) -> Index | None:
        """Where a cell lies; None where it has no place."""
        table = self._table
        if table.slotted:
            domain, rest = index[0], index[1:]
            slot = self._store.block.slot(domain) if make else self._slots.get(domain)
            if slot is None:
                return None
        else:
            slot, rest = 0, index
        for i, most in zip(rest, table.dims, strict=True):
            if not 0 <= i < most:
                return None
        return (slot, *map(int, rest)) if rest else (slot, 0)

    def _fill(self, domain: int, slot: int) -> None:
        """The cells of a slot as they are while nobody has touched them."""
        initial = self._store.initially(self._state.name)
        before = () if domain < 0 else (domain,)
        cuts = self._store.cuts(self._state.name, before, self._table.dims)
        if cuts is None:
            for at in np.ndindex(self.raw[slot].shape):
                index = (*before, *at) if self._table.dims else before
                self._put((slot, *at), self.untouched(index, initial))
            return

        def fill(at: Index, index: Index, left: list[list[int]]) -> None:
            for start, end in zip(left[0], left[0][1:], strict=False):
                if len(left) == 1:  # all places between two cuts are alike
                    held = self.untouched((*index, start), initial)
                    self._put((*at, slice(start, end)), held)
                    continue
                fill((*at, start), (*index, start), left[1:])
                for kept in self._arrays:
                    kept[(*at, slice(start + 1, end))] = kept[(*at, start)]

        if cuts:
            fill((slot,), before, cuts)
        else:
            self._put((slot,), self.untouched(before, initial))

    @property
    def _arrays(self) -> list[np.ndarray[Any, Any]]:
        return [self.raw] if self.wide is None else [self.raw, self.wide]

    def _put(self, at: Any, held: int) -> None:
        """Write flags and a value above them."""
        if self.wide is None:
            self.raw[at] = held
        else:
            value = held >> FLAGS
            self.raw[at] = held & (1 << FLAGS) - 1
            self.wide[at] = [value >> n & (1 << 64) - 1 for n in range(0, WIDEST, 64)]

    def _value(self, at: Index) -> Any:
        """The value at a place."""
        if self.wide is None:
            return unpack(int(self.raw[at]) >> FLAGS, self._state.type)
        parts = enumerate(self.wide[at].tolist())
        return unpack(sum(part << 64 * n for n, part in parts), self._state.type)

    def untouched(self, index: Index, initial: Callable[[Index], Any]) -> int:
        """What is kept of a cell nobody has touched."""
        how = self._store.vague(self._state.name)
        if how:
            return how
        value = initial(index)
        return pack(value, self._state.type) << FLAGS if is_known(value) else UNKNOWN

    def refill(self) -> None:
        """What is known of untouched cells has changed."""
        for slot in self._slots.values() if self._table.slotted else (0,):
            view = self.raw[slot]
            view[(view & TOUCHED) == 0] = self._store.vague(self._state.name)

    # ---- a dictionary ---------------------------------------------------------------------------

    def __contains__(self, index: object) -> bool:
        assert isinstance(index, tuple)
        at = self.place(index)
        return index in self.other if at is None else bool(self.raw[at] & TOUCHED)

    def __getitem__(self, index: Index) -> Any:
        at = self.place(index)
        if at is None:
            return self.other[index]
        raw = int(self.raw[at])
        if not raw & TOUCHED:
            raise KeyError(index)
        if raw & OTHER:
            return self.other[index]
        return ANY if raw & UNKNOWN else self._value(at)

    def __setitem__(self, index: Index, value: Any) -> None:
        at = self.place(index, make=True)
        if at is None:
            self.other[index] = value
            self._far(index)
            self._seen = None
            return
        self._seen = None
        if self.raw[at] & OTHER:
            self.other.pop(index, None)
        if is_known(value) and not (held := pack(value, self._state.type)) >> self._table.width:
            self._put(at, held << FLAGS | TOUCHED)
        elif value is ANY:
            self.raw[at] = TOUCHED | UNKNOWN
        else:
            self.raw[at] = TOUCHED | UNKNOWN | OTHER
            self.other[index] = value  # or one that was told, and is more than the type has
        slot, last = at[0], at[-1]
        if self.high[slot, 0] <= last:
            self.high[slot, 0] = last + 1

    def _far(self, index: Index) -> None:
        """A cell outside was touched: loops over the window would pass over it."""
        slot = self._slots.get(index[0]) if self._table.slotted else 0
        if slot is not None:
            self.high[slot, 0] = 1 << 40

    def __delitem__(self, index: Index) -> None:
        at = self.place(index)
        if at is None:
            del self.other[index]
            self._seen = None
            return
        self._seen = None
        self.other.pop(index, None)
        self._put(at, self.untouched(index, self._store.initially(self._state.name)))

    def __iter__(self) -> Iterator[Index]:
        return iter(self._indices())

    def __len__(self) -> int:
        return len(self._indices())

    def _indices(self) -> list[Index]:
        version = self._store.changes[self._state.name]
        if self._seen is not None and self._seen[0] == version:
            return self._seen[1]
        found: dict[Index, None] = {}
        for domain, slot in self._slots.items() if self._table.slotted else ((-1, 0),):
            before = () if domain < 0 else (domain,)
            hits = np.nonzero(self.raw[slot] & TOUCHED)
            if not self._table.dims:
                if len(hits[0]):
                    found[before] = None
                continue
            found.update(
                ((*before, *at), None) for at in zip(*(h.tolist() for h in hits), strict=True)
            )
        found.update(dict.fromkeys(self.other))
        self._seen = (version, list(found))
        return self._seen[1]

    def clear(self) -> None:
        """Nothing is touched any more."""
        for slot in self._slots.values() if self._table.slotted else (0,):
            self.raw[slot] &= ~np.array(TOUCHED, self.raw.dtype)
        self.other.clear()
        self._seen = None
        self.refill_all()

    def refill_all(self) -> None:
        """Every untouched cell is as the initial state has it, or as little is known."""
        how = self._store.vague(self._state.name)
        if how:
            self.refill()
            return
        for domain, slot in self._slots.items() if self._table.slotted else ((-1, 0),):
            touched = (self.raw[slot] & TOUCHED) != 0
            kept = [held[slot][touched] for held in self._arrays]
            self._fill(domain, slot)
            for held, was in zip(self._arrays, kept, strict=True):
                held[slot][touched] = was

    @property
    def places(self) -> tuple[dict[Any, None], ...]:
        """By place of an index: the values that stand there."""
        indices = self._indices()
        return tuple(
            {index[at]: None for index in indices} for at in range(len(self._state.indices))
        )


class _Writers(MutableMapping[tuple[str, Index], tuple[int, str]]):
    """Event and clause of each cell's last write."""

    def __init__(self, store: NativeStore) -> None:
        self._store = store
        self._other: dict[tuple[str, Index], tuple[int, str]] = {}

    def _at(self, key: tuple[str, Index]) -> tuple[np.ndarray[Any, Any], Index] | None:
        cells = self._store.native.get(key[0])
        at = None if cells is None else cells.place(key[1])
        return None if cells is None or at is None else (cells.writers, at)

    def __getitem__(self, key: tuple[str, Index]) -> tuple[int, str]:
        at = self._at(key)
        if at is None:
            return self._other[key]
        found = int(at[0][at[1]])
        if not found:
            raise KeyError(key)
        return (found >> 12) - 1, self._store.clauses[found & 0xFFF]

    def __setitem__(self, key: tuple[str, Index], value: tuple[int, str]) -> None:
        cells = self._store.native.get(key[0])
        if cells is not None:
            cells.place(key[1], make=True)
        at = self._at(key)
        if at is None:
            self._other[key] = value
        else:
            at[0][at[1]] = (value[0] + 1) << 12 | self._store.clause_numbers[value[1]]

    def __delitem__(self, key: tuple[str, Index]) -> None:
        at = self._at(key)
        if at is None:
            del self._other[key]
            return
        if not at[0][at[1]]:
            raise KeyError(key)
        at[0][at[1]] = 0

    def __iter__(self) -> Iterator[tuple[str, Index]]:
        for name, cells in self._store.native.items():
            slots = cells._slots.items() if cells._table.slotted else ((-1, 0),)
            for domain, slot in slots:
                before = () if domain < 0 else (domain,)
                for at in zip(*(h.tolist() for h in np.nonzero(cells.writers[slot])), strict=True):
                    yield name, ((*before, *at) if cells._table.dims else before)
        yield from self._other

    def __len__(self) -> int:
        return sum(1 for _ in self)


class NativeStore(Store):
    """Made of the store of the initial state. A fork is a plain store: it has its own memory."""

    def __init__(
        self,
        plain: Store,
        block: Block,
        clauses: list[str],
        cuts: Callable[[str, Index, tuple[int, ...]], list[list[int]] | None],
    ) -> None:
        self.__dict__.update(plain.__dict__)
        self.block = block
        self.clauses = clauses
        self.clause_numbers = {c: n for n, c in enumerate(clauses)}
        self.cuts = cuts
        self.native: dict[str, Cells] = {}
        cells: dict[str, Any] = dict(self._cells)
        for name, table in block.layout.tables.items():
            self.native[name] = cells[name] = Cells(self, self._states[name], table)
        self._cells = cells
        self.writers: Any = _Writers(self)
        self._counters = block.words(block.layout.header.changes, len(self._states))
        self._known = np.zeros_like(self._counters)
        for name, kept in self.native.items():
            for index, value in plain._cells[name].items():
                kept[index] = value
        for cell, by in plain.writers.items():
            self.writers[cell] = by

    # ---- what native code asks ------------------------------------------------------------------

    def initially(self, state: str) -> Callable[[Index], Any]:
        """The initial value by index."""
        return self._initial[state]

    def vague(self, state: str) -> int:
        """The flags of cells nobody touched, where their initial value does not hold."""
        if state in self._lost:
            return UNKNOWN
        return UNKNOWN | OTHER if state in self._smears else 0

    def catch_up(self) -> None:
        """Take note of what native code has changed since."""
        if np.array_equal(self._counters, self._known):
            return
        for number, name in enumerate(self._states):
            if self._counters[number] != self._known[number]:
                Store._changed(self, name)
        self._known[:] = self._counters

    # ---- a store --------------------------------------------------------------------------------

    def smear(self, state: str, pattern: Index, value: Any) -> None:
        """One cell that matches got a value, nobody saw which."""
        super().smear(state, pattern, value)
        if state in self.native:
            self.native[state].refill()

    def lose(self, state: str) -> None:
        """Nothing is known of a state any more."""
        if state not in self.native:
            super().lose(state)
            return
        self._changed(state)
        cells = self.native[state]
        for slot in self.block.used.values() if cells._table.slotted else (0,):
            touched = (cells.raw[slot] & TOUCHED) != 0
            cells.writers[slot][touched] = 0
        for index in cells.other:
            self.writers._other.pop((state, index), None)
        self._smears.pop(state, None)
        self._lost.add(state)
        cells.clear()

    def fork(self) -> Store:
        """Another state that is like this one so far, with its cells in dictionaries."""
        other = Store(self._states, self._initial, self._drifts, self._drift_reads, self._settle)
        other.changes = dict(self.changes)
        other.writers = dict(self.writers)
        Store.restore(other, self.saved())
        return other

    def restore(self, saved: Saved) -> None:
        """Know again what was known then, and no more."""
        cells, smears, lost = saved
        self._smears = {s: list(found) for s, found in smears.items()}
        self._lost = set(lost)
        for state, kept in cells.items():
            self._changed(state)
            found = self._cells[state]
            found.clear()
            for index, value in kept.items():
                found[index] = value

    def adopt(self, other: Store) -> None:
        """Be like another store of the same states, its writers included."""
        self.restore(other.saved())
        for key in list(self.writers):
            del self.writers[key]
        for key, value in other.writers.items():
            self.writers[key] = value

    def _changed(self, state: str) -> None:
        super()._changed(state)
        cells = self.native.get(state)
        if cells is not None:
            cells._seen = None
