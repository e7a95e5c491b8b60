"""Servers that stop in the middle and come back: the backlog drains, and the states are those of a plain fold."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.demo.gauges import Gauges
from deploy.demo.source import Source, shop_source
from deploy.demo.workers import Workers
from deploy.judge import judge
from deploy.local.stack import LocalStack, local_stack
from deploy.reading import read_all
from deploy.topics import ensure_topics
from producers.malformed import RawMessage
from producers.publisher import Publisher
from producers.replay import Sent, mixed, send_timed
from schemas.messages import BehaviorEvent
from schemas.settings import RuntimeSettings
from schemas.topics import BEHAVIOR_EVENTS, DEAD_LETTERS
from schemas.wire import DEAD_LETTER_PREFIX
from tests.conftest import fresh_settings

EVENTS = 3000
MALFORMED = 1000
WAIT_S = 120.0
OUTAGE_S = 6.0


@dataclass
class Job:
    """The whole job, running; events are sent in thirds."""

    stack: LocalStack
    workers: Workers
    gauges: Gauges
    source: Source
    sent: Sent = field(default_factory=Sent)
    counts: Counter[str] = field(default_factory=Counter)
    malformed: Counter[tuple[bytes | None, bytes | None]] = field(default_factory=Counter)

    def send(self, messages: Iterator[object], number: int) -> None:
        with Publisher(self.stack.settings.kafka) as publisher:
            for _, message in zip(range(number), messages, strict=False):
                send_timed(publisher, message, self.sent)  # type: ignore[arg-type]
                if isinstance(message, BehaviorEvent):
                    self.counts[message.user_id] += 1
                elif isinstance(message, RawMessage):
                    self.malformed[message.key, message.value] += 1

    def folded(self) -> int:
        return int(self.gauges.total("profiler", "portrait_messages_total", topic=BEHAVIOR_EVENTS.name))

    def await_folded(self) -> None:
        until(lambda: self.folded() >= self.sent.events, f"{self.sent.events} events in state")

    def assert_agrees_with_the_plain_fold(self) -> None:
        self.workers.stop_one("narrator")
        self.gauges.await_rest("profiler", WAIT_S)
        verdict = judge(self.stack.settings)
        assert not verdict.differing
        kept = {user: count for user, count in self.counts.items() if user in verdict.event_counts}
        assert {user: verdict.event_counts[user] for user in kept} == kept
        assert len(kept) >= len(self.counts) - 3, "only erased users have no state"
        assert self.workers.alive("profiler"), "the profiler was restarted"

    def assert_dead_letters_are_what_was_malformed(self) -> None:
        self.gauges.await_rest("catalog", WAIT_S)
        letters = list(read_all(self.stack.settings.kafka, (DEAD_LETTERS,)))
        assert Counter((letter.key, letter.value) for letter in letters) == self.malformed
        reasons = {dict(letter.headers)[f"{DEAD_LETTER_PREFIX}reason"] for letter in letters}
        assert len(reasons) >= 6, reasons


def until(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {timeout_s:.0f} s"
        time.sleep(0.2)


@pytest.fixture
def job(needs_java: None, needs_triton: None, tmp_path: Path) -> Iterator[Job]:
    settings = fresh_settings().model_copy(update={"runtime": RuntimeSettings(folder=tmp_path)})
    source = shop_source(seed=3, users=60, events=EVENTS)
    with local_stack(tmp_path / "stack", settings) as stack:
        ensure_topics(stack.settings)
        workers = Workers(stack.settings, tmp_path / "logs")
        try:
            workers.start_all()
            job = Job(stack, workers, Gauges(tmp_path), source)
            job.send(iter(source.items), len(source.items))
            ready = lambda: job.gauges.total("profiler", "portrait_catalog_items") >= len(source.items)  # noqa: E731
            until(ready, "catalogue")
            yield job
        finally:
            workers.stop()


@pytest.mark.timeout(600)
def test_triton_and_then_the_broker_stop_under_load_and_nothing_is_lost(job: Job) -> None:
    messages = iter(mixed(job.source.events, EVENTS, MALFORMED, seed=3))
    third = EVENTS // 3
    job.send(messages, third)
    job.await_folded()

    job.stack.triton.kill()
    job.send(messages, third)
    time.sleep(OUTAGE_S)
    assert job.folded() < job.sent.events, "without Triton no list can be made, so nothing may be committed"
    job.stack.triton.start()
    job.await_folded()

    job.send(messages, third // 2)
    job.stack.kafka.stop()
    time.sleep(OUTAGE_S)
    job.stack.kafka.start()
    job.send(messages, EVENTS + MALFORMED)
    job.await_folded()
    job.assert_agrees_with_the_plain_fold()
    assert sum(job.malformed.values()) == MALFORMED
    job.assert_dead_letters_are_what_was_malformed()
