"""Item vectors by row, in the two precisions they are used in."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Rows = npt.NDArray[np.int64]

FULL_ROWS = 262_144
"""Rows up to which float32 is kept beside float16; beyond it half the memory counts more than a scan of everything."""
BLOCK_ROWS = 16_384
"""Rows that a scan turns into float32 at once: 24 MiB at 384 dimensions."""


class ItemVectors:
    """Rows of unit length, `capacity` of them. The last row is never set: row -1 (unknown) reads as a zero vector."""

    def __init__(self, capacity: int, dim: int, full_rows: int = FULL_ROWS) -> None:
        self.dim = dim
        self._full_rows = full_rows
        self.halves: Halves = np.zeros((capacity, dim), np.float16)
        self._full: Floats | None = np.zeros((capacity, dim), np.float32) if capacity <= full_rows else None

    @property
    def capacity(self) -> int:
        """Rows there is memory for, the zero row included."""
        return len(self.halves)

    def set(self, row: int, vector: Floats) -> None:
        """Put a vector [dim] at a row."""
        self.halves[row] = vector
        if self._full is not None:
            self._full[row] = vector

    def grow(self, capacity: int, used: int) -> None:
        """Make room for `capacity` rows, the first `used` of which are kept."""
        halves = np.zeros((capacity, self.dim), np.float16)
        halves[:used] = self.halves[:used]
        full = np.zeros((capacity, self.dim), np.float32) if capacity <= self._full_rows else None
        if full is not None and self._full is not None:
            full[:used] = self._full[:used]
        self.halves, self._full = halves, full

    def matrix(self, used: int) -> Floats:
        """The first rows, float32 [used, dim]: a view while float32 is kept, else a copy."""
        return self.halves[:used].astype(np.float32) if self._full is None else self._full[:used]

    def blocks(self, used: int) -> Iterator[tuple[int, Floats]]:
        """The first rows in pieces that fit memory: the first row of each, and its vectors."""
        step = BLOCK_ROWS if self._full is None else max(used, 1)
        for start in range(0, used, step):
            stop = min(start + step, used)
            yield start, (self.halves[start:stop].astype(np.float32) if self._full is None else self._full[start:stop])

    def take(self, rows: Rows) -> Floats:
        """Vectors of these rows, float32 [*rows.shape, dim]; zeros for row -1."""
        if self._full is None:
            return np.take(self.halves, rows, axis=0, mode="wrap").astype(np.float32)
        return np.take(self._full, rows, axis=0, mode="wrap")
