"""EASE: each item's column is predicted from all others by ridge regression (Steck, 2019)."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.item_models import ease
from deploy.recs.matrices import Counting, user_items


@dataclass
class EaseWeights:
    """Solves the regression and remembers the last solution: models that differ only in whose history they read share it."""

    _of: tuple[Interactions, float, Counting] | None = None
    _weights: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def of(self, train: Interactions, ridge: float, counting: Counting) -> Floats:
        """Weights [items, items] with a diagonal of zeros."""
        known = self._of
        if known is None or known[0] is not train or known[1:] != (ridge, counting):
            self._of, self._weights = (train, ridge, counting), ease(user_items(train, counting), ridge)
        return self._weights


@dataclass
class Ease:
    """EASE with a ridge, on items taken once or log(1 + times), read from a whole history or the last `last_n` events."""

    ridge: float = 300.0
    counting: Counting = "once"
    last_n: int | None = None
    solved: EaseWeights = field(default_factory=EaseWeights)
    _history: sparse.csr_matrix = field(init=False)
    _weights: Floats = field(init=False)

    def fit(self, train: Interactions) -> None:
        """Solve for this training part."""
        self._weights = self.solved.of(train, self.ridge, self.counting)
        self._history = user_items(train, self.counting, self.last_n)

    def scores(self, users: Ints) -> Floats:
        """The regression's predictions."""
        return np.asarray(self._history[users] @ self._weights, dtype=np.float32)
