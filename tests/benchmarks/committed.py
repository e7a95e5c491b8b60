"""A group's committed offsets, read from outside."""

import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from deploy.local.child import Child
from schemas.errors import PortraitError
from schemas.settings import KafkaSettings
from schemas.topics import Topic


class Committed:
    """How many messages of a topic a group has committed; topics here begin at offset 0."""

    def __init__(self, kafka: KafkaSettings, group: str, topic: Topic) -> None:
        self._consumer = Consumer({**kafka.client_config(), "group.id": group, "log_level": 0})
        self._parts = [TopicPartition(topic.name, number) for number in range(kafka.partitions)]

    def messages(self) -> int:
        """The number now."""
        try:
            return sum(max(0, part.offset) for part in self._consumer.committed(self._parts, timeout=30))
        except KafkaException:  # a broker that has just started has no coordinator yet
            return 0

    def wait(self, total: int, limit_s: float, worker: Child) -> None:
        """Return when so many are committed.

        Raises:
            PortraitError: not within `limit_s`, or the worker has ended; the message has its last log lines.
        """
        deadline = time.monotonic() + limit_s
        while (done := self.messages()) < total:
            if time.monotonic() > deadline or worker.returncode is not None:
                came_to = "still runs" if worker.returncode is None else f"ended with status {worker.returncode}"
                raise PortraitError(
                    f"{done:,} of {total:,} messages of {self._parts[0].topic} were committed and the worker {came_to}; "
                    f"{worker.log} ends:\n{worker.last_lines()}"
                )
            time.sleep(0.05)

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
