"""Which messages of a poll are taken in."""

from dataclasses import dataclass
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime.clients import RawRecord
from consumers.runtime.intake import Intake, Poller
from consumers.runtime.processor import TopicPartition
from schemas.errors import BadMessage, TaskMigrated
from schemas.metrics import REPEATED


@dataclass
class FakeMessage:
    """What the poller asks of a message."""

    at: tuple[str, int, int]
    failure: KafkaError | None = None
    content: bytes = b"fine"

    def error(self) -> KafkaError | None:
        return self.failure

    def topic(self) -> str:
        return self.at[0]

    def partition(self) -> int:
        return self.at[1]

    def offset(self) -> int:
        return self.at[2]

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000

    def key(self) -> bytes:
        return b"user"

    def value(self) -> bytes:
        return self.content

    def headers(self) -> None:
        return None


class FakeConsumer:
    """Gives what it was made with, once."""

    def __init__(self, messages: list[FakeMessage]) -> None:
        self._messages = messages
        self.sought: list[tuple[str, int, int]] = []

    def seek(self, part: KafkaTopicPartition) -> None:
        self.sought.append((part.topic, part.partition, part.offset))

    def consume(self, number: int, timeout_s: float) -> list[FakeMessage]:
        given, self._messages = self._messages[:number], self._messages[number:]
        return given


def decode(raw: RawRecord) -> tuple[str, Any]:
    if raw.value != b"fine":
        raise BadMessage("invalid", "as the test wants it")
    return "user", raw.offset


def polled(messages: list[FakeMessage], read: set[TopicPartition]) -> tuple[Intake, Poller]:
    def next_offset(part: TopicPartition) -> int | None:
        return 0 if part in read else None

    poller = Poller(cast(Consumer, FakeConsumer(messages)), decode, next_offset, max_batch=100, max_wait_s=0.0)
    intake = Intake()
    poller.poll(intake)
    return intake, poller


def test_what_came_before_a_partition_was_placed_is_left_out() -> None:
    messages = [FakeMessage(("a", number % 2, offset)) for offset, number in enumerate([0, 0, 1, 1, 0, 1])]
    intake, _ = polled(messages, {TopicPartition("a", 1)})
    assert [(record.partition, record.offset) for record in intake.records] == [(1, 2), (1, 3), (1, 5)]
    assert intake.positions == {TopicPartition("a", 1): 6}


def test_an_end_counts_only_where_we_read() -> None:
    ends = [FakeMessage(("a", number, 9), KafkaError(KafkaError._PARTITION_EOF)) for number in (0, 1)]
    intake, poller = polled(ends, {TopicPartition("a", 1)})
    assert not intake
    assert poller.ends == {TopicPartition("a", 1): 9}


def test_refused_messages_become_dead_letters_and_count_as_read() -> None:
    part = TopicPartition("a", 0)
    intake, _ = polled([FakeMessage(("a", 0, 4), content=b"spoilt"), FakeMessage(("a", 0, 5))], {part})
    assert [letter.reason for letter in intake.dead_letters] == ["invalid"]
    assert [record.offset for record in intake.records] == [5]
    assert intake.positions == {part: 6}


def test_a_lost_partition_takes_its_records_and_letters_with_it() -> None:
    parts = {TopicPartition("a", 0), TopicPartition("a", 1)}
    messages = [FakeMessage(("a", 0, 1)), FakeMessage(("a", 1, 1), content=b"spoilt"), FakeMessage(("a", 1, 2))]
    intake, _ = polled(messages, parts)
    intake.drop(frozenset({TopicPartition("a", 1)}))
    assert [(record.partition, record.offset) for record in intake.records] == [(0, 1)]
    assert intake.dead_letters == []
    assert intake.positions == {TopicPartition("a", 0): 2}


def test_a_failed_consumer_is_left_and_a_passing_failure_is_not() -> None:
    polled([FakeMessage(("a", 0, 0), KafkaError(KafkaError._TRANSPORT))], set())
    with pytest.raises(TaskMigrated):
        polled([FakeMessage(("a", 0, 0), KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))], set())


def test_a_client_that_goes_back_by_itself_is_placed_again_and_nothing_is_folded_twice() -> None:
    """After a broker's restart a partition was read from its beginning again, onto states that held all of it."""
    part = TopicPartition("a", 0)
    consumer = FakeConsumer([FakeMessage(("a", 0, offset)) for offset in (7, 8, 0, 1, 2)] + [FakeMessage(("b", 0, 0))])
    poller = Poller(cast(Consumer, consumer), decode, {part: 7, TopicPartition("b", 0): 0}.get, max_batch=100, max_wait_s=0.0)
    before = REPEATED.labels(topic="a")._value.get()
    intake = Intake()
    poller.poll(intake)
    assert [(record.topic, record.offset) for record in intake.records] == [("a", 7), ("a", 8), ("b", 0)]
    assert intake.positions[part] == 9 and consumer.sought == [("a", 0, 9)]
    assert REPEATED.labels(topic="a")._value.get() == before + 3


def test_what_lies_before_the_committed_offset_is_not_folded_again() -> None:
    consumer = FakeConsumer([FakeMessage(("a", 0, 0)), FakeMessage(("a", 0, 1))])
    poller = Poller(cast(Consumer, consumer), decode, {TopicPartition("a", 0): 2}.get, max_batch=100, max_wait_s=0.0)
    intake = Intake()
    poller.poll(intake)
    assert not intake.records and not intake.positions and set(consumer.sought) == {("a", 0, 2)}
