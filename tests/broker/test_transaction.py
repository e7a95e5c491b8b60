"""Transactions on a real broker: a commit is all or nothing, also when the broker refuses one record."""

import gc
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from consumers.runtime import clients
from consumers.runtime.transaction import Transaction
from deploy.local.stack import LocalStack
from schemas.errors import ProducerLost, Retryable
from schemas.settings import KafkaSettings

LIMIT_BYTES = 2000


@pytest.fixture
def topic(kafka: LocalStack, request: pytest.FixtureRequest) -> Iterator[str]:
    """A topic of one partition that refuses records above 2,000 bytes, or above what the test is parametrised with."""
    name = f"narrow-{uuid.uuid4().hex}"
    admin = clients.admin(kafka.settings.kafka, "transactions-admin")
    limit_bytes = getattr(request, "param", LIMIT_BYTES)
    wanted = NewTopic(name, num_partitions=1, replication_factor=1, config={"max.message.bytes": str(limit_bytes)})
    admin.create_topics([wanted])[name].result(20)
    yield name
    admin.delete_topics([name])[name].result(20)


def open_transaction(kafka: KafkaSettings) -> Transaction:
    return Transaction(clients.transactional_producer(kafka, "transactions", uuid.uuid4().hex, 10_000))


def committed_values(kafka: KafkaSettings, topic: str) -> list[bytes | None]:
    """What a read-committed reader finds in the topic, to its end."""
    consumer = clients.table_consumer(kafka, "transactions-reader")
    consumer.assign([KafkaTopicPartition(topic, 0, 0)])
    found: list[bytes | None] = []
    while (message := consumer.poll(20)) is not None and message.error() is None:
        found.append(message.value())
    consumer.close()
    assert message is not None, "the end of the partition was not reached"
    return found


def commit(transaction: Transaction, topic: str, *values: bytes) -> None:
    with transaction:
        for value in values:
            transaction.produce(topic, b"key", value, 0)
        transaction.finish()


def no_group() -> object:
    raise AssertionError("no offsets, no group")


def test_delivered_is_the_offset_after_the_progress_record(kafka: LocalStack, topic: str) -> None:
    transaction = open_transaction(kafka.settings.kafka)
    for turn in range(2):
        with transaction:
            transaction.add_offsets([], no_group)
            transaction.produce(topic, b"a", b"state", 0)
            transaction.produce_progress(topic, 0, b"progress")
            transaction.finish()
        assert transaction.delivered == {0: 3 * turn + 2}  # the marker takes an offset of its own
    assert committed_values(kafka.settings.kafka, topic) == [b"state", b"progress"] * 2


@pytest.mark.parametrize("topic", [100_000], indirect=True)
def test_records_are_as_large_as_the_broker_takes_them_once_compressed(kafka: LocalStack, topic: str) -> None:
    """A dead letter holds what came, which a producer with stronger compression had made small enough."""
    large = b"x" * 3_000_000
    commit(open_transaction(kafka.settings.kafka), topic, large)
    assert committed_values(kafka.settings.kafka, topic) == [large]


def test_one_refused_record_aborts_the_whole_transaction(kafka: LocalStack, topic: str) -> None:
    incompressible = b"".join(uuid.uuid4().bytes for _ in range(LIMIT_BYTES // 4))
    transaction = open_transaction(kafka.settings.kafka)
    with pytest.raises(Retryable, match="failed"):
        commit(transaction, topic, b"small", incompressible)
    with suppress(Retryable):  # librdkafka 2.16 may count the refused record on, and needs one more abort to begin anew
        commit(transaction, topic, b"once more")
    commit(transaction, topic, b"after")
    assert committed_values(kafka.settings.kafka, topic)[-1:] == [b"after"]
    assert not {b"small", incompressible} & {*committed_values(kafka.settings.kafka, topic)}


def test_leaving_the_block_early_aborts(kafka: LocalStack, topic: str) -> None:
    transaction = open_transaction(kafka.settings.kafka)
    with suppress(ZeroDivisionError), transaction:
        transaction.produce(topic, b"a", b"lost", 0)
        raise ZeroDivisionError
    commit(transaction, topic, b"kept")
    assert committed_values(kafka.settings.kafka, topic) == [b"kept"]


def test_a_second_producer_of_the_same_id_fences_the_first(kafka: LocalStack, topic: str) -> None:
    settings = kafka.settings.kafka
    first = Transaction(clients.transactional_producer(settings, "transactions", "shared", 10_000))
    second = Transaction(clients.transactional_producer(settings, "transactions", "shared", 10_000))
    with pytest.raises(ProducerLost):
        commit(first, topic, b"zombie")
    commit(second, topic, b"live")
    assert committed_values(settings, topic) == [b"live"]


def clients_alive() -> int:
    """How many of librdkafka's clients this process has: each has one thread of this name."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            names.append((task / "comm").read_text().strip())
    return names.count("rdk:main")


def lose_one(kafka: KafkaSettings, topic: str) -> None:
    """Lose a producer before it reported that a progress record was delivered."""
    transaction = open_transaction(kafka)
    with suppress(ProducerLost), transaction:
        transaction.produce_progress(topic, 0, b"progress")
        raise ProducerLost("its broker went away")


def test_a_lost_producer_leaves_no_client_behind(kafka: LocalStack, topic: str) -> None:
    gc.collect()
    before = clients_alive()
    gc.disable()
    try:
        for _ in range(3):
            lose_one(kafka.settings.kafka, topic)
    finally:
        gc.enable()
    assert clients_alive() == before
