"""The worker: one process of one role. Polls, processes, commits; survives what can be survived.

Retryable keeps the batch and tries it again after a pause, polling all the while; ProducerLost takes a new producer, reads the
changelog's tail and goes on from the committed offsets; TaskMigrated drops everything and joins again; ConfigError ends the
process.
"""

import gc
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaTopicPartition
from pydantic import BaseModel

from consumers.runtime import clients
from consumers.runtime.assignment import Assignment
from consumers.runtime.backoff import Backoff
from consumers.runtime.changelog import encode_progress
from consumers.runtime.health import Health
from consumers.runtime.intake import Decoder, Intake, Poller
from consumers.runtime.lag import Lag
from consumers.runtime.packing import Packed, pack
from consumers.runtime.placement import Placement
from consumers.runtime.processor import Batch, Outputs, Processor, StateKey, TopicPartition
from consumers.runtime.reached import Reached
from consumers.runtime.restore import Restorer
from consumers.runtime.store import Position, Store, StoreMemory
from consumers.runtime.tables import Tables
from consumers.runtime.transaction import Transaction
from schemas import metrics
from schemas.errors import BadMessage, ConfigError, PortraitError, ProducerLost, Retryable, TaskCorrupted, TaskMigrated
from schemas.messages import encode, version_headers
from schemas.settings import FoldSettings, Settings
from schemas.topics import DEAD_LETTERS
from schemas.wire import decode

log = logging.getLogger("portrait.worker")

BACKOFF_S = (0.2, 5.0)
START_BUDGET_S = 30.0
TABLES_BUDGET_S = 120.0
LEAVE_BUDGET_S = 60.0
COMPRESSION, HARDER_COMPRESSION = "lz4", "zstd"
"""The second once a dead letter needs it: it costs more at each event."""
LETTER_FITS_BYTES = 64 * 1024
"""Such dead letters fit into any topic, and their delivery is not watched: there may be as many as messages."""

PackedStates = dict[StateKey, Packed | None]
"""What a commit puts on the changelog and into the stores; None is a tombstone."""


