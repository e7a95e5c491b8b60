"""Which items the same users turn to: counts of item pairs, folded from the events this worker sees, in bounded memory.

Like popularity this is knowledge of the worker's, not of any user's state; relearning.py brings it back after a restart.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from consumers.item_vectors import Rows

HALF_LIFE_H = 24.0 * 30
MS_PER_H = 3_600_000.0
MAX_HALVINGS = 100.0
NEIGHBOURS = 24
"""Neighbours kept per item: 8 bytes each."""

Numbers = npt.NDArray[np.int32]
Weights = npt.NDArray[np.float32]


class Neighbours(NamedTuple):
    """Neighbours of items [..., 24]: their rows, -1 where there is none, and how close they are in 0..1."""

    rows: Rows
    closeness: Weights


class CoVisitation:
    """Decayed counts of pairs, for each item those of its nearest neighbours only.

    An item's weakest neighbour loses to newcomers what they weigh, and its place when nothing is left (Misra and Gries, 1982):
    pairs that keep coming get in, and a single one moves nothing strong. Items are known by numbers that no other item gets
    while pairs hold it, so that an item that goes away takes its pairs along, wherever its row goes.
    """

    def __init__(self, capacity: int, half_life_h: float = HALF_LIFE_H) -> None:
        self._half_life_ms = half_life_h * MS_PER_H
        self._reference_ms = 0.0
        self._next = 0
        self._row_of: Rows = np.full(capacity, -1, np.int64)
        self._number_of: Numbers = np.full(capacity, -1, np.int32)
        self._others: Numbers = np.full((capacity, NEIGHBOURS), -1, np.int32)
        self._counts: Weights = np.zeros((capacity, NEIGHBOURS), np.float32)
        self._totals: Weights = np.zeros(capacity, np.float32)

    def add(self, row: int) -> None:
        """An item without neighbours is at this row."""
        if self._next >= len(self._row_of):
            self._renumber()
        self._row_of[self._next] = row
        self._number_of[row] = self._next
        self._others[row], self._counts[row], self._totals[row] = -1, 0, 0
        self._next += 1

    def move(self, source: int, target: int) -> None:
        """The item at `target` goes away, and the one at `source` takes its row."""
        self._row_of[self._number_of[target]] = -1
        if source != target:
            for column in (self._number_of, self._others, self._counts, self._totals):
                column[target] = column[source]
            self._row_of[self._number_of[target]] = target
        self._number_of[source] = -1

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` rows."""
        more = capacity - len(self._number_of)
        self._number_of = np.concatenate([self._number_of, np.full(more, -1, np.int32)])
        self._others = np.concatenate([self._others, np.full((more, NEIGHBOURS), -1, np.int32)])
        self._counts = np.concatenate([self._counts, np.zeros((more, NEIGHBOURS), np.float32)])
        self._totals = np.concatenate([self._totals, np.zeros(more, np.float32)])

    def observe(self, ones: Rows, others: Rows, weights: npt.NDArray[np.float64], times_ms: npt.NDArray[np.float64]) -> None:
        """Count pairs, both ways round; pairs with row -1, of an item with itself, or without positive weight are ignored."""
        known = (ones >= 0) & (others >= 0) & (ones != others) & (weights > 0)
        if not known.any():
            return
        ones, others, times_ms = ones[known], others[known], times_ms[known]
        self._rescale(float(times_ms.max()))
        exponents = np.minimum((times_ms - self._reference_ms) / self._half_life_ms, MAX_HALVINGS)
        gained = weights[known] * np.exp2(exponents)
        at = np.concatenate([ones, others])
        keys, inverse = np.unique(at * len(self._number_of) + np.concatenate([others, ones]), return_inverse=True)
        sums = np.bincount(inverse, np.concatenate([gained, gained]))
        rows, neighbours = np.divmod(keys, len(self._number_of))
        numbers, counts = self._number_of[neighbours], sums.astype(np.float32)
        np.add.at(self._totals, rows, counts)
        same = self._others[rows] == numbers[:, None]
        held = same.any(axis=1)
        self._counts[rows[held], same.argmax(axis=1)[held]] += counts[held]
        rows, numbers, counts = rows[~held], numbers[~held], counts[~held]
        # An item's newcomers take turns, as each may change its slots.
        turn = np.arange(len(rows)) - np.searchsorted(rows, rows)
        for number in range(int(turn.max(initial=-1)) + 1):
            now = turn == number
            self._let_in(rows[now], numbers[now], counts[now])

    def neighbours(self, rows: Rows) -> Neighbours:
        """The neighbours of these rows: the share of both items' pairs that are pairs of these two; none for row -1."""
        others = np.where(rows[..., None] >= 0, self._others[rows], -1)
        found = np.where(others >= 0, self._row_of[others], -1)
        totals = np.sqrt(np.maximum(self._totals[rows][..., None] * self._totals[found], np.finfo(np.float32).tiny))
        return Neighbours(found, np.where(found >= 0, np.minimum(self._counts[rows] / totals, 1), 0).astype(np.float32))

    def _let_in(self, rows: Rows, numbers: Numbers, gained: Weights) -> None:
        """One newcomer for each of these distinct rows: in place of the weakest, or taking from it what it weighs."""
        counts = np.where(self._row_of[self._others[rows]] >= 0, self._counts[rows], 0)  # what went away holds no place
        slots = counts.argmin(axis=1)
        left = counts[np.arange(len(rows)), slots] - gained
        enters = left < 0
        self._others[rows[enters], slots[enters]] = numbers[enters]
        self._counts[rows, slots] = np.where(enters, gained, left)

    def _renumber(self) -> None:
        """Give the items that are left the lowest numbers, with room for as many again."""
        left = np.flatnonzero(self._row_of >= 0)
        rows = self._row_of[left]
        new_number = np.full(len(self._row_of) + 1, -1, np.int32)  # the last is that of -1
        new_number[left] = np.arange(len(left))
        self._others = new_number[self._others]
        self._counts[self._others < 0] = 0
        self._number_of[rows] = new_number[left]
        self._row_of = np.full(max(2 * len(left), len(self._number_of)), -1, np.int64)
        self._row_of[: len(left)] = rows
        self._next = len(left)

    def _rescale(self, newest_ms: float) -> None:
        if newest_ms - self._reference_ms > MAX_HALVINGS / 2 * self._half_life_ms:
            decay = np.float32(math.exp2(max(-1000.0, (self._reference_ms - newest_ms) / self._half_life_ms)))
            self._counts *= decay
            self._totals *= decay
            self._reference_ms = newest_ms
