"""States as they are kept: the changelog and the stores hold the same bytes, packed once per commit.

States that come packed fill RocksDB's log and its memtables less than half as fast, and a restore copies them as they are.
Left to RocksDB and to the producer, each would pack them by itself.
"""

from typing import NewType

import lz4.block

Packed = NewType("Packed", bytes)
"""A mark, then an LZ4 block with its length before it; or, written by a version that did not pack, a plain state."""

MARK = b"\xc1"
"""No MessagePack and no JSON begins with it, so a plain state is told from a packed one."""


def pack(state: bytes) -> Packed:
    """The bytes to keep."""
    return Packed(MARK + lz4.block.compress(state))


def unpack(kept: bytes) -> bytes:
    """The state. What is not packed, or is damaged, comes back as it is: whoever decodes states says what is wrong with it."""
    if not kept.startswith(MARK):
        return kept
    try:
        state: bytes = lz4.block.decompress(memoryview(kept)[1:])
    except (lz4.block.LZ4BlockError, ValueError):  # ValueError: its length is impossible
        return kept
    return state
