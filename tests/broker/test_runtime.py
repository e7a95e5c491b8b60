"""The streaming core on a real broker: what is committed, what comes back, and what is refused."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from consumers.runtime.packing import MARK, unpack
from consumers.runtime.processor import Processor
from consumers.runtime.worker import Worker
from deploy.local.stack import LocalStack
from producers.publisher import Publisher
from schemas.messages import BehaviorEvent
from schemas.settings import RuntimeSettings, Settings
from schemas.topics import BEHAVIOR_EVENTS, DEAD_LETTERS, RECOMMENDATIONS, USER_STATE
from tests.broker.counter import EventCounter

PROGRESS_KEY = b"\x00progress"


@pytest.fixture
def settings(kafka: LocalStack, tmp_path: Path) -> Settings:
    runtime = RuntimeSettings(folder=tmp_path)
    return kafka.settings.model_copy(update={"runtime": runtime})


@contextmanager
def running(processor: Processor, settings: Settings) -> Iterator[Worker]:
    worker = Worker(processor, settings)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(60)
        assert not thread.is_alive()
    assert not failures, failures


def read_topic(settings: Settings, topic: str, done: Callable[[list], bool], timeout_s: float = 30.0) -> list:
    """All committed records of a topic, from its beginning until `done` says so."""
    config = {"group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
    consumer = Consumer({**settings.kafka.client_config(), **config})
    consumer.subscribe([topic])
    found: list = []
    deadline = time.monotonic() + timeout_s
    try:
        while not done(found):
            assert time.monotonic() < deadline, f"{topic}: {len(found)} records after {timeout_s} s"
            found += [message for message in consumer.consume(500, 0.2) if message.error() is None]
    finally:
        consumer.close()
    return found


def counts(settings: Settings, users: set[str], wanted: int, timeout_s: float = 30.0) -> dict[str, int]:
    """The last published count of each of these users, once they sum up to `wanted`."""

    def last(found: list) -> dict[str, int]:
        values = {message.key().decode(): json.loads(message.value())["state_version"] for message in found}
        return {user: count for user, count in values.items() if user in users}

    return last(read_topic(settings, RECOMMENDATIONS.name, lambda found: sum(last(found).values()) >= wanted, timeout_s))


def send_events(settings: Settings, users: set[str], each: int, tag: str) -> None:
    with Publisher(settings.kafka) as publisher:
        for number in range(each):
            for user in users:
                event = BehaviorEvent(
                    event_id=f"{tag}-{user}-{number}", user_id=user, item_id="i", type="view",
                    event_time_ms=int(time.time() * 1000),
                )  # fmt: skip
                publisher.send(BEHAVIOR_EVENTS, user, event)


def new_users(number: int) -> set[str]:
    return {f"user-{uuid.uuid4().hex[:12]}" for _ in range(number)}


def test_counts_every_event_and_publishes_once_per_user_and_batch(settings: Settings) -> None:
    users = new_users(20)
    with running(EventCounter(), settings):
        send_events(settings, users, 50, "a")
        assert counts(settings, users, 1000) == dict.fromkeys(users, 50)


def test_state_comes_back_after_a_restart_with_and_without_the_local_store(settings: Settings, tmp_path: Path) -> None:
    users = new_users(10)
    with running(EventCounter(), settings):
        send_events(settings, users, 10, "a")
        counts(settings, users, 100)
    with running(EventCounter(), settings):
        send_events(settings, users, 10, "b")
        assert counts(settings, users, 200) == dict.fromkeys(users, 20)
    elsewhere = settings.model_copy(update={"runtime": settings.runtime.model_copy(update={"folder": tmp_path / "new"})})
    with running(EventCounter(), elsewhere):
        send_events(settings, users, 1, "c")
        assert counts(settings, users, 210) == dict.fromkeys(users, 21)


def test_the_changelog_holds_every_state_and_the_offsets(settings: Settings) -> None:
    users = new_users(5)
    with running(EventCounter(), settings):
        send_events(settings, users, 4, "a")
        counts(settings, users, 20)
    records = read_topic(settings, USER_STATE.name, lambda found: users <= {message.key().decode() for message in found})
    assert any(message.key() == PROGRESS_KEY for message in records)
    kept = {message.key().decode(): message.value() for message in records if message.key() != PROGRESS_KEY}
    for user in users:
        assert kept[user].startswith(MARK), "what is not packed is read too, so only this tells"
        assert json.loads(unpack(kept[user])) == [f"a-{user}-{number}" for number in range(4)]


def test_a_retryable_failure_repeats_the_batch_and_loses_nothing(settings: Settings) -> None:
    users = new_users(5)
    processor = EventCounter()
    processor.failures_left = 4
    with running(processor, settings):
        send_events(settings, users, 10, "a")
        assert counts(settings, users, 50) == dict.fromkeys(users, 10)
    assert processor.failures_left == 0


def test_a_bad_message_goes_to_dead_letters_with_its_bytes_and_reason(settings: Settings) -> None:
    users = new_users(3)
    bad = b'{"event_id": "x\xff'
    key = uuid.uuid4().hex.encode()
    with running(EventCounter(), settings):
        send_events(settings, users, 5, "a")
        with Publisher(settings.kafka) as publisher:
            publisher.send_raw(BEHAVIOR_EVENTS, key, bad, [("trace", b"1")])
        send_events(settings, users, 5, "b")
        assert counts(settings, users, 30) == dict.fromkeys(users, 10)
        letters = read_topic(settings, DEAD_LETTERS.name, lambda found: any(letter.key() == key for letter in found))
    letter = next(letter for letter in letters if letter.key() == key)
    headers = dict(letter.headers())
    assert letter.value() == bad
    assert headers["portrait-reason"] == b"not_json"
    assert headers["portrait-source-topic"] == BEHAVIOR_EVENTS.name.encode()
    assert headers["trace"] == b"1"


def test_two_workers_share_the_partitions_and_one_takes_over_when_the_other_leaves(settings: Settings) -> None:
    users = new_users(40)
    other = settings.model_copy(update={"runtime": settings.runtime.model_copy(update={"replica": "1"})})
    first, second = EventCounter(), EventCounter()
    with running(first, settings):
        send_events(settings, users, 5, "a")
        with running(second, other):
            send_events(settings, users, 5, "b")
            time.sleep(3)
            before = first.processed
            send_events(settings, users, 5, "c")
            counts(settings, users, 600)
            assert second.processed > 0, "the second worker got no partition"
            assert first.processed > before, "the first worker kept no partition"
        send_events(settings, users, 5, "d")
        assert counts(settings, users, 800) == dict.fromkeys(users, 20)
