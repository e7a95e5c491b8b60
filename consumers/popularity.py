"""What is popular now: one decayed count per catalogue row, local to the worker."""

import math

import numpy as np
import numpy.typing as npt

HALF_LIFE_H = 24.0 * 7
MS_PER_H = 3_600_000.0
MAX_HALVINGS = 500.0


class Popularity:
    """Sums of event weights per row, halved every `half_life_h` hours of event time."""

    def __init__(self, capacity: int, half_life_h: float = HALF_LIFE_H) -> None:
        self._half_life_ms = half_life_h * MS_PER_H
        self._newest_ms = 0.0
        # Counts are kept as of this time: new ones are scaled up to it, so that old ones need no touch until it is far behind.
        self._reference_ms = 0.0
        self._counts = np.zeros(capacity)

    def observe(self, rows: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], time_ms: npt.NDArray[np.float64]) -> None:
        """Add weights to rows; row -1 and weights that are not positive are ignored. Late events count by their own age."""
        known = (rows >= 0) & (weights > 0)
        if not known.any():
            return
        times = np.broadcast_to(time_ms, rows.shape)[known]
        self._newest_ms = max(self._newest_ms, float(times.max()))
        if self._newest_ms - self._reference_ms > MAX_HALVINGS * self._half_life_ms:
            self._counts *= self._decay(self._newest_ms)
            self._reference_ms = self._newest_ms
        np.add.at(self._counts, rows[known], weights[known] * np.exp2((times - self._reference_ms) / self._half_life_ms))

    def shares(self, count: int) -> npt.NDArray[np.float64]:
        """Popularity of the first `count` rows in 0..1, 1 for the most popular; logarithmic, as counts are long-tailed."""
        counts: npt.NDArray[np.float64] = np.log1p(self._counts[:count] * self._decay(self._newest_ms))
        counts /= max(counts.max(initial=0.0), np.finfo(np.float64).tiny)
        return counts

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` rows."""
        self._counts = np.concatenate([self._counts, np.zeros(capacity - len(self._counts))])

    def move(self, source: int, target: int) -> None:
        """Give row `target` the count of row `source`, which is free from now on."""
        self._counts[target] = self._counts[source]
        self._counts[source] = 0.0

    def _decay(self, now_ms: float) -> float:
        return math.exp2((self._reference_ms - now_ms) / self._half_life_ms)
