"""The real Xen that witnesses are run on."""

from __future__ import annotations

from tests.targets.conftest import machine, one_xen

__all__ = ["machine", "one_xen"]
