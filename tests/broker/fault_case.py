"""One fault case: topics, group and stores of its own on the shared broker, real workers, and the judgement by a plain fold.

`python -m tests.broker.fault_case CASE STOP_FILE` is a worker of a case as a process of its own. It stops itself, as by
SIGSTOP, in the middle of a transaction where STOP_FILE exists; with `--idle` before one that no input asked for.
"""

import itertools
import json
import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient

from consumers.runtime.changelog import PROGRESS_KEY
from consumers.runtime.clients import RawRecord
from consumers.runtime.processor import Batch, Output, Outputs
from consumers.runtime.store import Store
from consumers.runtime.worker import Worker
from deploy.reading import read_all
from deploy.topics import ensure_topics
from producers.publisher import Publisher
from schemas.errors import Retryable
from schemas.settings import RuntimeSettings, Settings, load_settings
from schemas.topics import Topic
from tests.benchmarks.tag_fold import (
    EVENTS,
    STATES,
    SUMMARIES,
    Event,
    State,
    Summary,
    TagFold,
    decode_event,
    encode,
    fold,
    summary,
)
from tests.chaos.feed import events
from tests.chaos.fold_judge import Log, Version, check_stores, digest

FORGET = "forget"
"""The item id that makes the fold delete a user's state."""


class CaseFold(TagFold):
    """TagFold on the topics of one case. `before_batch` is called with each batch that has records."""

    def __init__(self, case: str, before_batch: Callable[[], None] = lambda: None) -> None:
        self.name = case
        self.inputs = (replace(EVENTS, name=f"{case}-events"),)
        self.changelog = replace(STATES, name=f"{case}-states")
        self.summaries = replace(SUMMARIES, name=f"{case}-summaries")
        self.folded = 0
        self._before_batch = before_batch

    def process(self, batch: Batch) -> Outputs:
        if batch.records:
            self._before_batch()
        outputs = super().process(batch)
        outputs.records = [Output(self.summaries, key, message) for _, key, message in outputs.records]
        for record in batch.records:
            if record.message.item_id == FORGET:
                outputs.states[record.partition, record.key] = None
        self.folded += len(batch.records)
        return outputs


