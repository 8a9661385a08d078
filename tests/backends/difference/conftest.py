"""The real Xens that programs are run on."""

from __future__ import annotations

from tests.targets.conftest import machine

__all__ = ["machine"]
