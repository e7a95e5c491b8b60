"""Which partitions this worker owns, and whether they are ready.

A task is one partition number of all inputs, with its store. Its inputs stay paused until every input of that number is ours
(else two workers could write one user's state) and the store is restored, and while a batch waits for a server. The callbacks
run inside the consumer's poll, where no transaction is ever open; they only take note, since an error raised inside one would
leave the consumer unable to close.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime.clients import error_of
from consumers.runtime.processor import TopicPartition
from consumers.runtime.restore import Restorer
from consumers.runtime.store import Position, Store
from schemas.errors import ConfigError, Retryable, TaskCorrupted
from schemas.metrics import PARTITIONS
from schemas.topics import Topic

log = logging.getLogger("portrait.assignment")

COMMITTED_TIMEOUT_S = 5.0
"""Waits for the committed offsets; far below max.poll.interval.ms, as nothing is polled meanwhile."""


@dataclass
class Task:
    """One partition number of all inputs. `input_offsets` are the committed ones, by topic.

    A store is first restoring, then read to the changelog's end, then proved: only then it is restored. `rewind` says that the
    inputs stand beyond the committed offsets.
    """

    partition: int
    store: Store | None
    restored: bool
    restoring: bool
    read: bool = False
    rewind: bool = False
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
        task.restoring, task.read = True, False

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
        for number in self._restorer.step() if self._restorer is not None and self._restorer.restoring else []:
            self.tasks[number].read = True
        unproved = [task for task in self.tasks.values() if task.read and not task.restored]
        if unproved:
            self._prove(unproved)
            self._pause_what_waits()

    def _prove(self, tasks: Sequence[Task]) -> None:
        """The stores' input offsets must be the group's committed ones, else something was missed."""
        committed = self._committed(tasks)
        for task in tasks:
            own = committed[task.partition]
            restored = own if task.store is None else dict(task.store.position().input_offsets)
            if restored != own:
                self._distrust(task, f"restored input offsets {restored}", own)
                continue
            if task.rewind:
                self._rewind(task, own)
            task.input_offsets = own
            task.restored, task.wiped = True, False

    def _rewind(self, task: Task, committed: Mapping[str, int]) -> None:
        """Read the task's inputs again from what is committed."""
        for topic in task.topics:
            try:
                self._consumer.seek(KafkaTopicPartition(topic, task.partition, committed.get(topic, OFFSET_BEGINNING)))
            except KafkaException as error:
                raise Retryable(f"{topic}-{task.partition} cannot be rewound yet: {error_of(error).str()}") from error
        task.rewind = False

    def _committed(self, tasks: Sequence[Task]) -> dict[int, dict[str, int]]:
        """The group's committed input offsets, by partition and topic."""
        asked = [KafkaTopicPartition(topic, task.partition) for task in tasks for topic in self._inputs]
        try:
            answer = self._consumer.committed(asked, timeout=COMMITTED_TIMEOUT_S)
        except KafkaException as error:
            raise Retryable(
                f"the group's committed offsets are not to be had ({error_of(error).str()}); should this last although the "
                "broker answers, an unfinished transaction is open on __consumer_offsets: see docs/streaming-core.md"
            ) from error
        offsets: dict[int, dict[str, int]] = {task.partition: {} for task in tasks}
        for part in answer:
            if part.offset >= 0:
                offsets[part.partition][part.topic] = part.offset
        return offsets

    def _distrust(self, task: Task, restored: str, committed: Mapping[str, int]) -> None:
        """The proof failed: restore once more from nothing, and give up should that not help."""
        detail = f"{restored} are not the group's committed {dict(committed)}"
        if task.wiped:
            raise ConfigError(
                f"partition {task.partition}: {detail}, even after a full restore; the changelog or the group's offsets "
                "were changed from outside. Restore the offsets, or delete the group and the changelog to fold again"
            )
        log.warning("%s", TaskCorrupted(task.partition, detail))
        self._wipe(task)
        self._start_restore(task)

    def start_over(self) -> None:
        """Go back to what is committed: read every changelog's tail, then the inputs from their committed offsets."""
        for task in self.tasks.values():
            if self._restorer is not None:
                self._restorer.drop(task.partition)
            task.restored, task.rewind = False, True
            task.restoring = task.read = self._restorer is None
        self._pause_what_waits()

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
