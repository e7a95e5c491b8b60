"""How long a transaction waits for what does not come, and that a lost producer is let go at once."""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumers.runtime import clients, transaction
from consumers.runtime.transaction import CALL_TIMEOUT_S, HANG_S, LONGEST_BUDGET_S, Transaction, budget_s
from schemas.errors import ProducerLost, Retryable
from schemas.settings import KafkaSettings, RuntimeSettings

FATAL = KafkaError(KafkaError._FATAL, "fenced", fatal=True)
ABORTABLE = KafkaError(KafkaError._TIMED_OUT, "too slow", txn_requires_abort=True)
PASSING = KafkaError(KafkaError._TIMED_OUT, "not yet", retriable=True)
FLUSH_S = 1.0


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(transaction, "time", clock)
    return clock


class FakeProducer:
    """Takes `sending_s` to send; calls fail as `errors` say. Keeps the callbacks of what it did not report, as a client."""

    def __init__(self, clock: Clock | None = None, sending_s: float = 0.0, **errors: KafkaError) -> None:
        self._clock = clock or Clock()
        self._sent_at_s = self._clock.now_s + sending_s
        self._errors = errors
        self._callbacks: list[object] = []
        self.full = self.committed = False

    def _call(self, name: str) -> None:
        if error := self._errors.get(name):
            raise KafkaException(error)

    def init_transactions(self, timeout_s: float) -> None:
        self._call("init")

    def begin_transaction(self) -> None: ...

    def send_offsets_to_transaction(self, *args: object) -> None:
        self._call("offsets")

    def abort_transaction(self, timeout_s: float) -> None:
        self._call("abort")

    def commit_transaction(self, timeout_s: float) -> None:
        self._call("commit")
        self.committed = True

    def produce(self, topic: str, value: object, key: object, partition: int, on_delivery: object, *args: object) -> None:
        if self.full:
            raise BufferError
        self._callbacks.append(on_delivery)

    def poll(self, timeout_s: float) -> None:
        self._clock.sleep(timeout_s)

    def flush(self, timeout_s: float) -> int:
        self._clock.sleep(FLUSH_S)
        return len(self)

    def __len__(self) -> int:
        return int(self._clock.now_s < self._sent_at_s)


def opened(producer: FakeProducer, *timeout_ms: int) -> Transaction:
    return Transaction(producer, *timeout_ms)  # type: ignore[arg-type]


def test_a_batch_may_take_as_long_to_send_as_its_transaction_may_last(clock: Clock) -> None:
    producer = FakeProducer(clock, sending_s=29.0)
    with opened(producer, 30_000) as patient:
        patient.finish()
    assert producer.committed
    began_s = clock.now_s
    with pytest.raises(ProducerLost, match="not delivered within 15 s"), opened(FakeProducer(clock, sending_s=29.0)) as usual:
        usual.finish()
    assert clock.now_s - began_s == pytest.approx(15.0, abs=FLUSH_S)


@pytest.mark.parametrize(("timeout_ms", "waited_s"), [(10_000, 15.0), (40_000, 45.0)])
def test_a_call_is_repeated_as_long_as_the_transaction_may_last(clock: Clock, timeout_ms: int, waited_s: float) -> None:
    began_s = clock.now_s
    with pytest.raises(ProducerLost):
        opened(FakeProducer(clock, init=PASSING), timeout_ms)
    assert clock.now_s - began_s == pytest.approx(waited_s, abs=0.1)


def test_a_buffer_that_stays_full_is_a_lost_producer(clock: Clock) -> None:
    producer = FakeProducer(clock)
    producer.full = True
    began_s = clock.now_s
    with pytest.raises(ProducerLost, match="full for 15 s"), opened(producer) as stuck:
        stuck.produce("topic", b"key", b"value")
    assert clock.now_s - began_s == pytest.approx(15.0, abs=0.2)


def test_the_default_is_that_of_the_setting() -> None:
    assert RuntimeSettings().transaction_timeout_ms == transaction.TIMEOUT_MS
    assert budget_s(transaction.TIMEOUT_MS) == budget_s(1000) == 15.0


def test_the_waits_of_one_transaction_stay_below_max_poll_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[dict[str, Any]] = []
    monkeypatch.setattr(clients, "Consumer", lambda config, **_: configs.append(config))
    clients.input_consumer(KafkaSettings(bootstrap_servers="nowhere:1"), "group", "0")
    longest_s = budget_s(3_600_000)
    assert longest_s == LONGEST_BUDGET_S
    steps = (
        longest_s + HANG_S,  # offsets; the last attempt begins when the budget ends
        longest_s,  # room in the buffer
        longest_s + FLUSH_S,
        longest_s + CALL_TIMEOUT_S,  # commit
        longest_s + CALL_TIMEOUT_S,  # abort
    )
    assert sum(steps) < configs[0]["max.poll.interval.ms"] / 1000


def offsets_refused(transaction: Transaction) -> None:
    transaction.add_offsets([TopicPartition("in", 0, 1)], lambda: None)


def progress_never_reported(transaction: Transaction) -> None:
    transaction.produce_progress("changelog", 0, b"{}")
    transaction.finish()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("errors", "work", "lost"),
    [
        ({"offsets": FATAL}, offsets_refused, ProducerLost),
        ({"offsets": ABORTABLE, "abort": FATAL}, offsets_refused, Retryable),
        ({"commit": FATAL}, progress_never_reported, ProducerLost),
        ({"commit": ABORTABLE, "abort": FATAL}, progress_never_reported, Retryable),
    ],
    ids=["offsets", "offsets and abort", "commit", "commit and abort"],
)
def test_a_lost_producer_is_let_go_without_the_collector(
    no_collector: None, errors: dict[str, KafkaError], work: Callable[[Transaction], None], lost: type[Exception]
) -> None:
    producer = FakeProducer(**errors)
    alive = weakref.ref(producer)
    opened_one = opened(producer)
    del producer
    with pytest.raises(lost) as caught, opened_one:
        work(opened_one)
    del caught
    if lost is Retryable:
        with suppress(ProducerLost), opened_one:
            raise AssertionError("what could not be aborted must not begin again")
    del opened_one
    assert alive() is None
