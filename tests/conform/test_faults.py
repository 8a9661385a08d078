"""Faults put into a real Xen: each is caught, by the clause it breaks."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pvhspec.conform import bundled_programs, run_job, xen_jobs
from pvhspec.ir.cache import load_spec
from tests.real import lacking, or_skip, real_xen

if TYPE_CHECKING:
    from benchmarks.faults.mutants import Mutant
    from benchmarks.faults.symbols import Xen

pytestmark = [pytest.mark.real, pytest.mark.slow]
REPO = Path(__file__).resolve().parents[2]

#: function, kind of fault, the words that say which, program, width; the clause it breaks.
FAULTS = [
    ("evtchn_status", "code", "EINVAL -> ENOENT", "evtchn", 64,
     "evtchn.use.EVTCHNOP_status.no_such_port"),
    ("evtchn_bind_virq", "code", "EEXIST -> EINVAL", "evtchn", 64,
     "evtchn.bind.EVTCHNOP_bind_virq.already_bound"),
    ("evtchn_bind_virq", "code", "ENOENT -> EINVAL", "evtchn", 32,
     "evtchn.bind.EVTCHNOP_bind_virq.no_such_vcpu"),
    ("evtchn_fifo_set_priority", "bound", "15 -> 16", "evtchn_fifo", 64,
     "evtchn.fifo.EVTCHNOP_set_priority.no_such_priority"),
    ("evtchn_2l_clear_pending", "bit", "btr", "evtchn", 64,
     "evtchn.use.EVTCHNOP_close.success"),
    ("evtchn_2l_unmask", "bit", "btr", "evtchn", 64,
     "evtchn.use.EVTCHNOP_unmask.success"),
    ("do_xen_version", "code", "ENOBUFS -> EINVAL", "entry", 64,
     "hypercall.version_text.XENVER_build_id.too_long"),
    ("hvm_hypercall", "code", "EPERM -> EINVAL", "entry", 64,
     "hypercall.convention.every.user_mode"),
]  # fmt: skip


@pytest.fixture(scope="module")
def xen() -> Iterator[Xen]:
    """Xen 4.17 with its symbols."""
    sys.path.insert(0, str(REPO))
    try:
        from benchmarks.faults.symbols import Xen as Image

        real_xen()
        if shutil.which("objdump") is None or shutil.which("nm") is None:
            lacking("objdump is not installed: apt-get install binutils")
        with or_skip():
            image = Image("4.17")
        yield image
    finally:
        sys.path.remove(str(REPO))


def chosen(xen: Xen, function: str, kind: str, words: str) -> Mutant:
    from benchmarks.faults.mutants import mutants

    return next(m for m in mutants(xen, (function,)) if m.kind == kind and words in m.what)


@pytest.mark.parametrize(
    "function, kind, words, program, width, clause", FAULTS, ids=lambda value: str(value)
)
def test_a_fault_is_caught_by_the_clause_it_breaks(
    xen: Xen, tmp_path: Path, function: str, kind: str, words: str, program: str, width: int,
    clause: str,
) -> None:  # fmt: skip
    fault = chosen(xen, function, kind, words)
    image = xen.patched(fault.instruction.address, fault.code, tmp_path / "xen")
    spec, errors = load_spec()
    assert spec is not None, errors
    paths = [path for path in bundled_programs() if path.stem == program]
    (job,) = [job for job in xen_jobs(spec, str(image), paths, domu=False) if job.width == width]
    outcome = run_job(job, spec)
    assert outcome.report.violations, fault.what
    first = outcome.report.violations[0]
    assert first.finding is not None
    named = (first.clause, *first.finding.related[:1])
    assert any(name == clause or name.startswith(f"{clause}.") for name in named), named
    assert outcome.lines[first.seq] > 0
