"""What users took before and may take again: a source of candidates, and what is known of each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.lists.histories import Histories
from consumers.lists.runs import places_within
from schemas.state import UserState

OWN_FACTS = ("own_weight", "own_share", "own_moments", "own_moments_fading", "own_moments_recent", "own_week", "own_month")
"""Of an item that its user took before: the logarithm of what their events say for it, and its share of all they say; in
how many of the newest moments it was taken, each counting as the next, .9 or .6 of it; how lately, by weeks and by months."""
FADING = (1.0, 0.9, 0.6)
OFFERED = 128
DAY_MS = 86_400_000


class OwnItems(NamedTuple):
    """`rows` [users, m] of items taken before, -1 after the last, and their `facts` [users, m, len(OWN_FACTS)]."""

    rows: Rows
    facts: Floats

    @classmethod
    def none(cls, users: int) -> "OwnItems":
        """Where nothing is offered twice."""
        return cls(np.full((users, 1), -1, np.int64), np.zeros((users, 1, len(OWN_FACTS)), np.float32))

    def part(self, users: Rows) -> "OwnItems":
        """Of some of the users."""
        return OwnItems(self.rows[users], self.facts[users])

    @classmethod
    def of(cls, states: Sequence[UserState], histories: Histories, catalogue: Catalogue, now_ms: int) -> "OwnItems":
        """Those that users' events speak for on the whole: the OFFERED taken most, what was long ago counting less."""
        counts = [count for state in states for count in state.items.values()]
        users = np.repeat(np.arange(len(states)), [len(state.items) for state in states])
        rows = catalogue.rows([item_id for state in states for item_id in state.items])
        weights = np.array([count.weight_milli for count in counts], np.float64) / 1000
        last_ms = np.array([count.last_event_time_ms for count in counts], np.int64)
        ours = (rows >= 0) & (weights > 0)
        users, rows, weights, last_ms = users[ours], rows[ours], weights[ours], last_ms[ours]
        months = 1 / (1 + np.maximum(now_ms - last_ms, 0) / DAY_MS / 30)
        order = np.lexsort((catalogue.tie_break[rows], -weights * months, users))
        users, rows, weights, months, last_ms = users[order], rows[order], weights[order], months[order], last_ms[order]
        lengths = np.bincount(users, minlength=len(states))
        places = places_within(lengths)
        sums = np.bincount(users, weights, minlength=len(states))
        weeks = np.exp2(-np.maximum(now_ms - last_ms, 0) / DAY_MS / 7)
        columns = [np.log1p(weights), weights / sums[users], *_moments(users, rows, histories, len(catalogue)), weeks, months]
        kept = places < OFFERED
        found = np.full((len(states), max(1, min(OFFERED, int(lengths.max(initial=0))))), -1, np.int64)
        facts = np.zeros((*found.shape, len(OWN_FACTS)), np.float32)
        found[users[kept], places[kept]] = rows[kept]
        facts[users[kept], places[kept]] = np.stack(columns, axis=1)[kept]
        return cls(found, facts)


def _moments(users: Rows, rows: Rows, histories: Histories, items: int) -> list[Floats]:
    """In how many moments of their histories these users took these rows, by each of FADING [n]."""
    heard = (histories.rows >= 0) & (histories.heard > 0)
    owners = np.broadcast_to(np.arange(len(histories.rows))[:, None], heard.shape)[heard]
    taken = np.unique(np.stack([owners * max(1, items) + histories.rows[heard], histories.moments_ago[heard]]), axis=1)
    keys, of_key = np.unique(taken[0], return_inverse=True)
    asked = users * max(1, items) + rows
    at = np.minimum(np.searchsorted(keys, asked), max(0, len(keys) - 1))
    there = keys[at] == asked if len(keys) else np.zeros(len(asked), np.bool_)
    sums = [np.bincount(of_key, fading ** taken[1], minlength=len(keys)) for fading in FADING]
    return [np.where(there, one[at], 0).astype(np.float32) if len(keys) else np.zeros(len(asked), np.float32) for one in sums]
