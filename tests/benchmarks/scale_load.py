"""Many users at once: the changelog of a fold that has seen 50 events of each, without sending them all.

The shortcut: there are at most HISTORIES different histories of 50 events; user number i has history i modulo their number, so
millions of states need no more folding than thousands. Each state is what the plain fold makes of such a history, and it is
written by the transactional producer of the worker itself. `bench_scale` proves the states by sending some users' events
through a real worker.
"""

import itertools
import random
from collections.abc import Callable, Iterator

import msgspec

from consumers.runtime import clients
from consumers.runtime.packing import Packed, pack
from producers.publisher import Publisher
from schemas.settings import Settings
from tests.benchmarks.tag_fold import EVENTS, HISTORY_LENGTH, STATES, Event, State, TagFold, encode, fold
from tests.chaos.feed import events

HISTORIES = 20_000
"""Far more than fit into any compression window, so that equal ones are never seen together."""
RECORDS_PER_TRANSACTION = 20_000


def user_name(number: int) -> str:
    """The id of a user by number."""
    return f"user-{number}"


def histories(users: int, seed: int) -> Iterator[list[Event]]:
    """What the first users have sent, one after the other, up to HISTORIES of them."""
    stream = events(seed, users)
    for number in range(min(users, HISTORIES)):
        drawn = itertools.islice(stream, HISTORY_LENGTH)
        yield [msgspec.structs.replace(event, user_id=user_name(number)) for event in drawn]


class States:
    """States of any number of users after 50 events each."""

    def __init__(self, users: int, seed: int) -> None:
        self._states = [encode(folded(State(), history)) for history in histories(users, seed)]
        self._packed = [pack(state) for state in self._states]

    def __getitem__(self, number: int) -> bytes:
        """The state of a user."""
        return self._states[number % len(self._states)]

    def packed(self, number: int) -> Packed:
        """The same, as the changelog holds it."""
        return self._packed[number % len(self._packed)]


def folded(state: State, history: list[Event]) -> State:
    """The state after these events, one after the other."""
    for event in history:
        fold(state, event)
    return state


def write_changelog(settings: Settings, states: States, users: int, on_written: Callable[[int], None]) -> None:
    """Log every user's state as the worker would; `on_written` is told the number so far."""
    timeout_ms = settings.runtime.transaction_timeout_ms
    producer = clients.transactional_producer(settings.kafka, TagFold.name, settings.runtime.replica, timeout_ms)
    producer.init_transactions()
    for start in range(0, users, RECORDS_PER_TRANSACTION):
        producer.begin_transaction()
        for number in range(start, min(users, start + RECORDS_PER_TRANSACTION)):
            producer.produce(STATES.name, states.packed(number), user_name(number))
        producer.commit_transaction()
        on_written(min(users, start + RECORDS_PER_TRANSACTION))


def load(users: int, number: int, seed: int) -> list[Event]:
    """New events of users who take turns in a shuffled order.

    It is the worst there is for caches, and with 10 thousand users or with 2 million hardly a micro-batch has two events of
    one user: so the cost of an event differs by what the number of users does to the store, and by nothing else.
    """
    turns = list(range(users))
    random.Random(seed).shuffle(turns)
    drawn = zip(itertools.islice(events(seed, users), number), itertools.cycle(turns), strict=False)
    return [msgspec.structs.replace(event, user_id=user_name(user)) for event, user in drawn]


def send(settings: Settings, sent: list[Event]) -> None:
    """As fast as the broker takes them."""
    with Publisher(settings.kafka) as publisher:
        for event in sent:
            publisher.send_raw(EVENTS, event.user_id.encode(), encode(event))
