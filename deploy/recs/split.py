"""A cut through recorded events: what a recommender may know, and what it is asked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deploy.recs.interactions import Interactions, Ints


@dataclass(frozen=True)
class Split:
    """`train` is all that is known at the cut; each of `users` is asked for one list, and `truths` are the items they took.

    `cut_ms` is the moment of a global cut, None for leave-one-out. With `remove_seen` a user's own items of `train` are no
    candidates, and never a truth.
    """

    protocol: str
    train: Interactions
    users: Ints
    truths: Sequence[Ints]
    remove_seen: bool
    cut_ms: int | None = None


def even_sample(count: int, most: int) -> Ints:
    """At most so many of `count` places, evenly spread and ascending; all of them where they are few."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int32))
