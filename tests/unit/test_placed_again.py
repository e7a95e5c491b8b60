"""An input topic that was made anew is read from its beginning, once its loss is accepted."""

import pytest
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime.assignment import Assignment, Task
from consumers.runtime.placement import Placement
from schemas.errors import ConfigError
from schemas.topics import Key, Topic

INPUT = Topic("t", Key.USER_ID, "delete", "")


class AnewTopic:
    """A consumer of a topic that holds offsets 0 to 19."""

    def __init__(self) -> None:
        self.seeks: list[int] = []

    def subscribe(self, *topics: object, **callbacks: object) -> None: ...

    def pause(self, parts: object) -> None: ...

    def resume(self, parts: object) -> None: ...

    def get_watermark_offsets(self, part: KafkaTopicPartition, timeout: float) -> tuple[int, int]:
        return 0, 20

    def seek(self, part: KafkaTopicPartition) -> None:
        self.seeks.append(part.offset)


def assigned(accept_lost_input: bool) -> tuple[AnewTopic, Assignment]:
    consumer = AnewTopic()
    placement = Placement(consumer, [INPUT.name], accept_lost_input)  # type: ignore[arg-type]
    placement.committed = lambda partitions, patience_s: {number: {INPUT.name: 100} for number in partitions}  # type: ignore[method-assign]
    assignment = Assignment(consumer, [INPUT], None, None, placement, lambda parts, tasks: None)  # type: ignore[arg-type]
    assignment.tasks[0] = Task(0, topics={INPUT.name}, unplaced={INPUT.name})
    assignment.joined = True
    return consumer, assignment


def test_what_the_new_topic_holds_is_all_unread() -> None:
    consumer, assignment = assigned(accept_lost_input=True)
    assignment.restore_step()
    assert assignment.ready and consumer.seeks == [0]
    assert assignment.tasks[0].input_offsets == {INPUT.name: 0}  # not 100, below which all would be left out as repeated


def test_nothing_is_accepted_in_silence() -> None:
    _, assignment = assigned(accept_lost_input=False)
    with pytest.raises(ConfigError, match="ACCEPT_LOST_INPUT"):
        assignment.restore_step()
