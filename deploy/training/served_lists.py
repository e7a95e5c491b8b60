"""The live path as a recommender of the evaluation: its states, sources and ranker, asked for scores."""

import numpy as np

from consumers.lists.learned_ranker import read_ranker
from deploy.evaluation.models import UserEncoder
from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.ours.portrait import moment_of
from deploy.recs.ours.ranker import OUT
from deploy.recs.split import Split
from deploy.training.replayed import Replayed

USERS_AT_ONCE = 128


class ServedLists:
    """The `Scorer` of a split, by an encoder and the JSON of a ranker, empty for the plain one."""

    def __init__(self, replayed: Replayed, encoder: UserEncoder, split: Split, ranker: str) -> None:
        self._replayed, self._encoder, self._now_ms = replayed, encoder, moment_of(split)
        self._ranker = read_ranker(ranker, replayed.maker.rules.weights)
        self._items = len(split.train.item_ids)

    def fit(self, train: Interactions) -> None:
        """It was made for these events."""

    def scores(self, users: Ints) -> Floats:
        """Of what the sources offer; everything else has the same low score."""
        maker, rows = self._replayed.maker, self._replayed.rows
        maker.rank_by(self._ranker)
        places = np.full(len(self._replayed.catalogue) + 1, self._items, np.int64)  # the last stands for row -1
        places[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
        scores = np.full((len(users), self._items + 1), OUT, np.float32)
        for start in range(0, len(users), USERS_AT_ONCE):
            offered = self._replayed.offered(users[start : start + USERS_AT_ONCE], self._encoder, self._now_ms)
            more = maker.details(offered) if self._ranker.wants_details else None
            found = self._ranker.scores(offered.features, more)
            np.put_along_axis(scores[start : start + USERS_AT_ONCE], places[offered.candidates.rows], found, axis=1)
        return scores[:, :-1]
