"""Which tags a batch of users likes and dislikes: what `interests.tag_weights` finds for each, in arrays where it can."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue
from consumers.lists.histories import Histories
from consumers.lists.ranking import STRONGEST_TAGS, tag_taste
from consumers.lists.runs import places_within
from consumers.statements.interests import SWEEP_LIMIT, SWEEP_WEIGHT, InterestRules, tag_weights
from schemas.state import UserState


def tag_tastes(
    states: Sequence[UserState], histories: Histories, catalogue: Catalogue, rules: InterestRules
) -> list[dict[str, float]]:
    """Each user's strongest tags, case-folded, as a vector of length 1: negative for a dislike.

    Users who said something of tags themselves, and those with an event on an item that has no vector yet, are looked at one
    by one.
    """
    unknown = (histories.rows < 0).sum(axis=1) - (histories.rows.shape[1] - histories.lengths)
    plain = np.array([not (unknown[user] or _spoke(state)) for user, state in enumerate(states)], np.bool_)
    tastes: list[dict[str, float]] = [{} for _ in states]
    for user, taste in zip(np.flatnonzero(plain).tolist(), _of_events(histories, plain, catalogue), strict=True):
        tastes[user] = taste
    for user in np.flatnonzero(~plain).tolist():
        said = histories.faded[user, : histories.lengths[user]].tolist()
        tastes[user] = tag_taste(tag_weights(states[user], catalogue.items, rules, said, catalogue.vocabulary))
    return tastes


def _spoke(state: UserState) -> bool:
    own = state.attributes
    declared = own is not None and bool(own.tags or own.free_text or own.answers)
    return declared or bool(state.edits or state.muted_tags) or "comment" in state.type_counts


def _of_events(histories: Histories, users: npt.NDArray[np.bool_], catalogue: Catalogue) -> list[dict[str, float]]:
    """Balances of tags as `interests` keeps them, one event of every user after the other."""
    count = int(users.sum())
    numbers = catalogue.tag_table.numbers[histories.rows[users]]  # [users, longest, widest]
    numbers[histories.rows[users] < 0] = 0
    sizes = np.maximum(np.count_nonzero(numbers, axis=2), 1)
    keys = np.arange(count)[:, None, None] * catalogue.tag_table.size + numbers
    pairs, places = np.unique(keys, return_inverse=True)
    places = places.reshape(keys.shape)
    balance, refused = np.zeros(len(pairs)), np.full(len(pairs), np.nan)
    faded, heard = histories.faded[users], histories.heard[users]
    for event in range(numbers.shape[1]):
        shares = faded[:, event] / sizes[:, event]
        liked, turned_down = shares > 0, shares < 0
        balance[places[liked, event]] += shares[liked, None]
        if turned_down.any():
            at = places[turned_down, event]
            before = balance[at]
            swept = np.minimum(-heard[turned_down, event] / SWEEP_WEIGHT, SWEEP_LIMIT)[:, None]
            among = np.where(refused[at] == before, 1, sizes[turned_down, event, None])
            after = np.where(before > 0, before * (1 - swept / among), before) + shares[turned_down, None]
            balance[at] = after
            refused[at] = after
    owners, tags = np.divmod(pairs, catalogue.tag_table.size)
    kept = (tags > 0) & (balance != 0)
    return _strongest(owners[kept], tags[kept], balance[kept], count, catalogue)


def _strongest(
    owners: npt.NDArray[np.int64],
    tags: npt.NDArray[np.int64],
    balance: npt.NDArray[np.float64],
    count: int,
    catalogue: Catalogue,
) -> list[dict[str, float]]:
    order = np.lexsort((tags, -np.abs(balance), owners))
    owners, tags, balance = owners[order], tags[order], balance[order]
    kept = places_within(np.bincount(owners, minlength=count)) < STRONGEST_TAGS
    owners, tags, balance = owners[kept], tags[kept], balance[kept]
    largest = np.zeros(count)
    np.maximum.at(largest, owners, np.abs(balance))
    balance = balance / largest[owners]  # squares of what faded for decades would vanish
    lengths = np.sqrt(np.bincount(owners, balance * balance, minlength=count))
    names, weights = catalogue.tag_table.names_of(tags), (balance / lengths[owners]).tolist()
    tastes: list[dict[str, float]] = []
    start = 0
    for size in np.bincount(owners, minlength=count).tolist():
        tastes.append(dict(zip(names[start : start + size], weights[start : start + size], strict=True)))
        start += size
    return tastes
