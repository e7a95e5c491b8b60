"""What every recommender can do, ours and peers alike."""

from typing import Protocol

from deploy.recs.interactions import Floats, Interactions, Ints


class Scorer(Protocol):
    """Scores every item for users."""

    def scores(self, users: Ints) -> Floats:
        """Scores of all items, float32 [users, items], higher is better, seen items too."""


class Recommender(Scorer, Protocol):
    """Learns from events, then scores from these events alone."""

    def fit(self, train: Interactions) -> None:
        """Learn from these events, and from nothing else."""
