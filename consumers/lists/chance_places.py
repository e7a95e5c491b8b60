"""Puts what was drawn by chance at places drawn by chance, and says how likely each item was to stand where it does."""

from collections.abc import Collection, Sequence

from consumers.lists.exploration import Chance, explored_propensity, places_by_chance, ranked_propensity
from schemas.messages import RecommendedItem


class Mixer:
    """Of a batch of users: `chance` says how much is left to it, `open_items` [users] from how many items was drawn."""

    def __init__(self, chance: Chance, seeds: Sequence[int], open_items: Sequence[int]) -> None:
        self._chance, self._seeds, self._open_items = chance, seeds, open_items

    def mixed(
        self, user: int, ranked: Sequence[RecommendedItem], drawn: Sequence[RecommendedItem], pinned: Collection[str]
    ) -> list[RecommendedItem]:
        """The user's main list: `ranked`, in which what is `pinned` keeps its place, with `drawn` in place of the last ones.

        Each item has its `propensity`: that of standing just there, had the dice fallen otherwise. Pinned ones have 1.
        """
        free = [place for place, item in enumerate(ranked) if item.item_id not in pinned]
        if not free:
            return [_told(item, 1.0) for item in ranked]
        [order] = places_by_chance([self._seeds[user]], len(free))
        here = dict(zip(order, drawn, strict=False))
        rest = iter(enumerate(ranked[place] for place in free))
        mixed = [_told(item, 1.0) for item in ranked]
        for number, place in enumerate(free):
            if number in here:
                mixed[place] = _told(here[number], explored_propensity(self._chance, len(free), self._open_items[user]))
            else:
                rank, item = next(rest)
                mixed[place] = _told(item, ranked_propensity(self._chance, len(free), self._open_items[user], rank, number))
        return mixed


def _told(item: RecommendedItem, propensity: float) -> RecommendedItem:
    return item.model_copy(update={"propensity": propensity})
