"""`make bench-core`: one fold in Portrait, Quix Streams and Bytewax: same broker, same events, one after the other.

Each at its best guarantee. The rate counts from the first committed event to the last, so start-up is in none; Bytewax commits
nothing to Kafka, so there it counts from the first summary to the last. Then the last summary of every user that each of them
published is held against a plain fold of the same events: a rate of wrong results counts for nothing.
"""

import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
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
BYTEWAX_SUMMARIES = replace(SUMMARIES, name="bytewax-summaries")
COMMIT_INTERVALS_S = (0.5, 2.0)
MAX_BATCHES = (2000, 10_000)
"""The peers commit by the clock, Portrait by the number of events that wait; of each the better of two settings counts."""

GUARANTEES = {"portrait": "exactly once", "quix": "exactly once", "bytewax": "at least once"}


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


@contextmanager
def peer(script: str, settings: Settings, folder: Path, python: Path, interval_s: float) -> Iterator[subprocess.Popen[bytes]]:
    """A peer's process, with its state in `folder`; ended on the way out."""
    folder.mkdir(parents=True)
    program = str(Path(__file__).with_name(script))
    command = [str(python), program, str(settings.kafka.bootstrap_servers), str(folder / "state"), str(interval_s)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def quix_rate(settings: Settings, folder: Path, total: int, python: Path, commit_interval_s: float) -> float:
    """Events a second through one Quix Streams process; its group starts from the beginning."""
    with peer("quix_fold.py", settings, folder, python, commit_interval_s):
        return Progress(settings.kafka, "quix-fold").events_per_s(total)


def bytewax_rate(settings: Settings, folder: Path, total: int, python: Path, snapshot_interval_s: float) -> float:
    """Events a second through one Bytewax process, which ends when it has read all."""
    with peer("bytewax_fold.py", settings, folder, python, snapshot_interval_s) as process:
        seconds = seconds_of_output(settings.kafka, BYTEWAX_SUMMARIES.name, process)
        if process.returncode:
            raise PortraitError(f"Bytewax failed:\n{(folder / 'log').read_text()[-2000:]}")
        return total / seconds


def seconds_of_output(kafka: KafkaSettings, topic: str, process: subprocess.Popen[bytes]) -> float:
    """From the first record on a topic to the last before the process ended, as the topic's ends show it from outside."""
    consumer = Consumer({**kafka.client_config(), "group.id": "bench-core-ends", "log_level": 0})
    parts = [KafkaTopicPartition(topic, number) for number in range(PARTITIONS)]
    deadline = time.monotonic() + LIMIT_S
    seen, grown_at_s = 0, []
    running = True
    while running:
        running = process.poll() is None  # asked first: what was written before the end is seen once more
        written = sum(consumer.get_watermark_offsets(part, timeout=30)[1] for part in parts)
        if written > seen:
            seen = written
            grown_at_s.append(time.monotonic())
        if time.monotonic() > deadline:
            raise PortraitError(f"{topic} was not complete within {LIMIT_S:.0f} s")
        time.sleep(0.02)
    consumer.close()
    return grown_at_s[-1] - grown_at_s[0] if len(grown_at_s) > 1 else float("inf")


def bytewax_missing(python: Path) -> str | None:
    """Why Bytewax cannot be measured; None when it can. Its wheels are not made for every system."""
    tried = subprocess.run([str(python), "-c", "import bytewax.connectors.kafka"], capture_output=True, text=True)
    return (tried.stderr.strip().splitlines() or ["it ended without a word"])[-1] if tried.returncode else None


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


def ratio(rates: Mapping[str, list[float]], peer: str) -> float | None:
    """Portrait's best rate over the peer's; None where the peer was left out."""
    return round(max(rates["portrait"]) / max(rates[peer]), 2) if rates[peer] else None


def main(
    peers: Annotated[Path, typer.Option(help="Python of an environment with the peers (`make bench-core` makes one)")],
    number: Annotated[int, typer.Option("--events", help="events to fold")] = 800_000,
    users: Annotated[int, typer.Option(help="users they belong to")] = 40_000,
    seed: Annotated[int, typer.Option(help="of the events")] = 1,
) -> None:
    """Measure all and print the ratios; the last line is JSON."""
    console = Console(stderr=True)
    rates: dict[str, list[float]] = {name: [] for name in GUARANTEES}
    skipped = bytewax_missing(peers)
    if skipped:
        console.print(f"Bytewax is left out: {skipped}")
    meter = MachineMeter()
    with tempfile.TemporaryDirectory(prefix="portrait-bench-") as temporary:
        folder = Path(temporary)
        base = Settings(kafka=KafkaSettings(partitions=PARTITIONS), runtime=RuntimeSettings(folder=folder))
        expected = {user: summary(state) for user, state in plain_fold(itertools.islice(events(seed, users), number)).items()}
        for turn, (interval_s, max_batch) in enumerate(zip(COMMIT_INTERVALS_S, MAX_BATCHES, strict=True)):
            # a fresh broker each turn
            place = folder / str(turn)
            with local_stack(place / "stack", base, triton=False) as stack:
                ensure_topics(stack.settings, topics=(*TOPICS, BYTEWAX_SUMMARIES, DEAD_LETTERS))
                send(stack.settings.kafka, number, users, seed)
                ours = portrait_rate(stack.settings, place / "portrait", number, max_batch)
                check_summaries(stack.settings.kafka, SUMMARIES.name, expected)
                console.print(f"Portrait {ours:,.0f} events/s, up to {max_batch:,} a commit")
                rates["portrait"].append(ours)
                theirs = quix_rate(stack.settings, place / "quix", number, peers, interval_s)
                check_summaries(stack.settings.kafka, QUIX_SUMMARIES, expected)
                console.print(f"Quix Streams {theirs:,.0f} events/s, commits every {interval_s:g} s")
                rates["quix"].append(theirs)
                if skipped:
                    continue
                theirs = bytewax_rate(stack.settings, place / "bytewax", number, peers, interval_s)
                check_summaries(stack.settings.kafka, BYTEWAX_SUMMARIES.name, expected)
                console.print(f"Bytewax {theirs:,.0f} events/s, snapshots every {interval_s:g} s")
                rates["bytewax"].append(theirs)
    best = {name: round(max(measured)) if measured else None for name, measured in rates.items()}
    report = {
        "report": "bench-core", "events_per_s": best, "guarantees": GUARANTEES, "ratio_quix": ratio(rates, "quix"),
        "ratio_bytewax": ratio(rates, "bytewax"), "bytewax_skipped": skipped, "events": number, "users": users, "seed": seed,
        "python": sys.version.split()[0], **meter.report(),
    }  # fmt: skip
    print(json.dumps(report))


if __name__ == "__main__":
    typer.run(main)
