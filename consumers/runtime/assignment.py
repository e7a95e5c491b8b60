"""Which partitions this worker owns, and whether they are ready.

A task is one partition number of all inputs, with its store. Its inputs stay paused until every input of that number is ours
(else two workers could write one user's state) and the store is restored, and while a batch waits for a server. The callbacks
run inside the consumer's poll, where no transaction is ever open; they only take note, since an error raised inside one would
leave the consumer unable to close.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime.processor import TopicPartition
from consumers.runtime.restore import Restorer
from consumers.runtime.store import Position, Store
from schemas.errors import ConfigError, TaskCorrupted
from schemas.metrics import PARTITIONS
from schemas.topics import Topic

log = logging.getLogger("portrait.assignment")


@dataclass
class Task:
    """One partition number of all inputs. `input_offsets` are the committed ones, by topic."""

    partition: int
    store: Store | None
    restored: bool
    restoring: bool
    wiped: bool = False
    topics: set[str] = field(default_factory=set)
    input_offsets: dict[str, int] = field(default_factory=dict)


class Assignment:
    """The tasks of one consumer, kept by its rebalance callbacks."""

    def __init__(
        self,
        consumer: Consumer,
        inputs: Iterable[Topic],
        folder: Path,
        restorer: Restorer | None,
        on_revoked: Callable[[frozenset[TopicPartition], frozenset[int]], None],
    ) -> None:
        self.tasks: dict[int, Task] = {}
        self.joined = False
        self._consumer = consumer
        self._inputs = [topic.name for topic in inputs]
        self._folder = folder
        self._restorer = restorer
        self._on_revoked = on_revoked
        self._held = False
        consumer.subscribe(self._inputs, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    @property
    def ready(self) -> bool:
        """Whether all that was assigned is restored."""
        return self.joined and all(self._runs(task) for task in self.tasks.values())

    def _runs(self, task: Task) -> bool:
        return task.restored and len(task.topics) == len(self._inputs)

    def _on_assign(self, consumer: Consumer, partitions: list[KafkaTopicPartition]) -> None:
        self.joined = True
        consumer.incremental_assign(partitions)
        for assigned in partitions:
            task = self.tasks.get(assigned.partition) or self._new_task(assigned.partition)
            task.topics.add(assigned.topic)
        self._pause_what_waits()
        PARTITIONS.set(len(self.tasks))
        log.info("assigned %s", sorted((part.topic, part.partition) for part in partitions))

    def _new_task(self, partition: int) -> Task:
        task = Task(partition, None, restored=self._restorer is None, restoring=self._restorer is None)
        self.tasks[partition] = task
        return task

    def _start_restore(self, task: Task) -> None:
        assert self._restorer is not None
        task.store = task.store or Store(self._folder, task.partition)
        try:
            self._restorer.start(task.store)
        except TaskCorrupted as error:
            log.warning("%s", error)
            self._wipe(task)
            self._restorer.start(task.store)
        task.restoring = True

    def _wipe(self, task: Task) -> None:
        assert task.store is not None
        task.wiped = True
        task.store.wipe()

    def _on_revoke(self, consumer: Consumer, partitions: list[KafkaTopicPartition]) -> None:
        for revoked in partitions:
            task = self.tasks.get(revoked.partition)
            if task is not None:
                task.topics.discard(revoked.topic)
        gone = frozenset(number for number, task in self.tasks.items() if not task.topics)
        self._on_revoked(frozenset(TopicPartition(part.topic, part.partition) for part in partitions), gone)
        for number in gone:
            self._close_task(self.tasks.pop(number))
        consumer.incremental_unassign(partitions)
        self._pause_what_waits()
        PARTITIONS.set(len(self.tasks))
        log.info("revoked %s", sorted((part.topic, part.partition) for part in partitions))

    def _close_task(self, task: Task) -> None:
        if self._restorer is not None:
            self._restorer.drop(task.partition)
        if task.store is not None:
            task.store.close()

    def restore_step(self) -> None:
        """Start what is new, restore one slice; tasks that are done begin to read their inputs.

        Raises:
            Retryable: the broker does not answer, or a changelog's end cannot be reached.
        """
        for task in self.tasks.values():
            if not task.restoring:
                self._start_restore(task)
        if self._restorer is None or not self._restorer.restoring:
            return
        for number in self._restorer.step():
            self._prove(self.tasks[number])
        self._pause_what_waits()

    def _prove(self, task: Task) -> None:
        """The store's input offsets must be the group's committed ones, else something was missed."""
        assert task.store is not None
        asked = [KafkaTopicPartition(topic, task.partition) for topic in self._inputs]
        committed = {part.topic: part.offset for part in self._consumer.committed(asked, timeout=30) if part.offset >= 0}
        position = task.store.position()
        if dict(position.input_offsets) == committed:
            task.input_offsets = committed
            task.restored = True
            return
        detail = f"restored input offsets {dict(position.input_offsets)} are not the group's committed {committed}"
        if task.wiped:
            raise ConfigError(
                f"partition {task.partition}: {detail}, even after a full restore; the changelog or the group's offsets "
                "were changed from outside. Restore the offsets, or delete the group and the changelog to fold again"
            )
        log.warning("%s", TaskCorrupted(task.partition, detail))
        self._wipe(task)
        self._start_restore(task)

    def hold(self, held: bool) -> None:
        """Pause every input, or let those that are ready read again; polling goes on either way."""
        if held != self._held:
            self._held = held
            self._pause_what_waits()

    def _pause_what_waits(self) -> None:
        waiting: list[KafkaTopicPartition] = []
        running: list[KafkaTopicPartition] = []
        for task in self.tasks.values():
            parts = [KafkaTopicPartition(topic, task.partition) for topic in task.topics]
            (running if self._runs(task) and not self._held else waiting).extend(parts)
        if waiting:
            self._consumer.pause(waiting)
        if running:
            self._consumer.resume(running)

    def record_commit(self, partition: int, position: Position, states: dict[str, bytes | None]) -> None:
        """Step 8 for one partition: the committed states and offsets go into its store in one write."""
        task = self.tasks[partition]
        task.input_offsets = dict(position.input_offsets)
        if task.store is not None:
            task.store.write(states, position)

    def close(self) -> None:
        """Close all stores."""
        for task in self.tasks.values():
            self._close_task(task)
        self.tasks.clear()
        PARTITIONS.set(0)
