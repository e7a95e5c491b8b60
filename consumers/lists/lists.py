"""From users' states and vectors to their lists: retrieve, rank, apply the policy, explain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from consumers.catalogue import Catalogue, Floats
from consumers.lists.features import profile_vectors
from consumers.lists.policy import blocked_rows, diversify, refused_rows
from consumers.lists.ranking import ItemScores, RankWeights, combine, item_scores, tag_taste
from consumers.lists.reasons import Parts, liked_items, nearest_liked, reasons, tag_match
from consumers.lists.retrieval import exclude, score_items, top_rows
from consumers.statements.interests import InterestRules, event_weights, tag_weights
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
    weights: RankWeights = field(default_factory=RankWeights)
    diversity: float = 0.15

    @classmethod
    def of(cls, settings: Settings) -> "ListRules":
        """The rules these settings ask for."""
        profiler = settings.profiler
        interest = InterestRules(settings.fold.type_weights, profiler.half_life_h, profiler.utc_offset_h)
        return cls(settings.profiler.top_k, interest)


def make_lists(
    states: Sequence[UserState], user_vectors: Floats, catalogue: Catalogue, rules: ListRules, now_ms: int
) -> list[list[RecommendedItem]]:
    """Each user's items, best first: `top_k` of them, or all that they may be shown.

    `user_vectors` [users, d] are of unit length, or zeros for a user nothing is known of, who gets what is popular or fresh.
    Never holds an item twice, or one that the user has seen, muted or refused by tag, or that is not available at `now_ms`.
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
    weights = [event_weights(state, rules.interest) for state in states]
    tastes = [
        tag_taste(tag_weights(state, catalogue.items, rules.interest, own, catalogue.vocabulary))
        for state, own in zip(states, weights, strict=True)
    ]
    queries = combine(user_vectors, profiles, rules.weights)
    scores = score_items(queries, overall.total, tastes, rules.weights.interest, catalogue)
    exclude(scores, [blocked_rows(state, catalogue) for state in states])
    pool, pool_scores = top_rows(scores, rules.top_k + min(2 * rules.top_k, MAX_SPARE), catalogue)
    rows = np.take_along_axis(pool, diversify(pool, pool_scores, rules.top_k, rules.diversity, catalogue), axis=1)
    vectors = catalogue.vectors(rows)
    both = np.stack([rules.weights.similarity * user_vectors, rules.weights.profile * profiles], axis=2)
    matches: list[list[list[float]]] = np.matmul(vectors, both).tolist()
    popularity, freshness = overall.popularity[rows].tolist(), overall.freshness[rows].tolist()
    lists = []
    for user, state in enumerate(states):
        nearest = nearest_liked(vectors[user], _likeable(state, weights[user], catalogue), catalogue)
        columns = zip(matches[user], popularity[user], freshness[user], nearest, strict=True)
        places = [
            _place(row, (*match, popular, fresh), liked_id, tastes[user], catalogue, rules)
            for row, (match, popular, fresh, liked_id) in zip(rows[user].tolist(), columns, strict=True)
            if row >= 0
        ]
        lists.append(sorted(places, key=lambda place: (-place.score, place.item_id)))
    return lists


def _likeable(state: UserState, weights: Sequence[float], catalogue: Catalogue) -> dict[str, float]:
    """Liked items that may explain others: none that the user refused since."""
    liked = liked_items(state, weights)
    for row in set(refused_rows(state, catalogue).tolist()):
        liked.pop(catalogue.item_ids[row], None)
    return liked


def _place(
    row: int,
    known: tuple[float, ...],
    liked_id: str | None,
    taste: Mapping[str, float],
    catalogue: Catalogue,
    rules: ListRules,
) -> RecommendedItem:
    """A row as a place of a list, with its score and reasons. `known` are its similarity, profile, popularity, freshness."""
    similarity, profile, popularity, freshness = known
    item = catalogue.items[catalogue.item_ids[row]]
    interest = rules.weights.interest * tag_match(taste, catalogue.tags(row))
    parts = Parts(similarity, interest, profile, popularity, freshness)
    liked_title = None if liked_id is None else catalogue.items[liked_id].title
    why = reasons(parts, item, taste, liked_title, rules.weights.freshness)
    return RecommendedItem(item_id=item.item_id, title=item.title, score=round(float(sum(parts)), 6), reasons=why)
