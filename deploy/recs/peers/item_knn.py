"""ItemKNN: items like those a user took, by the cosine of who took them."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.peers.matrices import user_items


@dataclass
class ItemKnn:
    """Sums the likeness of an item to the user's items, of their whole history or of the last `last_n` events.

    Likeness is cosine with `shrink` added below, so that items few people share count less; of each item the `neighbours`
    nearest are kept. `own` keeps an item's likeness to itself: it lets what was taken before come back.
    """

    neighbours: int = 100
    shrink: float = 10.0
    last_n: int | None = None
    own: bool = False
    _likeness: sparse.csr_matrix = field(init=False)
    _history: sparse.csr_matrix = field(init=False)

    def fit(self, train: Interactions) -> None:
        """Compare all items that share a user."""
        taken = user_items(train)
        shared = (taken.T @ taken).tocoo()
        lengths = np.sqrt(np.asarray(taken.sum(axis=0)).ravel())
        likeness = shared.data / (lengths[shared.row] * lengths[shared.col] + self.shrink)
        chosen = np.ones(len(likeness), dtype=np.bool_) if self.own else shared.row != shared.col
        square = sparse.csr_matrix((likeness[chosen], (shared.row[chosen], shared.col[chosen])), shape=shared.shape)
        self._likeness = _nearest(square, self.neighbours)
        self._history = user_items(train, last_n=self.last_n)

    def scores(self, users: Ints) -> Floats:
        """Summed likeness."""
        return np.asarray((self._history[users] @ self._likeness.T).toarray(), dtype=np.float32)


def _nearest(likeness: sparse.csr_matrix, neighbours: int) -> sparse.csr_matrix:
    """Each row with only its largest values."""
    kept = np.zeros(likeness.nnz, dtype=np.bool_)
    for begin, end in zip(likeness.indptr, likeness.indptr[1:], strict=False):
        if end - begin <= neighbours:
            kept[begin:end] = True
        else:
            kept[begin + np.argpartition(-likeness.data[begin:end], neighbours)[:neighbours]] = True
    rows = np.repeat(np.arange(likeness.shape[0]), np.diff(likeness.indptr))[kept]
    return sparse.csr_matrix((likeness.data[kept], (rows, likeness.indices[kept])), shape=likeness.shape)
