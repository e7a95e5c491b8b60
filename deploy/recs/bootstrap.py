"""How sure a difference between two models is: a paired bootstrap over users."""

from dataclasses import dataclass

import numpy as np

from deploy.recs.measures import Reals

DRAWS = 2000
CHUNK = 100
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Gain:
    """How much better, as a share of the other's mean (0.05 is 5 %), with a 95 % interval."""

    mean: float
    low: float
    high: float


def paired_gain(ours: Reals, theirs: Reals, seed: int = 0) -> Gain | None:
    """Of the same users [users]; None when the other's mean is 0, so that a share of it means nothing."""
    if not theirs.sum() > 0:
        return None
    source, users = np.random.default_rng(seed), len(ours)
    ratios: list[Reals] = []
    while len(ratios) * CHUNK < DRAWS:
        drawn = source.integers(0, users, (CHUNK, users))
        below = theirs[drawn].mean(axis=1)
        ratios.append(ours[drawn].mean(axis=1)[below > 0] / below[below > 0] - 1)
    low, high = np.percentile(np.concatenate(ratios), INTERVAL)
    return Gain(float(ours.mean() / theirs.mean() - 1), float(low), float(high))


def mean_interval(values: Reals, seed: int = 0) -> tuple[float, float]:
    """A 95 % interval of the mean over users [users]."""
    source, users = np.random.default_rng(seed), len(values)
    means = [values[source.integers(0, users, (CHUNK, users))].mean(axis=1) for _ in range(DRAWS // CHUNK)]
    low, high = np.percentile(np.concatenate(means), INTERVAL)
    return float(low), float(high)