class FaultCase:
    """What a test needs to do harm and to see that none was done."""

    def __init__(self, settings: Settings, folder: Path, partitions: int = 2, changelog: dict[str, str] | None = None) -> None:
        self.name = f"case-{uuid.uuid4().hex[:10]}"
        self.kafka = settings.kafka.model_copy(update={"partitions": partitions})
        self.settings = settings.model_copy(update={"kafka": self.kafka, "runtime": RuntimeSettings(folder=folder)})
        self.folder = folder
        self.partitions = partitions
        self.sent: list[Event] = []
        fold_ = CaseFold(self.name)
        self.events, self.summaries = fold_.inputs[0], fold_.summaries
        self.states = replace(fold_.changelog, config=changelog or {})
        ensure_topics(self.settings, topics=(self.events, self.states, self.summaries))
        self.admin = AdminClient({**self.kafka.client_config(), "log_level": 0})
        self._reader = Consumer(
            {**self.kafka.client_config(), "group.id": self.name, "isolation.level": "read_uncommitted", "log_level": 0}
        )
        self.stream = events(seed=5, users=40)

    def send(self, number: int) -> list[Event]:
        """Send the next events and keep them for the judgement."""
        return self.send_these(itertools.islice(self.stream, number))

    def send_these(self, chosen: Iterable[Event]) -> list[Event]:
        sent = list(chosen)
        with Publisher(self.kafka) as publisher:
            for event in sent:
                publisher.send_raw(self.events, event.user_id.encode(), encode(event))
        self.sent += sent
        return sent

    def send_in_a_transaction(self, number: int) -> None:
        """Send the next events as another transactional job would: each partition then ends with a marker."""
        producer = Producer(
            {**self.kafka.client_config(), "transactional.id": f"{self.name}-source", "partitioner": "murmur2_random"}
        )
        producer.init_transactions(30)
        producer.begin_transaction()
        for event in itertools.islice(self.stream, number):
            producer.produce(self.events.name, encode(event), event.user_id)
            self.sent.append(event)
        producer.commit_transaction(30)

    @contextmanager
    def worker(self, replica: str = "0", fold: CaseFold | None = None, **runtime: Any) -> Iterator[Worker]:
        """A worker in a thread; it must end without an error."""
        running = RunningWorker(self._new_worker(replica, fold, runtime))
        try:
            yield running.worker
        finally:
            running.stop()
        assert not running.failures, running.failures

    def failure_of_a_worker(
        self,
        replica: str = "0",
        fold: CaseFold | None = None,
        meanwhile: Callable[[Worker], None] = lambda _: None,
        **runtime: Any,
    ) -> BaseException:
        """Run a worker that must end by itself; gives what it ended with."""
        running = RunningWorker(self._new_worker(replica, fold, runtime))
        try:
            meanwhile(running.worker)
            until(lambda: bool(running.failures), "end of the worker", 60)
        finally:
            running.stop()
        return running.failures[0]

    def _new_worker(self, replica: str, fold: CaseFold | None, runtime: dict[str, Any]) -> Worker:
        own = self.settings.runtime.model_copy(update={"replica": replica, **runtime})
        return Worker(fold or CaseFold(self.name), self.settings.model_copy(update={"runtime": own}), decode_event)

    def work_off(self, replica: str = "0", **runtime: Any) -> None:
        """Run a worker until it has restored all partitions and everything sent is committed."""
        with self.worker(replica, **runtime) as worker:
            until(lambda: hasattr(worker, "_assignment") and worker._assignment.ready, "restored worker")
            self.await_committed()

    def await_committed(self, timeout_s: float = 40.0) -> None:
        until(lambda: self.committed() == self.ends(self.events), "commit of all that was sent", timeout_s)

    def committed(self) -> dict[int, int]:
        """The group's committed offset of each partition; 0 where there is none."""
        parts: list[KafkaTopicPartition] = []

        def answered() -> bool:
            try:
                parts[:] = self._reader.committed(self.parts(self.events), timeout=10)
            except KafkaException:  # the group is new and its coordinator not ready, or a transaction is open
                return False
            return True

        until(answered, "committed offsets")
        return {part.partition: max(0, part.offset) for part in parts}

    def ends(self, topic: Topic) -> dict[int, int]:
        """The high watermark of each partition."""
        return {part.partition: self._reader.get_watermark_offsets(part, timeout=30)[1] for part in self.parts(topic)}

    def parts(self, topic: Topic) -> list[KafkaTopicPartition]:
        return [KafkaTopicPartition(topic.name, number) for number in range(self.partitions)]

    def store_folder(self, replica: str = "0") -> Path:
        return self.folder / "state" / f"{self.name}-{replica}"

    @contextmanager
    def store(self, partition: int, replica: str = "0") -> Iterator[Store]:
        """A store, of a worker that does not run."""
        store = Store(self.store_folder(replica), partition)
        try:
            yield store
        finally:
            store.close()

    def start(self, partition: int) -> int:
        """Where the input begins."""
        return self._reader.get_watermark_offsets(self.parts(self.events)[partition], timeout=30)[0]

    def trim(self, offsets: dict[int, int]) -> None:
        """Delete the input before these offsets, as retention does."""
        for future in self.admin.delete_records(
            [KafkaTopicPartition(self.events.name, number, offset) for number, offset in offsets.items()]
        ).values():
            future.result(30)

    def create_again(self, topic: Topic) -> None:
        """Delete a topic and create it anew, empty."""
        for future in self.admin.delete_topics([topic.name]).values():
            future.result(30)
        until(lambda: topic.name not in self.admin.list_topics(timeout=10).topics, f"end of {topic.name}")
        ensure_topics(self.settings, topics=(topic,))

    def changelog(self) -> list[RawRecord]:
        """Every committed record of the changelog that is left."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return list(read_all(self.kafka, (self.states,)))
            except Retryable:  # a broker that is busy with everything else may be away for a moment
                assert time.monotonic() < deadline

    def judge(self, *replicas: str | Path, without: Iterable[Event] = (), erased: str = "") -> None:
        """Changelog, outputs and stores must be the plain fold of what was sent, record for record."""
        lost = {event.event_id for event in without}
        states: dict[str, State] = {}
        wanted: tuple[dict[Version, bytes], dict[Version, bytes]] = ({}, {})
        for event in self.sent:
            if event.event_id not in lost and event.user_id != erased:
                state = states.setdefault(event.user_id, State())
                fold(state, event)
                version = Version(event.user_id, state.count)
                for digests, value in zip(wanted, (state, summary(state)), strict=True):
                    digests[version] = digest(encode(value))
        counts = {user_id: state.count for user_id, state in states.items()}
        for topic, kind, digests in zip((self.states, self.summaries), (State, Summary), wanted, strict=True):
            log = Log((raw for raw in read_all(self.kafka, (topic,)) if raw.key != erased.encode()), kind)
            assert log.digests.items() <= digests.items(), f"{topic.name} holds what the plain fold never said"
            assert log.last == counts, topic.name
            assert log.duplicated == 0, topic.name
        stores = [own if isinstance(own, Path) else self.store_folder(own) for own in replicas or ("0",)]
        assert check_stores(stores, states, self.partitions) == (len(states), 0)

    def foreign_transaction(self, *partitions: int) -> "ForeignTransaction":
        """On these partitions of the changelog, or on all."""
        return ForeignTransaction(self, partitions or range(self.partitions))

    def foreign_offsets(self, partition: int) -> Producer:
        """Somebody else's open transaction that holds an input offset of the group; to be made while the group is empty."""
        producer = foreign_producer(self)
        part = KafkaTopicPartition(self.events.name, partition, 0)
        producer.send_offsets_to_transaction([part], self._reader.consumer_group_metadata(), 30)
        return producer


