"""Readers of topics for programs beside the workers: views, the demo, checks. Read-committed, in no group, nothing committed.

for record in read_all(settings.kafka, [RECOMMENDATIONS]): ...      # everything, once

with Follower(settings.kafka) as follower:                          # live
    follower.follow([RECOMMENDATIONS])
    while True:
        for record in follower.poll(1.0): ...
"""

import json
import math
import time
from collections.abc import Collection, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from pydantic import BaseModel

from consumers.runtime.clients import RawRecord, end_of_partition, error_of, raw_record
from consumers.runtime.processor import TopicPartition
from schemas.errors import ConfigError, PortraitError, Retryable
from schemas.settings import FoldSettings, KafkaSettings
from schemas.topics import Topic
from schemas.wire import decode

SLICE = 5000
REQUEST_TIMEOUT_S = 10.0
STATISTICS_MS = 2000
SETTLING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)
SETTLING_S = 5.0
"""A broker that has just started or stalled, or topics just made, answer so for a moment."""
BEGINNING = math.inf
"""As `back`: everything that is still in the topic."""

PASSING = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT})


def read_all(
    kafka: KafkaSettings,
    topics: Sequence[Topic],
    *,
    key: str | None = None,
    partitions: Collection[int] | None = None,
    timeout_s: float = 60.0,
) -> Iterator[RawRecord]:
    """Every record committed before the call, in order within a partition.

    With `key` only of the partitions it hashes to, with `partitions` only of those.

    The end is what the partitions held when asked, so it ends under load too. Waits for transactions open at that time.

    Raises:
        ConfigError: a topic is missing or closed to us.
        Retryable: the broker is away, or nothing was read for `timeout_s` while a foreign transaction stays open.
    """
    with Follower(kafka) as follower:
        follower.follow(topics, back=BEGINNING, key=key, partitions=partitions)
        last_progress = time.monotonic()
        while behind := len(follower.behind):
            records = follower.poll(0.2)
            yield from (record for record in records if record.offset < follower.end(record))
            if records or len(follower.behind) < behind:
                last_progress = time.monotonic()
            elif time.monotonic() > last_progress + timeout_s:
                places = ", ".join(f"{topic}-{partition}" for topic, partition in sorted(follower.behind))
                raise Retryable(
                    f"nothing new could be read of {places} for {timeout_s:g} s: the broker is away, "
                    "or a transaction of a dead writer is still open there"
                )


def log_bounds(kafka: KafkaSettings, topics: Sequence[Topic]) -> dict[TopicPartition, tuple[int, int]]:
    """First offset and high watermark of every partition of these topics; raises as `read_all` does."""
    with Follower(kafka) as follower:
        return follower.bounds(topics)


