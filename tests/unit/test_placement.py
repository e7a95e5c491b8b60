"""Whose committed offsets are known, while an open transaction holds those of some partitions."""

import time

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime.placement import Placement
from schemas.errors import Retryable

TOPICS = ["a", "b"]
PATIENCE_S = 0.02


class Group:
    """A consumer that says nothing in time when one of the partitions asked for is held."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.error = KafkaError._TIMED_OUT
        self.asked: list[set[int]] = []

    def committed(self, parts: list[KafkaTopicPartition], timeout: float) -> list[KafkaTopicPartition]:
        numbers = {part.partition for part in parts}
        self.asked.append(numbers)
        if numbers & self.held:
            time.sleep(timeout)
            raise KafkaException(KafkaError(self.error))
        return [KafkaTopicPartition(part.topic, part.partition, 7 if part.topic == "a" else -1001) for part in parts]


def placement(*held: int) -> tuple[Group, Placement]:
    group = Group()
    group.held = set(held)
    return group, Placement(group, TOPICS, False)  # type: ignore[arg-type]


def test_all_are_asked_at_once_and_what_was_never_committed_is_left_out() -> None:
    group, placed = placement()
    assert placed.committed(range(24), PATIENCE_S) == {number: {"a": 7} for number in range(24)}
    assert len(group.asked) == 1


def test_one_that_is_held_does_not_hide_the_others() -> None:
    group, placed = placement(1)
    known = placed.committed(range(4), PATIENCE_S) | placed.committed(range(4), PATIENCE_S)
    assert known == {number: {"a": 7} for number in (0, 2, 3)}
    group.held.clear()
    assert 1 in placed.committed(range(4), PATIENCE_S)
    group.asked.clear()
    placed.committed(range(4), PATIENCE_S)
    assert group.asked == [{0, 1, 2, 3}]


def test_many_that_are_held_take_turns_and_never_more_than_twice_the_time() -> None:
    group, placed = placement(*range(10))
    seen: set[int] = set()
    for _ in range(12):
        began_s = time.monotonic()
        assert placed.committed(range(10), PATIENCE_S) == {}
        assert time.monotonic() - began_s < 4 * PATIENCE_S
        seen |= {number for numbers in group.asked if len(numbers) == 1 for number in numbers}
    assert seen == set(range(10))


def test_a_refusal_is_no_silence() -> None:
    group, placed = placement(0)
    group.error = KafkaError.GROUP_AUTHORIZATION_FAILED
    with pytest.raises(Retryable, match="not to be had"):
        placed.committed([0], PATIENCE_S)
