"""The report that machine code makes must be the interpreter's, to the last word."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pvhspec.ir.ir import Spec
from pvhspec.judge import judge
from pvhspec.report.verdict import Report

__all__ = ["differences", "reports"]


def reports(spec: Spec, trace: Any, again: Any = None, **options: Any) -> tuple[Report, Report]:
    """The interpreter's, and that of machine code."""
    plain = judge(spec, trace, engine="interpreter", **options)
    return plain, judge(spec, again or trace, engine="native", **options)


def differences(spec: Spec, trace: Any, again: Any = None, **options: Any) -> list[str]:
    """What is not the same."""
    one, other = (asdict(r) for r in reports(spec, trace, again, **options))
    same = one.keys() - {"engine"}
    found = [
        f"{k}: {one[k]!r}\n  not {other[k]!r}" for k in one if k in same and one[k] != other[k]
    ]
    for name in ("conforms", "unseen", "violates"):
        if list(one[name]) != list(other[name]):
            found.append(f"{name}: not in the same order")
    return found
