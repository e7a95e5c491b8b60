"""Users who wait for something that is not there yet, such as an item's vector: remembered up to a number, so that a flood of
unknown items cannot take the memory. Who is not remembered gets a fresh list at the next event instead."""

from consumers.runtime.processor import StateKey

MAX_PAIRS = 200_000


class Awaited:
    """Who waits for what. Not shared between threads."""

    def __init__(self, max_pairs: int = MAX_PAIRS) -> None:
        self._waiting: dict[str, set[StateKey]] = {}
        self._max_pairs = max_pairs
        self._pairs = 0

    def __len__(self) -> int:
        """Pairs of a user and what is waited for."""
        return self._pairs

    def add(self, awaited: str, key: StateKey) -> None:
        """Remember that this user waits, unless too many do."""
        if self._pairs >= self._max_pairs:
            return
        keys = self._waiting.setdefault(awaited, set())
        self._pairs -= len(keys)
        keys.add(key)
        self._pairs += len(keys)

    def arrived(self, awaited: str) -> list[StateKey]:
        """Who waited for this, in order; they wait no more."""
        keys = self._waiting.pop(awaited, set())
        self._pairs -= len(keys)
        return sorted(keys)

    def leave(self, key: StateKey) -> list[str]:
        """This user waits no more; gives what nobody waits for now."""
        left = [awaited for awaited, keys in self._waiting.items() if key in keys]
        for awaited in left:
            self._waiting[awaited].remove(key)
        self._pairs -= len(left)
        alone = [awaited for awaited in left if not self._waiting[awaited]]
        for awaited in alone:
            del self._waiting[awaited]
        return alone

    def forget(self, partitions: frozenset[int]) -> None:
        """Another worker serves the users of these partitions now."""
        remaining = {awaited: {key for key in keys if key[0] not in partitions} for awaited, keys in self._waiting.items()}
        self._waiting = {awaited: keys for awaited, keys in remaining.items() if keys}
        self._pairs = sum(map(len, self._waiting.values()))
