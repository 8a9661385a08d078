"""A trace from objects in memory: what a capture or another format's reader has put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.decode import BadValue, decode_event, decode_header
from pvhspec.traces.event import Event, Header, Place
from pvhspec.traces.schema import KINDS

__all__ = ["ObjectTrace"]


class ObjectTrace:
    """A header and events given as the objects of `traces/format.md`, checked as a file is.

    `seq` is filled in where it is not given. Iterate over it once, if `events` is an iterator.
    `saved`: `path` is a file in which each of them has a line, after the header's.
    """

    def __init__(
        self,
        header: Mapping[str, Any],
        events: Iterable[Mapping[str, Any]],
        path: str = "",
        saved: bool = False,
    ) -> None:
        self.path = path
        self._saved = saved
        self._given = 0
        self.truncated = False
        self.notices: list[Diagnostic] = []
        self._events = events
        try:
            self.header: Header = decode_header(header)
        except BadValue as bad:
            raise PvhError(self._bad("the header", bad)) from None

    def __iter__(self) -> Iterator[Event]:
        position = 0
        for obj in self._events:
            kind = obj.get("kind")
            if kind not in KINDS:
                message = f"event {position}: there is no kind `{kind}`"
                raise PvhError(Diagnostic(errors.UNKNOWN_KIND, message, path=self.path or None))
            try:
                event = decode_event(obj, position)
            except BadValue as bad:
                raise PvhError(self._bad(f"event {position}", bad)) from None
            self._given += 1
            yield event
            position = event.seq + 1

    def place(self, event: Event) -> Place:
        """The line of the event that was given last, if there is a file."""
        return Place(1 + self._given) if self._saved else Place()

    def portion(self) -> float | None:
        """How much has been read is not known."""
        return None

    def close(self) -> None:
        """Nothing is open."""

    def _bad(self, where: str, bad: BadValue) -> Diagnostic:
        code = errors.MISSING_FIELD if bad.missing else errors.BAD_VALUE
        message = f"{where}, `{'.'.join(bad.keys)}`: {bad.message}"
        return Diagnostic(code, message, path=self.path or None)
