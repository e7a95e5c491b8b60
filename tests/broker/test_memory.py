"""A worker that finds a large lag takes of it what it can work on, and leaves the rest with the broker."""

import random
import time
from contextlib import suppress
from pathlib import Path

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from deploy.local.stack import LocalStack
from deploy.topics import ensure_topics
from producers.publisher import Publisher
from schemas.settings import KafkaSettings, RuntimeSettings
from schemas.topics import DEAD_LETTERS
from tests.benchmarks.tag_fold import EVENTS, TOPICS, encode
from tests.chaos.faults import FoldWorkers
from tests.chaos.feed import events
from tests.conftest import PARTITIONS

MESSAGES = 300_000
USERS = 5_000
PADDING = 1000
"""Characters added to each message, noise that hardly compresses: the lag is larger than the worker may become."""
LIMIT_MB = 300
STUCK_S = 60.0


def test_with_300_000_messages_waiting_a_worker_stays_within_its_memory(kafka: LocalStack, tmp_path: Path) -> None:
    settings = kafka.settings.model_copy(update={"runtime": RuntimeSettings(folder=tmp_path)})
    ensure_topics(settings, topics=(*TOPICS, DEAD_LETTERS))
    lag_mb = send_lag(settings.kafka) / 1e6
    workers = FoldWorkers(settings, tmp_path, 1)
    try:
        workers.start_all()
        await_folded(settings.kafka)
        peak_mb = peak_memory_mb(workers.child("0").pid)
    finally:
        workers.stop()
    assert any((tmp_path / "state").rglob("*.log")), "the states are not in RocksDB"
    assert peak_mb < LIMIT_MB < lag_mb, f"{peak_mb:.0f} MB at its peak, with {lag_mb:.0f} MB waiting"


def send_lag(kafka: KafkaSettings) -> int:
    """Put the events on the topic; gives their bytes."""
    chance, sent = random.Random(2), 0
    noise = f"{chance.getrandbits(8 * 100_000):x}"
    with Publisher(kafka) as publisher:
        for _, event in zip(range(MESSAGES), events(seed=4, users=USERS), strict=False):
            start = chance.randrange(len(noise) - PADDING)
            value = encode(event)[:-1] + f',"padding":"{noise[start : start + PADDING]}"}}'.encode()
            publisher.send_raw(EVENTS, event.user_id.encode(), value)
            sent += len(value)
    return sent


def await_folded(kafka: KafkaSettings) -> None:
    """Wait until the group has committed all of it."""
    consumer = Consumer({**kafka.client_config(), "group.id": "tag-fold", "log_level": 0})
    parts = [KafkaTopicPartition(EVENTS.name, number) for number in range(PARTITIONS)]
    done, moved_s = 0, time.monotonic()
    while done < MESSAGES:
        with suppress(KafkaException):  # a broker that has just started has no coordinator yet
            now_done = sum(max(0, part.offset) for part in consumer.committed(parts, timeout=30))
            if now_done > done:
                done, moved_s = now_done, time.monotonic()
        assert time.monotonic() < moved_s + STUCK_S, f"stuck at {done} of {MESSAGES} events"
        time.sleep(0.1)
    consumer.close()


def peak_memory_mb(pid: int) -> float:
    """The most resident memory that a process has had, in MB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024 / 1e6
