"""What follows what: counts of one item soon after another, a Markov chain over the last few events."""

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sparse

from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.matrices import from_the_end


@dataclass
class Markov:
    """Sums, over the last `last_n` events, the share of times that an item came within `window` events after each.

    The newest event counts full, the one before half, then a third …; so do items that come second, third … after it.
    `shrink` is added to how often the first item was taken, so that rare ones say less.
    """

    window: int = 1
    last_n: int = 1
    shrink: float = 0.0
    _after: sparse.csr_matrix = field(init=False, repr=False)
    _history: sparse.csr_matrix = field(init=False, repr=False)

    def fit(self, train: Interactions) -> None:
        """Count what follows what."""
        events = train.part(train.positive())
        size = len(events.item_ids)
        after = sparse.csr_matrix((size, size), dtype=np.float32)
        for distance in range(1, self.window + 1):
            together = events.users[:-distance] == events.users[distance:]
            pairs = events.items[:-distance][together], events.items[distance:][together]
            after = after + sparse.csr_matrix((np.full(len(pairs[0]), 1 / distance, np.float32), pairs), (size, size))
        taken = np.bincount(events.items, minlength=size) + self.shrink
        self._after = sparse.diags(1 / np.maximum(taken, 1)).dot(after).tocsr()
        ago = from_the_end(events)
        newest = ago < self.last_n
        weights = (1 / (1 + ago[newest])).astype(np.float32)
        shape = (len(events.user_ids), size)
        self._history = sparse.csr_matrix((weights, (events.users[newest], events.items[newest])), shape)

    def scores(self, users: Ints) -> Floats:
        """Summed shares."""
        return np.asarray((self._history[users] @ self._after).toarray(), dtype=np.float32)
