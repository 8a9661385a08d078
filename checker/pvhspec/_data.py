"""Where spec/, grammar/ and traces/ are: the only module that knows.

In a checkout they are the folders beside checker/; in an installed package they are in `_data`.
The checkout wins, so that an editable install always reads the text that is being edited.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["grammar_dir", "in_checkout", "spec_dir", "traces_dir"]

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent.parent
_PACKED = _PACKAGE / "_data"


def in_checkout() -> bool:
    """True where the package is read from a checkout of the project, not from a wheel."""
    return _PACKAGE.parent.name == "checker" and (_CHECKOUT / "grammar").is_dir()


def spec_dir() -> Path:
    """The specification's own sources; `pvh.abi` is the manifest."""
    return _root() / "spec"


def grammar_dir() -> Path:
    """The grammar, `pvh.lark`, and its examples."""
    return _root() / "grammar"


def traces_dir() -> Path:
    """`format.md`, `capture/` (the probe guest) and, in a checkout only, `corpus/`."""
    return _root() / "traces"


def _root() -> Path:
    return _CHECKOUT if in_checkout() else _PACKED
