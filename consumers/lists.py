"""From users' states and vectors to their lists: retrieve, rank, apply the policy, explain."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.features import profile_vectors
from consumers.interests import InterestRules, interests
from consumers.policy import blocked_rows, diversify, refused_rows
from consumers.ranking import (
    ItemScores,
    Parts,
    RankWeights,
    combine,
    item_scores,
    nearest_seen,
    reasons,
    seen_weights,
    tag_match,
    tag_taste,
)
from consumers.retrieval import exclude, score_items, top_rows
from schemas.messages import RecommendedItem
from schemas.settings import Settings
from schemas.state import UserState

MAX_CELLS = 8_000_000
"""Scores held at once, users times items: 32 MB."""
MAX_SPARE = 40
"""Candidates beyond the list that diversity may choose from."""


@dataclass(frozen=True)
class ListRules:
    """How lists are made. `diversity` is a dial in 0..1: 0 is by score alone."""

    top_k: int
    interest: InterestRules
    weights: RankWeights = RankWeights()
    diversity: float = 0.15

    @classmethod
    def of(cls, settings: Settings) -> "ListRules":
        """The rules these settings ask for."""
        interest = InterestRules(settings.fold.type_weights, settings.profiler.half_life_h)
        return cls(settings.profiler.top_k, interest)


def make_lists(
    states: Sequence[UserState], user_vectors: Floats, catalogue: Catalogue, rules: ListRules, now_ms: int
) -> list[list[RecommendedItem]]:
    """Each user's items, best first: `top_k` of them, or all that they may be shown.

    `user_vectors` [users, d] are of unit length, or zeros for a user nothing is known of, who gets what is popular or fresh.
    Never holds an item twice, or one that the user has seen, has muted or refused by tag, or that is not available at `now_ms`.
    """
    if not len(catalogue):
        return [[] for _ in states]
    overall = item_scores(catalogue, rules.weights, now_ms)
    block = max(1, MAX_CELLS // len(catalogue))
    lists: list[list[RecommendedItem]] = []
    for start in range(0, len(states), block):
        users = slice(start, start + block)
        lists += _lists_of_block(states[users], user_vectors[users], catalogue, rules, overall)
    return lists


def _lists_of_block(
    states: Sequence[UserState], user_vectors: Floats, catalogue: Catalogue, rules: ListRules, overall: ItemScores
) -> list[list[RecommendedItem]]:
    profiles = profile_vectors(states, catalogue.dim)
    tastes = [tag_taste(interests(state, catalogue.items, rules.interest)) for state in states]
    queries = combine(user_vectors, profiles, rules.weights)
    scores = score_items(queries, overall.total, tastes, rules.weights.interest, catalogue)
    exclude(scores, [blocked_rows(state, catalogue) for state in states])
    pool, pool_scores = top_rows(scores, rules.top_k + min(2 * rules.top_k, MAX_SPARE), catalogue)
    rows = np.take_along_axis(pool, diversify(pool, pool_scores, rules.top_k, rules.diversity, catalogue), axis=1)
    return [
        _explained(state, own[own >= 0], user, profile, taste, catalogue, rules, overall)
        for state, own, user, profile, taste in zip(states, rows, user_vectors, profiles, tastes, strict=True)
    ]


def _explained(
    state: UserState,
    rows: Rows,
    user_vector: Floats,
    profile_vector: Floats,
    taste: dict[str, float],
    catalogue: Catalogue,
    rules: ListRules,
    overall: ItemScores,
) -> list[RecommendedItem]:
    """These rows as places of a list, each with its score and reasons."""
    weights = rules.weights
    vectors = catalogue.vectors(rows)
    near_user, near_profile = vectors @ user_vector, vectors @ profile_vector
    refused = {catalogue.item_ids[row] for row in refused_rows(state, catalogue)}
    liked = {item_id: weight for item_id, weight in seen_weights(state, rules.interest).items() if item_id not in refused}
    seen = nearest_seen(vectors, liked, catalogue)
    places = []
    for index, row in enumerate(rows.tolist()):
        item = catalogue.items[catalogue.item_ids[row]]
        parts = Parts(
            weights.similarity * float(near_user[index]),
            weights.interest * tag_match(taste, item.tags),
            weights.profile * float(near_profile[index]),
            float(overall.popularity[row]),
            float(overall.freshness[row]),
        )
        nearest = seen[index]
        seen_title = None if nearest is None else catalogue.items[nearest].title
        why = reasons(parts, item, taste, seen_title, weights)
        places.append(RecommendedItem(item_id=item.item_id, title=item.title, score=round(sum(parts), 6), reasons=why))
    return sorted(places, key=lambda place: (-place.score, place.item_id))
