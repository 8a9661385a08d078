"""The specification, compiled once."""

from __future__ import annotations

from functools import cache

from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec


@cache
def compiled_spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, "\n".join(error.render() for error in errors)
    return found
