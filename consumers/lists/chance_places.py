"""Puts what was drawn by chance at places drawn by chance, and says how likely each item was to stand where it does."""

from collections.abc import Collection, Sequence

from consumers.lists.exploration import Chance, Draws, explored_propensity, places_by_chance, ranked_propensity
from schemas.messages import RecommendedItem


class Mixer:
    """Of the lists of one surface, or the main ones, of a batch of users: what was drawn, and by which seeds."""

    def __init__(self, draws: Draws) -> None:
        self._share = draws.share
        self._seeds: list[int] = draws.seeds.tolist()
        self._lots: list[float] = draws.lots.tolist()
        self._open_items: list[int] = draws.open_items.tolist()

    def mixed(
        self, user: int, ranked: Sequence[RecommendedItem], drawn: Sequence[RecommendedItem], pinned: Collection[str]
    ) -> list[RecommendedItem]:
        """The user's list: `ranked`, in which what is `pinned` keeps its place, with `drawn` in place of the last ones.

        Each item has its `propensity`: that of standing just there, had the dice fallen otherwise. Pinned ones have 1. No item
        has one where less was drawn than was to be: of a large catalogue hardly anything of which may be shown to the user.
        """
        free = [place for place, item in enumerate(ranked) if item.item_id not in pinned]
        if not free:
            return [_told(item, 1.0) for item in ranked]
        chance, open_items = Chance.of(self._share, len(ranked)), self._open_items[user]
        drawn_enough = len(drawn) >= min(chance.count(self._lots[user]), len(free), open_items)
        order = places_by_chance(self._seeds[user], len(free))
        here = dict(zip(order, drawn, strict=False))
        rest = iter(enumerate(ranked[place] for place in free))
        mixed = [_told(item, 1.0) if item.item_id in pinned else item for item in ranked]
        for number, place in enumerate(free):
            if number in here:
                mixed[place] = _told(here[number], explored_propensity(chance, len(free), open_items))
            else:
                rank, item = next(rest)
                mixed[place] = _told(item, ranked_propensity(chance, len(free), open_items, rank, number))
        return mixed if drawn_enough else [_told(item, None) for item in mixed]


def _told(item: RecommendedItem, propensity: float | None) -> RecommendedItem:
    return item.model_copy(update={"propensity": propensity})
