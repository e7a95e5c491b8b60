"""Topics that no longer hold what the worker counts on: trimmed, deleted, compacted, forgotten."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from consumers.runtime import clients, reached
from consumers.runtime.processor import Record
from consumers.runtime.store import Position
from consumers.runtime.tables import Tables
from consumers.runtime.worker import Worker
from deploy.local.kafka import BROKER_ID
from deploy.local.stack import LocalStack
from schemas import metrics
from schemas.errors import ConfigError, Retryable
from schemas.settings import KafkaSettings
from tests.benchmarks.tag_fold import Event, decode_event
from tests.broker.fault_case import FORGET, CaseFold, FaultCase, until


@pytest.fixture
def case(kafka: LocalStack, tmp_path: Path) -> FaultCase:
    return FaultCase(kafka.settings, tmp_path)


@pytest.fixture
def tombstones_kept_ms() -> str:
    return "5000"


@pytest.fixture
def compacted(kafka: LocalStack, tmp_path: Path, tombstones_kept_ms: str) -> Iterator[FaultCase]:
    """Its changelog is compacted within a second."""
    config = {"segment.ms": "200", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": tombstones_kept_ms}
    set_cleaner_backoff(kafka.settings.kafka, "100")
    yield FaultCase(kafka.settings, tmp_path, changelog=config)
    set_cleaner_backoff(kafka.settings.kafka, "15000")


def set_cleaner_backoff(kafka: KafkaSettings, milliseconds: str) -> None:
    set_config(kafka, ResourceType.BROKER, str(BROKER_ID), "log.cleaner.backoff.ms", milliseconds)


def set_config(kafka: KafkaSettings, kind: ResourceType, name: str, key: str, value: str) -> None:
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(kind, name, incremental_configs=[entry])
    admin = AdminClient({**kafka.client_config(), "log_level": 0})
    admin.incremental_alter_configs([resource])[resource].result(30)


def test_a_deleted_and_new_changelog_stops_the_worker_with_a_reason(case: FaultCase) -> None:
    case.send(300)
    case.work_off()
    case.create_again(case.states)
    case.send(100)
    committed = case.committed()
    failure = case.failure_of_a_worker()
    assert isinstance(failure, ConfigError)
    assert case.states.name in str(failure) and "even after a full restore" in str(failure)
    assert case.committed() == committed


def test_a_changelog_deleted_under_a_running_worker_stops_it_before_it_commits(case: FaultCase) -> None:
    case.send(300)

    def create_again(_: Worker) -> None:
        case.await_committed()
        case.create_again(case.states)
        case.send(100)

    failure = case.failure_of_a_worker(meanwhile=create_again)
    assert isinstance(failure, ConfigError) and "changelog" in str(failure).lower()
    assert sum(case.committed().values()) == 300


def test_a_table_topic_made_anew_ends_its_reader_with_a_reason(case: FaultCase) -> None:
    case.send(50)
    read: list[Record] = []
    tables = Tables(clients.table_consumer(case.kafka, case.name), (case.events,), decode_event, read.append)
    try:
        tables.read_to_end(30.0)
        assert len(read) == 50
        case.create_again(case.events)
        with pytest.raises(ConfigError, match=f"table topic {case.events.name} was created anew"):
            poll_for(tables, 30.0)
    finally:
        tables.close()


def poll_for(tables: Tables, seconds: float) -> None:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        tables.poll(0.1)


def test_a_full_restore_slower_than_tombstones_last_stops_the_worker(case: FaultCase) -> None:
    case.send(300)
    case.work_off()
    set_config(case.settings.kafka, ResourceType.TOPIC, case.states.name, "delete.retention.ms", "0")
    failure = case.failure_of_a_worker("new")
    assert isinstance(failure, ConfigError)
    assert f"reading all of {case.states.name} took" in str(failure) and "delete.retention.ms 0" in str(failure)


def test_input_trimmed_below_the_committed_offset_stops_the_worker_with_both_offsets(case: FaultCase) -> None:
    case.send(300)
    case.work_off()
    committed = case.committed()
    case.send(300)
    case.trim(case.ends(case.events))
    case.send(300)
    failure = case.failure_of_a_worker()
    assert isinstance(failure, ConfigError)
    text = str(failure)
    starts = {number: case.start(number) for number in range(case.partitions)}
    assert any(
        f"{case.events.name}-{number} begins at offset {starts[number]}" in text and f"offset {committed[number]}:" in text
        for number in starts
    ), text
    assert "PORTRAIT_RUNTIME__ACCEPT_LOST_INPUT=true" in text
    assert case.committed() == committed, "nothing may go on"


def test_an_accepted_loss_is_counted_and_the_rest_is_folded(case: FaultCase) -> None:
    case.send(300)
    case.work_off()
    lost = case.send(300)
    case.trim(case.ends(case.events))
    case.send(300)
    counter = metrics.LOST_MESSAGES.labels(topic=case.events.name)
    before = counter._value.get()
    case.work_off(accept_lost_input=True)
    assert counter._value.get() - before == len(lost)
    case.work_off()
    case.judge(without=lost)


def test_input_trimmed_under_a_running_worker_stops_it_too(case: FaultCase) -> None:
    server_is_down = threading.Event()
    server_is_down.set()

    def before_batch() -> None:
        if server_is_down.is_set():
            raise Retryable("the test says so")

    def trim_ahead(worker: Worker) -> None:
        until(lambda: bool(worker._intake), "batch that waits")
        case.send(300)
        case.trim(case.ends(case.events))
        case.send(300)
        server_is_down.clear()

    case.send(300)
    failure = case.failure_of_a_worker(fold=CaseFold(case.name, before_batch), meanwhile=trim_ahead)
    assert isinstance(failure, ConfigError) and "begins at offset" in str(failure)


def test_a_new_group_starts_where_a_trimmed_log_begins(case: FaultCase) -> None:
    lost = case.send(300)
    case.trim(case.ends(case.events))
    case.send(300)
    case.work_off()
    case.judge(without=lost)


def test_a_trailing_marker_of_a_transaction_is_not_taken_for_lost_input(
    case: FaultCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reached, "SETTLE_S", 0.5)
    case.send_in_a_transaction(100)
    case.work_off()  # committed up to the ends, which are the markers'
    case.trim(case.ends(case.events))
    case.work_off()
    case.send_in_a_transaction(100)
    case.work_off()
    case.judge()


def test_a_second_distrust_after_a_proved_restore_wipes_again(case: FaultCase, caplog: pytest.LogCaptureFixture) -> None:
    case.send(300)
    case.work_off()
    spoil_progress(case)
    with case.worker() as worker:
        case.send(100)
        case.await_committed()
        task = worker._assignment.tasks[0]
        assert task.store is not None and not task.wiped
        position = task.store.position()
        task.store.record_position(Position(position.changelog_offset, {"spoilt": 1}, position.complete_at_ms))
        fence(case)
        case.send(100)
        case.await_committed()
    assert caplog.text.count("its input offsets {'spoilt': 1} are not the group's") == 2
    case.judge()


def spoil_progress(case: FaultCase) -> None:
    """The store of partition 0 says another commit than it is the image of, and lacks states."""
    with case.store(0) as store:
        position = store.position()
        states = dict.fromkeys({event.user_id for event in case.sent})
        store.write(states, Position(position.changelog_offset, {"spoilt": 1}, position.complete_at_ms))


def fence(case: FaultCase) -> None:
    """Take the running worker's producer away from it, as a second start under its name would."""
    producer = clients.transactional_producer(case.kafka, case.name, "0", 10_000)
    producer.init_transactions(30)


