"""What other lists would have been worth, from the lists that were shown: inverse propensity scores, item by item and place.

The item-position model: whether an item is clicked depends on the item, the user and the place where it stands, and on nothing
else in the list. Then a policy's clicks are the sum over its items and places, each of which the log may have tried by chance
(Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen, "Offline evaluation of ranking policies with click models", KDD 2018). How
much a place alone does is read off items that stand there by chance (Joachims, Swaminathan and Schnabel, "Unbiased learning to rank
with biased feedback", WSDM 2017, with randomised places in place of swaps).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deploy.feedback.shown_lists import ShownItem, ShownList

Reals = npt.NDArray[np.float64]
DRAWS = 1000
INTERVAL = (2.5, 97.5)
LARGEST_WEIGHT = 1000.0
"""Weights beyond it are cut, and counted: few lists must not decide alone."""

Policy = Callable[[ShownList, ShownItem], float]
"""How likely a policy puts this item of this list at the place where it was seen."""


@dataclass(frozen=True)
class Value:
    """Clicks a list with a 95 % interval over users; `weights` says how much of the log speaks for it."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PolicyValue:
    """Of one policy: by inverse propensity, and self-normalised, which varies less and is a little biased.

    `effective_items` is how many shown items would say as much if all weighed alike; `cut` how many weights were too large.
    """

    ips: Value
    snips: Value
    effective_items: float
    cut: int


def policy_value(lists: Sequence[ShownList], policy: Policy, places: int, seed: int = 0) -> PolicyValue:
    """What the policy's lists of so many places would have been worth.

    Weights of one place of all lists sum to their number in expectation: that is what the self-normalised value makes of them.
    """
    owners, positions, weights, clicks, cut = _weighted(lists, policy)
    users = {user: number for number, user in enumerate(dict.fromkeys(one.user_id for one in lists))}
    of_user = np.array([users[one.user_id] for one in lists])
    cells = of_user[owners] * places + positions
    size = len(users) * places
    gained = np.bincount(cells, weights * clicks, size).reshape(len(users), places)
    weighed = np.bincount(cells, weights, size).reshape(len(users), places)
    shown = np.bincount(of_user, minlength=len(users)).astype(np.float64)

    def ips(chosen: npt.NDArray[np.int64]) -> float:
        return float(gained[chosen].sum() / shown[chosen].sum())

    def snips(chosen: npt.NDArray[np.int64]) -> float:
        by_place, weight = gained[chosen].sum(axis=0), weighed[chosen].sum(axis=0)
        return float((by_place[weight > 0] / weight[weight > 0]).sum())

    squares = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / squares if squares else 0.0
    return PolicyValue(_value(ips, len(users), seed), _value(snips, len(users), seed), round(effective, 1), cut)


def _weighted(
    lists: Sequence[ShownList], policy: Policy
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Reals, Reals, int]:
    rows = [
        (number, item.position, policy(one, item) / item.propensity, float(item.clicked))
        for number, one in enumerate(lists)
        for item in one.items
    ]
    owners, positions, weights, clicks = (np.array(column) for column in zip(*rows, strict=True))
    return owners, positions, np.minimum(weights, LARGEST_WEIGHT), clicks, int((weights > LARGEST_WEIGHT).sum())


def _value(of: Callable[[npt.NDArray[np.int64]], float], users: int, seed: int) -> Value:
    """With users drawn again and again."""
    source = np.random.default_rng(seed)
    drawn = [of(source.integers(0, users, users)) for _ in range(DRAWS)]
    low, high = np.percentile(drawn, INTERVAL)
    return Value(of(np.arange(users)), float(low), float(high))


def examination(lists: Sequence[ShownList], places: int, seed: int = 0) -> list[Value | None]:
    """How much a place alone does, the first one being 1: clicks on what stood there by chance. None where nothing did.

    What is drawn does not depend on the place it gets, so places differ by nothing but how they are looked at.
    """
    users = {user: number for number, user in enumerate(dict.fromkeys(one.user_id for one in lists))}
    clicks, shown = np.zeros((len(users), places)), np.zeros((len(users), places))
    for one in lists:
        for item in one.items:
            if item.explored:
                shown[users[one.user_id], item.position] += 1
                clicks[users[one.user_id], item.position] += item.clicked
    curve: list[Value | None] = []
    for place in range(places):

        def relative(chosen: npt.NDArray[np.int64], place: int = place) -> float:
            there, here = clicks[chosen].sum(axis=0), shown[chosen].sum(axis=0)
            if not (here[0] and there[0] and here[place]):
                return np.nan
            return float((there[place] / here[place]) / (there[0] / here[0]))

        known = shown[:, place].sum() > 0 and clicks[:, 0].sum() > 0
        curve.append(_without_nan(relative, len(users), seed) if known else None)
    return curve


def _without_nan(of: Callable[[npt.NDArray[np.int64]], float], users: int, seed: int) -> Value:
    source = np.random.default_rng(seed)
    drawn = [of(source.integers(0, users, users)) for _ in range(DRAWS)]
    low, high = np.nanpercentile(drawn, INTERVAL)
    return Value(of(np.arange(users)), float(low), float(high))


def click_weights(items: Sequence[ShownItem], curve: Sequence[Value | None]) -> list[float]:
    """What each item's click counts for when a ranker learns from it: more where places are looked at less; 0 unclicked."""
    found = []
    for item in items:
        value = curve[item.position] if item.position < len(curve) else None
        seen = value.mean if value is not None and value.mean > 0 else 1.0
        found.append(min(1 / seen, LARGEST_WEIGHT) if item.clicked else 0.0)
    return found


def by_source(lists: Sequence[ShownList]) -> Mapping[str, tuple[int, int]]:
    """Shown and clicked items, of what was ranked and of what was drawn."""
    found = {"ranked": [0, 0], "exploration": [0, 0]}
    for one in lists:
        for item in one.items:
            counts = found["exploration" if item.explored else "ranked"]
            counts[0] += 1
            counts[1] += item.clicked
    return {name: (shown, clicked) for name, (shown, clicked) in found.items()}
