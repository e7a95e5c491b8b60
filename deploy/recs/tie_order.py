"""The order of events: by user, then time, then a seeded hash of (user, item), so that the order of ids tells nothing."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from deploy.recs.interactions import Ints, Times

Hashes = npt.NDArray[np.uint64]


def event_order(
    users: Ints, items: Ints, times_ms: Times, user_ids: Sequence[str], item_ids: Sequence[str], seed: int
) -> Times:
    """The places of the events in their order; equal events keep theirs."""
    hashes = _mixed(_of_ids(user_ids, seed)[users] ^ _mixed(_of_ids(item_ids, seed + 1)[items]))
    order: Times = np.lexsort((hashes, times_ms, users))
    return order


def _of_ids(ids: Sequence[str], seed: int) -> Hashes:
    key = seed.to_bytes(8, "big", signed=True)
    digests = (blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest() for text in ids)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def _mixed(values: Hashes) -> Hashes:
    """The finaliser of splitmix64: neighbouring values end far apart."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
