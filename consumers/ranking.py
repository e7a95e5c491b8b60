"""Ranking: how much each part of what is known speaks for an item, and the reasons that follow from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue, Floats
from consumers.feedback import event_weight
from consumers.interests import Interest, InterestRules
from schemas.messages import Item, Reason
from schemas.state import UserState

MS_PER_H = 3_600_000.0
STRONGEST_TAGS = 32
"""Tags of a user that count; the weakest are left out."""
TIE_BREAK = 1e-6
"""Largest difference that the item id makes, so that items with nothing else to tell them apart are cut alike everywhere."""
NOTABLE_SHARE = 0.1
"""A part is a reason when it is at least this share of all that speaks for the item."""
NEW_HALF_LIVES = 2.0
"""An item is called fresh for this many half-lives of freshness."""


@dataclass(frozen=True)
class RankWeights:
    """What each part counts. All parts are at most 1; similarity, interest and profile may be negative."""

    similarity: float = 1.0
    interest: float = 0.6
    profile: float = 0.3
    popularity: float = 0.15
    freshness: float = 0.1
    freshness_half_life_h: float = 24.0 * 7


class Parts(NamedTuple):
    """What speaks for an item, weighted; their sum is its score."""

    similarity: float
    interest: float
    profile: float
    popularity: float
    freshness: float


@dataclass(frozen=True)
class ItemScores:
    """What speaks for each item whoever the user is, weighted, by row: `total` is -inf where the item may not be shown."""

    popularity: npt.NDArray[np.float64]
    freshness: npt.NDArray[np.float64]
    total: Floats


def item_scores(catalogue: Catalogue, weights: RankWeights, now_ms: int) -> ItemScores:
    """Popularity and freshness of every item at `now_ms`. An item published later than that, or at an unknown time, is not fresh."""
    published_at_ms = catalogue.published_at_ms
    ages_h = (now_ms - published_at_ms) / MS_PER_H
    known = (published_at_ms > 0) & (ages_h >= 0)
    freshness = weights.freshness * np.where(known, np.exp2(-np.maximum(ages_h, 0) / weights.freshness_half_life_h), 0.0)
    popularity = weights.popularity * catalogue.popularity.shares(len(catalogue))
    total = popularity + freshness + TIE_BREAK * (catalogue.tie_break / 2.0**64)
    return ItemScores(popularity, freshness, np.where(catalogue.available(now_ms), total, -np.inf).astype(np.float32))


def tag_taste(found: Mapping[str, Interest]) -> dict[str, float]:
    """A user's strongest tags, case-folded, as a vector of length 1: negative for a dislike."""
    merged: dict[str, float] = {}
    for tag, interest in found.items():
        name = tag.casefold()
        merged[name] = merged.get(name, 0.0) + interest.weight
    strongest = sorted(merged.items(), key=lambda entry: (-abs(entry[1]), entry[0]))[:STRONGEST_TAGS]
    length = sum(weight * weight for _, weight in strongest) ** 0.5
    return {tag: weight / length for tag, weight in strongest if weight} if length else {}


def tag_match(taste: Mapping[str, float], tags: Iterable[str]) -> float:
    """Cosine in -1..1 between a taste and an item's tags, every distinct tag counting the same."""
    names = {tag.casefold() for tag in tags}
    if not names:
        return 0.0
    weight: float = sum(taste.get(name, 0.0) for name in sorted(names)) / len(names) ** 0.5
    return weight


def seen_weights(state: UserState, rules: InterestRules) -> dict[str, float]:
    """Decayed weight of each item in the user's history that they liked on the whole."""
    weights: dict[str, float] = {}
    if not state.events:
        return weights
    newest_ms, half_life_ms = state.events[-1].event_time_ms, rules.half_life_h * MS_PER_H
    for event in state.events:
        if event.item_id is not None:
            decay = 2.0 ** ((event.event_time_ms - newest_ms) / half_life_ms)
            weight = event_weight(event.type, event.value, rules.type_weights) * decay
            weights[event.item_id] = weights.get(event.item_id, 0.0) + weight
    return {item_id: weight for item_id, weight in weights.items() if weight > 0}


def nearest_seen(vectors: Floats, seen: Mapping[str, float], catalogue: Catalogue) -> list[str | None]:
    """For each vector [k, d], the seen item that adds most to its similarity: weight times cosine; None where none adds."""
    item_ids = list(seen)
    rows = catalogue.rows(item_ids)
    weights = np.array([seen[item_id] for item_id in item_ids])[rows >= 0]
    rows = rows[rows >= 0]
    if not len(rows):
        return [None] * len(vectors)
    added = (vectors @ catalogue.vectors(rows).T) * weights
    best = added.argmax(axis=1)
    return [catalogue.item_ids[rows[column]] if line[column] > 0 else None for line, column in zip(added, best, strict=True)]


def reasons(
    parts: Parts, item: Item, taste: Mapping[str, float], seen_title: str | None, weights: RankWeights
) -> list[Reason]:
    """The parts that notably speak for an item, strongest first. `seen_title` is the liked item that is nearest to it."""
    least = NOTABLE_SHARE * sum(part for part in parts if part > 0)
    tag = max(item.tags, key=lambda name: (taste.get(name.casefold(), 0.0), name), default=None)
    new = parts.freshness > weights.freshness * 0.5**NEW_HALF_LIVES
    found = [
        (parts.interest, Reason(kind="interest", detail=tag)) if tag is not None else None,
        (parts.similarity, Reason(kind="similar_to", detail=seen_title)) if seen_title is not None else None,
        (parts.profile, Reason(kind="profile")),
        (parts.popularity, Reason(kind="popular")),
        (parts.freshness, Reason(kind="fresh")) if new else None,
    ]
    notable = [entry for entry in found if entry is not None and entry[0] > 0 and entry[0] >= least]
    return [reason for _, reason in sorted(notable, key=lambda entry: -entry[0])]


def combine(user_vectors: Floats, profile_vectors: Floats, weights: RankWeights) -> Floats:
    """One query vector per user: its product with an item's vector is the weighted similarity plus the weighted profile match."""
    queries: Floats = np.float32(weights.similarity) * user_vectors + np.float32(weights.profile) * profile_vectors
    return queries
