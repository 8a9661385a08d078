"""One way things may have been: where a value is unknown and something hangs on it, the step is
run again for each possibility."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from pvhspec.backends.interpreter.store import Cell, Drift, Store
from pvhspec.backends.interpreter.values import ANY, Formula, OneOf, Sym, is_known
from pvhspec.types.types import BitsType, BoolType, EnumType, Type

__all__ = ["MAX_PATHS", "Explored", "Inconsistent", "Path", "TooMuch", "explore"]

MAX_PATHS = 32  # possibilities looked at before a step is left open

T = TypeVar("T")


class Inconsistent(Exception):
    """What was seen cannot have happened this way. Carries why."""

    def __init__(self, why: Any) -> None:
        super().__init__()
        self.why = why


class TooMuch(Exception):
    """More hangs on unknown values than is worth looking at: the step is left open."""


class Path:
    """One run of a step: what it assumed, read and wrote."""

    def __init__(self, store: Store, inputs: Mapping[str, Any], script: list[int]) -> None:
        self.store = store
        self.inputs = inputs
        self.vars: dict[str, Any] = {}
        self.cells: dict[Cell, Any] = {}
        self.reads: list[Cell] = []
        self.writes: dict[Cell, tuple[Any, str]] = {}
        self.lost: set[str] = set()
        self.smears: list[tuple[str, tuple[Any, ...], Any]] = []
        self.assumed: list[str] = []
        self._open: dict[Cell, None] = {}  # cells read whose value was not simply known
        self._open_states: set[str] = set()
        self._syms: dict[str, Sym] = {}
        self._bound: dict[Sym, Any] = {}
        self._excluded: dict[Sym, set[Any]] = {}
        self._orders: dict[Any, bool] = {}
        self._script = script
        self._at = 0
        self.arity: list[int] = []
        self.doubts = 0  # how often something unknown was met
        self.assumptions = 0  # how often something was decided of what is unknown
        # Truths that were found out: until which assumption they hold (None: for good), and doubts.
        self.found: dict[int, tuple[Any, int | None, int]] = {}
        self.written = 0  # how many writes were made

    # ---- choices -------------------------------------------------------------------------------

    def choose(self, count: int) -> int:
        """Which of `count` possibilities this run takes."""
        if self._at == len(self._script):
            self._script.append(0)
        self.arity.append(count)
        self.assumptions += 1
        self._at += 1
        return self._script[self._at - 1]

    def resolve(self, value: Any) -> Any:
        """A value, with what this run has assumed put in."""
        if not self._bound:
            return value
        kind = type(value)
        if kind is int or kind is bool:
            return value
        while kind is Sym and value in self._bound:
            value = self._bound[value]
            kind = type(value)
        if kind is tuple and not is_known(value):
            return (value[0], *(self.resolve(v) for v in value[1:]))
        return value

    def decide(self, truth: Any) -> bool:
        """A truth as a bool; where it hangs on unknown values, this run assumes one answer."""
        truth = self.resolve(truth)
        if truth is True or truth is False:
            return bool(truth)
        self.doubts += 1
        if isinstance(truth, Sym):
            return self._pick(truth, (True, False)) is True
        args = truth.args
        match truth.op:
            case "not":
                return not self.decide(args[0])
            case "and":
                return all(self.decide(a) for a in args)
            case "or":
                return any(self.decide(a) for a in args)
            case "sym":
                return self.decide(args[0])
            case "is":
                return self._decide_is(self.resolve(args[0]), args[1])
            case "eq":
                return self._decide_eq(self.resolve(args[0]), self.resolve(args[1]))
            case "order":
                if truth not in self._orders:
                    self._orders[truth] = self.choose(2) == 0
                return self._orders[truth]
            case _:
                return self.choose(2) == 0

    def _assume(self, what: str, value: Any) -> None:
        """Note in words what this run takes for granted."""
        if isinstance(value, Sym):
            text = f"the same as {value.what}"
        elif isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, int):
            text = hex(value) if value > 9 else str(value)
        else:
            text = "as it was left" if isinstance(value, Formula) else repr(value)
        self.assumed.append(f"{what.removesuffix('[]')} is {text}")

    def _pick(self, sym: Sym, options: tuple[Any, ...]) -> Any:
        value = options[self.choose(len(options))]
        self.bind(sym, value)
        self._assume(sym.what, value)
        return value

    def bind(self, sym: Sym, value: Any) -> None:
        """Assume that an unknown value is this one."""
        self.assumptions += 1
        self._bound[sym] = value

    def _decide_is(self, value: Any, variant: int) -> bool:
        if isinstance(value, tuple):
            return bool(value[0] == variant)
        kind = value.type
        out = self._excluded.setdefault(value, set())
        if variant in out:
            return False
        left = [i for i in range(len(kind.variants)) if i not in out]
        if left == [variant] or self.choose(2) == 0:
            self.bind(value, value.as_variant(variant))
            self.assumed.append(f"{value.what} is {kind.variants[variant].name}")
            return True
        out.add(variant)
        return False

    def _decide_eq(self, a: Any, b: Any) -> bool:
        if isinstance(b, Sym):
            a, b = b, a
        if not isinstance(a, Sym):
            if isinstance(a, tuple):
                return a[0] == b[0] and all(
                    self._decide_eq(self.resolve(x), self.resolve(y))
                    for x, y in zip(a[1:], b[1:], strict=True)
                )
            return bool(a == b)
        if a is b:
            return True
        if isinstance(b, tuple) and isinstance(a.type, EnumType):
            if not self._decide_is(a, b[0]):
                return False
            return self._decide_eq(self.resolve(a), b)
        if type(b) is int and isinstance(a.type, BitsType) and b >> a.type.width:
            return False  # no value of the type is so large
        key = b if is_known(b) else id(b)
        out = self._excluded.setdefault(a, set())
        if key in out:
            return False
        if self.choose(2) == 0:
            self.bind(a, b)
            self._assume(a.what, b)
            return True
        out.add(key)
        if isinstance(a.type, BoolType) and isinstance(b, bool):
            self.bind(a, not b)
        return False

    # ---- what is read --------------------------------------------------------------------------

    def input(self, name: str, type_: Type) -> Any:
        """A field of the event."""
        value = self.inputs.get(name)
        if value is None:
            if name not in self._syms:
                self._syms[name] = Sym(type_, name)
            return self.resolve(self._syms[name])
        return value

    def unseen(self, name: str, type_: Type) -> Sym:
        """A value that nobody has seen, the same whenever this run asks for it."""
        self.doubts += 1
        if name not in self._syms:
            self._syms[name] = Sym(type_, name)
        return self._syms[name]

    def cell(self, state: str, index: tuple[Any, ...], type_: Type) -> Any:
        """A cell of the state before the event."""
        for i in index:
            if type(i) is not int:
                index = tuple(self.resolve(i) for i in index)
                if not is_known(index):
                    self.doubts += 1
                    return Sym(type_, f"{state}[…]")
                break
        key = (state, index)
        value = self.cells.get(key)
        if value is None:
            value = self.cells[key] = self._first_read(state, index, type_)
            self.reads.append(key)
        return self.resolve(value) if self._bound else value

    def _first_read(self, state: str, index: tuple[Any, ...], type_: Type) -> Any:
        stored = self.store.read(state, index)
        drift = self.store.drift(state)
        known = is_known(stored)
        if known and (drift is None or (stored is True and drift.rises)):
            return stored
        value, what = stored, ""
        if not known:
            self.doubts += 1
            what = self._open_cell(state, index)
            if isinstance(stored, OneOf):
                options = sorted(stored.values, key=repr)
                stored = options[self.choose(len(options))]
                self._assume(what, stored)
            value = _open(stored, type_, what)
            if drift is None or (drift.rises and value is True):
                return value
        assert drift is not None
        self.cells[state, index] = value  # what the condition itself reads of the cell
        if not self._drifts(state, index, drift):
            return value
        self.doubts += 1
        what = what or self._open_cell(state, index)
        if not drift.rises:
            return Sym(type_, what)
        if value is False and self.choose(2) == 0:
            return False
        return Sym(type_, what) if value is not False else True

    def _open_cell(self, state: str, index: tuple[Any, ...]) -> str:
        """Note that a cell is not simply known; what readers call it."""
        self._open[state, index] = None
        self._open_states.add(state)
        return f"{state}[{', '.join(map(str, index))}]"

    @property
    def open_cells(self) -> Collection[Cell]:
        """The cells read whose value was not simply known."""
        return self._open.keys()

    def touched(self, state: str, place: int) -> set[Any]:
        """What stands at a place of the indices of the cells of a state that were touched, before
        this run or in it."""
        found = set(self.store.touched(state, place))
        for cells in (self._open, self.writes):
            found.update(index[place] for name, index in cells if name == state)
        return found

    def opened(self, states: Collection[str]) -> bool:
        """Whether this run knows more, or less, of some cell of the states than the store says."""
        return not self._open_states.isdisjoint(states)

    def _drifts(self, state: str, index: tuple[Any, ...], drift: Drift) -> bool:
        drifting = (state, tuple([index[i] for i in drift.uses]))
        known = self.store.drifts_now(drifting)
        if known is not None:
            return known
        outer, found = self.vars, self.found
        choices, reads = len(self.arity), len(self.reads)
        self.vars = {**outer, **dict(zip(drift.names, index, strict=True))}
        self.found = {}  # what is read only here counts as not read
        drifts = self.decide(drift.test(self))
        self.vars, self.found = outer, found
        if len(self.arity) == choices and not self.writes:
            self.store.note_drift(drifting, drifts)
            self._unread(reads)
        return drifts

    def _unread(self, since: int) -> None:
        """Whether a cell drifts is remembered: what is told to have been read must not hang on
        whether it was found out only now."""
        for cell in self.reads[since:]:
            if cell in self._open:
                continue
            del self.cells[cell]
        self.reads[since:] = [cell for cell in self.reads[since:] if cell in self._open]

    # ---- what is written -----------------------------------------------------------------------

    def write(self, state: str, index: tuple[Any, ...], value: Any, clause: str) -> None:
        """A cell of the state after the event."""
        self.written += 1
        index = tuple(self.resolve(i) for i in index)
        if is_known(index):
            self.writes[(state, index)] = (value, clause)
        else:
            pattern = tuple(i if is_known(i) else None for i in index)
            self.smears.append((state, pattern, value))

    @property
    def settled(self) -> bool:
        """Whether this run has assumed a value for everything unknown that it met."""
        met = (*self.cells.values(), *self._syms.values())
        return all(is_known(self.resolve(value)) for value in met)

    def close(self) -> None:
        """The run is over: what it wrote somewhere is kept as the store keeps it."""
        if self.smears:
            self.smears = [(s, i, _close(self.resolve(v))) for s, i, v in self.smears]

    def outcome(self) -> dict[Cell, tuple[Any, str | None]]:
        """The cells this run knows more of, or changed, as the store keeps them."""
        found: dict[Cell, tuple[Any, str | None]] = {}
        for key in self._open:
            found[key] = (_close(self.resolve(self.cells[key])), None)
        for key, (value, clause) in self.writes.items():
            found[key] = (_close(self.resolve(value)), clause)
        return found


def _open(stored: Any, type_: Type, what: str) -> Any:
    """A stored value, its unknown parts as Syms."""
    if stored is ANY:
        return Sym(type_, what)
    if isinstance(stored, tuple) and not is_known(stored):
        assert isinstance(type_, EnumType)
        payload = type_.variants[stored[0]].payload
        parts = (
            _open(v, kind, f"{name} of {what}")
            for v, (name, kind) in zip(stored[1:], payload, strict=True)
        )
        return (stored[0], *parts)
    return stored


def _close(value: Any) -> Any:
    """A value as the store keeps it."""
    if isinstance(value, Sym | Formula):
        return ANY
    if isinstance(value, tuple):
        return (value[0], *(_close(v) for v in value[1:]))
    return value


class Explored:
    """All the ways a step may have gone."""

    def __init__(self) -> None:
        self.ways: list[tuple[Path, Any]] = []
        self.failed: list[tuple[Path, Any]] = []
        self.overflow = False

    @classmethod
    def open(cls) -> Explored:
        """A step of which nothing is known."""
        made = cls()
        made.overflow = True
        return made

    @property
    def certain(self) -> bool:
        """Whether nothing unknown was decided on the way."""
        return not self.overflow and len(self.ways) + len(self.failed) == 1


def explore(
    store: Store,
    inputs: Mapping[str, Any],
    step: Callable[[Path], T],
    most: int = MAX_PATHS,
    until: T | None = None,
) -> Explored:
    """Run a step in every way the unknown values allow, up to `most` of them; where there are more,
    no longer than until that is certain.

    `until`: stop at the first way that ends so; what is asked is only whether there is one.
    """
    found = Explored()
    script: list[int] = []
    for done in range(1, most + 1):
        path = Path(store, inputs, script)
        try:
            found.ways.append((path, step(path)))
            path.close()
            if until is not None and found.ways[-1][1] == until:
                return found
        except Inconsistent as error:
            found.failed.append((path, error.why))
        except TooMuch:
            break
        del script[len(path.arity) :]
        # Whatever was possible besides what a run has chosen is a way of its own, at least.
        besides = sum(path.arity) - len(script) - sum(script)
        if until is None and done + besides > most:
            break
        while script and script[-1] + 1 >= path.arity[len(script) - 1]:
            script.pop()
        if not script:
            return found
        script[-1] += 1
    found.overflow = True
    return found
