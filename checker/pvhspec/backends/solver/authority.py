"""The specification with what only an implementation promises left free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pvhspec.ir import build
from pvhspec.ir.ir import MapInput, Observation, Operation, Spec, Update

__all__ = ["documented", "is_free"]

_FREE = "free."


def documented(spec: Spec) -> Spec:
    """What the documented clauses alone say: any other error may come or not where it is due, any
    other effect leaves any value in the cells it is about, and other requirements are none."""

    def free(clause: str) -> bool:
        known = spec.clauses.get(clause)
        return known is not None and known.authority == "implemented"

    return replace(
        spec,
        operations=tuple(_operation(op, free) for op in spec.operations),
        observations=tuple(_observation(block, free) for block in spec.observations),
    )


def is_free(update: Update) -> bool:
    """Whether an update leaves any value."""
    return isinstance(update.value, MapInput) and update.value.name.startswith(_FREE)


def _operation(op: Operation, free: Callable[[str], bool]) -> Operation:
    return replace(
        op,
        errors=tuple(
            replace(e, when=None, only=e.when) if e.when is not None and free(e.clause) else e
            for e in op.errors
        ),
        choices=tuple(
            replace(
                c,
                when=build.TRUE if free(c.clause) else c.when,
                lowest=None if c.lowest is not None and free(c.lowest) else c.lowest,
            )
            for c in op.choices
        ),
        result=None if free(op.success) else op.result,
        ensures=tuple(e for e in op.ensures if not free(e.clause)),
        updates=_updates(op.updates, free),
        always=_updates(op.always, free),
    )


def _observation(block: Observation, free: Callable[[str], bool]) -> Observation:
    return replace(
        block,
        requires=tuple(r for r in block.requires if not free(r.clause)),
        updates=_updates(block.updates, free),
    )


def _updates(updates: tuple[Update, ...], free: Callable[[str], bool]) -> tuple[Update, ...]:
    return tuple(
        replace(u, value=MapInput(f"{_FREE}{n}.{u.clause}", u.indices, u.value.type))
        if free(u.clause)
        else u
        for n, u in enumerate(updates)
    )
