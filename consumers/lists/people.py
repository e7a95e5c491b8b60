"""What lists need to know of a batch of users, worked out once for all stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.encoded_users import NextItems
from consumers.lists.features import profile_vectors
from consumers.lists.histories import Histories
from consumers.lists.own_items import OwnItems
from consumers.lists.policy import refused_rows
from consumers.lists.ranking import RankWeights, combine
from consumers.lists.runs import places_within
from consumers.lists.tag_tastes import tag_tastes
from consumers.statements.interests import InterestRules
from schemas.state import UserState
from schemas.tensors import NEXT_SCORES

LEAST_LOG_SHARE = 12.0
"""An item whose share is e to the minus this is not expected at all."""


@dataclass(frozen=True)
class People:
    """A batch of users.

    `vectors` and `profiles` [users, d]; `queries` both as one; `tastes` their strongest tags; `blocked` the rows they are
    never shown; `liked` [users, L] the rows that their events speak for on the whole, the most first, -1 after the last, and
    `liked_weights` by how much. `expected` [users, e] are the rows a learned encoder expects next, -1 where there is none, and
    `expectations` [users, e, s] what speaks for each: how likely it is, in 0..1, then NEXT_SCORES but the first. `own` is
    what they took before and may be shown again, and `moments` [users] in how many moments their newest events came.
    `seeds` [users] decide what is left to chance.
    """

    states: Sequence[UserState]
    vectors: Floats
    profiles: Floats
    queries: Floats
    tastes: Sequence[Mapping[str, float]]
    blocked: list[Rows]
    liked: Rows
    liked_weights: Floats
    expected: Rows
    expectations: Floats
    own: OwnItems
    moments: Rows
    seeds: Sequence[int]

    def __len__(self) -> int:
        return len(self.states)

    def part(self, users: Rows) -> "People":
        """Some of the users, by their places."""
        few = users.tolist()
        return People(
            [self.states[user] for user in few],
            self.vectors[users],
            self.profiles[users],
            self.queries[users],
            [self.tastes[user] for user in few],
            [self.blocked[user] for user in few],
            self.liked[users],
            self.liked_weights[users],
            self.expected[users],
            self.expectations[users],
            self.own.part(users),
            self.moments[users],
            [self.seeds[user] for user in few],
        )


def people(
    states: Sequence[UserState],
    vectors: Floats,
    catalogue: Catalogue,
    interest: InterestRules,
    weights: RankWeights,
    seeds: Sequence[int],
    expected: NextItems | None = None,
    repeats_at_ms: int | None = None,
) -> People:
    """The batch of these users; `vectors` [users, d] and `expected` are the user encoder's.

    What they took before they are never shown, or with `repeats_at_ms` they may be, at that time.
    """
    histories = Histories.of(states, catalogue, interest)
    profiles = profile_vectors(states, catalogue.dim)
    liked, liked_weights = _liked(states, histories, catalogue)
    expected_rows, expectations = _expected(expected or NextItems.none(len(states)), catalogue)
    return People(
        states,
        vectors,
        profiles,
        combine(vectors, profiles, weights),
        tag_tastes(states, histories, catalogue, interest),
        _blocked(states, histories, catalogue, repeats_at_ms is not None),
        liked,
        liked_weights,
        expected_rows,
        expectations,
        OwnItems.none(len(states)) if repeats_at_ms is None else OwnItems.of(states, histories, catalogue, repeats_at_ms),
        np.where(histories.lengths > 0, histories.moments_ago.max(axis=1) + 1, 0),
        seeds,
    )


def _expected(expected: NextItems, catalogue: Catalogue) -> tuple[Rows, Floats]:
    if not expected.numbers.any():  # a plain encoder: most sites, at first
        shape = len(expected.numbers), 1
        return np.full(shape, -1, np.int64), np.zeros((*shape, len(NEXT_SCORES)), np.float32)
    rows, speaks = catalogue.rows_of_numbers(expected.numbers), expected.scores.copy()
    speaks[:, :, 0] = np.clip(1 + speaks[:, :, 0] / LEAST_LOG_SHARE, 0, 1)
    speaks[rows < 0] = 0
    return rows, speaks


def _blocked(states: Sequence[UserState], histories: Histories, catalogue: Catalogue, repeats: bool) -> list[Rows]:
    """What each user is never shown, perhaps some rows twice: refused ones, and items with any event of theirs on them.

    With `repeats` only those that their events do not speak for.
    """
    counts = [count for state in states for count in state.items.values()]
    kept = np.array([not repeats or count.weight_milli <= 0 for count in counts], np.bool_)
    counted = catalogue.rows([item_id for state in states for item_id in state.items])[kept]
    lengths = np.array([len(state.items) for state in states], np.int64)
    everyone = np.arange(len(states))
    in_history = histories.rows[:, :0] if repeats else histories.rows
    owners = np.concatenate([np.repeat(everyone, lengths)[kept], np.repeat(everyone, in_history.shape[1])])
    rows = np.concatenate([counted, in_history.ravel()])
    owners, rows = owners[rows >= 0], rows[rows >= 0]
    rows = rows[np.argsort(owners, kind="stable")]
    seen = np.split(rows, np.cumsum(np.bincount(owners, minlength=len(states)))[:-1])
    refused = [refused_rows(state, catalogue) for state in states]
    return [np.concatenate([own, more]) if len(more) else own for own, more in zip(seen, refused, strict=True)]


def _liked(states: Sequence[UserState], histories: Histories, catalogue: Catalogue) -> tuple[Rows, Floats]:
    """Items liked on the whole; none that the user refused since, as it must not explain others."""
    rows = histories.rows.copy()
    for own, state in zip(rows, states, strict=True):
        refused = refused_rows(state, catalogue)
        if len(refused):
            own[np.isin(own, refused)] = -1
    users = np.repeat(np.arange(len(states)), rows.shape[1])
    rows, weights = rows.ravel(), histories.faded.ravel()
    known = rows >= 0
    keys, inverse = np.unique(users[known] * max(1, len(catalogue)) + rows[known], return_inverse=True)
    sums = np.bincount(inverse, weights[known], minlength=len(keys)).astype(np.float32)  # what fades beyond it is nothing
    users, rows = np.divmod(keys[sums > 0], max(1, len(catalogue)))
    sums = sums[sums > 0]
    order = np.lexsort((catalogue.tie_break[rows], -sums, users))
    users, rows, sums = users[order], rows[order], sums[order]
    counts = np.bincount(users, minlength=len(states))
    places = places_within(counts)
    liked = np.full((len(states), max(1, int(counts.max(initial=0)))), -1, np.int64)
    liked_weights = np.zeros(liked.shape, np.float32)
    liked[users, places], liked_weights[users, places] = rows, sums
    return liked, liked_weights
