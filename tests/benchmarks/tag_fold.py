"""A fold that any stream library can do, for benchmarks and for chaos: per user the last 50 events, tag weights and a count,
kept as JSON; every micro-batch publishes each touched user's new summary.

It has no clock, no model and no randomness, so its outcome is a function of each partition's events in their order.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from consumers.runtime.clients import RawRecord
from consumers.runtime.processor import Batch, Output, Outputs, Record, StateKey
from schemas.errors import BadMessage
from schemas.topics import Key, Topic

EVENTS = Topic("fold-events", Key.USER_ID, "delete", "Event")
STATES = Topic("fold-states", Key.USER_ID, "compact", "State")
SUMMARIES = Topic("fold-summaries", Key.USER_ID, "delete", "Summary")
TOPICS = (EVENTS, STATES, SUMMARIES)
HISTORY_LENGTH = 50


class Event(msgspec.Struct):
    """One event of a user on an item."""

    event_id: str
    user_id: str
    item_id: str
    tags: list[str]
    weight: float


class State(msgspec.Struct):
    """What is known of a user."""

    count: int = 0
    events: list[tuple[str, str, float]] = []
    tags: dict[str, float] = {}


class Summary(msgspec.Struct):
    """What subscribers are told: how many events were folded, the newest of them, and the strongest tag."""

    count: int
    event_id: str
    tag: str


_read_event = msgspec.json.Decoder(Event).decode
_read_state = msgspec.json.Decoder(State).decode
encode = msgspec.json.Encoder().encode


def decode_event(raw: RawRecord) -> tuple[str, Event]:
    """The decoder that a worker of this role is given."""
    try:
        event = _read_event(raw.value or b"")
    except msgspec.MsgspecError as error:
        raise BadMessage("invalid", str(error)) from None
    return event.user_id, event


def fold(state: State, event: Event) -> None:
    """Take one event into the state."""
    state.count += 1
    state.events.append((event.event_id, event.item_id, event.weight))
    if len(state.events) > HISTORY_LENGTH:
        del state.events[0]
    tags = state.tags
    for tag in event.tags:
        tags[tag] = tags.get(tag, 0.0) + event.weight


def summary(state: State) -> Summary:
    """What follows from a state."""
    _, strongest = max(zip(state.tags.values(), state.tags, strict=True))
    return Summary(state.count, state.events[-1][0], strongest)


def plain_fold(events: Iterable[Event]) -> dict[str, State]:
    """States by user, one event after the other."""
    states: dict[str, State] = {}
    for event in events:
        state = states.get(event.user_id)
        if state is None:
            state = states[event.user_id] = State()
        fold(state, event)
    return states


class TagFold:
    """The Processor."""

    name = "tag-fold"
    inputs = (EVENTS,)
    tables = ()
    changelog = STATES

    def startup(self) -> None:
        """Nothing is needed."""

    def on_table_record(self, record: Record) -> None:
        """There are no tables."""

    def on_committed(self) -> None:
        """Nothing is kept."""

    def on_revoked(self, partitions: frozenset[int]) -> None:
        """Nothing is kept."""

    def process(self, batch: Batch) -> Outputs:
        """Fold the batch; one state and one summary per touched user."""
        outputs = Outputs()
        for key, state, _ in fold_batch(batch):
            outputs.states[key] = encode(state)
            outputs.records.append(Output(SUMMARIES, key[1], encode(summary(state))))
        return outputs


def fold_batch(batch: Batch) -> Iterator[tuple[StateKey, State, list[Event]]]:
    """Each touched user's new state, and the events that led to it."""
    by_user: dict[StateKey, list[Event]] = {}
    for record in batch.records:
        by_user.setdefault((record.partition, record.key), []).append(record.message)  # type: ignore[arg-type]
    stored = _load(batch, by_user)
    for key, events in by_user.items():
        data = stored.get(key)
        state = State() if data is None else _read_state(data)
        for event in events:
            fold(state, event)
        yield key, state, events


def _load(batch: Batch, keys: Iterable[StateKey]) -> Mapping[StateKey, bytes]:
    by_partition: dict[int, list[str]] = {}
    for partition, user_id in keys:
        by_partition.setdefault(partition, []).append(user_id)
    return {
        (partition, user_id): data
        for partition, user_ids in by_partition.items()
        for user_id, data in batch.load(partition, user_ids).items()
    }
