"""Whose committed offsets are known, while an open transaction holds those of some partitions."""

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime import placement as module
from consumers.runtime.placement import Placement
from schemas.errors import Retryable

TOPICS = ["a", "b"]
PATIENCE_S = 0.2


class Group:
    """A consumer that says nothing in time when one of the partitions asked for is held; and the only clock there is."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.error = KafkaError._TIMED_OUT
        self.asked: list[set[int]] = []
        self.now_s = 0.0

    def committed(self, parts: list[KafkaTopicPartition], timeout: float) -> list[KafkaTopicPartition]:
        numbers = {part.partition for part in parts}
        self.asked.append(numbers)
        if numbers & self.held:
            self.now_s += timeout + 0.001
            raise KafkaException(KafkaError(self.error))
        self.now_s += 0.001
        return [KafkaTopicPartition(part.topic, part.partition, 7 if part.topic == "a" else -1001) for part in parts]

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    group = Group()
    monkeypatch.setattr(module, "time", group)
    return group


def placement(group: Group, *held: int) -> Placement:
    group.held = set(held)
    return Placement(group, TOPICS, False)  # type: ignore[arg-type]


def test_all_are_asked_at_once_and_what_was_never_committed_is_left_out(group: Group) -> None:
    placed = placement(group)
    assert placed.committed(range(24), PATIENCE_S) == {number: {"a": 7} for number in range(24)}
    assert len(group.asked) == 1


def test_one_that_is_held_does_not_hide_the_others(group: Group) -> None:
    placed = placement(group, 1)
    known = placed.committed(range(4), PATIENCE_S) | placed.committed(range(4), PATIENCE_S)
    assert known == {number: {"a": 7} for number in (0, 2, 3)}
    group.held.clear()
    assert 1 in placed.committed(range(4), PATIENCE_S)
    group.asked.clear()
    placed.committed(range(4), PATIENCE_S)
    assert group.asked == [{0, 1, 2, 3}]


def test_many_that_are_held_take_turns_and_never_more_than_twice_the_time(group: Group) -> None:
    placed = placement(group, *range(10))
    seen: set[int] = set()
    for _ in range(12):
        began_s = group.now_s
        assert placed.committed(range(10), PATIENCE_S) == {}
        assert group.now_s - began_s < 2.1 * PATIENCE_S
        seen |= {number for numbers in group.asked if len(numbers) == 1 for number in numbers}
    assert seen == set(range(10))


def test_a_refusal_is_no_silence(group: Group) -> None:
    placed = placement(group, 0)
    group.error = KafkaError.GROUP_AUTHORIZATION_FAILED
    with pytest.raises(Retryable, match="not to be had"):
        placed.committed([0], PATIENCE_S)
