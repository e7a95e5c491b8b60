"""Teaches the network what to make of declared tags, a profile and demographics, and of short histories.

Recorded events seldom tell what people would have declared, so it is made up from their past: tags of a few items they took
before the moment that is asked about, and a text vector between those items, as a profile text about them would have. Nothing
of the item asked for, or of what follows it, is told.

What reads histories learns nothing from it: it asks for one item a user, where a history asks for one at each of its places.
So much weight on so little took a third of what the network was worth to users with a history.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.ours.network import SequenceNetwork
from deploy.recs.ours.sequences import sequences
from deploy.training.fused_network import FusedNetwork, Whitening
from deploy.training.material import Material

HISTORY_KEPT = (0, 0, 0, 1, 2, 3, 5, 10**6)
"""Of the events before, one of these many are shown, each as often."""
TOLD_SHARE = 0.5
"""How often tags are declared, a profile is there, and demographics are known, each for itself."""
MOST_TAGS, MOST_TITLES = 4, 8


class DeclaredLoss:
    """The `MoreLoss` of these events: for each user asked, one moment of theirs with some of what was known then."""

    def __init__(self, events: Interactions, material: Material, whitening: Whitening, length: int, seed: int) -> None:
        self._columns, self._bounds, self._length = sequences(events), events.bounds(), length
        self._events, self._material, self._whitening = events, material, whitening
        self._positive = events.positive()
        self._source = np.random.default_rng(seed)
        self._dim = material.item_vectors.shape[1]

    def __call__(self, network: SequenceNetwork, table: Tensor, users: Ints) -> Tensor:
        """Cross-entropy over all items of what came next, mean over the users; a loss of the declared parts alone."""
        assert isinstance(network, FusedNetwork)
        places = np.array([self._moment(int(user)) for user in np.unique(users)])
        places = places[places >= 0]
        if not len(places):
            return torch.zeros(())
        firsts = self._bounds[self._events.users[places]]
        kept = np.minimum(self._source.choice(HISTORY_KEPT, len(places)), places - firsts)
        rows = self._columns.rows(places - kept, places, self._length)
        tags = np.stack([self._tags(first, place) for first, place in zip(firsts, places, strict=True)])
        profiles = np.stack([self._profile(first, place) for first, place in zip(firsts, places, strict=True)])
        facts = self._material.demographics[self._events.users[places]] * self._told(len(places))[:, None]
        device = table.device
        inputs, table = torch.from_numpy(rows).to(device), table.detach()
        with torch.no_grad():
            hidden = network(*inputs, table)[:, -1]
        told = (torch.from_numpy(array).to(device) for array in (self._whitening(tags), self._whitening(profiles), facts))
        fused = network.fused(hidden, (inputs[0] > 0).sum(dim=1), *told)
        targets = torch.from_numpy(self._events.items[places].astype(np.int64)).to(device)
        return functional.cross_entropy(fused @ table[1:].T + network.item_bias[1:].detach(), targets)

    def _moment(self, user: int) -> int:
        """The place of an event that speaks for its item; -1 where the user has none."""
        first, end = self._bounds[user], self._bounds[user + 1]
        liked = first + np.flatnonzero(self._positive[first:end])
        return int(self._source.choice(liked)) if len(liked) else -1

    def _told(self, count: int) -> "np.typing.NDArray[np.float32]":
        return (self._source.random(count) < TOLD_SHARE).astype(np.float32)

    def _liked_before(self, first: int, place: int, most: int) -> Ints:
        """Some of the items taken before."""
        liked = self._events.items[first:place][self._positive[first:place]]
        return self._source.choice(liked, min(most, len(liked)), replace=False) if len(liked) else liked

    def _tags(self, first: int, place: int) -> Floats:
        """The mean vector of tags that could have been declared, [d]."""
        found = [self._material.tags_of[item] for item in self._liked_before(first, place, MOST_TAGS)]
        tags = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int32)
        if not len(tags) or self._source.random() >= TOLD_SHARE:
            return np.zeros(self._dim, np.float32)
        chosen = self._source.choice(tags, min(len(tags), int(self._source.integers(1, MOST_TAGS + 1))), replace=False)
        mean: Floats = self._material.tag_vectors[chosen].mean(axis=0)
        return mean

    def _profile(self, first: int, place: int) -> Floats:
        """A vector between items, of length 1, [d]."""
        liked = self._liked_before(first, place, MOST_TITLES)
        if not len(liked) or self._source.random() >= TOLD_SHARE:
            return np.zeros(self._dim, np.float32)
        mean = self._material.item_vectors[liked].mean(axis=0)
        unit: Floats = mean / max(float(np.linalg.norm(mean)), 1e-9)
        return unit
