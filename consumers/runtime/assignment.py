"""Which partitions this worker owns, and whether they are ready.

A task is one partition number of all inputs, with its store. Its inputs stay paused until every input of that number is ours
(else two workers could write one user's state) and the store is restored, and while a batch waits for a server. The callbacks
run inside the consumer's poll, where no transaction is ever open; they take note and close what is gone, and no more, since an
error raised inside one would leave the consumer unable to close.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from confluent_kafka import OFFSET_BEGINNING, Consumer
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime.packing import Packed
from consumers.runtime.placement import Placement
from consumers.runtime.processor import TopicPartition
from consumers.runtime.restore import Restorer, now_ms
from consumers.runtime.store import Position, Store
from schemas.errors import ConfigError, Retryable, TaskCorrupted
from schemas.metrics import PARTITIONS
from schemas.topics import Topic

log = logging.getLogger("portrait.assignment")

RESTORE_TURN_S = 0.5
"""How long restores may keep the loop from polling while no partition is ready to be read."""

ASK_AGAIN_S = 1.0
"""How often, while others are served, it is asked whether a partition's committed offsets are free."""
PATIENCE_S, PATIENCE_WITH_OTHERS_S = 2.0, 0.2
"""How long the answer is waited for: nothing is read meanwhile."""


@dataclass
class Task:
    """One partition number of all inputs. `input_offsets` are the committed ones, by topic.

    A store is first restoring, then read to the changelog's end, then proved: only then it is restored. `unplaced` are the
    topics of which the consumer does not stand at the committed offset, `begins` where it was placed in the others.
    `start_at_s` is when a restore that the broker did not let begin is tried again.
    """

    partition: int
    store: Store | None = None
    restored: bool = False
    restoring: bool = False
    read: bool = False
    doubted: bool = False
    wiped: bool = False
    topics: set[str] = field(default_factory=set)
    unplaced: set[str] = field(default_factory=set)
    begins: dict[str, int] = field(default_factory=dict)
    input_offsets: dict[str, int] = field(default_factory=dict)
    changelog_offset: int = 0
    start_at_s: float = 0.0


