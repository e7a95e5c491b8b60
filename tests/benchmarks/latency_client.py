"""Producer and subscriber of one step of `make bench-latency`, in a process of their own; prints one line of JSON.

`python -m tests.benchmarks.latency_client '<Step as JSON>'`. An event's latency runs from the moment before produce() to the
moment at which the subscriber has decoded the answer that covers it. An event without an answer, or with two, is an error.
"""

import gc
import itertools
import sys
import threading
import time

import msgspec
from confluent_kafka import Consumer, TopicPartition

from producers.publisher import Publisher
from schemas.errors import PortraitError
from schemas.settings import KafkaSettings
from tests.benchmarks.latency_fold import Answer, Variant
from tests.benchmarks.tag_fold import Event, encode
from tests.chaos.feed import events

ANSWER_WAIT_S = 30.0
ASSIGN_WAIT_S = 30.0


class Step(msgspec.Struct):
    """How many events at which rate; the first `settle_s` seconds of them are not counted. `seed` must be new to the topic."""

    bootstrap_servers: str
    variant: Variant
    partitions: int
    rate_per_s: float
    settle_s: float
    measure_s: float
    users: int
    seed: int


class Measured(msgspec.Struct):
    """Latencies of the counted events in their order, and the rate at which they were really sent."""

    latencies_ms: list[float]
    sent_per_s: float


class Subscriber:
    """Notes when each event's answer has been read and decoded, from its making on."""

    def __init__(self, step: Step) -> None:
        self.seen_ns: dict[str, int] = {}
        self.doubled = 0
        self.failures: list[str] = []
        self._event_ids = bare_event_ids if step.variant is Variant.BARE else covered_event_ids
        kafka = KafkaSettings(bootstrap_servers=step.bootstrap_servers).client_config()
        config = {"group.id": "latency-subscriber", "isolation.level": "read_committed", "enable.auto.commit": False}
        self._consumer = Consumer({**kafka, **config, "fetch.wait.max.ms": 100, "fetch.queue.backoff.ms": 5})
        topic = step.variant.answers.name
        self._start_at_end(topic, step.partitions)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="subscriber")
        self._thread.start()

    def _start_at_end(self, topic: str, partitions: int) -> None:
        """Read from here on: the ends are asked for now, since a lazy end would be that of the first fetch."""
        parts = [TopicPartition(topic, number) for number in range(partitions)]
        ends = [self._consumer.get_watermark_offsets(part, timeout=ASSIGN_WAIT_S)[1] for part in parts]
        self._consumer.assign([TopicPartition(topic, part.partition, end) for part, end in zip(parts, ends, strict=True)])

    def _run(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.1)
            if message is None:
                continue
            if (error := message.error()) is not None:
                self.failures.append(error.str())
                continue
            event_ids = self._event_ids(message.value() or b"")
            now_ns = time.monotonic_ns()
            for event_id in event_ids:
                self.doubled += event_id in self.seen_ns
                self.seen_ns[event_id] = now_ns

    def stop(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()


_answer = msgspec.json.Decoder(Answer).decode
_event = msgspec.json.Decoder(Event).decode


def covered_event_ids(value: bytes) -> list[str]:
    """The events that an answer covers."""
    return _answer(value).event_ids


def bare_event_ids(value: bytes) -> list[str]:
    """The bare loop passes events on as they are."""
    return [_event(value).event_id]


def measure(step: Step) -> Measured:
    """Send at an even pace and wait for every answer.

    Raises:
        PortraitError: an event was answered twice or not at all.
    """
    total, settling = (int(seconds * step.rate_per_s) for seconds in (step.settle_s + step.measure_s, step.settle_s))
    planned = [(event, encode(event)) for event in itertools.islice(events(step.seed, step.users), total)]
    gc.collect()
    gc.freeze()
    subscriber = Subscriber(step)
    try:
        with Publisher(KafkaSettings(bootstrap_servers=step.bootstrap_servers), linger_ms=0) as publisher:
            sent_ns = send(publisher, step, planned)
        deadline = time.monotonic() + ANSWER_WAIT_S
        while len(subscriber.seen_ns) < total and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        subscriber.stop()
    missing = sum(event.event_id not in subscriber.seen_ns for event, _ in planned)
    if missing or subscriber.doubled or subscriber.failures:
        raise PortraitError(
            f"{step.variant} at {step.rate_per_s:g} a second: of {total:,} events {missing:,} were not answered within "
            f"{ANSWER_WAIT_S:.0f} s, {subscriber.doubled:,} twice; the subscriber's failures: {subscriber.failures[:3]}"
        )
    latencies = [(subscriber.seen_ns[event.event_id] - sent_ns[number]) / 1e6 for number, (event, _) in enumerate(planned)]
    counted_s = (sent_ns[-1] - sent_ns[settling]) / 1e9
    return Measured(latencies[settling:], (total - settling - 1) / counted_s)


def send(publisher: Publisher, step: Step, planned: list[tuple[Event, bytes]]) -> list[int]:
    """Send each event when it is due; gives the moments, in ns of the monotonic clock."""
    sent_ns = []
    started = time.monotonic()
    for number, (event, value) in enumerate(planned):
        wait_s = started + number / step.rate_per_s - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        sent_ns.append(time.monotonic_ns())
        publisher.send_raw(step.variant.events, event.user_id.encode(), value)
    return sent_ns


def main(step: str) -> None:
    """Measure one step and print it."""
    print(msgspec.json.encode(measure(msgspec.json.decode(step, type=Step))).decode())


if __name__ == "__main__":
    main(sys.argv[1])
