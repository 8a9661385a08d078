"""What went wrong with grant tables once, put back into the text, is refuted."""

from __future__ import annotations

import pytest

from tests.backends.solver.edited import edited
from tests.backends.solver.test_prove import only

MAP, UNMAP = "GNTTABOP_map_grant_ref", "GNTTABOP_unmap_grant_ref"


@pytest.mark.slow
@pytest.mark.parametrize(
    "module, old, new, invariant, step",
    [
        pytest.param(
            "grant.map",
            "if not had_otherwise(dom, ref, caller, handle) { told_reading",
            "if readonly { told_reading",
            "mapping_is_told",
            UNMAP,
            id="XSA-230, status bits cleared too early",
        ),
        pytest.param(
            "grant.map",
            "when looks and write and entry_flags",
            "when looks and not write and entry_flags",
            "writing_was_granted",
            MAP,
            id="read only pages are written",
        ),
        pytest.param(
            "grant.map",
            "when looks and write and entry_flags",
            "when not had and write and entry_flags",
            "writing_was_granted",
            MAP,
            id="who has a page to read it comes to write it",
        ),
    ],
)
def test_an_edit_is_refuted(module: str, old: str, new: str, invariant: str, step: str) -> None:
    proof = only(edited(module, old, new), invariant)
    assert step in {s.what for s in proof.steps if s.outcome.status == "refuted"}
