"""What other lists would have been worth, from the lists that were shown: inverse propensity scores, item by item and place.

The item-position model: whether an item is clicked depends on the item, the user and the place where it stands, and on nothing
else in the list. Then a policy's clicks are the sum over its items and places, each of which the log may have tried by chance
(Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen, "Offline evaluation of ranking policies with click models", KDD
2018). How much a place alone does is read off items that stand there by chance (Joachims, Swaminathan and Schnabel, "Unbiased
learning to rank with biased feedback", WSDM 2017, with randomised places instead of swaps).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deploy.feedback.shown_lists import ShownItem, ShownList

Reals = npt.NDArray[np.float64]
DRAWS = 1000
INTERVAL = (2.5, 97.5)
POWERS = np.linspace(0, 2, 81)
LIKELY_POWER = 1.0
"""What is expected of a list, give or take one, until draws say otherwise."""
LARGEST_WEIGHT = 1000.0
"""Weights beyond it are cut, and counted: few lists must not decide alone."""

Policy = Callable[[ShownList, ShownItem], float]
"""How likely a policy puts this item of this list at the place where it was seen."""


@dataclass(frozen=True)
class Value:
    """Clicks a list, or how much a place does, with a 95 % interval over users."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PolicyValue:
    """Of one policy: by inverse propensity, and self-normalised, which varies less and is a little biased.

    `covered` is the share of the policy's places that the log tried: what it never tried is missing from both values.
    `effective_items` is how many shown items would say as much if all weighed alike; `largest_weight` the most that
    one weighs, before `cut` of them are cut.
    """

    ips: Value
    snips: Value
    covered: float
    effective_items: float
    largest_weight: float
    cut: int


def policy_value(lists: Sequence[ShownList], policy: Policy, places: int, seed: int = 0) -> PolicyValue:
    """What the policy's lists of so many places would have been worth.

    Weights of one place of all lists sum to their number in expectation: that is what the self-normalised value makes of them.
    """
    owners, positions, weights, clicks = _weighted(lists, policy)
    largest, cut = float(weights.max(initial=0)), int((weights > LARGEST_WEIGHT).sum())
    weights = np.minimum(weights, LARGEST_WEIGHT)
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
    covered = float((weighed.sum(axis=0) > 0).sum() / places)
    values = _value(ips, len(users), seed), _value(snips, len(users), seed)
    return PolicyValue(*values, covered, round(effective, 1), round(largest, 1), cut)


def as_logged(one: ShownList, item: ShownItem) -> float:
    """The policy that made the lists: its value is what was observed."""
    return item.propensity


def as_ranked(one: ShownList, item: ShownItem) -> float:
    """The ranked list, with nothing left to chance."""
    return float(item.as_ranked)


def at_random(lists: Sequence[ShownList]) -> Policy:
    """Nothing but draws, and what is pinned: any item that may be drawn is as likely at every other place."""
    items = [item for one in lists for item in one.items if item.propensity < 1]
    share = sum(item.explored for item in items) / max(1, len(items))

    def chance(one: ShownList, item: ShownItem) -> float:
        if item.explored:
            return item.propensity / share
        return float(item.propensity == 1)

    return chance


Order = Callable[[ShownList], Sequence[int]]
"""The places that the items of a list would have in another order, for each item."""


def reordered_value(lists: Sequence[ShownList], order: Order, places: int, seed: int = 0) -> Value:
    """Clicks a list if the same items stood in another order: each click counts by how much its new place is looked at.

    It holds where a click is being looked at times being wanted (the position-based model). How much places are looked at is
    part of what is uncertain; where nothing is known of a place, a click counts as it was.
    """
    users = {user: number for number, user in enumerate(dict.fromkeys(one.user_id for one in lists))}
    shown, moved = np.zeros(len(users)), np.zeros((len(users), places, places))
    for one in lists:
        user = users[one.user_id]
        shown[user] += 1
        for item, place in zip(one.items, order(one), strict=True):
            moved[user, item.position, place] += item.clicked
    drawn = _draws_by_place(lists, users, places)

    def clicks(chosen: npt.NDArray[np.int64]) -> float:
        looks = _looked_at(drawn, chosen)
        with np.errstate(invalid="ignore", divide="ignore"):
            gain = looks[None, :] / looks[:, None]
        return float((moved[chosen].sum(axis=0) * np.where(np.isfinite(gain), gain, 1.0)).sum() / shown[chosen].sum())

    return _value(clicks, len(users), seed)


