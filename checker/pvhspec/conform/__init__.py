"""Holding a hypervisor to the specification: programs are run in it, and what comes back is judged.

`plan` says which program is run where, `run_jobs` does it, several at a time, `tell` prints.
"""

from __future__ import annotations

from pvhspec.conform.plan import Job, bundled_programs, kvm_jobs, kvm_xen_jobs, qemu_jobs, xen_jobs
from pvhspec.conform.run import Outcome, run_job, run_jobs

__all__ = [
    "Job",
    "Outcome",
    "bundled_programs",
    "kvm_jobs",
    "kvm_xen_jobs",
    "qemu_jobs",
    "run_job",
    "run_jobs",
    "xen_jobs",
]
