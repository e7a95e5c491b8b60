"""Recorded events as columns: what every recommender learns from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from schemas.messages import EVENT_TYPES, EventType

Ints = npt.NDArray[np.int32]
Times = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

NEGATIVE_TYPES: tuple[EventType, ...] = ("return", "skip", "dislike", "not_interested")
"""Events that speak against their item: never what a recommender is asked for."""
NEGATIVE_CODES = np.array([1 + EVENT_TYPES.index(name) for name in NEGATIVE_TYPES])


@dataclass(frozen=True)
class Interactions:
    """Events with an item, sorted by user, then time, then a seeded hash of (user, item), so that no order of ids leaks.

    Users and items are numbers, places in `user_ids` and `item_ids`; these hold everyone and everything of the data, whatever
    part of the events this is. `types` are 1 + index in `schemas.messages.EVENT_TYPES`; `values` NaN where there is none;
    `baskets` numbers that events of one user share when they belong together (a session, an invoice, one moment).
    """

    users: Ints
    items: Ints
    times_ms: Times
    types: Ints
    values: Floats
    baskets: Ints
    user_ids: Sequence[str]
    item_ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.users)

    def part(self, chosen: Mask) -> "Interactions":
        """The events where `chosen` [n] is true, in their order."""
        return replace(
            self,
            users=self.users[chosen],
            items=self.items[chosen],
            times_ms=self.times_ms[chosen],
            types=self.types[chosen],
            values=self.values[chosen],
            baskets=self.baskets[chosen],
        )

    def bounds(self) -> Times:
        """Where each user's events begin, and the end: int64 [users + 1]; user u has the events `bounds[u]:bounds[u + 1]`."""
        return np.searchsorted(self.users, np.arange(len(self.user_ids) + 1))

    def positive(self) -> Mask:
        """Which events do not speak against their item [n]."""
        return ~np.isin(self.types, NEGATIVE_CODES)
