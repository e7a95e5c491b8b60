"""How far each input was read, and how far that is committed."""

import time
from collections.abc import Iterable, Iterator, Mapping

from consumers.runtime.assignment import Task
from consumers.runtime.processor import TopicPartition

SETTLE_S = 30.0


class Reached:
    """Offsets after the last folded record of each input partition, and the committed ones, since this worker has it."""

    def __init__(self) -> None:
        self._folded: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._settle_at_s = 0.0

    def __iter__(self) -> Iterator[TopicPartition]:
        return iter(self._folded)

    def next_offset(self, part: TopicPartition, committed: int) -> int:
        """The offset of an input partition that comes next, where `committed` is the group's."""
        return max(self._folded.get(part, 0), committed)

    def drop(self, parts: Iterable[TopicPartition]) -> None:
        """These are read by another now, or again."""
        for part in parts:
            self._folded.pop(part, None)
            self._committed.pop(part, None)

    def to_commit(self, read: Mapping[TopicPartition, int], hold: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """The offsets that the next commit must move, `read` being what its batch adds; `hold` keeps some of them back."""
        wanted = {part: hold.get(part, offset) for part, offset in (self._folded | dict(read)).items()}
        return {part: offset for part, offset in wanted.items() if self._committed.get(part) != offset}

    def advance(self, read: Mapping[TopicPartition, int], committed: Mapping[TopicPartition, int]) -> None:
        """The batch that read so far is done; `committed` are the offsets its commit moved."""
        self._folded.update(read)
        self._committed.update(committed)

    def settle(self, tasks: Mapping[int, Task], ends: Mapping[TopicPartition, int]) -> None:
        """Now and then, count what lies behind the last records as read, though only transaction markers are there: once
        retention has deleted it, it would look like input that was lost."""
        now_s = time.monotonic()
        if now_s < self._settle_at_s:
            return
        self._settle_at_s = now_s + SETTLE_S
        for part, end in ends.items():
            task = tasks.get(part.partition)
            committed = end if task is None else task.input_offsets.get(part.topic, end)
            if self._folded.get(part, committed) < end:
                self._folded[part] = end
