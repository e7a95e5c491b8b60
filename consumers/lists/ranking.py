"""Ranking: a weighted sum of five parts. Three depend on the user, popularity and freshness on the item alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue, Floats

MS_PER_H = 3_600_000.0
STRONGEST_TAGS = 24
"""Tags of a user that count; the weakest are left out."""
TIE_BREAK = 1e-6
"""Largest difference that the item id makes, so that items with nothing else to tell them apart are cut alike everywhere."""


@dataclass(frozen=True)
class RankWeights:
    """What each part counts. All parts are at most 1; similarity, interest and profile may be negative."""

    similarity: float = 1.0
    interest: float = 0.6
    profile: float = 0.3
    popularity: float = 0.15
    freshness: float = 0.1
    freshness_half_life_h: float = 24.0 * 7


@dataclass(frozen=True)
class ItemScores:
    """What speaks for each item whoever the user is, weighted, by row: `total` is -inf where the item may not be shown."""

    popularity: npt.NDArray[np.float64]
    freshness: npt.NDArray[np.float64]
    total: Floats


def item_scores(catalogue: Catalogue, weights: RankWeights, now_ms: int) -> ItemScores:
    """Popularity and freshness of every item at `now_ms`.

    An item published later than that, or at an unknown time, is not fresh.
    """
    published_at_ms = catalogue.published_at_ms
    ages_h = (now_ms - published_at_ms) / MS_PER_H
    known = (published_at_ms > 0) & (ages_h >= 0)
    freshness = weights.freshness * np.where(known, np.exp2(-np.maximum(ages_h, 0) / weights.freshness_half_life_h), 0.0)
    popularity = weights.popularity * catalogue.popularity.shares(len(catalogue))
    total = popularity + freshness + TIE_BREAK * (catalogue.tie_break / 2.0**64)
    return ItemScores(popularity, freshness, np.where(catalogue.available(now_ms), total, -np.inf).astype(np.float32))


def tag_taste(found: Mapping[str, float]) -> dict[str, float]:
    """A user's strongest tags of these weights, case-folded, as a vector of length 1: negative for a dislike."""
    merged: dict[str, float] = {}
    for tag, weight in found.items():
        name = tag.casefold()
        merged[name] = merged.get(name, 0.0) + weight
    strongest = sorted(merged.items(), key=lambda entry: (-abs(entry[1]), entry[0]))[:STRONGEST_TAGS]
    length = sum(weight * weight for _, weight in strongest) ** 0.5
    return {tag: weight / length for tag, weight in strongest if weight} if length else {}


def combine(user_vectors: Floats, profile_vectors: Floats, weights: RankWeights) -> Floats:
    """One query per user, [users, d]: its product with an item's vector is weighted similarity plus weighted profile match."""
    queries: Floats = np.float32(weights.similarity) * user_vectors + np.float32(weights.profile) * profile_vectors
    return queries
