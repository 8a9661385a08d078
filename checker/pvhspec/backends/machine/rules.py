"""Hypothesis state machines made of the specification: a rule for each operation.

What a rule does to the system under test is the system's affair (`System`); what must come of it
the model foretells, and the system judges.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.interpreter.path import Path
from pvhspec.backends.machine.draw import chapter, offered
from pvhspec.backends.machine.model import Ask, Foretold, Model, chosen_port, result_of
from pvhspec.backends.protocol import Call, Seen, Verdict
from pvhspec.ir.ir import Const, Expr, Input, Invariant, Op, Operation, Slot

__all__ = ["ModelSystem", "System", "machine_class"]

#: Types whose values are kept in bundles, and what is in them from the start.
_BUNDLES = {"Port": ("ports", (0,)), "VcpuId": ("vcpus", (0,)), "DomId": ("domains", (0, 0x7FF0))}


class System(Protocol):
    """What is tested."""

    def call(self, ask: Ask, told: Foretold) -> list[str]:
        """Make a call; what is wrong with what came of it, if that is known at once."""
        ...

    def finish(self) -> list[str]:
        """The execution is over; what was wrong with it."""
        ...


class ModelSystem:
    """The model itself as the system: what it foretells must conform."""

    def __init__(self, judge: Machine, model: Model) -> None:
        self._model = model
        self._judge = judge
        self._seq = 0

    def call(self, ask: Ask, told: Foretold) -> list[str]:
        """Judge what is foretold."""
        fields = self._model.inputs(ask)
        ret = result_of(ask.op, told.code, fields)
        fields["ret"] = ret & (1 << 64) - 1
        if not told.code and ask.op.result is not None:
            value = self._model.compiler.expr(ask.op.result)(told.path)
            ret = fields["ret"] = value if isinstance(value, int) else 0
        if not told.code:
            self._outs(ask.op, told.path, fields)
        self._seq += 1
        seen = Seen("hypercall", self._seq, None, fields, Call(ask.op, ret, None, None))
        said = self._judge.feed(seen)
        return [f"{j.clause}: {j.finding}" for j in said if j.verdict is Verdict.VIOLATES]

    def _outs(self, op: Operation, path: Path, fields: dict[str, Any]) -> None:
        for update in op.updates:
            if not update.target.startswith("out."):
                continue
            if path.decide(self._model.compiler.expr(update.guard)(path)):
                value = path.resolve(self._model.compiler.expr(update.value)(path))
                if isinstance(value, int):
                    fields[update.target] = value

    def finish(self) -> list[str]:
        """Nothing is left to say."""
        return []


def machine_class(
    start: Model, *, width: int, only: str | None, system: Callable[[Model], System]
) -> type[RuleBasedStateMachine]:
    """The state machine of a chapter (`only`), or of all. Each execution begins as `start` is."""
    spec = start.spec
    operations = [
        op for op in offered(spec, start.version, start.mode)
        if op.number is not None and op.modelled and not op.name.endswith(".other")
        and (only is None or chapter(op) == only)
    ]  # fmt: skip
    body: dict[str, Any] = {}
    bundles = {kind: Bundle(name) for kind, (name, _) in _BUNDLES.items()}

    # A recorded trace that does not show everything may end in a state that cannot be.
    held = [always for always in spec.invariants if _holds(start, always)]

    class Base(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.model = start.fork()
            self.system = system(self.model)

        def make(self, ask: Ask) -> Any:
            """Make a call; gives back the values that it chose."""
            told = self.model.foretell(ask)
            assume(told is not None)
            assert told is not None
            wrong = self.system.call(ask, told)
            assert not wrong, "; ".join(wrong)
            self.model.commit(told)
            port = None if told.code else chosen_port(ask.op)
            chosen = [] if port is None else [told.out.get(port)]
            return multiple(*[c for c in chosen if c is not None])

        @invariant()
        def what_always_holds(self) -> None:
            for always in held:
                assert _holds(self.model, always), always.clause

        def teardown(self) -> None:
            wrong = self.system.finish()
            assert not wrong, "; ".join(wrong)

    for kind, (name, values) in _BUNDLES.items():
        body[f"some_{name}"] = _start(bundles[kind], values)
    for op in operations:
        body[op.name] = _rule(op, bundles, width)
    return type(f"Spec_{only or 'all'}_{width}", (Base,), body)


def _holds(model: Model, always: Invariant) -> bool:
    path = Path(model.store, {}, [])
    return bool(path.decide(model.compiler.expr(always.body)(path)))


def _start(bundle: Bundle[int], values: tuple[int, ...]) -> Any:
    def begin(self: Any) -> Any:
        return multiple(*values)

    return initialize(target=bundle)(begin)


def _rule(op: Operation, bundles: dict[str, Bundle[int]], width: int) -> Any:
    """The rule of an operation."""
    fields = {s.name: _values(op, s, bundles, width) for s in op.slots if s.read}
    memory = st.sampled_from(("ordinary",) * 8 + ("readonly", "unreadable"))

    def make(self: Any, memory: Any, cpl: Any, **values: int) -> Any:
        taken = {name.removeprefix("field_"): value for name, value in values.items()}
        return self.make(Ask(op, taken, memory if op.struct else "ordinary", cpl))

    make.__name__ = op.name
    given: dict[str, Any] = {f"field_{name}": strategy for name, strategy in fields.items()}
    given |= {"memory": memory, "cpl": st.sampled_from((0,) * 19 + (3,))}
    decorate: Any = rule
    if chosen_port(op) is not None:
        return decorate(target=bundles["Port"], **given)(make)
    return decorate(**given)(_quiet(make))


def _quiet(make: Callable[..., Any]) -> Callable[..., None]:
    """A rule without a target must give nothing back."""

    def run(self: Any, **values: Any) -> None:
        make(self, **values)

    run.__name__ = make.__name__
    return run


def _values(
    op: Operation, slot: Slot, bundles: dict[str, Bundle[int]], width: int
) -> st.SearchStrategy[int]:
    """Values for an argument: what there is, what it is compared with, the edges, and any."""
    if op.name == "HVMOP_set_param" and slot.name == "index":
        return st.just(0)
    bits = 8 * slot.size[1 if width == 32 else 0]
    top = (1 << bits) - 1
    near = {v & top for c in _constants(op, slot.name) for v in (c - 1, c, c + 1)}
    below = slot.type.below
    edges = sorted(near | {0, 1, top} | ({below - 1, below} if below else set()))
    ways: list[st.SearchStrategy[int]] = []
    if slot.type.name in bundles:
        ways += [bundles[slot.type.name]] * 3
    ways += [st.sampled_from(edges), st.integers(0, 15), st.integers(0, top)]
    return st.one_of(ways)


def _constants(op: Operation, name: str) -> set[int]:
    """Numbers that the text compares an argument with."""
    from pvhspec.ir.walk import children

    found: set[int] = set()

    def walk(node: Expr) -> None:
        if isinstance(node, Op) and node.op in ("eq", "ult", "ule"):
            for a, b in (node.args, node.args[::-1]):
                if isinstance(b, Const) and isinstance(b.value, int) and _is(a, name):
                    found.add(int(b.value))
        for child in children(node):
            walk(child)

    for error in op.errors:
        if error.when is not None:
            walk(error.when)
    for update in op.updates:
        walk(update.guard)
    return found


def _is(node: Expr, name: str) -> bool:
    return (isinstance(node, Input) and node.name == name) or (
        isinstance(node, Op) and node.op == "resize" and _is(node.args[0], name)
    )
