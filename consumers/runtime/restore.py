"""Restore: bring partitions' stores up to the committed end of the changelog, in slices, beside the running worker.

A restore is done when the reader has passed the high watermark that was asked for up front, read-uncommitted. Stopping at the
last stable offset would miss what lies behind a dead writer's open transaction; such a transaction makes us wait until the
broker ends it. The end-of-partition event carries the position behind invisible markers, so a tail of markers cannot hang us.

A tombstone leaves the log `delete.retention.ms` after it was written, so a store that has not seen the log's end for longer
may hold what was erased: it is wiped. Read from its beginning, the log is whole in itself.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]
from confluent_kafka.admin._listoffsets import OffsetSpec

from consumers.runtime.changelog import PROGRESS_KEY, decode_progress
from consumers.runtime.packing import Packed
from consumers.runtime.store import Position, Store
from schemas.errors import ConfigError, Retryable, TaskCorrupted
from schemas.metrics import RESTORE_REMAINING, RESTORED

log = logging.getLogger("portrait.restore")

SLICE = 5_000
"""Records of all partitions at once: while they are written, the client fetches the next."""
SLICE_WAIT_S = 0.05
REQUEST_TIMEOUT_S = 10.0


def now_ms() -> int:
    """This machine's clock."""
    return time.time_ns() // 1_000_000


@dataclass
class Restore:
    """One partition under way, with what was read and is not in its store yet; `told_s`: when it was last said to be late."""

    store: Store
    target: int
    position: Position
    started_ms: int
    deadline_s: float
    told_s: float
    states: dict[bytes, Packed | None]
    offset: int

    @property
    def remaining(self) -> int:
        """Offsets up to the target."""
        return max(0, self.target - self.offset)


