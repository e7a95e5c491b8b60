"""Ranking: features of each candidate, and their weighted sum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.tag_table import TagTable

STRONGEST_TAGS = 24
"""Tags of a user that count; the weakest are left out."""
TIE_BREAK = 1e-6
"""Largest difference that the item id makes, so that items with nothing else to tell them apart are cut alike everywhere."""
USERS_AT_ONCE = 8
"""Users whose candidates' vectors are in memory together: few enough for the processor's cache."""

FEATURES = ("similarity", "interest", "profile", "popularity", "freshness", "neighbour", "concept", "boost", "sequence")
"""What a ranker is told of a candidate, in this order.

`similarity` and `profile` are cosines with the user's and the profile text's vector, `interest` and `concept` with their tags
and with the concepts of what they liked, all in -1..1; `popularity`, `freshness`, `neighbour` and `sequence` (what a learned
user_encoder expects next) are in 0..1; `boost` is what rules add, any number.
"""


@dataclass(frozen=True)
class RankWeights:
    """What each feature counts; `boost` counts as it is."""

    similarity: float = 1.0
    interest: float = 0.6
    profile: float = 0.3
    popularity: float = 0.15
    freshness: float = 0.1
    neighbour: float = 0.4
    concept: float = 0.2
    sequence: float = 0.6
    freshness_half_life_h: float = 24.0 * 7

    def vector(self) -> Floats:
        """The weights in the order of FEATURES."""
        return np.array([getattr(self, name, 1.0) for name in FEATURES], np.float32)


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


def vector_matches(rows: Rows, user_vectors: Floats, profile_vectors: Floats, catalogue: Catalogue) -> Floats:
    """Products of each candidate's vector with its user's and with their profile's, [users, n, 2]; 0 for row -1."""
    found = np.zeros((*rows.shape, 2), np.float32)
    with_profile = profile_vectors.any(axis=1).tolist()
    for start in range(0, len(rows), USERS_AT_ONCE):
        users = slice(start, start + USERS_AT_ONCE)
        vectors = catalogue.vectors(rows[users])
        # einsum, as a small product per user would keep BLAS waiting for its threads
        np.einsum("und,ud->un", vectors, user_vectors[users], out=found[users, :, 0])
        if any(with_profile[users]):
            np.einsum("und,ud->un", vectors, profile_vectors[users], out=found[users, :, 1])
    return found


def name_matches(rows: Rows, tastes: Sequence[Mapping[str, float]], table: TagTable) -> Floats:
    """Cosines in -1..1 of each user's taste, of length 1, and a candidate's names, all alike, [users, n]; 0 for row -1."""
    found = np.zeros(rows.shape, np.float32)
    weight_of = np.zeros(table.size, np.float32)
    for own, taste, into in zip(rows, tastes, found, strict=True):
        if not taste:
            continue
        numbers = [table.number(name) for name in taste]
        weight_of[numbers] = list(taste.values())
        weight_of[0] = 0.0
        candidates = table.numbers[own]
        counts = np.maximum(np.count_nonzero(candidates, axis=1), 1)
        into[:] = np.where(own >= 0, weight_of[candidates].sum(axis=1) / np.sqrt(counts), 0)
        weight_of[numbers] = 0.0
    return found


def row_matches(rows: Rows, known: Rows, values: Floats, items: int) -> Floats:
    """The values of each candidate that is among its user's `known` rows, [users, n, v]; 0 for others and row -1.

    `known` [users, m], `values` [users, m, v].
    """
    found = np.zeros((*rows.shape, values.shape[2]), np.float32)
    value_of = np.zeros((items + 1, values.shape[2]), np.float32)  # the last stands for row -1
    for own, few, given, into in zip(rows, known, values, found, strict=True):
        value_of[few] = given
        value_of[-1] = 0.0
        into[:] = value_of[own]
        value_of[few] = 0.0
    return found


class Ranker(Protocol):
    """Scores candidates from what is known of them and of their users."""

    @property
    def wants_details(self) -> bool:
        """Whether it reads what `consumers.lists.details` tells."""

    @property
    def repeats(self) -> bool:
        """Whether it was trained to rank what a user took before."""

    def scores(self, features: Floats, details: tuple[Floats, Floats] | None) -> Floats:
        """Scores [users, n], higher is better, of candidates with features [users, n, f].

        `details` are more of the candidates [users, n, d] and of the users [users, c]; None unless wanted.
        """

    def parts(self, features: Floats, details: tuple[Floats, Floats] | None) -> Floats:
        """What each of FEATURES adds to such scores, [users, n, len(FEATURES)]: what reasons are made of."""


@dataclass(frozen=True)
class PlainRanker:
    """The weighted sum of the features."""

    weights: RankWeights
    wants_details: bool = False
    repeats: bool = False

    def scores(self, features: Floats, details: tuple[Floats, Floats] | None) -> Floats:
        """One product."""
        scores: Floats = features @ self.weights.vector()
        return scores

    def parts(self, features: Floats, details: tuple[Floats, Floats] | None) -> Floats:
        """The terms of the sum."""
        terms: Floats = features * self.weights.vector()
        return terms
