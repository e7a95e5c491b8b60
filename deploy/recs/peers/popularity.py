"""What most people take: of all time or of the last days, and after what a user took before."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.matrices import newest

DAY_MS = 86_400_000


def counts_of(train: Interactions, days: float | None) -> Floats:
    """How many events speak for each item [items], in the last `days` before the newest event, or ever."""
    events = train.part(train.positive())
    if days is not None and len(events):
        events = events.part(newest(events, days))
    return np.bincount(events.items, minlength=len(train.item_ids)).astype(np.float32)


@dataclass
class Popularity:
    """The same scores for everyone: an item's events, in the last `days` or ever."""

    days: float | None = None
    _counts: Floats = field(init=False, default_factory=lambda: np.empty(0, np.float32))

    def fit(self, train: Interactions) -> None:
        """Count."""
        self._counts = counts_of(train, self.days)

    def scores(self, users: Ints) -> Floats:
        """Counts, once for each user."""
        return np.broadcast_to(self._counts, (len(users), len(self._counts))).copy()


@dataclass
class PersonalFrequency:
    """What the user took most often, then what was popular in the last week.

    `half_life_days` lets old events weigh less, None does not; `popular` weighs the most popular item in events of one's own.
    """

    half_life_days: float | None = None
    popular: float = 0.5
    days: float = 7
    _own: sparse.csr_matrix = field(init=False)
    _popular: Floats = field(init=False)

    def fit(self, train: Interactions) -> None:
        """Count, by user and in the last week."""
        events = train.part(train.positive())
        weights = np.ones(len(events), dtype=np.float32)
        if self.half_life_days is not None:
            age = (events.times_ms.max(initial=0) - events.times_ms) / DAY_MS
            weights = np.exp2(-age / self.half_life_days).astype(np.float32)
        shape = (len(train.user_ids), len(train.item_ids))
        self._own = sparse.csr_matrix((weights, (events.users, events.items)), shape=shape)
        counts = counts_of(train, self.days)
        self._popular = self.popular * counts / max(1.0, float(counts.max(initial=0)))

    def scores(self, users: Ints) -> Floats:
        """Own counts plus the popular ones."""
        return np.asarray(self._own[users].toarray() + self._popular, dtype=np.float32)
