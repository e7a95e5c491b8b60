"""Profile requests that wait for their turn: one a user, the most urgent first, packed small. Pure."""

import heapq
import zlib
from collections import OrderedDict
from typing import NamedTuple

from consumers.runtime.processor import StateKey
from schemas.messages import ProfileRequest

Rank = tuple[int, int, int, int]
"""Priority, age, partition, offset: the smallest goes first."""


class Queued(NamedTuple):
    """A request and where it was read."""

    partition: int
    offset: int
    request: ProfileRequest


class _Packed(NamedTuple):
    offset: int
    waiting_since_ms: int
    data: bytes


Age = tuple[int, int, int]
"""Waiting since, partition, offset."""


class RequestQueue:
    """At most one request a user. `packed_bytes` is what they take in memory, give or take 0.7 KB each.

    A request that takes the place of an earlier one keeps the time since when the user waits.
    """

    def __init__(self) -> None:
        self.packed_bytes = 0
        self._partitions: dict[int, OrderedDict[str, _Packed]] = {}  # each in the order of its offsets
        # These also hold entries of requests that are gone, found by their partition and offset.
        self._urgent: list[tuple[Rank, str]] = []
        self._oldest: list[tuple[Age, str]] = []
        self._held: list[tuple[float, Rank, str]] = []
        self._held_keys: set[StateKey] = set()
        self._number = 0

    def __len__(self) -> int:
        return self._number

    @property
    def held(self) -> int:
        """How many requests are held until their time comes."""
        return len(self._held_keys)

    def offset(self, key: StateKey) -> int | None:
        """Where the user's request was read; None when there is none."""
        packed = self._partitions.get(key[0], OrderedDict()).get(key[1])
        return None if packed is None else packed.offset

    def put(self, partition: int, offset: int, request: ProfileRequest, ready_at_s: float = float("-inf")) -> None:
        """Add a request, in place of the user's earlier one. A partition's requests come in the order of their offsets.

        It is held, and not taken, until `release` is told that it is `ready_at_s`.
        """
        earlier = self._remove((partition, request.user_id))
        since_ms = min(request.requested_at_ms, earlier.waiting_since_ms) if earlier else request.requested_at_ms
        data = zlib.compress(request.model_dump_json().encode(errors="replace"), 1)
        self._partitions.setdefault(partition, OrderedDict())[request.user_id] = _Packed(offset, since_ms, data)
        self._number += 1
        self.packed_bytes += len(data)
        rank = request.priority, request.requested_at_ms, partition, offset
        if ready_at_s == float("-inf"):
            self._ready(rank, request.user_id)
        else:
            heapq.heappush(self._held, (ready_at_s, rank, request.user_id))
            self._held_keys.add((partition, request.user_id))
        self._sweep()

    def release(self, now_s: float) -> None:
        """Let go of the requests held until now or before."""
        while self._held and self._held[0][0] <= now_s:
            _, rank, user_id = heapq.heappop(self._held)
            if self._is_at(*rank[2:], user_id):
                self._held_keys.discard((rank[2], user_id))
                self._ready(rank, user_id)

    def first_rank(self) -> Rank | None:
        """The rank of the most urgent request that is not held; None when there is none."""
        while self._urgent and not self._is_at(*self._urgent[0][0][2:], self._urgent[0][1]):
            heapq.heappop(self._urgent)
        return self._urgent[0][0] if self._urgent else None

    def take(self, oldest: bool = False) -> Queued | None:
        """The most urgent request, or the one whose user waits longest, which leaves the queue; None when all are held."""
        if self.first_rank() is None:
            return None
        while not self._is_at(*self._oldest[0][0][1:], self._oldest[0][1]):
            heapq.heappop(self._oldest)
        (*_, partition, offset), user_id = self._oldest[0] if oldest else self._urgent[0]
        packed = self._remove((partition, user_id))
        assert packed is not None
        return Queued(partition, offset, ProfileRequest.model_validate_json(zlib.decompress(packed.data)))

    def drop(self, key: StateKey) -> None:
        """Forget the user's request, if there is one."""
        self._remove(key)

    def drop_partition(self, partition: int) -> None:
        """Forget all requests of a partition."""
        gone = self._partitions.pop(partition, OrderedDict())
        self._held_keys = {key for key in self._held_keys if key[0] != partition}
        # Should the partition come back, its requests have the same offsets: no entry may be taken for one of them.
        self._urgent = [entry for entry in self._urgent if entry[0][2] != partition]
        self._oldest = [entry for entry in self._oldest if entry[0][1] != partition]
        self._held = [entry for entry in self._held if entry[1][2] != partition]
        heapq.heapify(self._urgent)
        heapq.heapify(self._oldest)
        heapq.heapify(self._held)
        self._number -= len(gone)
        self.packed_bytes -= sum(len(packed.data) for packed in gone.values())

    def lowest_offsets(self) -> dict[int, int]:
        """The lowest offset that waits, by partition."""
        return {number: next(iter(waiting.values())).offset for number, waiting in self._partitions.items() if waiting}

    def _ready(self, rank: Rank, user_id: str) -> None:
        _, _, partition, offset = rank
        heapq.heappush(self._urgent, (rank, user_id))
        heapq.heappush(self._oldest, ((self._partitions[partition][user_id].waiting_since_ms, partition, offset), user_id))

    def _sweep(self) -> None:
        """Drop entries of requests that are gone, before they are more than those that are there."""
        most = 2 * self._number + 64
        if len(self._urgent) > most:
            self._urgent = [entry for entry in self._urgent if self._is_at(*entry[0][2:], entry[1])]
            heapq.heapify(self._urgent)
        if len(self._oldest) > most:
            self._oldest = [entry for entry in self._oldest if self._is_at(*entry[0][1:], entry[1])]
            heapq.heapify(self._oldest)
        if len(self._held) > most:
            self._held = [entry for entry in self._held if self._is_at(*entry[1][2:], entry[2])]
            heapq.heapify(self._held)

    def _is_at(self, partition: int, offset: int, user_id: str) -> bool:
        return self.offset((partition, user_id)) == offset

    def _remove(self, key: StateKey) -> _Packed | None:
        packed = self._partitions.get(key[0], OrderedDict()).pop(key[1], None)
        if packed is not None:
            self._number -= 1
            self.packed_bytes -= len(packed.data)
            self._held_keys.discard(key)
        return packed


class Backlog:
    """Two queues: requests that wait for the model, and those that need nothing of it."""

    def __init__(self) -> None:
        self.for_llm = RequestQueue()
        self.ready = RequestQueue()

    def __len__(self) -> int:
        return len(self.for_llm) + len(self.ready)

    @property
    def packed_bytes(self) -> int:
        """See RequestQueue."""
        return self.for_llm.packed_bytes + self.ready.packed_bytes

    def offset(self, key: StateKey) -> int | None:
        """Where the user's request was read; None when there is none."""
        found = self.for_llm.offset(key)
        return self.ready.offset(key) if found is None else found

    def drop(self, key: StateKey) -> None:
        """Forget the user's request, if there is one."""
        self.for_llm.drop(key)
        self.ready.drop(key)

    def drop_partition(self, partition: int) -> None:
        """Forget all requests of a partition."""
        self.for_llm.drop_partition(partition)
        self.ready.drop_partition(partition)

    def lowest_offsets(self) -> dict[int, int]:
        """The lowest offset that waits, by partition."""
        one, other = self.for_llm.lowest_offsets(), self.ready.lowest_offsets()
        return {number: min(found[number] for found in (one, other) if number in found) for number in one | other}
