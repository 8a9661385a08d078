"""Pages of rings, and messages in them, that a program has read: events of what they say.

Layouts are those of Xen's public headers io/console.h and io/xs_wire.h.
"""

from __future__ import annotations

from struct import Struct, unpack_from
from typing import Any

__all__ = ["ring_event"]

_PAGES = {
    "xencons_ring": (3072, ("in_cons", "in_prod", "out_cons", "out_prod", "connection")),
    "xenstore_ring": (
        2048,
        ("out_cons", "out_prod", "in_cons", "in_prod", "server_features", "connection", "error"),
    ),
}
_MESSAGE = Struct("<4I")  # struct xsd_sockmsg
_MESSAGE_FIELDS = ("type", "req_id", "tx_id", "len")
_DIRECTIONS = {"xenstore request": "to_server", "xenstore answer": "to_guest"}


def ring_event(label: str, data: bytes) -> dict[str, Any] | None:
    """What was read with the label of a ring's page, or of a message's head, as an event."""
    if label in _DIRECTIONS and len(data) >= _MESSAGE.size:
        fields = zip(_MESSAGE_FIELDS, _MESSAGE.unpack_from(data), strict=True)
        return {"kind": "xs_message", "to": _DIRECTIONS[label], **dict(fields)}
    if label not in _PAGES:
        return None
    at, names = _PAGES[label]
    if len(data) < at + 4 * len(names):
        return None
    values = unpack_from(f"<{len(names)}I", data, at)
    return {"kind": "ring", "what": label, **dict(zip(names, values, strict=True))}