class Worker:
    """Runs a Processor until stopped. `decode` reads its inputs and tables; the default knows Portrait's own topics."""

    def __init__(self, processor: Processor, settings: Settings, decode: Decoder | None = None) -> None:
        self._processor = processor
        self._settings = settings
        self._input_names = [topic.name for topic in processor.inputs]
        self._decode = decode or partial(_decode_ours, settings.fold)
        self._stop = threading.Event()
        self._health = Health(settings.runtime, processor.name)
        self._store_memory = StoreMemory(settings.runtime.store_memory_mb * 1024 * 1024)
        self._intake = Intake()
        self._reached = Reached()
        self._started = False
        self._transaction: Transaction | None = None
        self._compression = COMPRESSION
        self._refused_letters: list[int] = []
        self._backoff = Backoff(*BACKOFF_S)

    @property
    def started(self) -> bool:
        """Whether it has found what it needs and begun to work."""
        return self._started

    def stop(self) -> None:
        """Ask the worker to finish its batch and leave; safe from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Work until stopped.

        Raises:
            ConfigError: something is missing or wrong that a person must mend.
        """
        self._health.start()
        try:
            self._startup()
            spare_the_collector()
            self._started = True
            while not self._stop.is_set():
                try:
                    self._join()
                    self._main_loop()
                except (TaskMigrated, KafkaException) as error:
                    log.warning("%s; dropping all partitions and joining again", error)
                    metrics.ABORTS.labels(cause="migrated").inc()
                    self._stop.wait(1.0)
                finally:
                    self._leave()
            self._tables.close()
        finally:
            self._health.stop()

    def _startup(self) -> None:
        kafka = self._settings.kafka
        admin = clients.admin(kafka, f"{self._processor.name}-admin")
        try:
            known = admin.list_topics(timeout=START_BUDGET_S).topics
        except KafkaException as error:
            reason = clients.error_of(error).str()
            raise ConfigError(
                f"cannot reach Kafka at {kafka.bootstrap_servers} ({reason}): start it with `portrait up`, "
                "or set PORTRAIT_KAFKA__BOOTSTRAP_SERVERS"
            ) from error
        changelog = () if self._processor.changelog is None else (self._processor.changelog,)
        needed = (*self._processor.inputs, *self._processor.tables, *changelog, DEAD_LETTERS)
        missing = sorted(topic.name for topic in needed if topic.name not in known)
        if missing:
            raise ConfigError(f"Kafka has no topics {', '.join(missing)}: create them with `portrait topics`")
        counts = {topic.name: len(known[topic.name].partitions) for topic in (*self._processor.inputs, *changelog)}
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{name} has {count}" for name, count in sorted(counts.items()))
            raise ConfigError(
                f"the inputs of {self._processor.name} and its changelog need the same number of partitions, as a user's "
                f"messages and state share one, but {found}: create the topics anew with `portrait topics`"
            )
        self._processor.startup()
        self._tables = Tables(
            clients.table_consumer(kafka, f"{self._processor.name}-tables-{self._settings.runtime.replica}"),
            self._processor.tables,
            self._decode,
            self._processor.on_table_record,
        )
        self._tables.read_to_end(TABLES_BUDGET_S)

    def _join(self) -> None:
        settings, name = self._settings, self._processor.name
        replica = settings.runtime.replica
        changelog, runtime = self._processor.changelog, settings.runtime
        admin = partial(clients.admin, settings.kafka, f"{name}-admin")
        self._consumer = clients.input_consumer(settings.kafka, name, replica)
        self._restorer = None
        if changelog is not None:
            reader = clients.table_consumer(settings.kafka, f"{name}-restore-{replica}")
            self._restorer = Restorer(reader, admin, changelog.name, runtime.restore_timeout_s)
        placement = Placement(self._consumer, self._input_names, runtime.accept_lost_input)
        folder = Path(runtime.folder) / "state" / f"{name}-{replica}"
        open_store = partial(Store, folder, memory=self._store_memory)
        self._assignment = Assignment(
            self._consumer, self._processor.inputs, open_store, self._restorer, placement, self._drop
        )
        self._poller = Poller(self._consumer, self._decode, self._next_offset, runtime.max_batch, runtime.max_wait_ms / 1000)
        observer = partial(clients.group_observer, settings.kafka, name)
        self._lag = Lag(admin, observer, self._input_names, self._read_to)

    def _next_offset(self, part: TopicPartition) -> int | None:
        """Which offset of an input partition is to be folded next; None while it is not read."""
        if not self._assignment.reads(part):
            return None
        return self._reached.next_offset(part, self._assignment.tasks[part.partition].input_offsets.get(part.topic, 0))

    def _read_to(self, part: TopicPartition) -> int | None:
        """The end of what was read of an input partition, with the markers behind it; None while it is not read."""
        offset = self._next_offset(part)
        return None if offset is None else max(offset, self._poller.ends.get(part, 0))

    def _leave(self) -> None:
        self._health.ready(False)
        assignment: Assignment | None = getattr(self, "_assignment", None)
        if assignment is None:
            return
        self._close_consumer()
        assignment.close()
        if self._restorer is not None:
            self._restorer.close()
        self._drop_all()
        del self._assignment

    def _close_consumer(self) -> None:
        """Leave the group. Should that hang, the process must end: a member that only sits there keeps its partitions."""
        closing = threading.Thread(target=self._consumer.close, name="leave-group", daemon=True)
        closing.start()
        closing.join(LEAVE_BUDGET_S)
        if closing.is_alive():
            raise ConfigError(f"the consumer could not leave its group within {LEAVE_BUDGET_S:.0f} s; start this worker again")

    def _drop(self, revoked: frozenset[TopicPartition], tasks: frozenset[int]) -> None:
        """Partitions are no longer ours, some of them with their whole task: forget all uncommitted work on them."""
        self._intake.drop(revoked)
        self._reached.drop(revoked)
        for part in revoked:
            self._poller.ends.pop(part, None)
        self._processor.on_revoked(tasks)

    def _drop_all(self) -> None:
        self._transaction = None
        read = frozenset(self._reached) | frozenset(self._intake.positions)
        self._drop(read, frozenset(part.partition for part in read) | frozenset(self._assignment.tasks))
        self._poller.ends.clear()

    def _main_loop(self) -> None:
        while not self._stop.is_set():
            self._health.beat()
            self._tables.poll()
            try:
                if not self._backoff.waiting and self._assignment.tasks:
                    self._transaction = self._transaction or self._new_transaction()
                    self._assignment.restore_step()
                self._health.ready(self._assignment.ready)
                self._micro_batch()
            except ProducerLost as error:
                log.warning("%s; going on from what is committed, with a new producer", error)
                metrics.ABORTS.labels(cause="producer").inc()
                self._drop_all()
                self._assignment.start_over()
                self._backoff.failed()
            except TaskCorrupted as error:
                self._drop_all()
                self._assignment.start_over()
                self._assignment.distrust(error)
            except (Retryable, BadMessage) as error:  # BadMessage: a model refuses its input; waiting loses nothing
                self._back_off(error)
            self._reached.settle(self._assignment.tasks, self._poller.ends)
            if self._assignment.joined:
                self._lag.report(self._assignment.parts())

    def _new_transaction(self) -> Transaction:
        """A producer of our own, which fences the one before it. Never asked for before something is assigned to us: a second
        worker with our replica name is refused by the group, and must not fence us."""
        runtime = self._settings.runtime
        name, timeout_ms = self._processor.name, runtime.transaction_timeout_ms
        kafka, compression = self._settings.kafka, self._compression
        return Transaction(clients.transactional_producer(kafka, name, runtime.replica, timeout_ms, compression), timeout_ms)

    def _micro_batch(self) -> None:
        """One turn, in the order that makes it exactly once. A failure in 2 to 7 leaves the batch in `_intake`; a death
        between 7 and 8 is healed by restore, since the changelog holds absolute values."""
        # 1. poll a micro-batch and decode it; a batch that is waiting to be tried again comes first
        if self._backoff.waiting or self._transaction is None:
            return self._poller.keep_alive(self._intake)
        if not self._intake:
            self._poller.poll(self._intake)
        intake = self._intake
        # 2. fold into an overlay and call the models; no transaction is open yet
        started = time.perf_counter()
        outputs = self._processor.process(Batch(intake.records, self._load, self._assignment.served, self._sample))
        offsets = self._reached.to_commit(intake.positions, outputs.hold)
        if outputs.records or outputs.states:
            offsets = offsets or self._assignment.committed_again()
        if offsets:
            committing = time.perf_counter()
            with self._transaction as transaction:  # 3. begin
                # 4. add the input offsets
                kafka_offsets = [KafkaTopicPartition(*part, offset) for part, offset in offsets.items()]
                transaction.add_offsets(kafka_offsets, self._consumer.consumer_group_metadata)
                # 5. changelog, outputs and dead letters
                touched, packed = self._produce(transaction, intake, outputs, offsets)
                # 6. flush, every delivery a success; 7. commit
                self._finish(transaction)
            # 8. one write per store: states, changelog offset, input offsets
            self._store(packed, touched, transaction.delivered)
            metrics.COMMIT_SECONDS.observe(time.perf_counter() - committing)
        # 9. nothing of this batch is left to do
        self._reached.advance(intake.positions, offsets)
        self._intake = Intake()
        self._processor.on_committed()
        self._assignment.hold(outputs.pause)
        self._backoff.succeeded()
        if intake:
            self._count(intake, time.perf_counter() - started)

    def _load(self, partition: int, keys: Sequence[str]) -> Mapping[str, bytes]:
        store = self._assignment.tasks[partition].store
        return store.load(keys) if store is not None else {}

    def _sample(self, partition: int) -> Sequence[str]:
        store = self._assignment.tasks[partition].store
        return store.sample() if store is not None else ()

    def _produce(
        self, transaction: Transaction, intake: Intake, outputs: Outputs, offsets: dict[TopicPartition, int]
    ) -> tuple[dict[int, dict[str, int]], PackedStates]:
        """Step 5. Gives the input offsets of every partition that this commit touches, and the states as they are kept.

        A state is packed when it is produced: while we pack the next, the client sends.
        """
        headers = version_headers()
        touched: dict[int, dict[str, int]] = {}
        for part, offset in offsets.items():
            known = self._assignment.tasks[part.partition].input_offsets
            touched.setdefault(part.partition, dict(known))[part.topic] = offset
        for partition in {number for number, _ in outputs.states} - touched.keys():  # a role may change them without an input
            touched[partition] = dict(self._assignment.tasks[partition].input_offsets)
        packed: PackedStates = {}
        changelog = self._processor.changelog
        if changelog is not None:
            for place, state in outputs.states.items():
                kept = packed[place] = None if state is None else pack(state)
                partition, key = place
                transaction.produce(changelog.name, key.encode(), kept, partition)
            for partition, input_offsets in touched.items():
                transaction.produce_progress(changelog.name, partition, encode_progress(input_offsets))
        for topic, key, message in outputs.records:
            value = encode(message) if isinstance(message, BaseModel) else message
            transaction.produce(topic.name, key.encode(), value, headers=headers)
        refused = partial(_note_refused, self._refused_letters)
        for letter in intake.dead_letters:
            watched = refused if len(letter.value or b"") > LETTER_FITS_BYTES else None
            transaction.produce(DEAD_LETTERS.name, letter.key, letter.value, headers=letter.headers, on_delivery=watched)
        return touched, packed

    def _finish(self, transaction: Transaction) -> None:
        """Steps 6 and 7. A letter holds what came, and what came may be compressed harder than the worker does."""
        self._refused_letters.clear()
        try:
            transaction.finish(self._assignment.check_changelog)
        except Retryable as error:
            if not self._refused_letters:
                raise
            letter = f"a dead letter of {max(self._refused_letters):,} bytes does not fit into {DEAD_LETTERS.name}"
            if self._compression == HARDER_COMPRESSION:
                raise ConfigError(
                    f"{letter} even compressed by {self._compression}; raise the topic's max.message.bytes"
                ) from error
            self._compression = HARDER_COMPRESSION
            raise ProducerLost(f"{letter}; {self._compression} from now on") from error

    def _store(self, states: PackedStates, touched: dict[int, dict[str, int]], delivered: Mapping[int, int]) -> None:
        """Step 8."""
        of_partition: dict[int, dict[str, Packed | None]] = {partition: {} for partition in touched}
        for (partition, key), state in states.items():
            of_partition[partition][key] = state
        for partition, input_offsets in touched.items():
            changelog_offset = delivered.get(partition, 0)
            self._assignment.record_commit(partition, Position(changelog_offset, input_offsets), of_partition[partition])

    def _back_off(self, error: PortraitError) -> None:
        """Keep the batch, stop reading, try again after a pause that grows and jitters."""
        pause_s = self._backoff.failed(error.retry_in_s if isinstance(error, Retryable) else None)
        self._assignment.hold(True)
        metrics.RETRIES.labels(cause=type(error).__name__).inc()
        log.warning("%s; trying again in %.1f s", error, pause_s)

    def _count(self, intake: Intake, seconds: float) -> None:
        metrics.BATCH_MESSAGES.observe(len(intake.records) + len(intake.dead_letters))
        for topic, messages in Counter(record.topic for record in intake.records).items():
            metrics.MESSAGES.labels(topic=topic).inc(messages)
        for letter in intake.dead_letters:
            metrics.DEAD_LETTERS.labels(reason=letter.reason).inc()
        log.debug("micro-batch of %d messages in %.1f ms", len(intake.records), seconds * 1000)


def spare_the_collector() -> None:
    """Look for reference cycles seldom, and never among what start-up read: micro-batches make many objects and no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _note_refused(sizes: list[int], error: KafkaError | None, message: Message) -> None:
    """Of letters. It knows no worker: a producer that is lost must not be kept by what it never delivered."""
    if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        sizes.append(len(message.value() or b""))


def _decode_ours(limits: FoldSettings, raw: clients.RawRecord) -> tuple[str, Any]:
    return decode(raw.topic, raw.key, raw.value, raw.headers, raw.timestamp_ms, limits)
