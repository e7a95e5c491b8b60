"""Readers beside the workers, and `portrait watch`, on a real broker."""

import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from typer import Typer
from typer.testing import CliRunner

from consumers.runtime.clients import RawRecord, transactional_producer
from deploy import reading
from deploy.live_commands import register
from deploy.local.stack import LocalStack
from deploy.reading import BEGINNING, Follower, decoded, partition_of, read_all
from producers.publisher import Publisher
from schemas.errors import ConfigError, Retryable
from schemas.messages import (
    BehaviorEvent,
    Cause,
    ConsentControl,
    EraseControl,
    Item,
    Reason,
    Recommendations,
    RecommendedItem,
    Sentence,
    Statement,
    UserProfile,
    encode,
)
from schemas.settings import KafkaSettings, Settings
from schemas.topics import BEHAVIOR_EVENTS, ITEMS, RECOMMENDATIONS, USER_CONTROLS, USER_PROFILES, Key, Topic

CLI = "from typer import Typer; from deploy.live_commands import register; app = Typer(); register(app); app()"


@pytest.fixture
def settings(kafka: LocalStack, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of the broker; commands find it by the environment."""
    monkeypatch.setenv("PORTRAIT_KAFKA__BOOTSTRAP_SERVERS", str(kafka.settings.kafka.bootstrap_servers))
    monkeypatch.setenv("PORTRAIT_RUNTIME__FOLDER", str(tmp_path_factory.mktemp("project")))
    return kafka.settings


@pytest.fixture
def writer(settings: Settings) -> Iterator[Producer]:
    producer = transactional_producer(settings.kafka, "watch-test", uuid.uuid4().hex, 30_000)
    producer.init_transactions(10)
    yield producer
    producer.purge()


@pytest.fixture
def user_id() -> str:
    return f"watched-{uuid.uuid4().hex[:10]}"


def an_event(user_id: str, number: int = 1) -> BehaviorEvent:
    return BehaviorEvent(
        event_id=f"{user_id}-{number}", user_id=user_id, item_id=f"item-{user_id}", type="view",
        event_time_ms=int(time.time() * 1000),
    )  # fmt: skip


def mine(records: Iterator[RawRecord] | list[RawRecord], user_id: str) -> list[RawRecord]:
    return [record for record in records if record.key == user_id.encode()]


def write(producer: Producer, user_id: str, numbers: range) -> None:
    for number in numbers:
        producer.produce(BEHAVIOR_EVENTS.name, encode(an_event(user_id, number)), user_id)
    producer.flush(10)


def test_reads_what_was_committed_and_ends_behind_markers(settings: Settings, writer: Producer, user_id: str) -> None:
    writer.begin_transaction()
    write(writer, user_id, range(3))
    writer.commit_transaction(10)
    for _ in range(3):  # a tail that holds nothing but aborted records and markers
        writer.begin_transaction()
        write(writer, user_id, range(100, 105))
        writer.abort_transaction(10)
    started = time.monotonic()
    found = mine(read_all(settings.kafka, [BEHAVIOR_EVENTS], key=user_id), user_id)
    assert [decoded(record, settings.fold)[1] for record in found] == [
        BehaviorEvent.model_validate_json(record.value or b"") for record in found
    ]
    assert [record.value and b"-%d" % number in record.value for number, record in enumerate(found)] == [True] * 3
    assert time.monotonic() - started < 10


def test_waits_for_an_open_transaction_and_says_so_when_it_stays(settings: Settings, writer: Producer, user_id: str) -> None:
    writer.begin_transaction()
    write(writer, user_id, range(1))
    with pytest.raises(Retryable, match="dead writer"):
        list(read_all(settings.kafka, [BEHAVIOR_EVENTS], key=user_id, timeout_s=1.0))
    reader = read_all(settings.kafka, [BEHAVIOR_EVENTS], key=user_id, timeout_s=20.0)
    writer.commit_transaction(10)
    assert len(mine(reader, user_id)) == 1


def test_reads_every_partition_of_every_topic_once(settings: Settings) -> None:
    users = {f"many-{uuid.uuid4().hex}" for _ in range(40)}
    with Publisher(settings.kafka) as publisher:
        for user in users:
            publisher.send(BEHAVIOR_EVENTS, user, an_event(user))
            consent = ConsentControl(user_id=user, issued_at_ms=int(time.time() * 1000), purpose="profile", granted=True)
            publisher.send(USER_CONTROLS, user, consent)
    records = [record for record in read_all(settings.kafka, [BEHAVIOR_EVENTS, USER_CONTROLS])]
    keys = [(record.topic, (record.key or b"").decode()) for record in records if (record.key or b"").decode() in users]
    assert sorted(keys) == sorted((topic.name, user) for user in users for topic in (BEHAVIOR_EVENTS, USER_CONTROLS))
    partitions = settings.kafka.partitions
    assert all(
        record.partition == partition_of((record.key or b"").decode(), partitions)
        for record in records
        if (record.key or b"").decode() in users
    )


def test_a_follower_starts_at_the_end_and_is_quick(settings: Settings, user_id: str) -> None:
    with Publisher(settings.kafka, linger_ms=0) as publisher, Follower(settings.kafka) as follower:
        publisher.send(BEHAVIOR_EVENTS, user_id, an_event(user_id, 1))
        publisher.flush()
        follower.follow([BEHAVIOR_EVENTS], key=user_id)
        delays_ms = []
        for number in range(2, 12):
            publisher.send(BEHAVIOR_EVENTS, user_id, an_event(user_id, number))
            publisher.flush()
            sent_s = time.monotonic()
            records = mine(next_records(follower), user_id)
            delays_ms.append(1000 * (time.monotonic() - sent_s))
            assert [f"-{number}".encode() in (record.value or b"") for record in records] == [True]
        assert sorted(delays_ms)[5] < 100
        assert follower.connected


def next_records(follower: Follower) -> list[RawRecord]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if records := follower.poll(0.5):
            return records
    raise AssertionError("nothing arrived")


def test_a_follower_goes_back_by_as_many_records_as_asked(settings: Settings, user_id: str) -> None:
    with Publisher(settings.kafka) as publisher:
        for number in range(20):
            publisher.send(BEHAVIOR_EVENTS, user_id, an_event(user_id, number))
    with Follower(settings.kafka) as follower:
        follower.follow([BEHAVIOR_EVENTS], back=5, key=user_id)
        found: list[RawRecord] = []
        while follower.behind:
            found += follower.poll(0.5)
        assert len(found) == 5


def test_a_missing_topic_is_named(settings: Settings) -> None:
    with Follower(settings.kafka) as follower, pytest.raises(ConfigError, match="no topic not-there"):
        follower.follow([Topic("not-there", Key.USER_ID, "delete", "nothing")], back=BEGINNING)


def test_an_absent_broker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "REQUEST_TIMEOUT_S", 1.0)
    with (
        Follower(KafkaSettings(bootstrap_servers="127.0.0.1:1")) as follower,
        pytest.raises(Retryable, match="does not answer"),
    ):
        follower.follow([BEHAVIOR_EVENTS])


def publish_a_portrait(settings: Settings, user_id: str) -> None:
    now_ms = int(time.time() * 1000)
    cause = Cause(topic=BEHAVIOR_EVENTS.name, partition=0, offset=0, record_time_ms=now_ms, waiting_since_ms=now_ms)
    profile = UserProfile(
        user_id=user_id, request_id="r", language="zh", state_version=1, event_count=1,
        statements=[Statement(topic="运动", stance="likes", strength=0.9, evidence=[f"event:{user_id}-1"])],
        summary=[Sentence(text="对运动感兴趣。", source="plain", statements=[0])], text_vector=[], model_name="m",
        model_version="1", generated_at_ms=now_ms, requested_at_ms=now_ms, cause=cause,
    )  # fmt: skip
    items = [RecommendedItem(item_id="i", title="越野跑鞋", score=0.5, reasons=[Reason(kind="interest", detail="运动")])]
    made = Recommendations(
        user_id=user_id, items=items, state_version=1, model_name="m", model_version="1", catalog_size=1,
        generated_at_ms=now_ms, cause=cause,
    )  # fmt: skip
    consent = ConsentControl(user_id=user_id, issued_at_ms=now_ms, purpose="profile", granted=True)
    item = Item(item_id=f"item-{user_id}", domain="ecommerce", language="zh", title="商品B")
    with Publisher(settings.kafka) as publisher:
        publisher.send(ITEMS, item.item_id, item)
        publisher.send(USER_CONTROLS, user_id, consent)
        publisher.send(BEHAVIOR_EVENTS, user_id, an_event(user_id))
        publisher.send(USER_PROFILES, user_id, profile)
        publisher.send(RECOMMENDATIONS, user_id, made)
        publisher.send_raw(BEHAVIOR_EVENTS, user_id.encode(), b"{nonsense")


def watch_once(user_id: str) -> tuple[int, str]:
    app = Typer()
    register(app)
    result = CliRunner().invoke(app, ["watch", user_id, "--once"], catch_exceptions=False)
    return result.exit_code, result.stdout


def test_watch_once_shows_what_was_published(settings: Settings, user_id: str) -> None:
    publish_a_portrait(settings, user_id)
    status, text = watch_once(user_id)
    assert status == 0
    for wanted in (
        user_id,
        "view",
        "商品B",
        "not_json",
        "plain 对运动感兴趣。 1",
        "likes",
        "0.90",
        "越野跑鞋",
        "● profile allowed",
    ):
        assert wanted in text, wanted


def test_watch_shows_an_erased_user_as_erased(settings: Settings, user_id: str) -> None:
    publish_a_portrait(settings, user_id)
    with Publisher(settings.kafka) as publisher:
        erase = EraseControl(user_id=user_id, issued_at_ms=int(time.time() * 1000))
        publisher.send(USER_CONTROLS, user_id, erase)
        publisher.flush()
        for topic in (USER_PROFILES, RECOMMENDATIONS):
            publisher.send_raw(topic, user_id.encode(), None)
    status, text = watch_once(user_id)
    assert status == 0 and "Erased at" in text
    assert "商品B" not in text and "运动" not in text and "越野" not in text


def test_watch_of_an_unknown_user_fails_and_names_others(settings: Settings, user_id: str) -> None:
    partitions = settings.kafka.partitions
    other = next(
        name for name in (f"{user_id}{number}" for number in range(100))
        if partition_of(name, partitions) == partition_of(user_id, partitions)
    )  # fmt: skip
    with Publisher(settings.kafka) as publisher:
        publisher.send(BEHAVIOR_EVENTS, other, an_event(other))
    status, text = watch_once(user_id)
    assert status == 1 and "Or watch somebody else:" in text


def test_watch_in_a_pipe_prints_a_line_for_each_change_until_ctrl_c(settings: Settings, user_id: str) -> None:
    command = [sys.executable, "-c", CLI, "watch", user_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            assert "nothing is known" in process.stdout.readline()
            publish_a_portrait(settings, user_id)
            lines = [process.stdout.readline() for _ in range(5)]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()
    kinds = sorted(line.split()[1] for line in lines)
    assert kinds == ["consent", "event", "list", "profile", "refused"], lines
