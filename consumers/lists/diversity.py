"""Diversity: which of a user's best candidates make up the list, by MMR, MSD or DPP, within caps; a whole batch at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Floats, Rows

Method = Literal["mmr", "msd", "dpp"]
METHODS: tuple[Method, ...] = get_args(Method)

LAST_CHOICE = np.float32(-1e9)
FIRST_CHOICE = np.float32(1e9)
MOST_WEIGHT = 1e4
"""What scores count for at most in DPP: a dial next to 0 is the order of scores, and urgencies are still the stronger."""
LEAST_VARIANCE = np.float32(1e-6)
"""What is left of an item that those taken already span: it is as good as repeated."""


@dataclass(frozen=True)
class Diversity:
    """How unlike each other a list's items are. `dial` in 0..1: 0 is by score alone, 1 by difference alone."""

    dial: float = 0.15
    method: Method = "mmr"


class Cap(NamedTuple):
    """At most `most` of a list's items may share a group; `groups` [users, width], 0 for none."""

    groups: npt.NDArray[np.int64]
    most: int


class Pool(NamedTuple):
    """Candidates to choose from, best first: `rows` [users, width], -1 where there is none, `scores`, `forced` first picks.

    `vectors` [users, width, d] are of unit length, zeros for row -1.
    """

    rows: Rows
    scores: Floats
    forced: npt.NDArray[np.bool_]
    vectors: Floats


def choose(pool: Pool, top_k: int, diversity: Diversity, caps: Sequence[Cap] = ()) -> Rows:
    """Places of the items to show, ascending, [users, min(top_k, width)]; -1 after the last where caps leave fewer.

    Forced items are taken first, whatever caps say, then every row above -1 before any -1.
    """
    users, width = pool.rows.shape
    top_k = min(top_k, width)
    if not caps and (diversity.dial == 0 or top_k == width) and not pool.forced.any():
        return np.broadcast_to(np.arange(top_k), (users, top_k))
    gain = _gain_of(pool, diversity, top_k)
    urgency = np.where(pool.rows < 0, LAST_CHOICE, np.where(pool.forced, FIRST_CHOICE, np.float32(0)))
    left = [np.full(pool.rows.shape, cap.most) for cap in caps]
    taken = np.full((users, top_k), width, np.int64)
    everyone = np.arange(users)
    for place in range(top_k):
        worth = gain.now() + urgency
        pick = worth.argmax(axis=1)
        possible = worth[everyone, pick] > -np.inf
        taken[possible, place] = pick[possible]
        urgency[everyone, pick] = -np.inf
        gain.take(pick)
        for cap, room in zip(caps, left, strict=True):
            group = cap.groups[everyone, pick]
            room -= (cap.groups == group[:, None]) & (group > 0)[:, None] & possible[:, None]
            urgency[(room <= 0) & (cap.groups > 0) & ~pool.forced] = -np.inf
    taken.sort(axis=1)
    return np.where(taken == width, -1, taken)


def _gain_of(pool: Pool, diversity: Diversity, top_k: int) -> "_Mmr | _Msd | _Dpp":
    if diversity.method == "dpp" and diversity.dial > 0:
        return _Dpp(pool, diversity.dial)
    return _Msd(pool, diversity.dial, top_k) if diversity.method == "msd" else _Mmr(pool, diversity.dial)


class _Mmr:
    """Maximal marginal relevance (Carbonell and Goldstein, 1998): score, less likeness to the most alike of those taken."""

    def __init__(self, pool: Pool, dial: float) -> None:
        self._likeness = likeness(pool.vectors) * np.float32(dial)
        self._relevance = np.where(pool.rows >= 0, pool.scores, 0) * np.float32(1 - dial)
        self._nearest = np.zeros_like(self._relevance)
        self._everyone = np.arange(len(pool.rows))

    def now(self) -> Floats:
        worth: Floats = self._relevance - self._nearest
        return worth

    def take(self, pick: Rows) -> None:
        np.maximum(self._nearest, self._likeness[self._everyone, pick], out=self._nearest)


class _Msd:
    """Max-sum diversification (Borodin, Lee and Ye, PODS 2012), greedily: score, less the mean likeness to the rest of a list.

    It is the mean distance of two items of a list that it makes large; MMR keeps copies apart.
    """

    def __init__(self, pool: Pool, dial: float, top_k: int) -> None:
        self._likeness = likeness(pool.vectors) * np.float32(dial / max(top_k - 1, 1))
        self._worth = np.where(pool.rows >= 0, pool.scores, 0) * np.float32(1 - dial)
        self._everyone = np.arange(len(pool.rows))

    def now(self) -> Floats:
        return self._worth

    def take(self, pick: Rows) -> None:
        self._worth -= self._likeness[self._everyone, pick]


class _Dpp:
    """Greedy MAP of a determinantal point process, by the incremental Cholesky factors of Chen et al. (NeurIPS 2018).

    The kernel is exp(a r_i) S_ij exp(a r_j), S_ij = (1 + cosine) / 2, and a = (1 - dial) / (2 dial) as in their section 4. An
    item's gain is 2 a r_i plus the logarithm of what of its own S is not spanned by those taken.
    """

    def __init__(self, pool: Pool, dial: float) -> None:
        self._kernel = (1 + likeness(pool.vectors)) / 2
        self._relevance = np.where(pool.rows >= 0, pool.scores, 0) * np.float32(min((1 - dial) / dial, MOST_WEIGHT))
        self._variance = np.ones_like(self._relevance)
        self._factors: list[Floats] = []
        self._everyone = np.arange(len(pool.rows))

    def now(self) -> Floats:
        worth: Floats = self._relevance + np.log(np.maximum(self._variance, LEAST_VARIANCE))
        return worth

    def take(self, pick: Rows) -> None:
        kernel = self._kernel[self._everyone, pick]
        for factor in self._factors:
            kernel -= factor * factor[self._everyone, pick][:, None]
        scale = np.sqrt(np.maximum(self._variance[self._everyone, pick], LEAST_VARIANCE))
        factor = kernel / scale[:, None]
        self._factors.append(factor)
        self._variance -= factor * factor


def likeness(vectors: Floats) -> Floats:
    """Cosines of all pairs [users, width, width]: at once, as a product per pick would keep BLAS waiting for its threads."""
    cosines: Floats = np.matmul(vectors, vectors.transpose(0, 2, 1))
    return cosines
