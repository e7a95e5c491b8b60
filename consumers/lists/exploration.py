"""Exploration: a share of each list left to chance, the same chance whenever the same state of the same user is listed.

Both what is drawn and where it stands are left to chance, and by how much is known: so lists that were shown can tell what
other lists would have been worth, and how much a place alone does (docs/feedback.md).
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import comb
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue, Rows
from consumers.lists.candidates import RowMarks
from consumers.lists.list_rules import MAIN
from consumers.lists.people import People
from consumers.lists.shelf import Shelf

Seeds = npt.NDArray[np.uint64]
TRIES = 12
"""Items drawn for each one needed, as some may not be shown."""
ALL_IN_ORDER = 1024
"""Items up to which all are put in an order by chance: of few, draws one by one would meet the same ones again and again."""


class Draws(NamedTuple):
    """`rows` [users, m] drawn from all that may be shown, in the order of the draw, -1 where there is none.

    A list leaves this `share` of its places to chance; how many where that does not come out even, `lots` [users] in 0..1 say.
    `open_items` [users] is from how many was drawn. All that follows from `seeds` [users].
    """

    share: float
    lots: npt.NDArray[np.float64]
    rows: Rows
    open_items: npt.NDArray[np.int64]
    seeds: "Seeds"


class Chance(NamedTuple):
    """How a list's places are left to chance: `low` of them, or one more with the chance `odds`."""

    low: int
    odds: float

    @classmethod
    def of(cls, share: float, places: int) -> "Chance":
        """On average `share` * `places` of them."""
        low = int(share * places)
        return cls(low, share * places - low)

    def count(self, lot: float) -> int:
        """How many are, for one user."""
        return self.low + (lot < self.odds)

    def counts(self) -> tuple[tuple[int, float], ...]:
        """How many places may be left to chance, each with its probability."""
        return (self.low, 1 - self.odds), (self.low + 1, self.odds)


def chance_of(user_id: str, state_version: int) -> int:
    """A number below 2**64 that decides what is left to chance in the lists of this version of a user's state."""
    key = f"{state_version}:{user_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")


def draws_of(users: People, shelf: Shelf, share: float, sizes: Mapping[str, int], catalogue: Catalogue) -> dict[str, Draws]:
    """Of the list of each name and size: items drawn from all that may be shown, each as likely as any other.

    A draw depends on seed, name and item ids, not on rows, so that a catalogue that came in another order gives the same. The
    main list has the users' own seeds.
    """
    if not share:
        return {}
    blocked = [np.unique(own[shelf.shown[own]]).size for own in users.blocked]
    open_items = int(shelf.shown.sum()) - np.array(blocked, np.int64)
    in_order = np.argsort(catalogue.tie_break)
    in_order = in_order[shelf.shown[in_order]]
    seeds = np.array(users.seeds, np.uint64)
    marks = RowMarks(len(catalogue))

    def drawn(name: str, size: int) -> Draws:
        own = seeds if name == MAIN else seeds ^ np.uint64(chance_of(name, 0))
        needed = Chance.of(share, size).low + 1 + size  # enough even if as many as the list holds are in it anyway
        rows = _in_an_order_by_chance(in_order, own, needed)
        good = shelf.shown[rows] & ~marks.among(rows, users.blocked)
        good &= np.cumsum(good, axis=1) <= needed
        first = np.argsort(~good, axis=1, kind="stable")[:, :needed]
        found = np.where(np.take_along_axis(good, first, axis=1), np.take_along_axis(rows, first, axis=1), -1)
        return Draws(share, _uniform(own), found, open_items, own)

    return {name: drawn(name, size) for name, size in sizes.items()}


def _in_an_order_by_chance(in_order: Rows, seeds: Seeds, needed: int) -> Rows:
    """Rows [users, m], all of few and some, perhaps with repeats, of many."""
    if len(in_order) <= ALL_IN_ORDER:
        return in_order[np.argsort(_mixed(seeds, len(in_order)), axis=1, kind="stable")]
    return in_order[(_mixed(seeds, TRIES * needed) % np.uint64(len(in_order))).astype(np.int64)]


def taken_draws(draws: Draws, listed: Sequence[Rows]) -> list[list[int]]:
    """Of each user's draws those that are shown: the first that are not `listed` anyway, as many as so long a list has."""
    taken = []
    for own, lot, there in zip(draws.rows.tolist(), draws.lots.tolist(), listed, strict=True):
        not_listed = dict.fromkeys(own)
        for row in (-1, *there.tolist()):
            not_listed.pop(row, None)
        taken.append(list(not_listed)[: Chance.of(draws.share, len(there)).count(lot)])
    return taken


def places_by_chance(seed: int, places: int) -> list[int]:
    """The places of a list in an order drawn for its user: the first ones are left to chance."""
    keys = _mixed(np.array([seed], np.uint64) ^ np.uint64(0x6C62272E07BB0142), places)
    order: list[int] = np.argsort(keys[0], kind="stable").tolist()
    return order


@lru_cache(maxsize=20_000)
def explored_propensity(chance: Chance, places: int, open_items: int) -> float:
    """How likely any one of `open_items` was to be drawn for any one of these places."""
    share = sum(odds * min(count, places, open_items) for count, odds in chance.counts()) / places
    return share / max(open_items, 1)


@lru_cache(maxsize=20_000)
def ranked_propensity(chance: Chance, places: int, open_items: int, rank: int, place: int) -> float:
    """How likely the item of this rank was to stand at this place, both from 0, among places some of which are left to chance.

    No more of them than there are `open_items` to draw from. It stands there when the place is not left to chance, and
    `place - rank` of those before it are.
    """
    before = place - rank
    found = 0.0
    for count, odds in chance.counts():
        count = min(count, places, open_items)
        if odds and 0 <= before <= count:
            found += odds * comb(place, before) * comb(places - 1 - place, count - before) / comb(places, count)
    return found


def _mixed(seeds: Seeds, count: int) -> npt.NDArray[np.uint64]:
    """Numbers [users, count] that look random: splitmix64, started at each seed."""
    mixed: npt.NDArray[np.uint64] = seeds[:, None] + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _uniform(seeds: Seeds) -> npt.NDArray[np.float64]:
    uniform: npt.NDArray[np.float64] = _mixed(seeds ^ np.uint64(0xD1B54A32D192ED03), 1)[:, 0] / 2.0**64
    return uniform
