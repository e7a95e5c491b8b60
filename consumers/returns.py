"""How often people come back to an item they took: counts per catalogue row, local to the worker like popularity."""

from collections.abc import Sequence

import numpy as np

from consumers.item_vectors import Floats, Rows

PRIOR = 5.0
"""Takings that are added to each item's: one that was taken twice in all is not yet known for it."""


class Returns:
    """Of each row how often it was taken, and how often by somebody who had taken it before."""

    def __init__(self, capacity: int) -> None:
        self._taken, self._again = np.zeros(capacity, np.float32), np.zeros(capacity, np.float32)

    def observe(self, rows: Rows, again: Sequence[bool]) -> None:
        """Count takings; row -1 is ignored."""
        known = rows >= 0
        np.add.at(self._taken, rows[known], 1)
        np.add.at(self._again, rows[known], np.asarray(again, np.float32)[known])

    def shares(self, count: int) -> Floats:
        """Of the first `count` rows the share of takings by somebody who had taken it before, in 0..1."""
        found: Floats = self._again[:count] / (self._taken[:count] + np.float32(PRIOR))
        return found

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` rows."""
        more = np.zeros(capacity - len(self._taken), np.float32)
        self._taken, self._again = np.concatenate([self._taken, more]), np.concatenate([self._again, more])

    def move(self, source: int, target: int) -> None:
        """Row `target` goes away and gets the counts of row `source`, which is free from now on."""
        for column in (self._taken, self._again):
            column[target] = column[source]
            column[source] = 0.0
