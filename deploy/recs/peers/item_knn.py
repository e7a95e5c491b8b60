"""ItemKNN: items like those a user took, by the cosine of who took them."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy import sparse

from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.matrices import user_items


@dataclass
class ItemLikeness:
    """Compares items and remembers the last answer: models that differ only in whose history they read share it."""

    _of: tuple[Interactions, int, float, bool] | None = None
    _likeness: sparse.csr_matrix = field(default_factory=lambda: sparse.csr_matrix((0, 0)))

    def of(self, train: Interactions, neighbours: int, shrink: float, own: bool) -> sparse.csr_matrix:
        """Likeness of each item (row) to its nearest [items, items]."""
        known = self._of
        if known is None or known[0] is not train or known[1:] != (neighbours, shrink, own):
            taken = user_items(train)
            shared = (taken.T @ taken).tocoo()
            lengths = np.sqrt(np.asarray(taken.sum(axis=0)).ravel())
            likeness = shared.data / (lengths[shared.row] * lengths[shared.col] + shrink)
            chosen = np.ones(len(likeness), dtype=np.bool_) if own else shared.row != shared.col
            square = sparse.csr_matrix((likeness[chosen], (shared.row[chosen], shared.col[chosen])), shape=shared.shape)
            self._of, self._likeness = (train, neighbours, shrink, own), _nearest(square, neighbours)
        return self._likeness


@dataclass
class ItemKnn:
    """Sums the likeness of an item to the user's items, of their whole history or of the last `last_n` events.

    Likeness is cosine with `shrink` added below, so that items few people share count less; of each item the `neighbours`
    nearest are kept. `own` keeps an item's likeness to itself: it lets what was taken before come back.
    """

    neighbours: int = 100
    shrink: float = 10.0
    own: bool = False
    last_n: int | None = None
    compared: ItemLikeness = field(default_factory=ItemLikeness, repr=False)
    _likeness: sparse.csr_matrix = field(init=False, repr=False)
    _history: sparse.csr_matrix = field(init=False, repr=False)

    def fit(self, train: Interactions) -> None:
        """Compare all items that share a user."""
        self._likeness = self.compared.of(train, self.neighbours, self.shrink, self.own)
        self._history = user_items(train, last_n=self.last_n)

    def scores(self, users: Ints) -> Floats:
        """Summed likeness."""
        return np.asarray((self._history[users] @ self._likeness.T).toarray(), dtype=np.float32)


def _nearest(likeness: sparse.csr_matrix, neighbours: int) -> sparse.csr_matrix:
    """Each row with only its largest values."""
    kept = np.zeros(likeness.nnz, dtype=np.bool_)
    for begin, end in pairwise(likeness.indptr):
        if end - begin <= neighbours:
            kept[begin:end] = True
        else:
            kept[begin + np.argpartition(-likeness.data[begin:end], neighbours)[:neighbours]] = True
    rows = np.repeat(np.arange(likeness.shape[0]), np.diff(likeness.indptr))[kept]
    return sparse.csr_matrix((likeness.data[kept], (rows, likeness.indices[kept])), shape=likeness.shape)
