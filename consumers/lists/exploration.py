"""Exploration: a share of each list left to chance, the same chance whenever the same state of the same user is listed."""

import hashlib

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue
from consumers.lists.candidates import Offer, RowMarks, Source
from consumers.lists.people import People
from consumers.lists.shelf import Shelf

TRIES = 12
"""Items drawn for each one wanted, as some may not be shown."""


def chance_of(user_id: str, state_version: int) -> int:
    """A number below 2**64 that decides what is left to chance in the list of this version of a user's state."""
    key = f"{state_version}:{user_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")


def explored(users: People, shelf: Shelf, share: float, top_k: int, catalogue: Catalogue) -> Offer:
    """Items drawn from all that may be shown, `share` * `top_k` of them for each user on average.

    The draw depends on seed and item ids, not on rows: each item has a place on a ring, and the next one after a random place
    is taken, so that a catalogue that came in another order gives the same.
    """
    seeds = np.array(users.seeds, np.uint64)
    wanted = np.floor(share * top_k + _uniform(seeds)).astype(np.int64)
    most = int(wanted.max(initial=0))
    if most == 0:
        return Offer(Source.EXPLORATION, np.full((len(users), 1), -1, np.int64))
    ring = np.argsort(catalogue.tie_break)
    places = np.searchsorted(catalogue.tie_break[ring], _mixed(seeds, TRIES * most)) % len(ring)
    rows = ring[places]
    good = shelf.shown[rows] & ~RowMarks(len(catalogue)).among(rows, users.blocked)
    good &= np.cumsum(good, axis=1) <= wanted[:, None]
    return Offer(Source.EXPLORATION, np.where(good, rows, -1))


def _mixed(seeds: npt.NDArray[np.uint64], count: int) -> npt.NDArray[np.uint64]:
    """Numbers [users, count] that look random: splitmix64, started at each seed."""
    mixed: npt.NDArray[np.uint64] = seeds[:, None] + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _uniform(seeds: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    uniform: npt.NDArray[np.float64] = _mixed(seeds ^ np.uint64(0xD1B54A32D192ED03), 1)[:, 0] / 2.0**64
    return uniform
