"""Item-to-item models inside the exported encoder: of each item the strongest others, added up over a user's history."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from deploy.recs.interactions import NEGATIVE_CODES, Floats, Interactions
from deploy.recs.item_models import MOST_ITEMS, cosine, ease, following
from deploy.recs.matrices import user_items
from schemas.tensors import NEXT_ITEMS, NEXT_SCORES

KEPT = 128
"""Others kept of each item."""
EACH = NEXT_ITEMS // len(NEXT_SCORES)
FADING = {"ease": 0.9, "cosine": 0.6, "following": 0.4}
"""What an event counts for against one of the basket after it."""
OUT = -1e9


class Neighbours(nn.Module):
    """Scores of all items by each of FADING, and with the network's the items that come next."""

    others: Tensor
    weights: Tensor
    fading: Tensor
    against: Tensor

    def __init__(self, others: "np.typing.NDArray[np.int64]", weights: Floats) -> None:
        """`others` [models, items + 1, k] places of items, counted from 1, and their `weights`; row 0 is of no item."""
        super().__init__()
        self.register_buffer("others", torch.from_numpy(others))
        self.register_buffer("weights", torch.from_numpy(weights))
        self.register_buffer("fading", torch.tensor(list(FADING.values())))
        self.register_buffer("against", torch.from_numpy(NEGATIVE_CODES))

    def expected(
        self, log_shares: Tensor, own_items: Tensor, types: Tensor, ages_h: Tensor, numbers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The NEXT_ITEMS of each user by their `numbers` [items], and NEXT_SCORES.

        40 by each score, or as many as it says anything for; none that was met before.

        `log_shares` [n, items] are the network's; `own_items` [n, length] count from 1, 0 where there is none.
        """
        scores = [log_shares, *self.scores(own_items, types, ages_h, log_shares.shape[1])]
        met = log_shares.new_zeros(log_shares.shape[0], log_shares.shape[1] + 1)  # by shape: a length would be a constant
        met = met.scatter(1, own_items, 1.0)[:, 1:]
        most = min(EACH, log_shares.shape[1])
        best = [(score + met * OUT).topk(most, dim=1) for score in scores]
        chosen = torch.cat([one.indices for one in best], dim=1)
        speaks = torch.cat([best[0].values > OUT / 2, *(one.values > 0 for one in best[1:])], dim=1)
        found = torch.stack([torch.gather(score, 1, chosen) for score in scores], dim=-1)
        missing = NEXT_ITEMS - chosen.shape[1]
        return nn.functional.pad(numbers[chosen] * speaks, (0, missing)), nn.functional.pad(found, (0, 0, 0, missing))

    def scores(self, own_items: Tensor, types: Tensor, ages_h: Tensor, items: int) -> list[Tensor]:
        """Of all items by each model, [n, items] each."""
        there = own_items > 0
        speaks = there & ~torch.isin(types, self.against)
        ago = baskets_ago(ages_h, types != 0)
        found = []
        for model in range(len(FADING)):
            faded = speaks * self.fading[model] ** ago
            adds = self.weights[model][own_items] * faded.unsqueeze(-1)
            total = adds.new_zeros(own_items.shape[0], items + 1)
            total = total.scatter_add(1, self.others[model][own_items].flatten(1), adds.flatten(1))
            found.append(total[:, 1:])
        return found


def baskets_ago(ages_h: Tensor, there: Tensor) -> Tensor:
    """How many moments with events came after that of each event, [n, length]: events of one moment are a basket."""
    later = ((ages_h[:, :-1] > ages_h[:, 1:]) & there[:, 1:]).float()
    return nn.functional.pad(later.flip(1).cumsum(1).flip(1), (0, 1))


def neighbours_of(events: Interactions) -> Neighbours:
    """Learned from these events; of very many items only those taken most often have neighbours."""
    taken = np.bincount(events.items, minlength=len(events.item_ids))
    few = np.sort(np.argsort(-taken, kind="stable")[:MOST_ITEMS])
    few = few[taken[few] > 0]
    known = among(events, few)
    kept = min(KEPT, len(few))
    others = np.zeros((len(FADING), len(events.item_ids) + 1, kept), np.int64)
    weights = np.zeros(others.shape, np.float32)
    for model, made in enumerate((ease, cosine, following)):  # one dense matrix at a time
        matrix = made(known) if made is following else made(user_items(known))
        best = np.argpartition(-matrix, kept - 1, axis=1)[:, :kept]
        values = np.take_along_axis(matrix, best, axis=1)
        others[model, few + 1] = np.where(values > 0, few[best] + 1, 0)
        weights[model, few + 1] = np.maximum(values, 0)
    return Neighbours(others, weights)


def among(events: Interactions, few: "np.typing.NDArray[np.int64]") -> Interactions:
    """The events on these items, which are all there are then: matrices are of their size."""
    place_of = np.full(len(events.item_ids), -1, np.int32)
    place_of[few] = np.arange(len(few))
    part = events.part(place_of[events.items] >= 0)
    return replace(part, items=place_of[part.items], item_ids=[events.item_ids[place] for place in few])
