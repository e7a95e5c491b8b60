"""Step 1: poll a micro-batch and decode it; what cannot be decoded is set aside as dead letters."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime.clients import RawRecord, end_of_partition, raw_record
from consumers.runtime.processor import Record, TopicPartition
from schemas.errors import BadMessage, TaskMigrated
from schemas.metrics import REPEATED
from schemas.wire import dead_letter_headers

log = logging.getLogger("portrait.intake")

Decoder = Callable[[RawRecord], tuple[str, Any]]
"""Key and message of a record; the message is None for a tombstone. Raises BadMessage for what can never be processed."""

IDLE_S = 0.1
"""Longest wait for a first message."""


@dataclass(frozen=True)
class DeadLetter:
    """A refused record as it came, with the headers that say why."""

    source: TopicPartition
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    reason: str


@dataclass
class Intake:
    """What was read and is not committed yet. `positions` is the next offset to read of each input partition."""

    records: list[Record] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    positions: dict[TopicPartition, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.positions)

    def drop(self, gone: frozenset[TopicPartition]) -> None:
        """Forget what was read of these partitions; their next owner reads it again."""
        self.records = [record for record in self.records if (record.topic, record.partition) not in gone]
        self.dead_letters = [letter for letter in self.dead_letters if letter.source not in gone]
        self.positions = {part: offset for part, offset in self.positions.items() if part not in gone}


class Poller:
    """Reads the inputs. `ends` holds the offset at which each partition was last seen to end.

    `next_offset` says which offset of a partition comes next; None when it is not ours or not placed. One poll can revoke a
    partition, or give it anew, and return messages fetched before that; they would be folded twice, as the partition is placed
    at its committed offset later. And after a broker's restart librdkafka 2.16 was seen to go back to a log's beginning by
    itself, where the partition was assigned before it was placed: it seems to obey a late answer to that first question. So
    what comes before the next offset is left out, and the partition placed again.
    """

    def __init__(
        self,
        consumer: Consumer,
        decode: Decoder,
        next_offset: Callable[[TopicPartition], int | None],
        max_batch: int,
        max_wait_s: float,
    ) -> None:
        self._consumer = consumer
        self._decode = decode
        self._next_offset = next_offset
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self.ends: dict[TopicPartition, int] = {}

    def poll(self, intake: Intake, wait_s: float = IDLE_S) -> None:
        """Add up to a micro-batch to `intake`: waits for a first message, then a moment for more."""
        first = self._consumer.consume(1, wait_s)
        self._take(first, intake)
        if first:
            self._take(self._consumer.consume(self._max_batch - 1, self._max_wait_s), intake)

    def keep_alive(self, intake: Intake) -> None:
        """Poll while everything is paused, so that the group keeps us."""
        self._take(self._consumer.consume(self._max_batch, 0.05), intake)

    def _take(self, messages: Iterable[Message], intake: Intake) -> None:
        """Every message passes here: nothing is done per message that can be done per run of one partition's messages."""
        decode, add, positions = self._decode, intake.records.append, intake.positions
        source, wanted = TopicPartition("", -1), None
        behind: Counter[TopicPartition] = Counter()
        for message in messages:
            error = message.error()
            if error is not None:
                self._not_a_record(message, error)
                continue
            raw = raw_record(message)
            if raw.partition != source.partition or raw.topic != source.topic:
                source = TopicPartition(raw.topic, raw.partition)
                wanted = self._next_offset(source)
                if wanted is None:
                    log.info("%s-%d is not read now; leaving out messages from offset %d on", *source, raw.offset)
                else:
                    wanted = max(wanted, positions.get(source, 0))
            if wanted is None:
                continue
            if raw.offset < wanted:
                behind[source] += 1
                continue
            positions[source] = wanted = raw.offset + 1
            try:
                key, decoded = decode(raw)
            except BadMessage as refusal:
                intake.dead_letters.append(_dead_letter(source, raw, refusal))
            else:
                add(Record(*source, raw.offset, raw.timestamp_ms, key, decoded))
        for source, number in behind.items():
            self._go_on(source, number, intake)

    def _go_on(self, source: TopicPartition, number: int, intake: Intake) -> None:
        """Place a partition again of which `number` messages came that were read before."""
        wanted = max(self._next_offset(source) or 0, intake.positions.get(source, 0))
        log.warning("%s-%d went back by itself; %d messages before offset %d are left out", *source, number, wanted)
        REPEATED.labels(topic=source.topic).inc(number)
        try:
            self._consumer.seek(KafkaTopicPartition(*source, wanted))
        except KafkaException as error:
            log.warning("%s-%d cannot be placed again: %s", *source, error)  # then the rest of them is left out one by one

    def _not_a_record(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            topic, partition, offset = end_of_partition(message)
            if self._next_offset(source := TopicPartition(topic, partition)) is not None:
                self.ends[source] = offset
        elif error.fatal() or not (error.retriable() or error.code() in _PASSING):
            raise TaskMigrated(f"the input consumer failed ({error.name()}): {error.str()}")
        else:
            if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                log.warning("an input is not there (%s); waiting for it", error.str())
            time.sleep(0.05)


def _dead_letter(source: TopicPartition, raw: RawRecord, refusal: BadMessage) -> DeadLetter:
    why = dead_letter_headers(refusal, raw.topic, raw.partition, raw.offset, raw.timestamp_ms, raw.headers)
    return DeadLetter(source, raw.key, raw.value, why, refusal.reason)


_PASSING = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._MAX_POLL_EXCEEDED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
}
