"""What advisories were about, put back into the text by an edit of a line or two, is refuted.

Of each proof only the step is done that the edit is about: no other changes by it. Which families
of advisories are no invariant, and why, spec/README.md says.
"""

from __future__ import annotations

import pytest

from tests.backends.solver.edited import edited, told_of_step

UNMAP = "GNTTABOP_unmap_grant_ref"
SET_VERSION = "GNTTABOP_set_version"


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
            id="XSA-218, XSA-230 and their family, status bits cleared too early",
        ),
        pytest.param(
            "grant.map",
            "if not readonly and not written_otherwise(dom, ref, caller, handle) {",
            "if not readonly {",
            "mapping_is_told",
            UNMAP,
            id="XSA-234, with one mapping that writes all are let go",
        ),
        pytest.param(
            "grant.version",
            "when not same and in_use(caller)",
            "when version == 2 and not same and in_use(caller)",
            "same_version",
            SET_VERSION,
            id="XSA-255, back to version 1 while pages are had",
        ),
        pytest.param(
            "grant.version",
            "if not same { clause status_pages_gone",
            "if not same and version == 2 { clause status_pages_gone",
            "status_words_of_version_2",
            SET_VERSION,
            id="XSA-255, XSA-384, XSA-387, XSA-486, freed pages stay where they were",
        ),
        pytest.param(
            "pv.tables",
            "when leaf and val.RW and pinned_table[to]",
            "when leaf and val.RW and kind != 0 and pinned_table[to]",
            "no_writable_page_table",
            "update_entry",
            id="XSA-148, XSA-227, one way to write an entry is not looked at",
        ),
        pytest.param(
            "pv.tables",
            "when leaf and pinned_table[to]",
            "when leaf and pinned_table[to] and flags == 0",
            "no_writable_page_table",
            "update_page",
            id="XSA-182, a fast path is not looked at",
        ),
        pytest.param(
            "pv.tables",
            "when pin and maps_to_write[frame] and (command != 3 or width == 64)",
            "when pin and maps_to_write[frame] and command != 1",
            "no_writable_page_table",
            "extended_update",
            id="XSA-185, XSA-214, XSA-287, a level of page tables whose type is not looked at",
        ),
        pytest.param(
            "evtchn.fifo",
            "fifo[caller] := true",
            "fifo[caller] := writable",
            "blocks_are_of_fifo",
            "EVTCHNOP_init_control",
            id="XSA-188, a control block is left behind by what failed",
        ),
        pytest.param(
            "evtchn.bind",
            "choose lowest chosen : Port where spare(owner, chosen)",
            "choose chosen : Port where channel[owner, chosen] == free",
            "two_level_has_bits",
            "EVTCHNOP_alloc_unbound",
            id="XSA-317, a port beyond the limit",
        ),
        pytest.param(
            "evtchn.use",
            "for all p : Port where usable(owner, p) {",
            "for all p : Port where usable(owner, p) and p < 4096 {",
            "two_level_has_bits",
            "EVTCHNOP_reset",
            id="XSA-343, ports are open after a reset",
        ),
    ],
)
def test_an_edit_is_refuted(module: str, old: str, new: str, invariant: str, step: str) -> None:
    told = told_of_step(edited(module, old, new), invariant, step)
    first = told.index(next(line for line in told if f"{step} breaks it" in line))
    assert [line.split()[0] for line in told[first + 1 :] if line[6] != " "] == [
        "before",
        "call",
        "after",
    ]
    assert told[-1].strip().startswith("so it fails for ")
