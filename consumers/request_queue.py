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
    data: bytes


class RequestQueue:
    """At most one request a user. `packed_bytes` is what they take in memory, give or take 0.5 KB each."""

    def __init__(self) -> None:
        self.packed_bytes = 0
        self._partitions: dict[int, OrderedDict[str, _Packed]] = {}  # each in the order of its offsets
        self._heap: list[tuple[Rank, str]] = []  # also holds ranks of requests that are gone
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def offset(self, key: StateKey) -> int | None:
        """Where the user's request was read; None when there is none."""
        packed = self._partitions.get(key[0], OrderedDict()).get(key[1])
        return None if packed is None else packed.offset

    def put(self, partition: int, offset: int, request: ProfileRequest) -> None:
        """Add a request, in place of the user's earlier one. A partition's requests come in the order of their offsets."""
        self.drop((partition, request.user_id))
        data = zlib.compress(request.model_dump_json().encode(errors="replace"), 1)
        self._partitions.setdefault(partition, OrderedDict())[request.user_id] = _Packed(offset, data)
        self._number += 1
        self.packed_bytes += len(data)
        rank = request.priority, request.requested_at_ms, partition, offset
        heapq.heappush(self._heap, (rank, request.user_id))
        if len(self._heap) > 2 * self._number + 64:
            self._heap = [entry for entry in self._heap if self._is_there(entry)]
            heapq.heapify(self._heap)

    def first_rank(self) -> Rank | None:
        """The rank of the most urgent request; None when empty."""
        while self._heap and not self._is_there(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self) -> Queued | None:
        """The most urgent request, which leaves the queue; None when empty."""
        rank = self.first_rank()
        if rank is None:
            return None
        _, _, partition, offset = rank
        packed = self._remove((partition, self._heap[0][1]))
        assert packed is not None
        heapq.heappop(self._heap)
        return Queued(partition, offset, ProfileRequest.model_validate_json(zlib.decompress(packed.data)))

    def drop(self, key: StateKey) -> None:
        """Forget the user's request, if there is one."""
        self._remove(key)

    def drop_partition(self, partition: int) -> None:
        """Forget all requests of a partition."""
        gone = self._partitions.pop(partition, OrderedDict())
        self._number -= len(gone)
        self.packed_bytes -= sum(len(packed.data) for packed in gone.values())

    def lowest_offsets(self) -> dict[int, int]:
        """The lowest offset that waits, by partition."""
        return {number: next(iter(waiting.values())).offset for number, waiting in self._partitions.items() if waiting}

    def _is_there(self, entry: tuple[Rank, str]) -> bool:
        (_, _, partition, offset), user_id = entry
        return self.offset((partition, user_id)) == offset

    def _remove(self, key: StateKey) -> _Packed | None:
        packed = self._partitions.get(key[0], OrderedDict()).pop(key[1], None)
        if packed is not None:
            self._number -= 1
            self.packed_bytes -= len(packed.data)
        return packed


class Backlog:
    """Two queues: requests to be written by the model, and plain ones, which never wait for it."""

    def __init__(self) -> None:
        self.for_llm = RequestQueue()
        self.plain = RequestQueue()

    def __len__(self) -> int:
        return len(self.for_llm) + len(self.plain)

    @property
    def packed_bytes(self) -> int:
        """See RequestQueue."""
        return self.for_llm.packed_bytes + self.plain.packed_bytes

    def offset(self, key: StateKey) -> int | None:
        """Where the user's request was read; None when there is none."""
        found = self.for_llm.offset(key)
        return self.plain.offset(key) if found is None else found

    def drop(self, key: StateKey) -> None:
        """Forget the user's request, if there is one."""
        self.for_llm.drop(key)
        self.plain.drop(key)

    def drop_partition(self, partition: int) -> None:
        """Forget all requests of a partition."""
        self.for_llm.drop_partition(partition)
        self.plain.drop_partition(partition)

    def lowest_offsets(self) -> dict[int, int]:
        """The lowest offset that waits, by partition."""
        one, other = self.for_llm.lowest_offsets(), self.plain.lowest_offsets()
        return {number: min(found[number] for found in (one, other) if number in found) for number in one | other}
