"""What the diversity dial costs on real data: a model's best 50 for each user, thinned to 10 as the profiler does it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from consumers.lists.diversity import Diversity, Pool, choose
from deploy.recs.comparison import Outcome
from deploy.recs.interactions import Floats, Ints
from deploy.recs.measures import POOL, TOP, Gains, diversity, list_ndcg
from deploy.recs.split import Split, even_sample

DIALS: Sequence[Diversity] = (
    Diversity(0.0),
    *(Diversity(dial) for dial in (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)),
    *(Diversity(dial, "msd") for dial in (0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)),
    *(Diversity(dial, "dpp") for dial in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
)
BLOCK_CELLS = 4_000_000
MOST_USERS = 10_000
"""An even sample: every setting compares all pairs of a user's pool anew; of 2,000 its cost is uncertain by about as much."""


class DialPoint(NamedTuple):
    """One setting of the dial: accuracy and mean distance of two items of a list, averaged over seeds."""

    setting: Diversity
    ndcg: float
    distance: float


def dial_curve(outcome: Outcome, split: Split, vectors: sparse.csr_matrix | None) -> list[DialPoint]:
    """A point for each setting, the first with the dial at 0; none where items have no vectors [items, words]."""
    if vectors is None:
        return []
    sample = even_sample(len(split.users), MOST_USERS)
    truths, by_seed = [split.truths[place] for place in sample], [_thinned(one, sample, vectors) for one in outcome.by_seed]
    points = []
    for number, setting in enumerate(DIALS):
        lists = [one[number] for one in by_seed]
        distances = [found for one in lists if (found := diversity(one, vectors)) is not None]
        if distances:
            ndcg = float(np.mean([list_ndcg(one, truths).mean() for one in lists]))
            points.append(DialPoint(setting, ndcg, float(np.mean(distances))))
    return points


def most_distance(curve: Sequence[DialPoint], ndcg_loss: float) -> DialPoint | None:
    """The most varied point that gives up at most this share of NDCG@10."""
    kept = [point for point in curve if point.ndcg >= curve[0].ndcg * (1 - ndcg_loss)]
    return max(kept, key=lambda point: point.distance, default=None)


def distance_gain(curve: Sequence[DialPoint], point: DialPoint) -> float | None:
    """How much farther apart items are at a point than with the dial at 0, as a share; None from no distance at all."""
    return point.distance / curve[0].distance - 1 if curve[0].distance > 0 else None


def _thinned(found: Gains, sample: Ints, vectors: sparse.csr_matrix) -> Ints:
    """Lists of these users by each of DIALS, [dials, users, 10], in the order of score."""
    block = max(1, BLOCK_CELLS // (POOL * vectors.shape[1]))
    lists = np.full((len(DIALS), len(sample), TOP), -1, dtype=np.int32)
    spread = _spread(found.pool[sample], found.pool_scores[sample])
    for begin in range(0, len(sample), block):
        users = sample[begin : begin + block]
        rows = found.pool[users]
        own = vectors[np.maximum(rows, 0).ravel()].astype(np.float32).toarray().reshape(*rows.shape, -1)
        own[rows < 0] = 0
        pool = Pool(
            rows.astype(np.int64),
            (found.pool_scores[users] / spread).astype(np.float32),
            np.zeros(rows.shape, dtype=bool),
            own,
        )
        for number, setting in enumerate(DIALS):
            lists[number, begin : begin + block] = np.take_along_axis(rows, choose(pool, TOP, setting), axis=1)
    return lists


def _spread(rows: Ints, scores: Floats) -> float:
    """How far the best of a pool is from its last, in the middle of users: models score on scales of their own.

    The same for all users, as in a served ranker: where a model finds little between a user's items, difference counts more.
    """
    there = rows >= 0
    asked = there.any(axis=1)
    most = scores.max(axis=1, where=there, initial=-np.inf)[asked]
    least = scores.min(axis=1, where=there, initial=np.inf)[asked]
    return max(float(np.median(most - least)), 1e-12) if asked.any() else 1.0
