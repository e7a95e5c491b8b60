"""Item-to-item models inside the exported encoder: what each item says of others, added up over a user's history."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deploy.recs.interactions import NEGATIVE_CODES, Floats, Interactions
from deploy.recs.item_models import FADINGS, MOST_ITEMS, cosine, ease, following
from deploy.recs.matrices import user_items
from schemas.tensors import NEXT_ITEMS, NEXT_SCORES

DENSE_ITEMS = 2_048
"""Up to so many items all others of each are kept, which is exact and the faster way; of more, the strongest KEPT."""
KEPT = 128
SCORES = {f"{model}_{fading}": (model, fading) for model, fadings in FADINGS.items() for fading in fadings}
"""Names of NEXT_SCORES after the network's: an item model, and what an event counts for against one of the basket after it."""
PROPOSING = ("log_share", "ease_0.9", "cosine_0.6", "following_0.4")
"""Those of NEXT_SCORES whose best items come next, the network's first; the others only say what they make of these."""
EACH = NEXT_ITEMS // len(PROPOSING)
OUT = -1e9

Numbers = npt.NDArray[np.int64]
Sum = Callable[[Tensor], Tensor]
"""What users' items add up to [n, items], each times what it counts [n, length]."""


class AllOthers(nn.Module):
    """What each item says of all others, `weights` [items + 1, items]; row 0 is of no item."""

    weights: Tensor

    def __init__(self, weights: Floats) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(weights))

    def of(self, own_items: Tensor) -> Sum:
        """Sums over users' items [n, length]."""
        return lambda counts: nn.functional.embedding_bag(own_items, self.weights, per_sample_weights=counts, mode="sum")


class StrongestOthers(nn.Module):
    """The same of the strongest alone, kept in rows of the items that have any: `row_of` [items + 1], 0 for one without.

    `others` [rows, k] count items from 1, 0 where there is none; `weights` are of the same shape.
    """

    row_of: Tensor
    others: Tensor
    weights: Tensor

    def __init__(self, row_of: Numbers, others: Numbers, weights: Floats) -> None:
        super().__init__()
        self.register_buffer("row_of", torch.from_numpy(row_of))
        self.register_buffer("others", torch.from_numpy(others))
        self.register_buffer("weights", torch.from_numpy(weights))

    def of(self, own_items: Tensor) -> Sum:
        """As `AllOthers`; looking up is most of the work, and done once for all sums."""
        rows = self.row_of[own_items]
        weights, others = self.weights[rows], self.others[rows].flatten(1)

        def summed(counts: Tensor) -> Tensor:
            total = weights.new_zeros(own_items.shape[0], self.row_of.shape[0])
            return total.scatter_add(1, others, (weights * counts.unsqueeze(-1)).flatten(1))[:, 1:]

        return summed


Others = AllOthers | StrongestOthers


