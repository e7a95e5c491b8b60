"""Replays a data folder through Kafka: items, then what users declared and allowed, then events at a chosen rate."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel

from producers.dataset import Dataset
from producers.malformed import RawMessage, malformed_messages
from producers.publisher import Headers
from schemas.messages import BehaviorEvent, ConsentControl, Item, UserAttributes, UserControl
from schemas.topics import BEHAVIOR_EVENTS, ITEMS, USER_ATTRIBUTES, USER_CONTROLS, Topic

NAP_S = 0.001
MAX_ARREARS_S = 0.25

OnProgress = Callable[[str, int], None]
"""Told the stage (`items`, `users`, `events`) and how many of its messages have been sent so far."""


class Sender(Protocol):
    """What a replay sends with; `Publisher` is the one."""

    def send(self, topic: Topic, key: str, message: BaseModel) -> None:
        """Queue a message."""

    def send_raw(self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers | None = None) -> None:
        """Queue bytes as they are."""

    def flush(self) -> None:
        """Return when everything queued has arrived."""


@dataclass
class Sent:
    """How many messages of each kind a run has sent, and how long the events took."""

    items: int = 0
    attributes: int = 0
    controls: int = 0
    events: int = 0
    malformed: int = 0
    events_s: float = 0.0
    users: set[str] = field(default_factory=set)

    @property
    def events_per_s(self) -> float:
        """Events and malformed messages a second."""
        return (self.events + self.malformed) / self.events_s if self.events_s else 0.0


class Pace:
    """Holds a loop to a steady rate: one turn each 1 / rate seconds, slept for in steps of a millisecond.

    Time lost by more than a quarter of a second is not made up for, so a stall is never followed by a long burst.
    """

    def __init__(
        self,
        rate_per_s: float | None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval_s = 1.0 / rate_per_s if rate_per_s else 0.0
        self._clock, self._sleep = clock, sleep
        self._due_s: float | None = None

    def wait(self) -> None:
        """Return when the next turn is due; at once when no rate was set."""
        if not self._interval_s:
            return
        now_s = self._clock()
        if self._due_s is None or now_s - self._due_s > MAX_ARREARS_S:
            self._due_s = now_s
        while self._due_s - now_s >= NAP_S:
            self._sleep(self._due_s - now_s)
            now_s = self._clock()
        self._due_s += self._interval_s


def replay(
    dataset: Dataset,
    publisher: Sender,
    rate_per_s: float | None = None,
    limit: int | None = None,
    on_progress: OnProgress = lambda stage, done: None,
    *,
    grant_profile: bool = False,
    malformed: int = 0,
    seed: int = 0,
) -> Sent:
    """Send a data folder and return what was sent; all of it has arrived.

    `limit` bounds the events; `rate_per_s` None is as fast as possible; event times stay the data's. `grant_profile` sends
    each user's consent to a profile first, as the data has none of its own; `malformed` mixes that many bad messages evenly
    among the events.
    """
    sent = Sent()
    times = dataset.times
    for sent.items, item in enumerate(dataset.items(), start=1):
        publisher.send(ITEMS, item.item_id, item)
        on_progress("items", sent.items)
    publisher.flush()
    for declared in dataset.attributes():
        send_timed(publisher, declared, sent)
        on_progress("users", sent.attributes)
    if grant_profile:
        for user_id in dataset.user_ids():
            send_timed(publisher, profile_consent(user_id, times.first_ms), sent)
    publisher.flush()
    events = itertools.islice(dataset.events(), limit)
    total = times.count if limit is None else min(limit, times.count)
    send_events(publisher, mixed(events, total, malformed, seed), Pace(rate_per_s), sent, on_progress)
    return sent


def profile_consent(user_id: str, issued_at_ms: int) -> ConsentControl:
    """The user's consent to have a profile written."""
    return ConsentControl(user_id=user_id, issued_at_ms=issued_at_ms, purpose="profile", granted=True)


Timed = BehaviorEvent | UserAttributes | UserControl


def mixed(messages: Iterable[Timed], total: int, malformed: int, seed: int) -> Iterator[Timed | RawMessage]:
    """The messages with `malformed` bad ones spread evenly among them; `total` is how many messages there are."""
    bad = malformed_messages(seed, malformed)
    given = 0
    for position, message in enumerate(messages, start=1):
        yield message
        while given * max(total, 1) < malformed * position and given < malformed:
            given += 1
            yield next(bad)
    yield from bad


def send_events(
    publisher: Sender, messages: Iterable[Timed | RawMessage], pace: Pace, sent: Sent, on_progress: OnProgress
) -> None:
    """Send messages in their order at the pace, and wait until they have arrived."""
    started_s = time.perf_counter()
    for message in messages:
        pace.wait()
        send_timed(publisher, message, sent)
        on_progress("events", sent.events)
    publisher.flush()
    sent.events_s = time.perf_counter() - started_s


def send_timed(publisher: Sender, message: Timed | RawMessage | Item, sent: Sent) -> None:
    """Send one message to the topic of its kind, and count it."""
    match message:
        case RawMessage():
            publisher.send_raw(message.topic, message.key, message.value, message.headers)
            sent.malformed += 1
        case BehaviorEvent():
            publisher.send(BEHAVIOR_EVENTS, message.user_id, message)
            sent.events += 1
            sent.users.add(message.user_id)
        case UserAttributes():
            publisher.send(USER_ATTRIBUTES, message.user_id, message)
            sent.attributes += 1
            sent.users.add(message.user_id)
        case Item():
            publisher.send(ITEMS, message.item_id, message)
            sent.items += 1
        case _:
            publisher.send(USER_CONTROLS, message.user_id, message)
            sent.controls += 1