class ForeignTransaction:
    """Somebody else's open transaction on partitions of the changelog, with wrong states of real users in it."""

    def __init__(self, case: FaultCase, partitions: Iterable[int]) -> None:
        self._producer = foreign_producer(case)
        for number in partitions:
            for user_id in {event.user_id for event in case.sent}:
                self._producer.produce(case.states.name, b'{"count": 1000000}', user_id, number)
            offsets = json.dumps({case.events.name: 10**9})
            self._producer.produce(case.states.name, offsets, PROGRESS_KEY, number)
        assert self._producer.flush(30) == 0

    def abort(self) -> None:
        self._producer.abort_transaction(30)


def foreign_producer(case: FaultCase) -> Producer:
    """A stranger in the middle of a transaction."""
    producer = Producer(
        {**case.kafka.client_config(), "transactional.id": f"foreign-{case.name}", "transaction.timeout.ms": 60_000}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    return producer


def until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {timeout_s:.0f} s"
        time.sleep(0.1)


class RunningWorker:
    """A worker in a thread, and what it ended with."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:
            self.failures.append(error)

    def stop(self) -> None:
        self.worker.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()


class StoppingWorker(Worker):
    """The real worker; between producing and committing it stops itself where the file says so, and removes the file."""

    stop_file: Path

    def _produce(self, *args: Any) -> Any:
        touched = super()._produce(*args)
        if touched and self.stop_file.exists():
            self._transaction._producer.flush(10)  # type: ignore[union-attr]
            self.stop_file.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        return touched


class TellingFold(CaseFold):
    """The fold; where the file says so it tells of the last user again without an input, but stops the process before that."""

    stop_file: Path
    last: tuple[int, str] | None = None

    def process(self, batch: Batch) -> Outputs:
        outputs = super().process(batch)
        for record in batch.records:
            self.last = record.partition, record.key
        if not batch.records and self.last is not None and self.stop_file.exists():
            partition, user_id = self.last
            outputs.states[self.last] = batch.load(partition, [user_id])[user_id]
            outputs.records.append(Output(self.summaries, user_id, encode(Summary(0, "untold", "untold"))))
            self.stop_file.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        return outputs


def main(case: str, stop_file: Path, idle: bool) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    telling = TellingFold(case)
    telling.stop_file = stop_file
    worker = Worker(telling, load_settings(), decode_event) if idle else stopping_worker(case, stop_file)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


def stopping_worker(case: str, stop_file: Path) -> StoppingWorker:
    worker = StoppingWorker(CaseFold(case), load_settings(), decode_event)
    worker.stop_file = stop_file
    return worker


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), "--idle" in sys.argv)
