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
"""Up to so many items all count; only beyond this does drawing some save much."""
MOST_DRAWN = 4_096
"""Items drawn from a larger catalogue, anew for each batch: half of them evenly, half by how often they were taken."""


class Drawn(NamedTuple):
    """Some items by number, each once [c], and the logarithm of how likely it was that each of them is here [c]."""

    items: Places
    log_chance: Floats


class Rivals:
    """The items that targets are told apart from, each weighed by how likely it was to be drawn.

    So the sum over them is on average that over all items: importance sampling (Bengio and Senécal 2008), with a proposal that
    knows what is popular (for recommenders Yi et al. 2019). They are drawn apart from the batch: its own targets are mostly
    what the same users took next, and as rivals they would be kept from those users whom they suit best.
    """

    def __init__(self, taken: Places, items: int) -> None:
        """`taken` are the items of events, counted from 1; 0 stands for none."""
        self._items = items
        counts = np.bincount(taken, minlength=items + 1)[1:].astype(np.float64)
        shares = counts / max(1.0, counts.sum())
        self._until = np.cumsum(shares)
        each = MOST_DRAWN // 2
        with np.errstate(divide="ignore"):  # the only item that was ever taken is here for certain
            missed = each * (np.log1p(-1 / items) + np.log1p(-shares))
        self._log_chance = np.log(-np.expm1(missed)).astype(np.float32)

    def draw(self, shuffle: np.random.Generator) -> Drawn | None:
        """For one batch; None where the catalogue is small enough for all of it."""
        if self._items <= WHOLE_CATALOGUE:
            return None
        each = MOST_DRAWN // 2
        popular = np.searchsorted(self._until, shuffle.random(each), side="right").clip(max=self._items - 1)
        items = np.union1d(shuffle.integers(0, self._items, each), popular)
        return Drawn(items + 1, self._log_chance[items])


def loss_of(network: SequenceNetwork, hidden: Tensor, table: Tensor, targets: Tensor, drawn: Drawn | None) -> Tensor:
    """Mean cross-entropy of what vectors [n, dim] say against items 1.. [n]."""
    if drawn is None:
        return functional.cross_entropy(logits(network, hidden, table), targets - 1)
    items, log_chance = (torch.from_numpy(part).to(hidden.device) for part in drawn)
    rivals = hidden @ table[items].T + network.item_bias[items] - log_chance
    rivals = rivals.masked_fill(items == targets[:, None], -torch.inf)  # a target counts once, and is there for certain
    own = (hidden * table[targets]).sum(dim=1) + network.item_bias[targets]
    return (torch.cat([own[:, None], rivals], dim=1).logsumexp(dim=1) - own).mean()


def logits(network: SequenceNetwork, vectors: Tensor, table: Tensor) -> Tensor:
    """Scores of all items for vectors [n, dim]: [n, items]."""
    return vectors @ table[1:].T + network.item_bias[1:]