class Neighbours(nn.Module):
    """Scores of all items by each of SCORES, and with the network's the items that come next."""

    against: Tensor

    def __init__(self, models: dict[str, Others], repeats: bool = False) -> None:
        """`models` by name, one for each of FADINGS; with `repeats` what was met before may come next too."""
        super().__init__()
        self.repeats = repeats
        self.models = nn.ModuleDict(models)
        self.register_buffer("against", torch.from_numpy(NEGATIVE_CODES))

    def expected(
        self, log_shares: Tensor, own_items: Tensor, types: Tensor, ages_h: Tensor, numbers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The NEXT_ITEMS of each user by their `numbers` [items], and NEXT_SCORES.

        EACH by each of PROPOSING, or as many as it says anything for; without `repeats` none that was met before.

        `log_shares` [n, items] are the network's; `own_items` [n, length] count from 1, 0 where there is none.
        """
        score_by = self.scorer(own_items, types, ages_h)
        proposing = {name: score_by(name) if name in SCORES else log_shares for name in PROPOSING}
        met = log_shares.new_zeros(log_shares.shape[0], log_shares.shape[1] + 1)  # by shape: a length would be a constant
        met = met.scatter(1, own_items, 0.0 if self.repeats else 1.0)[:, 1:]
        most = min(EACH, log_shares.shape[1])
        best = [(score + met * OUT).topk(most, dim=1) for score in proposing.values()]
        chosen = torch.cat([one.indices for one in best], dim=1)
        meant = torch.cat([best[0].values > OUT / 2, *(one.values > 0 for one in best[1:])], dim=1)
        # one after another: of a large catalogue, scores of all items by all of them would take much memory
        told = [torch.gather(proposing[name] if name in proposing else score_by(name), 1, chosen) for name in NEXT_SCORES]
        found = torch.stack(told, dim=-1)
        missing = NEXT_ITEMS - chosen.shape[1]
        return nn.functional.pad(numbers[chosen] * meant, (0, missing)), nn.functional.pad(found, (0, 0, 0, missing))

    def scorer(self, own_items: Tensor, types: Tensor, ages_h: Tensor) -> Callable[[str], Tensor]:
        """Makes the scores of all items by one of SCORES, [n, items]."""
        speaks = (own_items > 0) & ~torch.isin(types, self.against)
        ago = baskets_ago(ages_h, types != 0)
        sums: dict[str, Sum] = {name: cast(Others, model).of(own_items) for name, model in self.models.items()}

        def score_by(name: str) -> Tensor:
            model, fading = SCORES[name]
            return sums[model](speaks * fading**ago)

        return score_by


def baskets_ago(ages_h: Tensor, there: Tensor) -> Tensor:
    """How many moments with events came after that of each event, [n, length]: events of one moment are a basket."""
    later = ((ages_h[:, :-1] > ages_h[:, 1:]) & there[:, 1:]).float()
    return nn.functional.pad(later.flip(1).cumsum(1).flip(1), (0, 1))


def neighbours_of(events: Interactions, repeats: bool = False) -> Neighbours:
    """Learned from what these events speak for; of very many items only those taken most often have neighbours."""
    events = events.part(events.positive())
    taken = np.bincount(events.items, minlength=len(events.item_ids))
    few = np.sort(np.argsort(-taken, kind="stable")[:MOST_ITEMS])
    few = few[taken[few] > 0]
    known = among(events, few)
    made: dict[str, Callable[[], Floats]] = {
        "ease": lambda: ease(user_items(known)),
        "ease_log": lambda: ease(user_items(known, "log")),
        "cosine": lambda: cosine(user_items(known)),
        "following": lambda: following(known),
    }
    kept = all_others if len(events.item_ids) <= DENSE_ITEMS else strongest_others
    models = {name: kept(make(), few, len(events.item_ids)) for name, make in made.items()}  # one matrix at a time
    return Neighbours(models, repeats)


def all_others(matrix: Floats, few: Numbers, items: int) -> AllOthers:
    """Of a matrix [few, few] between items at the places `few` of so many."""
    weights = np.zeros((items + 1, items), np.float32)
    weights[np.ix_(few + 1, few)] = matrix
    return AllOthers(weights)


def strongest_others(matrix: Floats, few: Numbers, items: int) -> StrongestOthers:
    """As `all_others`, the KEPT largest that speak for the other."""
    kept = min(KEPT, len(few))
    row_of = np.zeros(items + 1, np.int64)
    row_of[few + 1] = np.arange(1, len(few) + 1)
    others, weights = np.zeros((len(few) + 1, kept), np.int64), np.zeros((len(few) + 1, kept), np.float32)
    best = np.argpartition(-matrix, kept - 1, axis=1)[:, :kept]
    values = np.take_along_axis(matrix, best, axis=1)
    others[1:] = np.where(values > 0, few[best] + 1, 0)
    weights[1:] = np.maximum(values, 0)
    return StrongestOthers(row_of, others, weights)


def among(events: Interactions, few: Numbers) -> Interactions:
    """The events on these items, which are all there are then: matrices are of their size."""
    place_of = np.full(len(events.item_ids), -1, np.int32)
    place_of[few] = np.arange(len(few))
    part = events.part(place_of[events.items] >= 0)
    return replace(part, items=place_of[part.items], item_ids=[events.item_ids[place] for place in few])