class Assignment:
    """The tasks of one consumer, kept by its rebalance callbacks."""

    def __init__(
        self,
        consumer: Consumer,
        inputs: Iterable[Topic],
        open_store: Callable[[int], Store],
        restorer: Restorer | None,
        placement: Placement,
        on_revoked: Callable[[frozenset[TopicPartition], frozenset[int]], None],
    ) -> None:
        self.tasks: dict[int, Task] = {}
        self.joined = False
        self._consumer = consumer
        self._inputs = [topic.name for topic in inputs]
        self._open_store = open_store
        self._restorer = restorer
        self._on_revoked = on_revoked
        self._held = False
        self._turn_ms = now_ms()
        self._placement = placement
        self._ask_at_s = 0.0
        consumer.subscribe(self._inputs, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    @property
    def ready(self) -> bool:
        """Whether all that was assigned is restored."""
        return self.joined and all(self._runs(task) for task in self.tasks.values())

    def reads(self, part: TopicPartition) -> bool:
        """Whether this partition is ours and stands where it belongs."""
        task = self.tasks.get(part.partition)
        return task is not None and self._runs(task) and part.topic in task.topics

    @property
    def served(self) -> frozenset[int]:
        """Partition numbers that are restored and read."""
        return frozenset(number for number, task in self.tasks.items() if self._runs(task))

    def parts(self) -> list[TopicPartition]:
        """Every input partition that is ours, read or not."""
        return [TopicPartition(topic, task.partition) for task in self.tasks.values() for topic in sorted(task.topics)]

    def _runs(self, task: Task) -> bool:
        return task.restored and self._whole(task)

    @property
    def _busy(self) -> bool:
        """Whether any partition is read or restored."""
        return bool(self.served) or bool(self._restorer and self._restorer.restoring)

    def _whole(self, task: Task) -> bool:
        """Whether every input of this partition number is ours; until then another worker may still commit on it."""
        return len(task.topics) == len(self._inputs)

    def _on_assign(self, consumer: Consumer, partitions: list[KafkaTopicPartition]) -> None:
        self.joined = True
        # They are paused here and placed later; without an offset, one that has none committed would be an error at once.
        consumer.incremental_assign([KafkaTopicPartition(part.topic, part.partition, OFFSET_BEGINNING) for part in partitions])
        for assigned in partitions:
            task = self.tasks.setdefault(assigned.partition, Task(assigned.partition))
            task.topics.add(assigned.topic)
            task.unplaced.add(assigned.topic)
            task.restored = False
        self._pause_what_waits()
        PARTITIONS.set(len(self.tasks))
        log.info("assigned %s", sorted((part.topic, part.partition) for part in partitions))

    def _start_restore(self, task: Task) -> None:
        if self._restorer is None:
            task.restoring = task.read = True
            return
        task.restoring = task.read = False  # until it has begun: the broker may not say where the changelog ends
        task.store = task.store or self._open_store(task.partition)
        try:
            self._restorer.start(task.store)
        except TaskCorrupted as error:
            self._wipe(task, error)
            self._restorer.start(task.store)
        task.restoring = True

    def _wipe(self, task: Task, why: TaskCorrupted) -> None:
        assert task.store is not None
        log.warning("%s", why)
        task.wiped, task.doubted = True, False
        task.store.wipe()

    def _on_revoke(self, consumer: Consumer, partitions: list[KafkaTopicPartition]) -> None:
        revoked = {TopicPartition(part.topic, part.partition) for part in partitions}
        torn = {part.partition: self.tasks[part.partition] for part in revoked if part.partition in self.tasks}
        for number, task in torn.items():  # what else is read of these numbers has to wait, and is read again
            revoked |= {TopicPartition(topic, number) for topic in task.topics}
            task.topics -= {part.topic for part in partitions if part.partition == number}
            task.unplaced, task.restored = set(task.topics), False
        self._on_revoked(frozenset(revoked), frozenset(torn))
        for number in [number for number, task in torn.items() if not task.topics]:
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
        """Start what is new, restore for a while; tasks that are done begin to read their inputs.

        Raises:
            Retryable: the broker does not answer, or a changelog's end cannot be reached.
            ConfigError: changelog, committed offsets and inputs do not fit together.
        """
        self._turn_ms = now_ms()
        if all(self._runs(task) for task in self.tasks.values()):
            return
        waiting = (task for task in self.tasks.values() if not task.restoring and self._whole(task))
        for task in [task for task in waiting if time.monotonic() >= task.start_at_s]:
            if not self._try_to_start(task):
                break  # each question to a silent broker takes its time, and nothing is polled meanwhile
        self._restore()
        unproved = [task for task in self.tasks.values() if task.read and not task.restored and self._whole(task)]
        if unproved and time.monotonic() >= self._ask_at_s:
            self._prove_all(unproved)
            self._pause_what_waits()

    def _try_to_start(self, task: Task) -> bool:
        """Begin to restore. While others have work, one whose ends the broker does not tell is asked for later: then False."""
        try:
            self._start_restore(task)
            return True
        except Retryable as error:
            if not self._busy:
                raise
            task.start_at_s = time.monotonic() + ASK_AGAIN_S
            log.warning("%s; the others go on", error)
            return False

    def _restore(self) -> None:
        """One slice while others are served, more of them while nobody is."""
        serving = bool(self.served)  # the others must not hold it up
        until = 0.0 if serving else time.monotonic() + RESTORE_TURN_S
        while self._restorer is not None and self._restorer.restoring:
            try:
                done = self._restorer.step(serving)
            except TaskCorrupted as error:
                self.distrust(error)
                return
            for number in done:
                self.tasks[number].read = True
            if done or time.monotonic() > until:
                return

    def _prove_all(self, tasks: Sequence[Task]) -> None:
        """What can be proved is; the rest waits, and only while there is nothing else to do does the whole worker."""
        try:
            patience_s = PATIENCE_WITH_OTHERS_S if self._busy else PATIENCE_S
            committed = self._placement.committed((task.partition for task in tasks), patience_s)
            for task in tasks:
                if task.partition in committed:
                    self._prove(task, committed[task.partition])
        except Retryable as error:
            if not self._busy:
                raise
            self._ask_at_s = time.monotonic() + ASK_AGAIN_S
            log.warning("%s; the others go on", error)
            return
        held = [task.partition for task in tasks if task.partition not in committed]
        if not held:
            return
        problem = (
            f"committed offsets of partitions {held} are not told: an open transaction holds them, or the broker is silent; "
            "should this last, it is an unfinished transaction on __consumer_offsets: see docs/streaming-core.md"
        )
        if not self._busy:
            raise Retryable(problem)
        self._ask_at_s = time.monotonic() + ASK_AGAIN_S
        log.warning("%s; the others go on", problem)

    def _prove(self, task: Task, own: dict[str, int]) -> None:
        """The store's input offsets must be the group's committed ones, `own`, else something was missed."""
        position = Position(input_offsets=own) if task.store is None else task.store.position()
        restored = dict(position.input_offsets)
        if restored != own:
            self._doubt(task, f"its input offsets {restored} are not the group's committed {own}")
            return
        begun = dict(own)
        for topic in sorted(task.unplaced):
            first = self._placement.place(topic, task.partition, own)
            if first < own.get(topic, first):  # a topic made anew, whose loss was accepted: what it holds is all unread
                begun[topic] = first
            task.begins[topic] = first
            task.unplaced.discard(topic)
        task.input_offsets, task.changelog_offset = begun, position.changelog_offset
        task.restored, task.doubted, task.wiped = True, False, False

    def _doubt(self, task: Task, detail: str) -> None:
        """Read on once: the partition's last owner may have committed after we asked where the changelog ends."""
        if task.doubted:
            self.distrust(TaskCorrupted(task.partition, detail))
        else:
            self._start_restore(task)
            task.doubted = True

    def distrust(self, why: TaskCorrupted) -> None:
        """Restore a partition once more from nothing.

        Raises:
            ConfigError: that has been done, and did not help.
        """
        assert self._restorer is not None
        task = self.tasks[why.partition]
        if task.wiped:
            raise ConfigError(
                f"partition {task.partition}: {why.detail}, even after a full restore. Changelog {self._restorer.topic} or "
                "the group's offsets were deleted or changed from outside, or the offsets expired. Set the group's offsets "
                "back to those of the changelog, or delete both to fold again"
            )
        self._restorer.drop(task.partition)
        self._wipe(task, why)
        task.restored = task.restoring = task.read = False  # the next turn starts it
        task.start_at_s = 0.0

    def committed_again(self) -> dict[TopicPartition, int]:
        """One offset that is committed already, for a transaction that moves none: a worker whose partitions went to another
        while it slept is refused by its offsets, and by nothing else (KIP-447).

        Raises:
            Retryable: no partition is read, so nothing may be sent.
        """
        for part in self.parts():
            if self.reads(part):
                task = self.tasks[part.partition]
                return {part: task.input_offsets.get(part.topic, task.begins[part.topic])}
        raise Retryable("no partition is ours, so what is to be sent waits")

    def start_over(self) -> None:
        """Go back to what is committed: read every changelog's tail, then the inputs from their committed offsets."""
        for task in self.tasks.values():
            if self._restorer is not None:
                self._restorer.drop(task.partition)
            task.restored = task.restoring = task.read = False
            task.unplaced = set(task.topics)
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

    def check_changelog(self, delivered: Mapping[int, int]) -> None:
        """Before a commit: what was just logged must lie behind what the stores hold; `delivered` are the offsets after it.

        Raises:
            ConfigError: the changelog is not the one the stores were made from.
        """
        for number, offset in delivered.items():
            held = self.tasks[number].changelog_offset
            if offset <= held:
                raise ConfigError(
                    f"partition {number}: a record of this commit lies at changelog offset {offset - 1}, but the store holds "
                    f"the changelog up to {held}: it was deleted and created again under this worker. Nothing was committed; "
                    "delete the group's offsets too, to fold again"
                )

    def record_commit(self, partition: int, position: Position, states: dict[str, Packed | None]) -> None:
        """Step 8 for one partition: the committed states and offsets go into its store in one write."""
        task = self.tasks[partition]
        task.input_offsets, task.changelog_offset = dict(position.input_offsets), position.changelog_offset
        if task.store is not None:  # the commit proves that the task was ours since before the turn began
            task.store.write(states, replace(position, complete_at_ms=self._turn_ms))

    def close(self) -> None:
        """Close all stores."""
        for task in self.tasks.values():
            self._close_task(task)
        self.tasks.clear()
        PARTITIONS.set(0)
