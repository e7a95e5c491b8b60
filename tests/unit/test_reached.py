"""What is to be committed, and what counts as read."""

from consumers.runtime.assignment import Task
from consumers.runtime.processor import TopicPartition
from consumers.runtime.reached import Reached

A, B = TopicPartition("a", 0), TopicPartition("b", 0)


def test_only_offsets_that_move_are_committed() -> None:
    reached = Reached()
    assert reached.to_commit({A: 5}, {}) == {A: 5}
    reached.advance({A: 5}, {A: 5})
    assert reached.to_commit({}, {}) == {}
    assert reached.to_commit({A: 5, B: 1}, {}) == {B: 1}


def test_what_is_held_is_committed_once_it_is_let_go() -> None:
    reached = Reached()
    reached.advance({A: 9}, reached.to_commit({A: 9}, {A: 4}))
    assert reached.to_commit({}, {A: 4}) == {}
    assert reached.to_commit({}, {A: 7}) == {A: 7}
    assert reached.to_commit({}, {}) == {A: 9}


def test_a_batch_that_failed_is_committed_by_its_next_attempt() -> None:
    reached = Reached()
    assert reached.to_commit({A: 5}, {}) == {A: 5}
    assert reached.to_commit({A: 5}, {}) == {A: 5}


def test_lost_partitions_are_forgotten() -> None:
    reached = Reached()
    reached.advance({A: 5, B: 3}, {A: 5, B: 3})
    reached.drop([A])
    assert list(reached) == [B]
    assert reached.to_commit({A: 2}, {}) == {A: 2}, "its next owner may be we, and begin earlier"


def test_markers_behind_the_last_record_count_as_read_but_not_where_nothing_is_known() -> None:
    reached = Reached()
    reached.advance({A: 5}, {A: 5})
    task = Task(0, input_offsets={"a": 5, "b": 3})
    reached.settle({0: task}, {A: 7, B: 4, TopicPartition("a", 1): 9})
    assert reached.to_commit({}, {}) == {A: 7, B: 4}
    reached.advance({}, {A: 7, B: 4})
    reached.settle({0: task}, {A: 8})
    assert reached.to_commit({}, {}) == {}, "seldom"
