"""What lists are worth: accuracy over the whole catalogue with ties at their expected value, coverage, diversity, novelty."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from deploy.recs.cuts import seen_items
from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.recommender import Scorer
from deploy.recs.split import Split
from schemas.errors import PortraitError

Reals = npt.NDArray[np.float64]

TOP, POOL = 10, 50
"""The length of a list, and how many candidates the diversity dial chooses it from; the profiler takes three a place."""
BLOCK_CELLS = 4_000_000
LIST_SEED = 5
DISCOUNTS = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, TOP + 2)))])
"""What the best k places are worth together, k = 0..10."""


@dataclass(frozen=True)
class Gains:
    """Of each user asked, in the order of `Split.users`: accuracy [users], and the best items [users, 50] with their scores.

    Where there are fewer candidates, missing places are -1 and their scores 0.
    """

    ndcg: Reals
    hr: Reals
    recall: Reals
    mrr: Reals
    pool: Ints
    pool_scores: Floats

    @property
    def lists(self) -> Ints:
        """The lists themselves [users, 10], best first."""
        return self.pool[:, :TOP]


def gains(model: Scorer, split: Split, on_done: Callable[[int, int], None] | None = None) -> Gains:
    """Ask for everyone's list, in blocks of users, and compare with the truths.

    Raises:
        PortraitError: the model gives scores of another shape, or some that are no finite numbers.
    """
    items = len(split.train.item_ids)
    block = max(1, min(512, BLOCK_CELLS // items))
    shuffled, seen = np.random.default_rng(LIST_SEED).permutation(items), seen_items(split.train)
    parts: list[Gains] = []
    for begin in range(0, len(split.users), block):
        users, truths = split.users[begin : begin + block], split.truths[begin : begin + block]
        scores = model.scores(users)
        if scores.shape != (len(users), items) or not np.isfinite(scores).all():
            raise PortraitError(f"{type(model).__name__} gave scores of shape {scores.shape}, or some that are not finite")
        candidates = _without(scores, users, seen) if split.remove_seen else scores
        parts.append(Gains(*_accuracy(candidates, truths), *_best(candidates, shuffled)))
        if on_done is not None:
            on_done(begin + len(users), len(split.users))
    return Gains(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in Gains.__dataclass_fields__})


def mean_ndcg(scores: Floats, split: Split) -> float:
    """Mean NDCG@10 of scores that are there already [users asked, items]."""
    candidates = _without(scores, split.users, seen_items(split.train)) if split.remove_seen else scores
    return float(_accuracy(candidates, split.truths)[0].mean())


def _without(scores: Floats, users: Ints, seen: Callable[[int], Ints]) -> Floats:
    candidates = scores.astype(np.float32, copy=True)
    for row, user in enumerate(users):
        candidates[row, seen(int(user))] = -np.inf
    return candidates


def _accuracy(scores: Floats, truths: Sequence[Ints]) -> tuple[Reals, Reals, Reals, Reals]:
    """NDCG, HR, recall and MRR of each row: the expected values when ties are broken by chance."""
    sizes = np.array([len(truth) for truth in truths])
    rows, wanted = np.repeat(np.arange(len(truths)), sizes), np.concatenate(list(truths))
    own = scores[rows, wanted]
    above, level = np.empty(len(own), dtype=np.int64), np.empty(len(own), dtype=np.int64)
    for begin in range(0, len(own), 512):  # a bounded number of rows is compared at once
        part = slice(begin, begin + 512)
        above[part] = (scores[rows[part]] > own[part, None]).sum(axis=1)
        level[part] = (scores[rows[part]] == own[part, None]).sum(axis=1)
    first, past = np.minimum(above, TOP), np.minimum(above + level, TOP)
    found = np.bincount(rows, (past - first) / level, minlength=len(truths))
    dcg = np.bincount(rows, (DISCOUNTS[past] - DISCOUNTS[first]) / level, minlength=len(truths))
    hr, mrr = np.empty(len(truths)), np.empty(len(truths))
    for row, (begin, size) in enumerate(zip(np.cumsum(sizes) - sizes, sizes, strict=True)):
        best = int(above[begin : begin + size].min())
        tied = above[begin : begin + size] == best
        hr[row], mrr[row] = first_hit(best, int(level[begin : begin + size][tied][0]), int(tied.sum()))
    return dcg / DISCOUNTS[np.minimum(sizes, TOP)], hr, found / sizes, mrr


def list_ndcg(lists: Ints, truths: Sequence[Ints]) -> Reals:
    """NDCG@10 of finished lists [users, 10]; a place with -1 gains nothing."""
    gained = np.array([np.isin(own, truth) @ np.diff(DISCOUNTS) for own, truth in zip(lists, truths, strict=True)])
    return np.asarray(gained / DISCOUNTS[np.minimum([len(truth) for truth in truths], TOP)])


def first_hit(above: int, level: int, truths: int) -> tuple[float, float]:
    """The chance that the first truth is among the best 10, and the expected 1 / its rank.

    `above` items are better, and `truths` truths share one score with others, `level` together.
    """
    steps = np.arange(level - truths + 1)
    missed = np.concatenate([[1.0], np.cumprod((level - truths - steps[:-1]) / (level - steps[:-1]))])
    at = missed * truths / (level - steps)  # the first `step` are no truths, the next one is
    return float(at[: max(0, TOP - above)].sum()), float((at / (above + 1 + steps)).sum())


def _best(scores: Floats, shuffled: npt.NDArray[np.int64]) -> tuple[Ints, Floats]:
    """The best 50 of each row and their scores; equal ones in an order that has nothing to do with their ids."""
    mixed = scores[:, shuffled]
    top = min(POOL, mixed.shape[1])
    places = np.argpartition(-mixed, top - 1, axis=1)[:, :top]
    chosen = np.take_along_axis(mixed, places, axis=1)
    order = np.argsort(-chosen, axis=1, kind="stable")
    chosen, items = np.take_along_axis(chosen, order, axis=1), shuffled[np.take_along_axis(places, order, axis=1)]
    found, worth = np.full((len(scores), POOL), -1, dtype=np.int32), np.zeros((len(scores), POOL), dtype=np.float32)
    there = np.isfinite(chosen)
    found[:, :top], worth[:, :top] = np.where(there, items, -1), np.where(there, chosen, 0)
    return found, worth


HISTORY_BANDS: dict[str, tuple[int, float]] = {"0": (0, 0), "1-5": (1, 5), "6-20": (6, 20), "21+": (21, np.inf)}


def history_bands(split: Split) -> dict[str, npt.NDArray[np.bool_]]:
    """Of the users asked, who has how many events in the training part [users]; bands with nobody are left out."""
    lengths = np.diff(split.train.bounds())[split.users]
    bands = {name: (lengths >= least) & (lengths <= most) for name, (least, most) in HISTORY_BANDS.items()}
    return {name: chosen for name, chosen in bands.items() if chosen.any()}


def coverage(lists: Ints, items: int) -> float:
    """The share of the catalogue that is in somebody's list."""
    return len(np.unique(lists[lists >= 0])) / items


def novelty(lists: Ints, train: Interactions) -> float:
    """Mean self-information of listed items in bits: -log2 of the share of users who met the item."""
    pairs = np.unique(train.users.astype(np.int64) * len(train.item_ids) + train.items)
    met = np.bincount(pairs % len(train.item_ids), minlength=len(train.item_ids))
    bits = -np.log2((met + 1) / (len(np.unique(train.users)) + 1))
    return float(bits[lists[lists >= 0]].mean())


def diversity(lists: Ints, vectors: sparse.csr_matrix | None) -> float | None:
    """Mean distance (1 - cosine) of two items of a list; None without vectors [items, words] of unit length."""
    if vectors is None:
        return None
    distances = []
    for row in lists:
        own = vectors[row[row >= 0]]
        if (size := own.shape[0]) > 1:
            together = np.asarray(own.sum(axis=0)).ravel()
            alone = float(own.multiply(own).sum())
            distances.append(1 - (float(together @ together) - alone) / (size * (size - 1)))
    return float(np.mean(distances)) if distances else None
