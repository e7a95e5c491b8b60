"""What speaks for items whoever looks: popularity, freshness and rules, and the items that lead by them."""

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.lists.ranking import TIE_BREAK, RankWeights
from consumers.lists.rules import NO_RULES, RowRules
from consumers.tag_table import TagTable

MS_PER_H = 3_600_000.0
Mask = npt.NDArray[np.bool_]


class Shelf:
    """The catalogue at one moment: `popularity` and `freshness` in 0..1 by row, `shown` where the item may be shown at all.

    `boosts` are what the rules add, `total` is all of it weighted, -inf where the item may not be shown. An item published
    later than `now_ms`, or at an unknown time, is not fresh.
    """

    def __init__(self, catalogue: Catalogue, weights: RankWeights, now_ms: int, rules: RowRules = NO_RULES) -> None:
        self._catalogue = catalogue
        self.now_ms = now_ms
        self.shown: Mask = catalogue.available(now_ms)
        published_at_ms = catalogue.published_at_ms
        ages_h = (now_ms - published_at_ms) / MS_PER_H
        known = (published_at_ms > 0) & (ages_h >= 0)
        halvings = np.where(known, ages_h, 0) / -weights.freshness_half_life_h
        self.freshness: Floats = np.where(known, np.exp2(halvings.astype(np.float32)), np.float32(0))
        self.popularity: Floats = catalogue.popularity.shares(len(catalogue)).astype(np.float32)
        self.boosts: Floats = rules.boosts(len(catalogue), now_ms)
        total = weights.popularity * self.popularity.astype(np.float64) + weights.freshness * self.freshness + self.boosts
        total += TIE_BREAK * (catalogue.tie_break / 2.0**64)
        self.total: Floats = np.where(self.shown, total, -np.inf).astype(np.float32)
        self._leaders: dict[tuple[int, str], Rows] = {}

    def leaders(self, values: Floats, count: int) -> Rows:
        """Rows of the items that lead by positive `values` [n] and may be shown, best first, [at most count]."""
        return self._best(np.flatnonzero(self.shown & (values > 0)), values, count)

    def leaders_with(self, table: TagTable, name: str, count: int) -> Rows:
        """Rows of the items that carry this name and lead by `total`, [at most count]; the same for every user."""
        key = id(table), name
        found = self._leaders.get(key)
        if found is None:
            rows = table.rows(name, len(self._catalogue))
            found = self._leaders[key] = self._best(rows[self.shown[rows]], self.total, count)
        return found

    def _best(self, rows: Rows, values: Floats, count: int) -> Rows:
        """The best `count` of these rows; which of those that are level follows from the items, not from their rows."""
        if len(rows) > count:
            own = values[rows]
            rows = rows[own >= np.partition(own, len(own) - count)[len(own) - count]]
        best: Rows = rows[np.lexsort((self._catalogue.tie_break[rows], -values[rows]))[:count]]
        return best