def test_who_was_erased_while_a_store_was_away_does_not_come_back(compacted: FaultCase) -> None:
    case = compacted
    case.send(300)
    case.work_off("away")
    erased = case.sent[0].user_id
    home = next(n for n in range(case.partitions) if erased in held(case, n, "away", erased))
    with case.worker("present"):
        case.send_these([Event("erasure", erased, FORGET, [], 0.0)])
        others = (event for event in case.stream if event.user_id != erased)
        deadline = time.monotonic() + 60
        while any(raw.key == erased.encode() for raw in case.changelog()):
            assert time.monotonic() < deadline, "the cleaner did not remove the tombstone"
            case.send_these(itertools.islice(others, 40))
            time.sleep(0.3)
        case.await_committed()
    assert held(case, home, "away", erased), "else this test proves nothing"
    case.work_off("away")
    assert not held(case, home, "away", erased)
    case.judge("away", erased=erased)


def held(case: FaultCase, partition: int, replica: str, user_id: str) -> dict[str, bytes]:
    """The user's state in a store."""
    with case.store(partition, replica) as store:
        return store.load([user_id])


@pytest.mark.parametrize("tombstones_kept_ms", ["86400000"])
def test_a_compacted_tail_is_restored_by_a_store_that_stands_in_it_and_by_a_new_one(compacted: FaultCase) -> None:
    case = compacted
    case.send(300)
    case.work_off("away")
    stands = {}
    for number in range(case.partitions):
        with case.store(number, "away") as store:
            stands[number] = store.position().changelog_offset
    with case.worker("present"):
        deadline = time.monotonic() + 60
        while not all(next_record(case, number, offset) > offset + 10 for number, offset in stands.items()):
            assert time.monotonic() < deadline, "the cleaner left the changelog as it was"
            case.send(60)
            time.sleep(0.3)
        case.await_committed()
    for replica in ("away", "new"):
        case.work_off(replica)
        case.send(50)
        case.work_off(replica)
        case.judge(replica)


def next_record(case: FaultCase, partition: int, offset: int) -> int:
    """The offset of the first committed record of the changelog from there on."""
    left = (raw.offset for raw in case.changelog() if raw.partition == partition and raw.offset >= offset)
    return min(left, default=offset)
