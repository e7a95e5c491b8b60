"""Partitions whose restore the broker does not let begin: tried again, and in nobody's way."""

from collections.abc import Iterable

import pytest
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime import assignment as module
from consumers.runtime.assignment import Assignment
from consumers.runtime.processor import TopicPartition
from consumers.runtime.store import Position
from schemas.errors import ConfigError, Retryable, TaskCorrupted
from schemas.topics import Key, Topic

INPUT, OTHER = (Topic(name, Key.USER_ID, "delete", "") for name in ("in", "other"))
COMMITTED = {"in": 3}


class Quiet:
    """A consumer, and a placement that puts everything at what is committed."""

    def subscribe(self, *topics: object, **callbacks: object) -> None: ...

    def pause(self, parts: object) -> None: ...

    def resume(self, parts: object) -> None: ...

    def incremental_assign(self, parts: object) -> None: ...

    def incremental_unassign(self, parts: object) -> None: ...

    def committed(self, partitions: Iterable[int], patience_s: float) -> dict[int, dict[str, int]]:
        return dict.fromkeys(partitions, COMMITTED)

    def place(self, topic: str, partition: int, committed: object) -> int:
        return 3


class FakeStore:
    def __init__(self, partition: int) -> None:
        self.partition, self.held = partition, Position()

    def position(self) -> Position:
        return self.held

    def wipe(self) -> None:
        self.held = Position()

    def close(self) -> None: ...


class FakeRestorer:
    """Restores at once; `refused` partitions cannot begin, `corrupt` ones fail once while they are read."""

    topic = "log"

    def __init__(self) -> None:
        self.refused: set[int] = set()
        self.corrupt: set[int] = set()
        self.progress = COMMITTED
        self.asked = 0
        self._under_way: dict[int, FakeStore] = {}

    @property
    def restoring(self) -> bool:
        return bool(self._under_way)

    def start(self, store: FakeStore) -> None:
        self.asked += 1
        if store.partition in self.refused:
            raise Retryable("the ends are not known")
        self._under_way[store.partition] = store

    def step(self, serving: bool) -> list[int]:
        for number in self.corrupt & self._under_way.keys():
            self.corrupt.remove(number)
            raise TaskCorrupted(number, "cut while it was read")
        done = list(self._under_way)
        for store in self._under_way.values():
            store.held = Position(5, self.progress)
        self._under_way.clear()
        return done

    def drop(self, number: int) -> None:
        self._under_way.pop(number, None)


def assigned(*numbers: int) -> tuple[FakeRestorer, Assignment]:
    restorer, quiet = FakeRestorer(), Quiet()
    assignment = Assignment(quiet, [INPUT], FakeStore, restorer, quiet, lambda parts, tasks: None)  # type: ignore[arg-type]
    assign(assignment, *numbers)
    return restorer, assignment


def assign(assignment: Assignment, *numbers: int) -> None:
    assignment._on_assign(Quiet(), [KafkaTopicPartition("in", number) for number in numbers])  # type: ignore[arg-type]


def turns(assignment: Assignment, number: int = 4) -> None:
    for _ in range(number):
        try:
            assignment.restore_step()
        except Retryable:
            continue


def test_a_store_that_was_wiped_while_the_broker_was_silent_is_restored_when_it_answers() -> None:
    restorer, assignment = assigned(0)
    restorer.corrupt = {0}
    assignment.restore_step()  # wiped
    restorer.refused = {0}
    turns(assignment)
    assert not assignment.ready
    restorer.refused.clear()
    turns(assignment)
    assert assignment.ready


def test_a_wiped_store_is_not_judged_before_it_is_restored() -> None:
    restorer, assignment = assigned(0)
    restorer.progress = {"in": 2}  # not what the group committed: doubted, then wiped
    turns(assignment, 2)
    restorer.refused, restorer.progress = {0}, COMMITTED
    turns(assignment)  # ConfigError "even after a full restore" would end the test
    restorer.refused.clear()
    turns(assignment)
    assert assignment.ready


def test_what_no_restore_mends_ends_the_worker() -> None:
    restorer, assignment = assigned(0)
    restorer.progress = {"in": 2}
    with pytest.raises(ConfigError, match="even after a full restore"):
        turns(assignment, 10)


def test_a_partition_that_cannot_begin_does_not_hold_up_one_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_AGAIN_S", 0.0)
    restorer, assignment = assigned(0)
    turns(assignment)
    restorer.refused = {1}
    assign(assignment, 1)
    for _ in range(3):
        assignment.restore_step()  # would raise, and stop the turn
    assert assignment.reads(TopicPartition("in", 0)) and not assignment.ready
    restorer.refused.clear()
    turns(assignment)
    assert assignment.ready


def test_a_silent_broker_is_asked_for_one_partition_a_turn() -> None:
    restorer, assignment = assigned(0)
    turns(assignment)
    restorer.refused = {1, 2, 3}
    assign(assignment, 1, 2, 3)
    for turn in range(1, 4):
        before = restorer.asked
        assignment.restore_step()
        assert restorer.asked == before + 1, turn
    restorer.refused.clear()
    for task in assignment.tasks.values():
        task.start_at_s = 0.0
    turns(assignment)
    assert assignment.ready


def test_alone_it_makes_the_worker_wait() -> None:
    restorer, assignment = assigned(0)
    restorer.refused = {0}
    with pytest.raises(Retryable):
        assignment.restore_step()


def test_a_role_is_told_of_a_partition_that_waits_for_an_input_which_moved() -> None:
    told: list[tuple[object, object]] = []
    restorer, quiet = FakeRestorer(), Quiet()
    assignment = Assignment(  # type: ignore[arg-type]
        quiet, [INPUT, OTHER], FakeStore, restorer, quiet, lambda parts, tasks: told.append((parts, tasks))
    )
    both = [KafkaTopicPartition(topic.name, 0) for topic in (INPUT, OTHER)]
    assignment._on_assign(quiet, both)  # type: ignore[arg-type]
    turns(assignment)
    assert assignment.ready
    assignment._on_revoke(quiet, both[:1])  # type: ignore[arg-type]
    assert told == [({TopicPartition("in", 0), TopicPartition("other", 0)}, {0})]
    turns(assignment)
    assert not assignment.reads(TopicPartition("other", 0))
    assignment._on_assign(quiet, both[:1])  # type: ignore[arg-type]
    turns(assignment)
    assert assignment.reads(TopicPartition("other", 0)) and assignment.ready


def test_a_transaction_without_inputs_commits_an_offset_again() -> None:
    _, assignment = assigned(0)
    with pytest.raises(Retryable, match="no partition is ours"):
        assignment.committed_again()
    turns(assignment)
    assert assignment.committed_again() == {TopicPartition("in", 0): 3}
