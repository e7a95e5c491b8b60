"""The blend of the simple peers: a weighted sum of their scores, with weights found on validation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from deploy.recs.contender import Contender, OnDone, Params, code_version
from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.measures import mean_ndcg
from deploy.recs.recommender import Recommender
from deploy.recs.split import Split

PARTS = ("popularity-7d", "personal-frequency", "item-knn", "item-knn-last-n", "markov", "ease", "ease-last-n", "ease-log")
WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
ROUNDS = 2
USERS = 1000


def standardised(scores: Floats) -> Floats:
    """Each user's scores with mean 0 and variance 1; equal ones become 0."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(scores.std(axis=1, keepdims=True), 1e-9), dtype=np.float32)


@dataclass
class Blend:
    """Sums standardised scores of fitted models by weight."""

    parts: Sequence[tuple[float, Recommender]]

    def fit(self, train: Interactions) -> None:
        """Fit every part."""
        for _, model in self.parts:
            model.fit(train)

    def scores(self, users: Ints) -> Floats:
        """The weighted sum."""
        summed = [weight * standardised(model.scores(users)) for weight, model in self.parts]
        return np.asarray(np.sum(summed, axis=0), dtype=np.float32)


@dataclass
class BlendContender:
    """Blends those of the contenders whose settings have been chosen; `chosen` is filled before it runs."""

    contenders: Sequence[Contender]
    chosen: Mapping[str, Params]
    name: str = "blend"
    random: bool = False
    _parts: dict[str, Params] = field(default_factory=dict)

    def missing(self) -> str | None:
        """It needs two to blend."""
        return None if len(self._available()) > 1 else f"needs at least two of {', '.join(PARTS)}"

    def version(self) -> str | None:
        """Of its own code, its parts' and their settings."""
        parts = {one.name: (one.version(), self.chosen[one.name]) for one in self._available()}
        return f"{code_version(('peers/blend.py',))} {parts}"

    def tries(self, split: Split, seed: int, on_done: OnDone) -> Iterator[tuple[Params, Recommender]]:
        """One weighting: found by changing one weight at a time, as long as the NDCG@10 of a sample of users rises."""
        asked = _sample(split)
        fitted = {one.name: one.fitted(split, self.chosen[one.name], seed, _silent) for one in self._available()}
        scores = {name: standardised(model.scores(asked.users)) for name, model in fitted.items()}
        weights = _ascend(scores, asked, on_done)
        parts = {name: {"weight": weight, "params": self.chosen[name]} for name, weight in weights.items() if weight > 0}
        yield {"parts": parts}, Blend([(weight, fitted[name]) for name, weight in weights.items() if weight > 0])

    def fitted(self, split: Split, params: Params, seed: int, on_done: OnDone) -> Recommender:
        """All parts, fitted."""
        by_name = {one.name: one for one in self.contenders}
        return Blend(
            [
                (part["weight"], by_name[name].fitted(split, part["params"], seed, _silent))
                for name, part in params["parts"].items()
            ]
        )

    def _available(self) -> list[Contender]:
        return [one for one in self.contenders if one.name in PARTS and one.name in self.chosen]


def _ascend(scores: Mapping[str, Floats], asked: Split, on_done: OnDone) -> dict[str, float]:
    alone = {name: mean_ndcg(own, asked) for name, own in scores.items()}
    weights = dict.fromkeys(scores, 0.0)
    start = max(alone, key=lambda name: alone[name])
    weights[start], best, total = 1.0, alone[start], scores[start].copy()
    for turn in range(ROUNDS):
        for number, name in enumerate(scores, start=1):
            rest = total - np.float32(weights[name]) * scores[name]
            for weight in WEIGHTS:
                tried = rest + np.float32(weight) * scores[name]
                if (weight or any(rest_weight for other, rest_weight in weights.items() if other != name)) and (
                    found := mean_ndcg(tried, asked)
                ) > best:
                    best, weights[name] = found, weight
            total = rest + np.float32(weights[name]) * scores[name]
            on_done(turn * len(scores) + number, ROUNDS * len(scores))
    return weights


def _sample(split: Split) -> Split:
    if len(split.users) <= USERS:
        return split
    chosen = np.sort(np.random.default_rng(0).choice(len(split.users), USERS, replace=False))
    return replace(split, users=split.users[chosen], truths=[split.truths[place] for place in chosen])


def _silent(done: int, total: int) -> None:
    """The parts are quick."""
