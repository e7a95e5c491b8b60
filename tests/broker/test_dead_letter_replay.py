"""Replays that are stopped, killed or refused: every letter arrives once, whatever its size."""

import json
import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable

import pytest
from click.testing import Result
from confluent_kafka import KafkaError, Producer
from typer.testing import CliRunner

from consumers.runtime.clients import RawRecord, transactional_producer
from consumers.runtime.transaction import Transaction
from deploy.cli import app
from deploy.dead_letter_replay import erasures
from deploy.local.stack import LocalStack
from deploy.reading import read_all
from deploy.topics import ensure_topics
from schemas.errors import BadMessage, ProducerLost
from schemas.settings import Settings
from schemas.topics import DEAD_LETTERS, MAX_MESSAGE_BYTES, Key, Topic
from schemas.wire import dead_letter_headers

HEADERS: list[tuple[str, bytes | None]] = [("trace", b"1")]
KILLED = """
import os, signal
from deploy import dead_letter_sender, replay_progress
from deploy.cli import app
from consumers.runtime.transaction import Transaction

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def finish(self, check=None):
    global finished
    finished += 1
    if finished == 3:
        self._producer.flush(10)
        die()
    whole(self)

finished, whole = 0, Transaction.finish
dead_letter_sender.TRANSACTION_LETTERS = 10
if {in_transaction}:
    Transaction.finish = finish
else:
    replay_progress.Progress.forget = die
app()
"""


class Case:
    """Letters of one reason, from a topic of their own."""

    def __init__(self, kafka: LocalStack, limit: int = 0) -> None:
        self.settings = kafka.settings
        name = f"replay-{uuid.uuid4().hex[:10]}"
        self.reason = name
        config = {"max.message.bytes": str(limit)} if limit else {}
        self.topic = Topic(name, Key.USER_ID, "delete", "", config=config)
        ensure_topics(self.settings, topics=(self.topic,))
        self.sent: list[bytes] = []

    def letters(self, values: list[bytes]) -> None:
        """Write letters as a worker does."""
        headers = dead_letter_headers(BadMessage(self.reason, "why"), self.topic.name, 0, 1, 1, HEADERS)
        writer = Transaction(transactional_producer(self.settings.kafka, "test", self.reason, 30_000))
        with writer as transaction:
            for number, value in enumerate(values):
                transaction.produce(DEAD_LETTERS.name, f"user-{number}".encode(), value, headers=headers)
            transaction.finish()
        self.sent += values

    def replay(self, *options: str, status: int = 0) -> Result:
        arguments = ["dead-letters", "replay", "--reason", self.reason, "--yes", *options]
        result = CliRunner().invoke(app, arguments, env=self.environment)
        assert result.exit_code == status, result.output
        return result

    @property
    def environment(self) -> dict[str, str]:
        return {"PORTRAIT_KAFKA__BOOTSTRAP_SERVERS": str(self.settings.kafka.bootstrap_servers)}

    def arrived(self) -> list[RawRecord]:
        return list(read_all(self.settings.kafka, (self.topic,)))

    def assert_arrived(self, times: int = 1) -> None:
        assert sorted(record.value or b"" for record in self.arrived()) == sorted(self.sent * times)

    def fits(self, value: bytes) -> bool:
        """Whether the topic takes a record that is not compressed."""
        failures: list[KafkaError] = []
        producer = Producer({**self.settings.kafka.client_config(), "message.max.bytes": 10 * MAX_MESSAGE_BYTES})
        producer.produce(
            self.topic.name, value, b"user-0", headers=HEADERS, partition=0,
            on_delivery=lambda error, _: failures.append(error) if error is not None else None,
        )  # fmt: skip
        assert producer.flush(30) == 0
        return not failures


def report(result: Result) -> dict:
    return json.loads(result.stdout.splitlines()[-1])


def largest(fits: Callable[[bytes], bool], noise: bytes) -> bytes:
    """The largest piece of the noise that a topic takes."""
    low, high = MAX_MESSAGE_BYTES - 1000, len(noise)
    assert fits(noise[:low]) and not fits(noise)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(noise[:middle]) else (low, middle)
    return noise[:low]