class Follower:
    """Reads partitions from a chosen place and goes on with what arrives; a record is seen once, in order of its partition."""

    def __init__(self, kafka: KafkaSettings, client_id: str = "portrait-reader") -> None:
        self._kafka = kafka
        self._ends: dict[TopicPartition, int] = {}
        self.behind: set[TopicPartition] = set()
        """Partitions not yet read up to the end they had when `follow` was called."""
        self.connected = True
        """Whether a broker is connected, as known by the last `poll`."""
        self._common: dict[str, Any] = {**kafka.client_config(), "client.id": client_id, "log_level": 0}
        self._consumer = Consumer(
            {
                **self._common,
                "group.id": f"{client_id}-unused",  # librdkafka wants one; nothing is ever committed to it
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",  # records deleted under us must not be skipped in silence
                "enable.partition.eof": True,
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": 100,  # a new record wakes a waiting fetch; short waits only keep the broker busy
                "fetch.queue.backoff.ms": 5,
                "reconnect.backoff.max.ms": 2000,
                "statistics.interval.ms": STATISTICS_MS,
                "stats_cb": self._on_statistics,
                "error_cb": self._on_client_error,
            }
        )

    def follow(
        self,
        topics: Sequence[Topic],
        *,
        back: float = 0,
        key: str | None = None,
        partitions: Collection[int] | None = None,
    ) -> None:
        """Begin with these topics `back` records before their present end; `BEGINNING` for all.

        With `key` only the partitions that hold this key are read, with `partitions` only those. What is written after this
        call is never missed.

        Raises:
            ConfigError: a topic is missing.
            Retryable: the broker does not answer.
        """
        assigned = []
        for place, (first, end) in self.bounds(topics, key, partitions).items():
            start = first if back == BEGINNING else max(first, end - int(back))
            self._ends[place] = end
            if start < end:
                self.behind.add(place)
            assigned.append(KafkaTopicPartition(*place, start))
        self._consumer.incremental_assign(assigned)

    def bounds(
        self, topics: Sequence[Topic], key: str | None = None, partitions: Collection[int] | None = None
    ) -> dict[TopicPartition, tuple[int, int]]:
        """First offset and high watermark of the topics' partitions; raises as `follow` does."""
        deadline = time.monotonic() + SETTLING_S
        while True:
            try:
                places = [place for topic in topics for place in self._partitions(topic, key)]
                chosen = [place for place in places if partitions is None or place.partition in partitions]
                starts, ends = self._offsets(chosen)
                return {place: (starts[place], ends[place]) for place in chosen}
            except KafkaException as exception:
                error = error_of(exception)
                if error.code() not in SETTLING or time.monotonic() > deadline:
                    servers = self._kafka.bootstrap_servers
                    raise Retryable(
                        f"Kafka at {servers} does not answer ({error.str()}): start it with `portrait up`, or set "
                        "PORTRAIT_KAFKA__BOOTSTRAP_SERVERS"
                    ) from exception
            time.sleep(0.1)

    def _partitions(self, topic: Topic, key: str | None) -> list[TopicPartition]:
        metadata = self._consumer.list_topics(topic.name, timeout=REQUEST_TIMEOUT_S).topics[topic.name]
        if not metadata.partitions:
            raise ConfigError(f"Kafka at {self._kafka.bootstrap_servers} has no topic {topic.name}: `portrait up` creates it")
        if key is not None:
            return [TopicPartition(topic.name, partition_of(key, len(metadata.partitions)))]
        return [TopicPartition(topic.name, number) for number in sorted(metadata.partitions)]

    def _offsets(self, partitions: Sequence[TopicPartition]) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """First offsets and high watermarks, read-uncommitted: the last stable offset would hide what is being committed."""
        admin = AdminClient(self._common)
        found = []
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):  # type: ignore[no-untyped-call]
            request = {KafkaTopicPartition(*place): spec for place in partitions}
            futures = admin.list_offsets(
                request, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=REQUEST_TIMEOUT_S
            )
            found.append(
                {TopicPartition(place.topic, place.partition): future.result().offset for place, future in futures.items()}
            )
        return found[0], found[1]

    def end(self, record: RawRecord) -> int:
        """The end the record's partition had when `follow` was called."""
        return self._ends[TopicPartition(record.topic, record.partition)]

    def poll(self, timeout_s: float) -> list[RawRecord]:
        """What has arrived; waits up to `timeout_s` for a first record, never for more.

        Raises:
            ConfigError: a topic was deleted or is closed to us.
            Retryable: records were deleted before they were read.
        """
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(SLICE, 0)]
        records = [raw_record(message) for message in messages if message.error() is None]
        if self.behind:
            positions = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
            for place, position in positions.items():
                self._passed(place, position)
        for message in messages:
            if (error := message.error()) is not None:
                self._take_error(message, error)
        return records

    def _take_error(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # carries the position behind invisible transaction markers
            topic, partition, offset = end_of_partition(message)
            self._passed(TopicPartition(topic, partition), offset)
        elif error.code() not in PASSING and not error.retriable():
            raise _failure(message, error)

    def _passed(self, place: TopicPartition, position: int) -> None:
        if position >= self._ends[place]:
            self.behind.discard(place)

    def _on_client_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.connected = False

    def _on_statistics(self, text: str) -> None:
        self.connected = any(broker["state"] == "UP" for broker in json.loads(text)["brokers"].values())

    def close(self) -> None:
        """Leave the topics."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _failure(message: Message, error: KafkaError) -> PortraitError:
    place = f"{message.topic()}-{message.partition()}"
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        return Retryable(f"{place}: records were deleted before they were read ({error.str()}); start again")
    return ConfigError(f"{place} cannot be read: {error.str()}")


def decoded(record: RawRecord, limits: FoldSettings) -> tuple[str, BaseModel | None]:
    """Key and valid message of a record of a JSON topic; the message is None for a tombstone.

    Raises:
        BadMessage: the record is not valid.
    """
    return decode(record.topic, record.key, record.value, record.headers, record.timestamp_ms, limits)


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key, as the Java client and our producers choose it."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2, unsigned."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    whole = len(data) & ~3
    value = 0x9747B28C ^ len(data)
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        value = value * multiplier & mask ^ word
    if tail := data[whole:]:
        value = (value ^ int.from_bytes(tail, "little")) * multiplier & mask
    value = (value ^ value >> 13) * multiplier & mask
    return value ^ value >> 15
