"""A chance sample of a store's keys, kept up with each write: RocksDB steps through keys only by reading their states as well,
from blob files, so that none can be drawn when it is asked for."""

from collections.abc import Iterable, Mapping
from zlib import crc32

MOST_KEYS = 5_000
"""Of one store."""
EVERY_KEY = 1 << 32


class KeySample:
    """The keys whose hash is below a bound: all of them at first, and with each halving of the bound half of those.

    So every key has the same chance, whatever it is and whenever it came. A bound is never raised again.
    """

    def __init__(self, keys: Iterable[bytes] = (), bound: int = EVERY_KEY) -> None:
        self.bound = bound
        self._keys = set(keys)

    def follow(self, states: Mapping[bytes, bytes | None]) -> dict[bytes, bytes | None]:
        """States are written, None deletes: gives the keys that thereby come into the sample, as b"", or leave it, as None."""
        moved: dict[bytes, bytes | None] = {}
        keys, bound = self._keys, self.bound
        for key, state in states.items():
            if crc32(key) < bound and (key in keys) != (state is not None):
                moved[key] = None if state is None else b""
        keys.symmetric_difference_update(moved)
        while len(keys) > MOST_KEYS:
            self.bound //= 2
            beyond = {key for key in keys if crc32(key) >= self.bound}
            keys -= beyond
            moved.update(dict.fromkeys(beyond))
        return moved

    def in_order(self) -> list[bytes]:
        """Them, by their hashes: the first of them are a sample too."""
        return sorted(self._keys, key=crc32)