def test_whatever_a_topic_once_took_can_be_replayed(kafka: LocalStack) -> None:
    case = Case(kafka)
    noise = random.Random(1).randbytes(MAX_MESSAGE_BYTES + 1000)
    full = largest(case.fits, noise)
    before = len(case.arrived())
    values = [full[: len(full) - less] for less in (0, 1, 20, 40, 60, 200)] + [b"x" * (3 * MAX_MESSAGE_BYTES), b"small"]
    case.letters(values)
    result = case.replay()
    assert report(result)["sent"] == len(values) and report(result)["refused"] == []
    new = sorted(case.arrived(), key=lambda record: record.timestamp_ms)[before:]
    assert sorted(len(record.value or b"") for record in new) == sorted(map(len, values))
    unmarked = {record.value for record in new if record.headers == HEADERS}
    assert full in unmarked and not unmarked & {b"small", values[-2], full[:-200]}
    assert result.stderr.count("had no room for the header") == len(unmarked)


def test_a_letter_that_its_topic_does_not_take_any_more_is_named_and_all_others_go(kafka: LocalStack) -> None:
    case = Case(kafka, limit=2000)
    values = [b"value %d" % number for number in range(40)]
    case.letters([*values[:20], random.Random(2).randbytes(5000), *values[20:]])
    result = case.replay(status=1)
    (place,) = report(result)["refused"]
    assert report(result)["sent"] == 40
    assert f"dead letter {place} was not sent: {case.topic.name} does not take its 5,000 bytes" in result.stderr
    assert "raise max.message.bytes" in result.stderr
    assert {record.value for record in case.arrived()} == set(values)


def stop_at_third_transaction(monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> None:
    """Of ten letters each; those after it are finished."""
    finish = Transaction.finish
    finished = []

    def stop(transaction: Transaction) -> None:
        finished.append(1)
        if len(finished) == 3:
            raise failure
        finish(transaction)

    monkeypatch.setattr("deploy.dead_letter_sender.TRANSACTION_LETTERS", 10)
    monkeypatch.setattr(Transaction, "finish", stop)


def test_a_run_does_not_begin_anew_when_another_has_ended_meanwhile(
    kafka: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(kafka)
    case.letters([b"value %d" % number for number in range(55)])
    stop_at_third_transaction(monkeypatch, KeyboardInterrupt())
    case.replay(status=130)

    def meanwhile(settings: Settings) -> dict[bytes, int]:
        monkeypatch.setattr("deploy.dead_letter_replay.erasures", erasures)
        assert report(case.replay())["sent"] == 35
        return erasures(settings)

    monkeypatch.setattr("deploy.dead_letter_replay.erasures", meanwhile)
    refused = case.replay(status=2).stderr
    assert "another run of the same replay has ended" in refused and "goes on from there" not in refused
    case.assert_arrived()


@pytest.mark.parametrize(("failure", "status"), [(KeyboardInterrupt(), 130), (ProducerLost("the broker is gone"), 2)])
def test_a_replay_that_was_stopped_goes_on_where_it_was(
    kafka: LocalStack, monkeypatch: pytest.MonkeyPatch, failure: BaseException, status: int
) -> None:
    case = Case(kafka)
    case.letters([b"value %d" % number for number in range(55)])
    stop_at_third_transaction(monkeypatch, failure)
    stopped = case.replay(status=status)
    assert "stopped: 20 of 55 letters were sent; the same command goes on from there" in stopped.stderr
    assert report(case.replay("--dry-run"))["planned"] == 35
    result = report(case.replay())
    assert (result["sent"], result["left_out"]) == (35, {"passed before it was stopped": 20})
    case.assert_arrived()
    assert report(case.replay())["sent"] == 55, "one that has ended begins anew"
    case.assert_arrived(times=2)


@pytest.mark.parametrize(("in_transaction", "left"), [(True, 35), (False, 0)])
def test_a_replay_that_was_killed_sends_nothing_twice(kafka: LocalStack, in_transaction: bool, left: int) -> None:
    case = Case(kafka)
    case.letters([b"value %d" % number for number in range(55)])
    command = [sys.executable, "-c", KILLED.format(in_transaction=in_transaction)]
    arguments = ["dead-letters", "replay", "--reason", case.reason, "--yes"]
    killed = subprocess.run([*command, *arguments], env={**os.environ, **case.environment}, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert report(case.replay())["sent"] == left
    case.assert_arrived()
