"""What the diversity dial costs on real data: a model's best 50 for each user, thinned to 10 as the profiler does it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from consumers.lists.diversity import Diversity, Pool, choose
from deploy.recs.comparison import Outcome
from deploy.recs.interactions import Floats, Ints
from deploy.recs.measures import POOL, TOP, Gains, Reals, diversity, list_ndcg
from deploy.recs.split import Split

DIALS: Sequence[Diversity] = (
    Diversity(0.0),
    *(Diversity(dial) for dial in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)),
    *(Diversity(dial, "dpp") for dial in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
)
BLOCK_CELLS = 4_000_000


class DialPoint(NamedTuple):
    """One setting of the dial: accuracy and mean distance of two items of a list, averaged over seeds."""

    setting: Diversity
    ndcg: float
    distance: float


def dial_curve(outcome: Outcome, split: Split, vectors: sparse.csr_matrix | None) -> list[DialPoint]:
    """A point for each setting, the first with the dial at 0; none where items have no vectors [items, words]."""
    if vectors is None:
        return []
    points = []
    for setting in DIALS:
        lists = [_thinned(one, setting, vectors) for one in outcome.by_seed]
        distances = [found for one in lists if (found := diversity(one, vectors)) is not None]
        if distances:
            ndcg = float(np.mean([list_ndcg(one, split.truths).mean() for one in lists]))
            points.append(DialPoint(setting, ndcg, float(np.mean(distances))))
    return points


def most_distance(curve: Sequence[DialPoint], ndcg_loss: float) -> DialPoint | None:
    """The most varied point that gives up at most this share of NDCG@10."""
    kept = [point for point in curve if point.ndcg >= curve[0].ndcg * (1 - ndcg_loss)]
    return max(kept, key=lambda point: point.distance, default=None)


def _thinned(found: Gains, setting: Diversity, vectors: sparse.csr_matrix) -> Ints:
    """Lists [users, 10] in the order of score."""
    scores, block = _as_shares(found), max(1, BLOCK_CELLS // (POOL * vectors.shape[1]))
    lists = np.full((len(found.pool), TOP), -1, dtype=np.int32)
    for begin in range(0, len(lists), block):
        part = slice(begin, begin + block)
        rows = found.pool[part]
        own: Reals = vectors[np.maximum(rows, 0).ravel()].toarray().reshape(*rows.shape, -1)
        own[rows < 0] = 0
        places = choose(
            Pool(rows.astype(np.int64), scores[part], np.zeros(rows.shape, dtype=bool), own.astype(np.float32)), TOP, setting
        )
        lists[part] = np.take_along_axis(rows, places, axis=1)
    return lists


def _as_shares(found: Gains) -> Floats:
    """Scores of each user's pool from 0, the least of it, to 1: models score on scales of their own."""
    there = found.pool >= 0
    most = found.pool_scores.max(axis=1, where=there, initial=-np.inf, keepdims=True)
    least = found.pool_scores.min(axis=1, where=there, initial=np.inf, keepdims=True)
    shares = (found.pool_scores - least) / np.maximum(most - least, 1e-12)
    return np.where(there, shares, 0).astype(np.float32)
