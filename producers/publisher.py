"""The one Kafka producer of this room: idempotent, and partitioned as the Java client does it."""

import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from pydantic import BaseModel

from schemas.errors import ConfigError, PortraitError, Retryable
from schemas.messages import encode, version_headers
from schemas.settings import KafkaSettings
from schemas.topics import MAX_MESSAGE_BYTES, Topic

Headers = Sequence[tuple[str, bytes | None]]

SERVER_SIDE = frozenset(
    {
        KafkaError._MSG_TIMED_OUT,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._PURGE_QUEUE,
        KafkaError._PURGE_INFLIGHT,
    }
)
"""Local errors of a slow or absent broker; every other local error is a wrong setting, topic or message."""


class Publisher:
    """Sends messages keyed by user_id or item_id, each with its schema version in a header.

    Sending never blocks on the broker until the local queue is full. Nothing is known to have arrived before `flush`
    returns, so use it as a context manager: leaving the block without an error flushes.
    """

    def __init__(self, kafka: KafkaSettings, *, linger_ms: float = 2.0) -> None:
        self._failures: list[tuple[str, KafkaError]] = []
        self._headers = version_headers()
        self._started_s: float | None = None
        self._ended_s: float | None = None
        self.sent = 0
        config: dict[str, Any] = {
            **kafka.client_config(),
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",  # Java's; librdkafka's own default would scatter a user over two partitions
            "linger.ms": linger_ms,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 262_144,
            "allow.auto.create.topics": False,
            "topic.metadata.propagation.max.ms": 5_000,
            "delivery.report.only.error": True,  # a Python call for each message delivered would halve the rate
            "on_delivery": self._on_failure,
            "error_cb": self._on_client_error,
            "client.id": "portrait-producer",
            "log_level": 3,  # errors only; what matters is raised by flush
        }
        self._fatal: KafkaError | None = None
        self._producer = Producer(config, logger=logging.getLogger(__name__))

    def send(self, topic: Topic, key: str, message: BaseModel) -> None:
        """Queue a message; `key` is its user_id or item_id.

        Raises:
            ConfigError: the message is larger than any topic accepts.
        """
        self.send_raw(topic, key.encode(), encode(message), self._headers)

    def send_raw(
        self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers | None = None, timestamp_ms: int = 0
    ) -> None:
        """Queue bytes as they are; `value` None is a tombstone, `timestamp_ms` 0 is now."""
        if self._started_s is None:
            self._started_s = time.perf_counter()
        while True:
            try:
                self._producer.produce(
                    topic.name, value, key, timestamp=timestamp_ms, headers=None if headers is None else list(headers)
                )
                break
            except BufferError:  # the local queue is full: wait for the broker to take some
                self._producer.poll(0.1)
                self._raise_failures()
            except KafkaException as error:
                size = len(value or b"")
                raise ConfigError(f"cannot send {size} bytes to {topic.name}: {error.args[0].str()}") from error
        self.sent += 1
        if self.sent % 1024 == 0:  # serves failure reports
            self._producer.poll(0)

    def flush(self, timeout_s: float = 60.0) -> None:
        """Return when everything sent has arrived.

        Raises:
            Retryable: the broker was too slow or away; some messages may not have arrived.
            ConfigError: a topic is missing or closed to us; the message names topic and reason.
        """
        deadline = time.monotonic() + timeout_s
        while len(self._producer) and not self._fatal and time.monotonic() < deadline:
            self._producer.flush(0.5)
        self._producer.poll(0)
        self._ended_s = time.perf_counter()
        self._raise_failures()
        if waiting := len(self._producer):
            raise Retryable(f"{waiting} messages were not taken by the broker within {timeout_s:g} s; is it running?")

    @property
    def messages_per_s(self) -> float:
        """Messages sent per second, from the first `send` to the last `flush` (or to now)."""
        if self._started_s is None:
            return 0.0
        return self.sent / max((self._ended_s or time.perf_counter()) - self._started_s, 1e-9)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.flush()
        else:
            self._producer.purge()

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append((message.topic() or "?", error))

    def _on_client_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error

    def _raise_failures(self) -> None:
        if self._fatal:
            raise ConfigError(f"the Kafka producer cannot go on: {self._fatal.str()}")
        if not self._failures:
            return
        failures, self._failures = self._failures, []
        topic, error = failures[0]
        raise _error_type(error)(f"{len(failures)} messages did not reach {topic}: {error.str()} ({error.name()})")


def _error_type(error: KafkaError) -> type[PortraitError]:
    return Retryable if error.retriable() or error.code() in SERVER_SIDE else ConfigError
