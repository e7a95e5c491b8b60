"""How the runtime's Kafka clients are configured; the reasons stand beside the values."""

import logging
from typing import Any, cast

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from schemas.settings import KafkaSettings
from schemas.wire import HEADERS_UNREADABLE

log = logging.getLogger("portrait.kafka")

MOST_BYTES = 1_000_000_000
"""What librdkafka lets a message have, before compression."""

ClientConfig = dict[str, Any]


def _common(kafka: KafkaSettings, client_id: str) -> ClientConfig:
    return {
        **kafka.client_config(),
        "client.id": client_id,
        "reconnect.backoff.max.ms": 2000,
        "log_level": 2,  # else a client that cannot connect writes a line per attempt; what matters is raised or reported
        "error_cb": _report,
        "allow.auto.create.topics": False,
    }


def input_consumer(kafka: KafkaSettings, group: str, replica: str) -> Consumer:
    """The consumer of a role's inputs: a member of its group, by the new protocol (KIP-848)."""
    config = _common(kafka, f"{group}-{replica}")
    config |= {
        "group.id": group,
        "group.instance.id": replica,  # a restart takes its partitions back; a second live worker of this name is refused
        "group.protocol": "consumer",
        "group.remote.assignor": "range",  # equal partition numbers of all inputs land on one worker
        "isolation.level": "read_committed",
        "enable.auto.commit": False,  # offsets are committed with the outputs
        "auto.offset.reset": "error",  # where to begin is decided in placement.py, so that nothing is skipped in silence
        "enable.partition.eof": True,  # tells where a log ends although transaction markers are invisible
        "fetch.wait.max.ms": 100,  # a new record wakes a waiting fetch; short waits only keep the broker busy
        "fetch.queue.backoff.ms": 5,
        "queued.max.messages.kbytes": 32_768,
        "max.poll.interval.ms": 300_000,
    }
    return Consumer(config, logger=log)


def table_consumer(kafka: KafkaSettings, client_id: str) -> Consumer:
    """A reader of whole partitions, assigned by hand, outside every group: for tables and restores."""
    config = _common(kafka, client_id)
    config |= {
        "group.id": f"{client_id}-unused",  # librdkafka wants one; nothing is ever committed to it
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 100,
        "fetch.queue.backoff.ms": 5,
        "queued.max.messages.kbytes": 32_768,
    }
    return Consumer(config, logger=log)


def group_observer(kafka: KafkaSettings, group: str, *, stable: bool = False) -> Consumer:
    """A consumer that never joins its group, to ask what the group has committed; with `stable` it waits for transactions that
    may still move that."""
    config = _common(kafka, f"{group}-observer")
    isolation_level = "read_committed" if stable else "read_uncommitted"
    return Consumer({**config, "group.id": group, "isolation.level": isolation_level}, logger=log)


def transactional_producer(
    kafka: KafkaSettings, group: str, replica: str, timeout_ms: int, compression: str = "lz4"
) -> Producer:
    """The producer of a worker. Its transactional id is stable, so that a restart fences what was left behind."""
    config = _common(kafka, f"{group}-{replica}")
    config |= {
        "transactional.id": f"portrait-{group}-{replica}",
        "transaction.timeout.ms": timeout_ms,
        "retry.backoff.ms": 2,  # the broker is often still ending the last transaction; the default of 100 is paid per commit
        "partitioner": "murmur2_random",  # the Java clients' default; librdkafka's own differs
        "linger.ms": 0,  # a micro-batch is produced at once and flushed
        "compression.type": compression,
        "message.max.bytes": MOST_BYTES,  # dead letters hold what came, and the broker counts bytes once they are compressed
        "queue.buffering.max.messages": 500_000,
    }
    return Producer(config, logger=log)


def admin(kafka: KafkaSettings, client_id: str) -> AdminClient:
    """An admin client, for offsets."""
    return AdminClient(_common(kafka, client_id), logger=log)


def _report(error: KafkaError) -> None:
    """Client-wide errors that are no call's: librdkafka recovers by itself, people should know."""
    if error.code() == KafkaError._ALL_BROKERS_DOWN:
        log.warning("no broker can be reached; trying again")


def error_of(exception: KafkaException) -> KafkaError:
    """The KafkaError inside a KafkaException."""
    error = exception.args[0]
    assert isinstance(error, KafkaError)
    return error


class RawRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as it came, with the types that a message without an error really has; a struct is made in half the time of a
    named tuple."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def raw_record(message: Message) -> RawRecord:
    """The record inside a consumed message that has no error."""
    try:
        headers = message.headers() or []
    except SystemError:  # what confluent-kafka makes of a header name that is not UTF-8
        headers = [(HEADERS_UNREADABLE, None)]
    return RawRecord(
        message.topic(),  # type: ignore[arg-type]  # None only beside an error; a cast here would cost a call per field
        message.partition(),  # type: ignore[arg-type]
        message.offset(),  # type: ignore[arg-type]
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers,  # type: ignore[arg-type]
    )


def end_of_partition(message: Message) -> tuple[str, int, int]:
    """Topic, partition and offset of an end-of-partition event."""
    return cast(str, message.topic()), cast(int, message.partition()), cast(int, message.offset())
