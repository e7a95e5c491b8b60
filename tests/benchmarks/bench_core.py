"""`make bench-core`: one fold, exactly once, in Portrait and in Quix Streams: same broker, same events, one after the other.

The rate counts from the first committed event to the last, so start-up is in neither. Then the last summary of every user that
each of them published is held against a plain fold of the same events: a rate of wrong results counts for nothing.
"""

import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition
from rich.console import Console

from consumers.runtime import clients
from deploy.local.stack import local_stack
from deploy.machine import MachineMeter
from deploy.topics import ensure_topics
from producers.publisher import Publisher
from schemas.errors import PortraitError
from schemas.settings import KafkaSettings, RuntimeSettings, Settings
from schemas.topics import DEAD_LETTERS
from tests.benchmarks.tag_fold import EVENTS, SUMMARIES, TOPICS, Summary, encode, plain_fold, summary
from tests.chaos.faults import FoldWorkers
from tests.chaos.feed import events

PARTITIONS = 4
LIMIT_S = 300.0
QUIX_SUMMARIES = "quix-summaries"
QUIX_FOLD = Path(__file__).with_name("quix_fold.py")
QUIX_COMMIT_INTERVALS_S = (0.5, 2.0)
MAX_BATCHES = (2000, 10_000)
"""Quix commits by the clock, Portrait by the number of events that wait; of each the better of two settings counts."""


class Progress:
    """Committed offsets of a group, read from outside."""

    def __init__(self, kafka: KafkaSettings, group: str) -> None:
        self._consumer = Consumer({**kafka.client_config(), "group.id": group, "log_level": 0})

    def committed(self) -> int:
        """Events whose offsets are committed."""
        parts = [KafkaTopicPartition(EVENTS.name, number) for number in range(PARTITIONS)]
        try:
            return sum(max(0, part.offset) for part in self._consumer.committed(parts, timeout=30))
        except KafkaException:  # a broker that has just started has no coordinator yet
            return 0

    def events_per_s(self, total: int) -> float:
        """Wait until `total` events are committed; gives the rate since the first commit."""
        deadline = time.monotonic() + LIMIT_S
        first: tuple[float, int] | None = None
        while (done := self.committed()) < total:
            if done and first is None:
                first = time.monotonic(), done
            if time.monotonic() > deadline:
                raise PortraitError(f"{done:,} of {total:,} events were folded within {LIMIT_S:.0f} s")
            time.sleep(0.02)
        if first is None:
            raise PortraitError("all events were committed at once: use more events")
        self._consumer.close()
        return (total - first[1]) / (time.monotonic() - first[0])


def send(kafka: KafkaSettings, number: int, users: int, seed: int) -> None:
    """Put the events on the topic."""
    with Publisher(kafka) as publisher:
        for _, event in zip(range(number), events(seed, users), strict=False):
            publisher.send_raw(EVENTS, event.user_id.encode(), encode(event))


def portrait_rate(settings: Settings, folder: Path, total: int, max_batch: int) -> float:
    """Events a second through one worker process of ours."""
    runtime = settings.runtime.model_copy(update={"max_batch": max_batch})
    workers = FoldWorkers(settings.model_copy(update={"runtime": runtime}), folder, 1)
    try:
        workers.start_all()
        return Progress(settings.kafka, "tag-fold").events_per_s(total)
    finally:
        workers.stop()


def quix_rate(settings: Settings, folder: Path, total: int, python: Path, commit_interval_s: float) -> float:
    """Events a second through one Quix Streams process; its group starts from the beginning."""
    folder.mkdir(parents=True)
    command = [
        str(python),
        str(QUIX_FOLD),
        str(settings.kafka.bootstrap_servers),
        str(folder / "state"),
        str(commit_interval_s),
    ]
    with (folder / "quix.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            return Progress(settings.kafka, "quix-fold").events_per_s(total)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def check_summaries(kafka: KafkaSettings, topic: str, expected: Mapping[str, Summary]) -> None:
    """Hold the last committed summary of every user against a plain fold.

    Raises:
        PortraitError: one differs or is missing.
    """
    consumer = clients.table_consumer(kafka, "bench-core-check")
    parts = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([KafkaTopicPartition(topic, number, OFFSET_BEGINNING) for number in parts])
    last: dict[str, Summary] = {}
    open_parts = set(parts)
    while open_parts:
        for message in consumer.consume(10_000, 1.0):
            error = message.error()
            if error is None:
                raw = clients.raw_record(message)
                last[(raw.key or b"").decode()] = msgspec.json.decode(raw.value or b"", type=Summary)
            elif error.code() == KafkaError._PARTITION_EOF:
                open_parts.discard(clients.end_of_partition(message)[1])
            else:
                raise PortraitError(f"{topic} cannot be read: {error.str()}")
    consumer.close()
    wrong = {user for user in expected.keys() | last.keys() if expected.get(user) != last.get(user)}
    if wrong:
        user = min(wrong)
        raise PortraitError(f"{topic}: {len(wrong)} users differ; {user} has {last.get(user)}, not {expected.get(user)}")


def main(
    quix: Annotated[Path, typer.Option(help="Python of an environment with quixstreams (`make bench-core` makes one)")],
    number: Annotated[int, typer.Option("--events", help="events to fold")] = 400_000,
    users: Annotated[int, typer.Option(help="users they belong to")] = 20_000,
    seed: Annotated[int, typer.Option(help="of the events")] = 1,
) -> None:
    """Measure both and print the ratio; the last line is JSON."""
    console = Console(stderr=True)
    quix_rates = []
    meter = MachineMeter()
    with tempfile.TemporaryDirectory(prefix="portrait-bench-") as temporary:
        folder = Path(temporary)
        base = Settings(kafka=KafkaSettings(partitions=PARTITIONS), runtime=RuntimeSettings(folder=folder))
        expected = {user: summary(state) for user, state in plain_fold(itertools.islice(events(seed, users), number)).items()}
        portrait_rates = []
        for turn, (commit_interval_s, max_batch) in enumerate(zip(QUIX_COMMIT_INTERVALS_S, MAX_BATCHES, strict=True)):
            # a fresh broker each turn
            place = folder / str(turn)
            with local_stack(place / "stack", base, triton=False) as stack:
                ensure_topics(stack.settings, topics=(*TOPICS, DEAD_LETTERS))
                send(stack.settings.kafka, number, users, seed)
                ours = portrait_rate(stack.settings, place / "portrait", number, max_batch)
                check_summaries(stack.settings.kafka, SUMMARIES.name, expected)
                console.print(f"Portrait {ours:,.0f} events/s, up to {max_batch:,} a commit")
                theirs = quix_rate(stack.settings, place / "quix", number, quix, commit_interval_s)
                check_summaries(stack.settings.kafka, QUIX_SUMMARIES, expected)
                console.print(f"Quix Streams {theirs:,.0f} events/s, commits every {commit_interval_s:g} s")
            portrait_rates.append(ours)
            quix_rates.append(theirs)
    report = {
        "report": "bench-core", "events_per_s": {"portrait": round(max(portrait_rates)), "quix": round(max(quix_rates))},
        "ratio_quix": round(max(portrait_rates) / max(quix_rates), 2), "events": number, "users": users, "seed": seed,
        "python": sys.version.split()[0], **meter.report(),
    }  # fmt: skip
    print(json.dumps(report))


if __name__ == "__main__":
    typer.run(main)