class Restorer:
    """Restores any number of partitions of one changelog topic with its own read-committed reader."""

    def __init__(self, consumer: Consumer, admin: Callable[[], AdminClient], topic: str, timeout_s: float) -> None:
        self.topic = topic
        self._consumer = consumer
        self._admin = admin
        self._timeout_s = timeout_s
        self._restores: dict[int, Restore] = {}
        self._tombstones_kept_ms: int | None = None
        self._leaders_known = False

    @property
    def restoring(self) -> bool:
        """Whether any partition is not done."""
        return bool(self._restores)

    def start(self, store: Store) -> None:
        """Begin with this store's partition, from the offset it stands at.

        Raises:
            TaskCorrupted: the store stands outside the changelog, or was left alone for too long.
            Retryable: the broker does not say where the changelog ends.
        """
        self._know_leaders()
        number, started_ms = store.partition, now_ms()
        low, high = self._watermarks(TopicPartition(self.topic, number))
        position = store.position()
        offset = position.changelog_offset
        if offset > high or (0 < offset < low):
            raise TaskCorrupted(number, f"it stands at changelog offset {offset}, outside the log's {low}..{high}")
        if offset:
            self._check_age(number, position)
        else:
            position = Position(complete_at_ms=started_ms)
        deadline_s = time.monotonic() + self._timeout_s
        self._restores[number] = Restore(store, high, position, started_ms, deadline_s, -math.inf, {}, offset)
        if offset < high:
            self._consumer.incremental_assign([TopicPartition(self.topic, number, max(offset, low))])

    def _know_leaders(self) -> None:
        """Ask for them now: librdkafka looks for the leader of a topic it has just heard of once a second."""
        if self._leaders_known:
            return
        try:
            self._consumer.list_topics(self.topic, REQUEST_TIMEOUT_S)
        except KafkaException as error:
            raise Retryable(f"the leaders of {self.topic} are not known: {error}") from error
        self._leaders_known = True

    def _watermarks(self, partition: TopicPartition) -> tuple[int, int]:
        bounds = []
        admin = self._admin()  # a new one each time: after a broker's restart an old one asks with a leader epoch that is gone
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):  # type: ignore[no-untyped-call]
            asked = admin.list_offsets({partition: spec}, isolation_level=IsolationLevel.READ_UNCOMMITTED)
            try:
                bounds.append(asked[partition].result(REQUEST_TIMEOUT_S).offset)
            except (KafkaException, TimeoutError) as error:
                raise Retryable(f"the ends of {partition.topic}-{partition.partition} are not known: {error!r}") from error
        return bounds[0], bounds[1]

    def _check_age(self, number: int, position: Position) -> None:
        """A tombstone that this store lacks must still be in the log."""
        age_ms, limit_ms = now_ms() - position.complete_at_ms, self._limit_ms()
        if abs(age_ms) > limit_ms:  # the clock may have been set back
            raise TaskCorrupted(
                number,
                f"it last held all of {self.topic} {age_ms / 1000:.0f} s ago, longer than the topic keeps tombstones "
                f"(delete.retention.ms {limit_ms}), so what was erased meanwhile may still be in it",
            )

    def _check_pace(self, restore: Restore) -> None:
        """A tombstone written while all was read, from the beginning, must not have left the log before it was reached."""
        took_ms, limit_ms = now_ms() - restore.started_ms, self._limit_ms()
        if took_ms > limit_ms:
            raise ConfigError(
                f"partition {restore.store.partition}: reading all of {self.topic} took {took_ms / 1000:.0f} s, more than it "
                f"keeps tombstones (delete.retention.ms {limit_ms}), so what was erased meanwhile may still be in the store; "
                "raise delete.retention.ms"
            )

    def _limit_ms(self) -> int:
        if self._tombstones_kept_ms is None:
            resource, admin = ConfigResource(ResourceType.TOPIC, self.topic), self._admin()
            try:
                entries = admin.describe_configs([resource])[resource].result(REQUEST_TIMEOUT_S)
            except (KafkaException, TimeoutError) as error:
                raise Retryable(
                    f"delete.retention.ms of {self.topic} is not known ({error!r}); the worker needs the right to "
                    "describe it, and an answer"
                ) from error
            self._tombstones_kept_ms = int(entries["delete.retention.ms"].value)
        return self._tombstones_kept_ms

    def step(self, serving: bool) -> list[int]:
        """Read one slice; gives the partitions that are now done. While others are `serving` nothing is waited for.

        Raises:
            TaskCorrupted: what this partition's store stood on has left the log meanwhile.
            Retryable: no partition's end could be reached in time, as while a foreign transaction stays open, and none serves.
        """
        waiting = any(restore.remaining for restore in self._restores.values())
        cut = self._read(0.0 if serving else SLICE_WAIT_S) if waiting else None
        for number, restore in self._restores.items():
            self._write(number, restore)
        RESTORE_REMAINING.set(sum(restore.remaining for restore in self._restores.values()))
        if cut is not None:
            raise cut
        done = self._finish_reached()
        if not done:  # those that are done come first; this is said again at the next step
            self._report_late(serving)
        return done

    def _read(self, wait_s: float) -> TaskCorrupted | None:
        """Take one slice apart. What is done per record here is most of a restore's time."""
        cut = None
        records = 0
        states = {number: restore.states for number, restore in self._restores.items()}
        last: dict[int, Message] = {}
        for message in self._consumer.consume(SLICE, wait_s):
            number = message.partition()
            if message.error() is not None:
                cut = self._take_event(message) or cut
            elif number in states:  # else it was dropped
                # a record without a key is refused later
                states[number][message.key()] = message.value()  # type: ignore[index,assignment]
                last[number] = message
                records += 1
        for number, message in last.items():
            self._reached(number, cast(int, message.offset()) + 1)
        RESTORED.inc(records)
        return cut

    def _take_event(self, message: Message) -> TaskCorrupted | None:
        error, number = cast(KafkaError, message.error()), cast(int, message.partition())
        if error.code() == KafkaError._PARTITION_EOF:
            self._reached(number, cast(int, message.offset()))
        elif error.code() == KafkaError._AUTO_OFFSET_RESET and number in self._restores:
            return TaskCorrupted(number, f"{self.topic} was cut while it was read ({error.str()})")
        else:
            log.warning("restore of %s failed and goes on: %s", self.topic, error.str())
        return None

    def _reached(self, number: int, offset: int) -> None:
        if number in self._restores:
            self._restores[number].offset = max(self._restores[number].offset, offset)

    def _write(self, number: int, restore: Restore) -> None:
        states, restore.states = restore.states, {}
        if not states and restore.offset == restore.position.changelog_offset:
            return
        if None in states:
            raise ConfigError(
                f"{self.topic}-{number} holds a record without a key below offset {restore.offset}; it is not ours"
            )
        progress = states.pop(PROGRESS_KEY, None)
        input_offsets = restore.position.input_offsets if progress is None else decode_progress(progress)
        restore.position = Position(restore.offset, input_offsets, restore.position.complete_at_ms)
        restore.store.restore(states, restore.position)

    def _finish_reached(self) -> list[int]:
        done = [number for number, restore in self._restores.items() if not restore.remaining]
        for number in done:
            restore = self._restores[number]
            if restore.position.complete_at_ms == restore.started_ms:
                self._check_pace(restore)
            else:
                self._check_age(number, restore.position)
        for number in done:
            restore = self._restores[number]
            self.drop(number)
            position = Position(restore.position.changelog_offset, restore.position.input_offsets, restore.started_ms)
            restore.store.record_position(position)
        return done

    def _report_late(self, serving: bool) -> None:
        now_s = time.monotonic()
        late = {number: restore for number, restore in self._restores.items() if now_s > restore.deadline_s}
        if not late:
            return
        problem = (
            f"partitions {[*late]} of {self.topic} were not restored within {self._timeout_s:.0f} s; "
            "a foreign transaction may be open on them"
        )
        if not serving and len(late) == len(self._restores):
            for restore in late.values():
                restore.deadline_s = now_s + self._timeout_s
            raise Retryable(problem)
        if now_s < max(restore.told_s for restore in late.values()) + self._timeout_s:
            return
        for restore in late.values():
            restore.told_s = now_s
        log.warning("%s; the others go on", problem)

    def drop(self, number: int) -> None:
        """Stop with this partition, done or not."""
        if self._restores.pop(number, None) is None:
            return
        RESTORE_REMAINING.set(sum(restore.remaining for restore in self._restores.values()))
        if any(assigned.partition == number for assigned in self._consumer.assignment()):
            self._consumer.incremental_unassign([TopicPartition(self.topic, number)])

    def close(self) -> None:
        """Leave the changelog."""
        self._consumer.close()
