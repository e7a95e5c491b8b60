"""Events as sparse matrices of users and items; what speaks against an item is left out."""

from typing import Literal

import numpy as np
from scipy import sparse

from deploy.recs.interactions import Interactions, Mask

Counting = Literal["once", "times", "log"]


def user_items(train: Interactions, counting: Counting = "once", last_n: int | None = None) -> sparse.csr_matrix:
    """How often each user took each item, float32 [users, items]: once, as counted, or log(1 + count).

    With `last_n`, of everyone's last so many events.
    """
    events = train.part(train.positive())
    if last_n is not None:
        events = events.part(from_the_end(events) < last_n)
    shape = (len(train.user_ids), len(train.item_ids))
    counts = sparse.csr_matrix((np.ones(len(events), dtype=np.float32), (events.users, events.items)), shape=shape)
    if counting == "once":
        counts.data[:] = 1
    elif counting == "log":
        counts.data = np.log1p(counts.data)
    return counts


def from_the_end(events: Interactions) -> "np.typing.NDArray[np.int64]":
    """How many later events the user of each event has [n]."""
    return events.bounds()[1:][events.users] - np.arange(len(events)) - 1


def newest(events: Interactions, days: float) -> Mask:
    """Which events lie within so many days of the newest of all [n]."""
    chosen: Mask = events.times_ms > events.times_ms.max() - days * 86_400_000
    return chosen
