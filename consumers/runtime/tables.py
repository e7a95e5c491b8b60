"""Tables: compacted topics that every worker reads in full, outside any group."""

import logging
import time
from collections.abc import Callable, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime.clients import RawRecord, end_of_partition, raw_record
from consumers.runtime.intake import Decoder
from consumers.runtime.processor import Record
from schemas.errors import BadMessage, ConfigError, Retryable
from schemas.metrics import TABLE_RECORDS_SKIPPED
from schemas.topics import Topic

log = logging.getLogger("portrait.tables")

SLICE = 5000


class Tables:
    """Reads table topics from their beginning and gives every valid record to `on_record`.

    A bad record is skipped and counted here: the role that reads the topic as its input puts it in dead-letters.
    """

    def __init__(
        self, consumer: Consumer, topics: Sequence[Topic], decode: Decoder, on_record: Callable[[Record], None]
    ) -> None:
        self._consumer = consumer
        self._decode = decode
        self._on_record = on_record
        self._behind: set[tuple[str, int]] = set()
        if topics:
            metadata = consumer.list_topics(timeout=10).topics
            self._behind = {(topic.name, number) for topic in topics for number in metadata[topic.name].partitions}
            consumer.assign([KafkaTopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in self._behind])
        self._active = bool(topics)

    def read_to_end(self, timeout_s: float) -> None:
        """Read until every partition's end has been seen once.

        Raises:
            Retryable: that took longer than `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while self._behind:
            self.poll(0.1)
            if time.monotonic() > deadline:
                raise Retryable(f"tables {sorted(self._behind)} were not read to their end within {timeout_s:.0f} s")

    def poll(self, timeout_s: float = 0.0) -> None:
        """Take in what is there.

        Raises:
            ConfigError: a topic no longer holds what is to be read next.
        """
        if not self._active:
            return
        for message in self._consumer.consume(SLICE, timeout_s):
            error = message.error()
            if error is None:
                self._take(raw_record(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                topic, partition, _ = end_of_partition(message)
                self._behind.discard((topic, partition))
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise ConfigError(
                    f"table topic {message.topic()} was created anew or cut while it was read ({error.str()}); start this "
                    "worker again to read it from its beginning"
                )
            else:
                log.warning("table read failed and goes on: %s", error.str())

    def _take(self, raw: RawRecord) -> None:
        try:
            key, message = self._decode(raw)
            self._on_record(Record(raw.topic, raw.partition, raw.offset, raw.timestamp_ms, key, message))
        except BadMessage as error:
            TABLE_RECORDS_SKIPPED.labels(reason=error.reason).inc()
            log.warning("%s-%d@%d is skipped: %s", raw.topic, raw.partition, raw.offset, error)

    def close(self) -> None:
        """Leave the topics."""
        self._consumer.close()
