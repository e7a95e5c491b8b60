"""Users without a history get last week's popularity from every peer: none is judged by what it does not claim to do."""

from dataclasses import dataclass, field

import numpy as np

from deploy.recs.interactions import Floats, Interactions, Ints, Mask
from deploy.recs.peers.popularity import Popularity
from deploy.recs.recommender import Recommender


@dataclass
class WarmOnly:
    """A model for users with a history, and popularity for the others."""

    model: Recommender
    popular: Popularity = field(default_factory=lambda: Popularity(7))
    _warm: Mask = field(init=False)

    def fit(self, train: Interactions) -> None:
        """Fit both."""
        self.model.fit(train)
        self.only_popular(train)

    def only_popular(self, train: Interactions) -> None:
        """Learn who has a history and what is popular, where the model has been fitted elsewhere."""
        self.popular.fit(train)
        self._warm = np.bincount(train.users[train.positive()], minlength=len(train.user_ids)) > 0

    def scores(self, users: Ints) -> Floats:
        """The model's for users with a history."""
        scores = self.model.scores(users)
        cold = ~self._warm[users]
        scores[cold] = self.popular.scores(users[cold])
        return scores
