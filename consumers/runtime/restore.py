"""Restore: bring partitions' stores up to the committed end of the changelog, in slices, beside the running worker.

A restore is done when the reader has passed the high watermark that was asked for up front, read-uncommitted. Stopping at the
last stable offset would miss what lies behind a dead writer's open transaction; such a transaction makes us wait until the
broker ends it. The end-of-partition event carries the position behind invisible markers, so a tail of markers cannot hang us.
"""

import logging
import time
from collections.abc import Callable, Mapping

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from consumers.runtime.changelog import PROGRESS_KEY, decode_progress
from consumers.runtime.clients import RawRecord, end_of_partition, raw_record
from consumers.runtime.store import Position, Store
from schemas.errors import Retryable, TaskCorrupted
from schemas.metrics import RESTORE_REMAINING, RESTORED

log = logging.getLogger("portrait.restore")

SLICE = 20_000
REQUEST_TIMEOUT_S = 10.0


class Restorer:
    """Restores any number of partitions of one changelog topic with its own read-committed reader."""

    def __init__(self, consumer: Consumer, admin: Callable[[], AdminClient], topic: str, timeout_s: float) -> None:
        self._consumer = consumer
        self._admin = admin
        self._topic = topic
        self._timeout_s = timeout_s
        self._stores: dict[int, Store] = {}
        self._targets: dict[int, int] = {}
        self._positions: dict[int, Position] = {}
        self._deadlines: dict[int, float] = {}

    @property
    def restoring(self) -> bool:
        """Whether any partition is not done."""
        return bool(self._stores)

    def start(self, store: Store) -> None:
        """Begin with this store's partition, from the offset it stands at.

        Raises:
            TaskCorrupted: the store stands outside the changelog.
            Retryable: the broker does not say where the changelog ends.
        """
        partition = TopicPartition(self._topic, store.partition)
        low, high = self._watermarks(partition)
        position = store.position()
        offset = position.changelog_offset
        if offset > high or (0 < offset < low):
            raise TaskCorrupted(store.partition, f"it stands at changelog offset {offset}, outside the log's {low}..{high}")
        number = store.partition
        self._stores[number] = store
        self._targets[number] = high
        self._positions[number] = position
        self._deadlines[number] = time.monotonic() + self._timeout_s
        if offset >= high:
            return
        self._consumer.incremental_assign([TopicPartition(self._topic, number, max(offset, low))])

    def _watermarks(self, partition: TopicPartition) -> tuple[int, int]:
        bounds = []
        admin = self._admin()  # a new one each time: after a broker's restart an old one asks with a leader epoch that is gone
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):  # type: ignore[no-untyped-call]
            asked = admin.list_offsets({partition: spec}, isolation_level=IsolationLevel.READ_UNCOMMITTED)
            try:
                bounds.append(asked[partition].result(REQUEST_TIMEOUT_S).offset)
            except (KafkaException, TimeoutError) as error:
                raise Retryable(f"the ends of {partition.topic}-{partition.partition} are not known: {error}") from error
        return bounds[0], bounds[1]

    def step(self) -> list[int]:
        """Read one slice; gives the partitions that are now done.

        Raises:
            Retryable: a partition's end could not be reached in time, as while a foreign transaction stays open.
        """
        reached = {number: self._positions[number].changelog_offset for number in self._stores}
        states: dict[int, dict[str, bytes | None]] = {}
        for message in self._consumer.consume(SLICE, 0.05) if self._unfinished(reached) else []:
            error = message.error()
            if error is None:
                raw = raw_record(message)
                if raw.partition in self._stores:
                    self._take(raw, states.setdefault(raw.partition, {}))
                    reached[raw.partition] = raw.offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                _, number, offset = end_of_partition(message)
                if number in self._stores:
                    reached[number] = max(reached[number], offset)
            else:
                log.warning("restore of %s failed and goes on: %s", self._topic, error.str())
        for number, offset in reached.items():
            self._positions[number] = Position(offset, self._positions[number].input_offsets)
            if number in states:
                self._stores[number].write(states[number], self._positions[number])
        RESTORED.inc(sum(len(part) for part in states.values()))
        RESTORE_REMAINING.set(sum(max(0, self._targets[number] - offset) for number, offset in reached.items()))
        return self._finish_reached(reached)

    def _unfinished(self, reached: Mapping[int, int]) -> bool:
        return any(offset < self._targets[number] for number, offset in reached.items())

    def _take(self, raw: RawRecord, states: dict[str, bytes | None]) -> None:
        if raw.key is None:
            raise TaskCorrupted(raw.partition, f"{raw.topic}-{raw.partition}@{raw.offset} has no key; it is not ours")
        if raw.key != PROGRESS_KEY:
            states[raw.key.decode()] = raw.value
        elif raw.value is not None:
            offset = self._positions[raw.partition].changelog_offset
            self._positions[raw.partition] = Position(offset, decode_progress(raw.value))

    def _finish_reached(self, reached: Mapping[int, int]) -> list[int]:
        done = [number for number, offset in reached.items() if offset >= self._targets[number]]
        for number in done:
            self._stores[number].write({}, self._positions[number])
            self.drop(number)
        late = [number for number in self._stores if time.monotonic() > self._deadlines[number]]
        if late and not done:  # those that are done come first; this is said again at the next step
            self._deadlines.update(dict.fromkeys(late, time.monotonic() + self._timeout_s))
            raise Retryable(
                f"partitions {late} of {self._topic} were not restored within {self._timeout_s:.0f} s; "
                "a foreign transaction may be open on them"
            )
        return done

    def drop(self, number: int) -> None:
        """Stop with this partition, done or not."""
        if self._stores.pop(number, None) is None:
            return
        if any(assigned.partition == number for assigned in self._consumer.assignment()):
            self._consumer.incremental_unassign([TopicPartition(self._topic, number)])
        del self._targets[number], self._positions[number], self._deadlines[number]

    def close(self) -> None:
        """Leave the changelog."""
        self._consumer.close()
