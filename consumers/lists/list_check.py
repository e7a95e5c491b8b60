"""Served lists held against a fresh computation: what an index misses, or anything kept between batches spoils, shows here."""

from collections.abc import Sequence
from typing import NamedTuple

from consumers.encoded_users import EncodedUsers
from consumers.lists.lists import ListMaker
from consumers.lists.places import UserLists
from consumers.lists.ranking import Ranker
from schemas.messages import RecommendedItem
from schemas.state import UserState

CHECKED_AT_ONCE = 8
"""Users of one check: with a large catalogue each costs a look at every item."""


class Difference(NamedTuple):
    """Between a served list and a fresh one: items that only the served one has, and how far the others' scores are apart."""

    items: int
    score_gap: float


def difference(served: Sequence[RecommendedItem], fresh: Sequence[RecommendedItem]) -> Difference:
    """Of two lists of one user."""
    scores = {item.item_id: item.score for item in fresh}
    gaps = [abs(item.score - scores[item.item_id]) for item in served if item.item_id in scores]
    return Difference(len(served) - len(gaps), max(gaps, default=0.0))


class ListCheck:
    """Makes a few lists anew every `every_s` seconds, 0 for never; `exact` is a list maker of its own with an exact index."""

    def __init__(self, exact: ListMaker, every_s: float) -> None:
        self._exact, self._every_ms = exact, every_s * 1000
        self._checked_at_ms = 0

    def rank_by(self, ranker: Ranker) -> None:
        """Make them with this ranker from now on."""
        self._exact.rank_by(ranker)

    def is_due(self, now_ms: int) -> bool:
        """Whether lists made now should be checked; a clock that was set back puts nothing off."""
        return self._every_ms > 0 and abs(now_ms - self._checked_at_ms) >= self._every_ms

    def compare(
        self,
        states: Sequence[UserState],
        encoded: EncodedUsers,
        now_ms: int,
        seeds: Sequence[int],
        served: Sequence[UserLists],
    ) -> list[Difference]:
        """Of the first CHECKED_AT_ONCE users; `encoded` is what user_encoder says of them, asked once more too."""
        self._checked_at_ms = now_ms
        few = states[:CHECKED_AT_ONCE]
        fresh = self._exact.make(few, encoded.vectors, now_ms, seeds[:CHECKED_AT_ONCE], encoded.expected)
        return [difference(mine.items, anew.items) for mine, anew in zip(served, fresh, strict=False)]