def reversed_order(one: ShownList) -> list[int]:
    """The last first."""
    return [item.position for item in reversed(one.items)]


def popular_first(clicks: Mapping[str, int]) -> Order:
    """By clicks counted elsewhere, the same items."""

    def order(one: ShownList) -> list[int]:
        ranked = sorted(range(len(one.items)), key=lambda at: (-clicks.get(one.items[at].item_id, 0), at))
        places = [item.position for item in one.items]
        return [place for _, place in sorted(zip(ranked, places, strict=True))]

    return order


def _weighted(lists: Sequence[ShownList], policy: Policy) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Reals, Reals]:
    rows = [
        (number, item.position, policy(one, item) / item.propensity, float(item.clicked))
        for number, one in enumerate(lists)
        for item in one.items
    ]
    owners, positions, weights, clicks = (np.array(column) for column in zip(*rows, strict=True))
    return owners, positions, weights, clicks


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
    drawn, source = _draws_by_place(lists, users, places), np.random.default_rng(seed)
    looks = _looked_at(drawn, np.arange(len(users)))
    again = np.array([_looked_at(drawn, source.integers(0, len(users), len(users))) for _ in range(DRAWS)])
    return [
        Value(float(look), *map(float, np.nanpercentile(again[:, place], INTERVAL))) if np.isfinite(look) else None
        for place, look in enumerate(looks)
    ]


def place_curve(lists: Sequence[ShownList], places: int) -> Reals | None:
    """`examination` as a curve, [places]: the n-th place is looked at as 1 / n to some power; None where no draw was clicked.

    For few draws: place by place they would say anything.
    """
    drawn = [(item.position, item.clicked) for one in lists for item in one.items if item.explored]
    if not any(clicked for _, clicked in drawn):
        return None
    positions, clicks = np.array(drawn, np.int64).T
    shown, clicked = np.bincount(positions, minlength=places), np.bincount(positions, clicks, minlength=places)
    curves = (1.0 + np.arange(places)) ** -POWERS[:, None]
    rates = clicked.sum() / (curves @ shown)
    # Of Poisson counts; what they sum to is the same for every power.
    likelihood = (clicked * np.log(rates[:, None] * curves)).sum(axis=1)
    curve: Reals = curves[np.argmax(likelihood - (POWERS - LIKELY_POWER) ** 2 / 2)]
    return curve


def _draws_by_place(lists: Sequence[ShownList], users: Mapping[str, int], places: int) -> Reals:
    """What was drawn by chance: shown and clicked, [2, users, places]."""
    found = np.zeros((2, len(users), places))
    for one in lists:
        for item in one.items:
            if item.explored:
                found[:, users[one.user_id], item.position] += 1, item.clicked
    return found


def _looked_at(drawn: Reals, chosen: npt.NDArray[np.int64]) -> Reals:
    """Of these users: clicks by place against those of the first, [places]; NaN where nothing is known."""
    shown, clicked = drawn[:, chosen].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = clicked / shown
        looks: Reals = np.where(rates[0] > 0, rates / rates[0], np.nan)
    return looks


def by_source(lists: Sequence[ShownList]) -> Mapping[str, tuple[int, int]]:
    """Shown and clicked items, of what was ranked and of what was drawn."""
    found = {"ranked": [0, 0], "exploration": [0, 0]}
    for one in lists:
        for item in one.items:
            counts = found["exploration" if item.explored else "ranked"]
            counts[0] += 1
            counts[1] += item.clicked
    return {name: (shown, clicked) for name, (shown, clicked) in found.items()}


def by_search(lists: Sequence[ShownList]) -> Mapping[str, tuple[int, int]]:
    """Shown and clicked items by each source that proposed them, the most often shown first."""
    shown, clicked = Counter[str](), Counter[str]()
    for one in lists:
        for item in one.items:
            shown.update(item.sources)
            clicked.update(item.sources if item.clicked else ())
    return {name: (count, clicked[name]) for name, count in shown.most_common()}
