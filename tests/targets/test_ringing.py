"""What a page of a ring, or a message, that was read says."""

from __future__ import annotations

import struct

from pvhspec.targets.ringing import ring_event


def test_indices_of_the_console() -> None:
    page = bytes(1024 + 2048) + struct.pack("<4I", 1, 2, 3, 4)
    assert ring_event("xencons_ring", page.ljust(4096, b"\0")) == {
        "kind": "ring", "what": "xencons_ring", "connection": 0,
        "in_cons": 1, "in_prod": 2, "out_cons": 3, "out_prod": 4,
    }  # fmt: skip


def test_indices_of_xenstore() -> None:
    page = bytes(2048) + struct.pack("<7I", 1, 2, 3, 4, 5, 6, 7)
    assert ring_event("xenstore_ring", page.ljust(4096, b"\0")) == {
        "kind": "ring", "what": "xenstore_ring", "out_cons": 1, "out_prod": 2, "in_cons": 3,
        "in_prod": 4, "server_features": 5, "connection": 6, "error": 7,
    }  # fmt: skip


def test_the_head_of_a_message() -> None:
    event = ring_event("xenstore answer", struct.pack("<4I", 16, 7, 0, 7) + b"EINVAL\0")
    assert event == {
        "kind": "xs_message", "to": "to_guest", "type": 16, "req_id": 7, "tx_id": 0, "len": 7,
    }  # fmt: skip


def test_anything_else_is_memory() -> None:
    assert ring_event("", bytes(4096)) is None
    assert ring_event("xencons_ring", bytes(64)) is None
