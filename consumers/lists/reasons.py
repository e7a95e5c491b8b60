"""Why an item is in a list: the parts of its score that speak for it. A part that adds nothing is never a reason."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from consumers.catalogue import Catalogue, Floats
from schemas.messages import Item, Reason
from schemas.state import UserState

NOTABLE_SHARE = 0.1
"""A part is a reason when it is at least this share of all that speaks for the item."""
NEW_HALF_LIVES = 2.0
"""An item is called fresh for this many half-lives of freshness."""


class Parts(NamedTuple):
    """The weighted parts of an item's score; their sum is the score."""

    similarity: float
    interest: float
    profile: float
    popularity: float
    freshness: float


def tag_match(taste: Mapping[str, float], tags: tuple[str, ...]) -> float:
    """Cosine in -1..1 of a taste of length 1 and an item's distinct, case-folded tags, all alike."""
    if not tags:
        return 0.0
    weight: float = sum([taste.get(tag, 0.0) for tag in tags]) / len(tags) ** 0.5
    return weight


def liked_items(state: UserState, weights: Sequence[float]) -> dict[str, float]:
    """The items in the user's history that their events speak for on the whole, with these events' summed `event_weights`."""
    sums: dict[str, float] = {}
    for event, weight in zip(state.events, weights, strict=True):
        if event.item_id is not None:
            sums[event.item_id] = sums.get(event.item_id, 0.0) + weight
    return {item_id: weight for item_id, weight in sums.items() if weight > 0}


def nearest_liked(vectors: Floats, liked: Mapping[str, float], catalogue: Catalogue) -> list[str | None]:
    """For each vector [k, d], the liked item that adds most to its similarity: weight times cosine. None if none adds."""
    rows = catalogue.rows(liked)
    known = rows >= 0
    if not known.any():
        return [None] * len(vectors)
    rows, weights = rows[known], np.fromiter(liked.values(), np.float64, len(liked))[known]
    added = (vectors @ catalogue.vectors(rows).T) * weights
    best = added.argmax(axis=1)
    adds = added.max(axis=1) > 0
    return [catalogue.item_ids[row] if more else None for row, more in zip(rows[best].tolist(), adds.tolist(), strict=True)]


def reasons(
    parts: Parts, item: Item, taste: Mapping[str, float], liked_title: str | None, full_freshness: float
) -> list[Reason]:
    """The parts that notably speak for an item, strongest first.

    `liked_title` is the title of the liked item nearest to it; `full_freshness` the part of an item published this moment.
    """
    similarity, interest, profile, popularity, freshness = parts
    least = NOTABLE_SHARE * (max(similarity, 0.0) + max(interest, 0.0) + max(profile, 0.0) + popularity + freshness)
    found = []
    if 0 < interest >= least:
        _, tag = max([(taste.get(name.casefold(), 0.0), name) for name in item.tags])
        found.append((interest, _reason("interest", tag)))
    if liked_title is not None and 0 < similarity >= least:
        found.append((similarity, _reason("similar_to", liked_title)))
    if 0 < profile >= least:
        found.append((profile, _reason("profile")))
    if 0 < popularity >= least:
        found.append((popularity, _reason("popular")))
    if freshness >= least and freshness >= full_freshness * 0.5**NEW_HALF_LIVES:
        found.append((freshness, _reason("fresh")))
    if len(found) > 1:
        found.sort(key=_strength, reverse=True)
    return [reason for _, reason in found]


def _strength(found: tuple[float, Reason]) -> float:
    return found[0]


@lru_cache(maxsize=10_000)
def _reason(kind: Literal["interest", "similar_to", "profile", "popular", "fresh"], detail: str = "") -> Reason:
    """Reasons repeat from list to list; making one anew costs more than all else about it."""
    return Reason(kind=kind, detail=detail)
