"""What the sequence network is to make small: cross-entropy over all items, or over a random part of a large catalogue."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deploy.recs.interactions import Floats
from deploy.recs.ours.network import SequenceNetwork
from deploy.recs.ours.sequences import Places

WHOLE_CATALOGUE = 16_384
"""Up to so many items all count: a part of them teaches a little less, and only beyond this does it save much."""
MOST_DRAWN = 4_096
"""Items drawn from a larger catalogue, besides those that are targets in the batch themselves."""


class Drawn(NamedTuple):
    """Some items, by number and rising [c], and the logarithm of how likely it was that each of them is here [c]."""

    items: Places
    log_chance: Floats


class Rivals:
    """The items that targets are told apart from: targets of the same batch, which are the popular ones, and some by chance.

    Weighed by how likely each was to be here, so that the sum over them is on average that over all items (importance
    sampling, Bengio and Senécal 2008; for recommenders Yi et al. 2019, "sampling-bias-corrected").
    """

    def __init__(self, targets: Places, items: int) -> None:
        """`targets` holds all that will be asked for, 0 where nothing is; items are numbered from 1."""
        self._items = items
        counts = np.bincount(targets, minlength=items + 1).astype(np.float64)
        counts[0] = 0
        self._share = counts / max(1.0, counts.sum())

    def draw(self, targets: Places, shuffle: np.random.Generator) -> Drawn | None:
        """For the targets of a batch; None where the catalogue is small enough for all of it."""
        if self._items <= WHOLE_CATALOGUE:
            return None
        wanted = targets[targets > 0]
        items = np.union1d(wanted, shuffle.integers(1, self._items + 1, MOST_DRAWN))
        expected = MOST_DRAWN / self._items + len(wanted) * self._share[items]
        return Drawn(items, np.log(-np.expm1(-expected)).astype(np.float32))


def loss_of(network: SequenceNetwork, hidden: Tensor, table: Tensor, targets: Tensor, drawn: Drawn | None) -> Tensor:
    """Mean cross-entropy of what vectors [n, dim] say against items 1.. [n]."""
    if drawn is None:
        return functional.cross_entropy(logits(network, hidden, table), targets - 1)
    items, log_chance = (torch.from_numpy(part).to(hidden.device) for part in drawn)
    scores = hidden @ table[items].T + network.item_bias[items] - log_chance
    places = torch.searchsorted(items, targets)
    scores = scores.scatter_add(1, places[:, None], log_chance[places][:, None])  # a target is there for certain
    return functional.cross_entropy(scores, places)


def logits(network: SequenceNetwork, vectors: Tensor, table: Tensor) -> Tensor:
    """Scores of all items for vectors [n, dim]: [n, items]."""
    return vectors @ table[1:].T + network.item_bias[1:]
