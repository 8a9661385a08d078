"""Where a clause applies: releases and modes, as one gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Gate", "Version", "parse_version", "shown_version"]

Version: TypeAlias = tuple[int, ...]


def parse_version(text: str) -> Version:
    """`"4.17.7"` as (4, 17, 7); text after the numbers (`4.20.4-pre`) is passed over.

    Raises ValueError if it does not start with two numbers.
    """
    numbers: list[int] = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    if len(numbers) < 2:
        raise ValueError(f"{text!r} is not a release such as 4.17 or 4.17.7")
    return tuple(numbers)


def shown_version(version: Version) -> str:
    """(4, 17) as `"4.17"`."""
    return ".".join(map(str, version))


@dataclass(frozen=True, slots=True)
class Gate:
    """Releases from `since` to `until` (inclusive, by prefix: 4.17 holds 4.17.7), and modes.

    A release given by two numbers only is taken to be the newest of its series.
    """

    since: Version | None = None
    until: Version | None = None
    modes: frozenset[str] | None = None

    def open(self, version: Version, mode: str) -> bool:
        """Whether it is open for a release and a mode."""
        if self.since is not None and _newest(version) < self.since:
            return False
        if self.until is not None and _newest(version)[: len(self.until)] > self.until:
            return False
        return self.modes is None or mode in self.modes

    def also(self, other: Gate) -> Gate:
        """Both gates in one."""
        since = max((g.since for g in (self, other) if g.since), default=None)
        until = min((g.until for g in (self, other) if g.until), default=None)
        if self.modes is None or other.modes is None:
            modes = self.modes if other.modes is None else other.modes
        else:
            modes = self.modes & other.modes
        return Gate(since, until, modes)

    @property
    def always(self) -> bool:
        """Whether it never closes."""
        return self == Gate()

    def __str__(self) -> str:
        parts = []
        if self.since:
            parts.append(f"since {shown_version(self.since)}")
        if self.until:
            parts.append(f"until {shown_version(self.until)}")
        if self.modes is not None:
            parts.append("modes " + ", ".join(sorted(self.modes)))
        return " ".join(parts)


def _newest(version: Version) -> Version:
    return version if len(version) > 2 else (*version, 1 << 16)
