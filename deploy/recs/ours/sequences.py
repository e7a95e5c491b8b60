"""Events as the rows of numbers that the sequence network reads."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from deploy.recs.interactions import Interactions, Mask
from deploy.recs.ours.network import GAP_BUCKETS, VALUE_BUCKETS

Places = npt.NDArray[np.int64]

MOST_PIECES = 4
"""Of one user's history that a network learns from: a few who did very much must not make up most of its work."""


@dataclass(frozen=True)
class Sequences:
    """Columns of all events, in an order where each user's lie together; 0 is padding everywhere."""

    items: Places
    gaps: Places
    values: Places
    types: Places
    positive: Mask

    def rows(self, starts: Places, ends: Places, length: int) -> Places:
        """The last `length` events of each `starts:ends`, padded on the left: int64 [4, n, length]."""
        places = ends[:, None] - length + np.arange(length)
        there = places >= starts[:, None]
        places = np.where(there, places, 0)
        return np.stack([np.where(there, column[places], 0) for column in (self.items, self.gaps, self.values, self.types)])


def sequences(events: Interactions, shuffle: np.random.Generator | None = None) -> Sequences:
    """Events as columns. With `shuffle`, those of one basket come in a random order: theirs says nothing."""
    order = np.arange(len(events)) if shuffle is None else np.lexsort((shuffle.random(len(events)), basket_numbers(events)))
    minutes = np.diff(events.times_ms, prepend=events.times_ms[:1]) / 60_000
    minutes[np.diff(events.users, prepend=-1) != 0] = 0
    values = events.values[order]
    return Sequences(
        items=events.items[order].astype(np.int64) + 1,
        gaps=np.clip(np.log2(1 + np.maximum(minutes, 0)) + 1, 1, GAP_BUCKETS - 1).astype(np.int64),
        values=np.where(np.isnan(values), 0, np.clip(np.nan_to_num(values), 0, VALUE_BUCKETS - 2) + 1).astype(np.int64),
        types=events.types[order].astype(np.int64),
        positive=events.positive()[order],
    )


def basket_numbers(events: Interactions) -> Places:
    """Numbers that rise with each new basket, over all users: int64 [n]."""
    return np.cumsum((np.diff(events.baskets, prepend=-1) != 0) | (np.diff(events.users, prepend=-1) != 0))


def windows(events: Interactions, length: int) -> tuple[Places, Places]:
    """Starts and ends that cut each user's newest events into up to MOST_PIECES of `length` + 1 that share one event."""
    bounds = events.bounds()
    starts, ends = [], []
    for first, end in pairwise(bounds.tolist()):
        for _ in range(MOST_PIECES):
            if end - first < 2:
                break
            start = max(first, end - length - 1)
            starts.append(start)
            ends.append(end)
            end = start + 1
    return np.array(starts, np.int64), np.array(ends, np.int64)
