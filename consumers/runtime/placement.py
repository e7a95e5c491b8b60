"""Where the inputs are read from: the group's committed offsets, or a new group's beginning; never anywhere else in silence.

The consumer has no automatic reset. What retention deleted before it was read is gone; that stops the worker until a person
accepts it (`accept_lost_input`).
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime.clients import error_of
from schemas.errors import ConfigError, Retryable
from schemas.metrics import LOST_MESSAGES

log = logging.getLogger("portrait.placement")

REQUEST_TIMEOUT_S = 5.0
"""Waits for offsets; far below max.poll.interval.ms, as nothing is polled meanwhile."""


class Placement:
    """Puts the partitions of a group's consumer where reading must begin."""

    def __init__(self, consumer: Consumer, topics: Sequence[str], accept_lost_input: bool) -> None:
        self._consumer = consumer
        self._topics = topics
        self._accept_lost_input = accept_lost_input
        self._silent: list[int] = []

    def committed(self, partitions: Iterable[int], patience_s: float) -> dict[int, dict[str, int]]:
        """The group's committed input offsets, by partition and topic, within about twice `patience_s`.

        A partition is absent while a transaction is open that may still move its offsets, as one that a dead worker left, or
        while the broker does not answer. The consumer waits for such a partition and says nothing of those asked with it: they
        are asked one by one, each time beginning with another. (An admin client would tell them apart at once, but dies with
        its process when the coordinator moves or its connection breaks: librdkafka issue 5040.)

        Raises:
            Retryable: the broker refuses to say.
        """
        numbers = set(partitions)
        self._silent = [number for number in self._silent if number in numbers]
        together = sorted(numbers.difference(self._silent))
        offsets = self._ask(together, patience_s)
        if offsets is None:
            offsets, self._silent = {}, self._silent + together
        deadline_s = time.monotonic() + patience_s
        for number in tuple(self._silent):
            self._silent.remove(number)
            alone = self._ask([number], patience_s)
            if alone is None:
                self._silent.append(number)
            offsets |= alone or {}
            if time.monotonic() > deadline_s:
                break
        return offsets

    def _ask(self, numbers: Sequence[int], timeout_s: float) -> dict[int, dict[str, int]] | None:
        """None when that is not known in time."""
        offsets: dict[int, dict[str, int]] = {number: {} for number in numbers}
        if not numbers:
            return offsets
        asked = [KafkaTopicPartition(topic, number) for number in numbers for topic in self._topics]
        try:
            for part in self._consumer.committed(asked, timeout=timeout_s):
                if part.error is not None:
                    raise KafkaException(part.error)
                if part.offset >= 0:
                    offsets[part.partition][part.topic] = part.offset
        except KafkaException as error:
            if error_of(error).code() in (KafkaError._TIMED_OUT, KafkaError.UNSTABLE_OFFSET_COMMIT):
                return None
            raise Retryable(f"the group's committed offsets are not to be had: {error_of(error).str()}") from error
        return offsets

    def place(self, topic: str, partition: int, committed: Mapping[str, int]) -> int:
        """Read this input from its committed offset on, or from its beginning when nothing is committed; gives the offset.

        Raises:
            ConfigError: the log no longer holds the committed offset.
            Retryable: the broker does not say where the log begins, or the consumer is not ready.
        """
        part = KafkaTopicPartition(topic, partition)
        try:
            bounds = self._consumer.get_watermark_offsets(part, timeout=REQUEST_TIMEOUT_S)
            if bounds is None:
                raise Retryable(f"the ends of {topic}-{partition} were not told within {REQUEST_TIMEOUT_S:.0f} s")
            part.offset = self._first(topic, partition, committed.get(topic), *bounds)
            self._consumer.seek(part)
            return part.offset
        except KafkaException as error:
            raise Retryable(f"{topic}-{partition} cannot be placed yet: {error_of(error).str()}") from error

    def _first(self, topic: str, partition: int, committed: int | None, start: int, end: int) -> int:
        """The offset to begin with. `end` is the last stable offset, which no committed offset of ours can exceed."""
        if committed is None or start <= committed <= end:
            return start if committed is None else committed
        if committed < start:
            lost = start - committed
            what = (
                f"{topic}-{partition} begins at offset {start}, after the committed offset {committed}: retention deleted up "
                f"to {lost} messages that were not read"
            )
        else:
            lost = 0  # how much of the old log was unread is not known
            what = (
                f"{topic}-{partition} ends at offset {end}, before the committed offset {committed}: the topic was deleted "
                "and created again, or lost its end"
            )
        if not self._accept_lost_input:
            raise ConfigError(
                f"{what}. Send the lost messages again later, or do without: to go on from offset {start}, start the "
                "worker with PORTRAIT_RUNTIME__ACCEPT_LOST_INPUT=true"
            )
        LOST_MESSAGES.labels(topic=topic).inc(lost)
        log.error("%s. The loss is accepted; going on from offset %d", what, start)
        return start
