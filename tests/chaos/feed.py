"""Seeded events at a steady rate, from a thread that outlives every outage of the broker."""

import random
import threading
import time
from collections.abc import Iterator

from producers.publisher import Publisher
from schemas.settings import KafkaSettings
from tests.benchmarks.tag_fold import EVENTS, Event, encode

TAGS = [f"tag-{number}" for number in range(120)]


def events(seed: int, users: int) -> Iterator[Event]:
    """Endless events; a few users cause most of them."""
    chance = random.Random(seed)
    number = 0
    while True:
        user = min(int(chance.paretovariate(0.6)), users) if chance.random() < 0.5 else chance.randrange(users)
        item = chance.randrange(5000)
        tags = [TAGS[item % 120], TAGS[(item * 7) % 120]]
        yield Event(f"{seed}-{number}", f"user-{user}", f"item-{item}", tags, chance.choice((-1.0, 0.5, 1.0, 2.0)))
        number += 1


class Feed:
    """Sends until stopped; `sent` counts."""

    def __init__(self, kafka: KafkaSettings, seed: int, users: int, per_s: float) -> None:
        self._kafka = kafka
        self._events = events(seed, users)
        self._per_s = per_s
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="feed")
        self._thread.start()

    @property
    def sent(self) -> int:
        """Messages handed to the producer so far."""
        return self._publisher.sent if hasattr(self, "_publisher") else 0

    def stop(self) -> int:
        """Stop and wait until everything has arrived; gives the number of events."""
        self._stop.set()
        self._thread.join()
        if self._failures:
            raise self._failures[0]
        return self.sent

    def _run(self) -> None:
        try:
            with Publisher(self._kafka) as self._publisher:
                started = time.monotonic()
                while not self._stop.wait(0.02):
                    due = int((time.monotonic() - started) * self._per_s)
                    for _ in range(due - self._publisher.sent):
                        event = next(self._events)
                        self._publisher.send_raw(EVENTS, event.user_id.encode(), encode(event))
        except BaseException as error:  # raised again by stop
            self._failures.append(error)
