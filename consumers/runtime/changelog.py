"""The records of the changelog topic: one absolute state per changed key, and one progress record per commit.

The progress record holds the input offsets that its transaction committed. After a restore it must equal the group's committed
offsets, which proves that nothing was missed.
"""

import json
from collections.abc import Mapping

PROGRESS_KEY = b"\x00progress"
"""No user id can hold a control character, so this key is free."""


def encode_progress(input_offsets: Mapping[str, int]) -> bytes:
    """The value of a progress record: next offset to read, by input topic."""
    return json.dumps(dict(sorted(input_offsets.items()))).encode()


def decode_progress(value: bytes) -> dict[str, int]:
    """Read a progress record."""
    offsets: dict[str, int] = json.loads(value)
    return offsets
