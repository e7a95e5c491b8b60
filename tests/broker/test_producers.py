"""The producers on a real broker: partitions as Java's client chooses them, steady pace, errors that name the topic."""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.local.stack import LocalStack
from producers.malformed import KINDS, malformed_messages
from producers.publisher import Publisher
from producers.replay import Pace, Sent, send_events
from producers.shop import Shop
from schemas.errors import ConfigError
from schemas.messages import BehaviorEvent
from schemas.settings import KafkaSettings
from schemas.topics import BEHAVIOR_EVENTS, MAX_MESSAGE_BYTES, Key, Topic
from schemas.wire import decode


@pytest.fixture
def topic(kafka: LocalStack) -> Topic:
    """A topic of this test's own with seven partitions, so that a wrong partitioner is soon wrong."""
    topic = Topic(f"producers-{uuid.uuid4().hex[:8]}", Key.USER_ID, "delete", "tests")
    admin = AdminClient({**kafka.settings.kafka.client_config()})
    created = admin.create_topics([NewTopic(topic.name, num_partitions=7, replication_factor=1)])
    created[topic.name].result(timeout=20)
    return topic


def java_murmur2(data: bytes) -> int:
    """Kafka's murmur2 (org.apache.kafka.common.utils.Utils), with its seed, as an unsigned 32-bit number."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if tail := data[whole:]:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_murmur2_of_the_test_is_java_s() -> None:
    # Two values from Kafka's own UtilsTest.testMurmur2.
    assert java_murmur2(b"21") == -973932308 & 0xFFFFFFFF
    assert java_murmur2(b"foobar") == -790332482 & 0xFFFFFFFF


def read_all(kafka: LocalStack, topic: str) -> list[Message]:
    """Every message of a topic up to its end as it is now."""
    config = {**kafka.settings.kafka.client_config(), "group.id": f"t-{uuid.uuid4()}", "enable.partition.eof": True}
    consumer = Consumer(config)
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        messages, open_partitions = [], set(partitions)
        deadline = time.monotonic() + 30
        while open_partitions:
            assert time.monotonic() < deadline, f"no end of {topic} within 30 s"
            for message in consumer.consume(1000, timeout=0.5):
                error = message.error()
                if error is None:
                    messages.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    open_partitions.discard(message.partition())
        return messages
    finally:
        consumer.close()


def event(number: int) -> BehaviorEvent:
    return BehaviorEvent(event_id=f"e{number}", user_id=f"用户-{number}", item_id="i", type="view", event_time_ms=number)


def test_keys_land_where_the_java_client_would_put_them(kafka: LocalStack, topic: Topic) -> None:
    with Publisher(kafka.settings.kafka) as publisher:
        for number in range(400):
            publisher.send(topic, event(number).user_id, event(number))
    messages = read_all(kafka, topic.name)
    assert len({message.key() for message in messages}) == 400
    assert {message.partition() for message in messages} == set(range(7))
    for message in messages:
        key = message.key()
        assert key is not None
        assert message.partition() == (java_murmur2(key) & 0x7FFFFFFF) % 7, key
        assert message.headers() == [("schema-version", b"1")]


def test_malformed_messages_arrive_as_they_were_made(kafka: LocalStack, topic: Topic) -> None:
    made = list(malformed_messages(seed=3, count=len(KINDS)))
    with Publisher(kafka.settings.kafka) as publisher:
        for raw in made:
            publisher.send_raw(topic, raw.key, raw.value, raw.headers)
    arrived = [(message.key(), message.value()) for message in read_all(kafka, topic.name)]
    assert sorted(arrived, key=repr) == sorted(((raw.key, raw.value) for raw in made), key=repr)
    largest = max(len(raw.value or b"") for raw in made)
    assert MAX_MESSAGE_BYTES - 2048 < largest < MAX_MESSAGE_BYTES


@pytest.mark.parametrize("rate_per_s", [200.0, 4000.0])
def test_a_rate_is_held_within_ten_percent_and_evenly(kafka: LocalStack, topic: Topic, rate_per_s: float) -> None:
    count = int(rate_per_s * 1.5)
    with Publisher(kafka.settings.kafka, linger_ms=0) as publisher:
        publisher.send(topic, "warm-up", event(0))
        publisher.flush()
        sent, stamps = Sent(), []

        def stamped() -> object:
            for number in range(count):
                yield event(number)
                stamps.append(time.perf_counter())

        # BEHAVIOR_EVENTS is where events go; the keys are this test's own.
        send_events(publisher, stamped(), Pace(rate_per_s), sent, lambda stage, done: None)  # type: ignore[arg-type]
    assert sent.events == count
    took_s = stamps[-1] - stamps[0]
    assert took_s == pytest.approx((count - 1) / rate_per_s, rel=0.1)
    per_tenth = [sum(1 for stamp in stamps if start <= stamp - stamps[0] < start + 0.1) for start in (0.2, 0.5, 0.8, 1.1)]
    assert max(per_tenth) < 0.1 * rate_per_s * 2, "sent in bursts"


def test_a_missing_topic_is_named_when_flushing(kafka: LocalStack) -> None:
    publisher = Publisher(kafka.settings.kafka)
    missing = Topic(f"missing-{uuid.uuid4().hex[:8]}", Key.USER_ID, "delete", "tests")
    publisher.send(missing, "u", event(1))
    with pytest.raises(ConfigError, match=missing.name):
        publisher.flush()
    topics = AdminClient({**kafka.settings.kafka.client_config()}).list_topics(timeout=10).topics
    assert topics.get(missing.name) is None or topics[missing.name].error is not None


def test_an_oversized_message_is_refused_with_its_size(kafka: LocalStack, topic: Topic) -> None:
    with (
        Publisher(kafka.settings.kafka) as publisher,
        pytest.raises(ConfigError, match=f"cannot send 2000000 bytes to {topic.name}"),
    ):
        publisher.send_raw(topic, b"u", b"x" * 2_000_000)


def test_the_rate_is_counted(kafka: LocalStack, topic: Topic) -> None:
    messages = [event(number) for number in range(20_000)]
    with Publisher(kafka.settings.kafka) as publisher:
        for message in messages:
            publisher.send(topic, message.user_id, message)
    assert publisher.sent == 20_000
    assert publisher.messages_per_s > 5_000, "50,000 and more on an idle machine"


def portrait(kafka: LocalStack, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PORTRAIT_KAFKA__BOOTSTRAP_SERVERS": str(kafka.settings.kafka.bootstrap_servers),
        "PORTRAIT_RUNTIME__FOLDER": str(tmp_path / "portrait"),
    }
    program = (
        "import typer; from deploy import produce_commands; from deploy.cli import PortraitGroup; "
        "app = typer.Typer(cls=PortraitGroup); produce_commands.register(app); app()"
    )
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_replay_command_sends_all_and_says_which_rows_it_left_out(kafka: LocalStack, tmp_path: Path) -> None:
    data = tmp_path / "tiny"
    data.mkdir()
    prefix = uuid.uuid4().hex[:8]
    rows = [f"{prefix}-u{n % 3},{prefix}-i{n % 5},view,{1_700_000_000_000 + n}" for n in range(30)]
    rows[7] = f"{prefix}-u1,{prefix}-i1,stare,1700000000007"
    (data / "events.csv").write_text("user_id,item_id,type,event_time_ms\n" + "\n".join(rows) + "\n")
    items = [{"item_id": f"{prefix}-i{n}", "domain": "news", "title": f"[red]Item {n}"} for n in range(5)]
    (data / "items.jsonl").write_text("\n".join(map(json.dumps, items)) + "\n")
    ended = portrait(kafka, tmp_path, "replay", str(data), "--grant-profile", "--malformed", "10")
    assert ended.returncode == 1, ended.stderr
    assert "events.csv:9: event type 'stare'" in ended.stderr
    report = json.loads(ended.stdout.splitlines()[-1])
    wanted = {"report": "replay", "items": 5, "events": 29, "controls": 3, "malformed": 10, "bad_rows": 1, "users": 3}
    assert wanted.items() <= report.items()
    again = portrait(kafka, tmp_path, "replay", str(data), "--skip-bad", "--limit", "10", "--rate", "100")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout.splitlines()[-1])["events"] == 10


def test_replay_command_says_what_is_missing(kafka: LocalStack, tmp_path: Path) -> None:
    ended = portrait(kafka, tmp_path, "replay", str(tmp_path))
    assert ended.returncode == 2
    assert "has no events file; expected one of events.csv" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_shop_command_sends_what_the_shop_simulates(kafka: LocalStack, tmp_path: Path) -> None:
    seed = int(uuid.uuid4().int % 1_000_000)
    ended = portrait(kafka, tmp_path, "shop", "--users", "6", "--events", "90", "--seed", str(seed))
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout.splitlines()[-1])
    assert (report["report"], report["events"], report["items"]) == ("shop", 90, 486)
    shop = Shop(seed, 6, start_ms=report["start_ms"], days=report["days"])
    expected = {message for message in shop.simulate(90) if isinstance(message, BehaviorEvent)}
    arrived = set()
    limits = kafka.settings.fold
    for message in read_all(kafka, BEHAVIOR_EVENTS.name):
        if f"shop{seed}-".encode() in (message.key() or b""):
            _, decoded = decode(
                BEHAVIOR_EVENTS.name, message.key(), message.value(), message.headers(), message.timestamp()[1], limits
            )
            arrived.add(decoded)
    invented = {message for message in expected if message.user_id.startswith("shop")}
    assert arrived == invented


def test_no_broker_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="no Kafka address"):
        Publisher(KafkaSettings())
