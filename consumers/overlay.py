"""A micro-batch folded into the states it touches; nothing is kept until the runtime has committed it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from consumers.consent import consents
from consumers.fold import fold, is_empty, is_late
from consumers.runtime.processor import Batch, Record, StateKey
from schemas.messages import (
    BehaviorEvent,
    Cause,
    EditControl,
    EraseControl,
    MuteControl,
    UserProfile,
)
from schemas.settings import FoldSettings
from schemas.state import UserState, decode_state, encode_state
from schemas.topics import USER_ATTRIBUTES, USER_CONTROLS


@dataclass
class Touched:
    """One user's part of a micro-batch: the state after it, and what happened on the way."""

    partition: int
    user_id: str
    state: UserState
    newest: Record
    waiting_since_ms: int
    changed: bool = False
    erased_at_ms: int | None = None
    own_word: bool = False
    declared: bool = False
    profile_arrived: bool = False
    withdrew_profile: bool = False
    withdrew_recommendations: bool = False
    events: list[BehaviorEvent] = field(default_factory=list)
    duplicates: int = 0
    late: int = 0

    @property
    def erased(self) -> bool:
        """Whether the user was erased on the way; what came after counts again."""
        return self.erased_at_ms is not None

    @property
    def key(self) -> StateKey:
        """Where the state lives."""
        return self.partition, self.user_id

    def stored(self) -> bytes | None:
        """The state as it is stored; None, a tombstone, when nothing is known."""
        return None if is_empty(self.state) else encode_state(self.state)

    @property
    def cause(self) -> Cause:
        """What outputs of this batch for this user go back to."""
        message = self.newest.message
        return Cause(
            topic=self.newest.topic,
            partition=self.newest.partition,
            offset=self.newest.offset,
            event_id=message.event_id if isinstance(message, BehaviorEvent) else None,
            record_time_ms=self.newest.timestamp_ms,
            waiting_since_ms=self.waiting_since_ms,
        )


def in_fold_order(records: Sequence[Record]) -> list[Record]:
    """Records by Kafka timestamp, since topics have no order among them; a user's of one topic stay in its order.

    An erasure takes its moment with it, but not what its own topic says after it.
    """
    if len({record.topic for record in records}) == 1:
        return list(records)
    reached: dict[tuple[str, int, str], tuple[int, bool]] = {}
    keyed = []
    for record in records:
        place = record.topic, record.partition, record.key
        moment = record.timestamp_ms, isinstance(record.message, EraseControl)
        reached[place] = max(moment, reached.get(place, moment))
        keyed.append((reached[place], record))
    return [record for _, record in sorted(keyed, key=itemgetter(0))]


def fold_batch(batch: Batch, rules: FoldSettings, erased_at_ms: Mapping[StateKey, int]) -> list[Touched]:
    """Fold all records of a batch; one Touched per user.

    `erased_at_ms` has the Kafka timestamps of recent erasures: what was sent to other topics until then and is read only now
    is left out.
    """
    records = [record for record in in_fold_order(batch.records) if not _was_erased(record, erased_at_ms)]
    touched = {user.key: user for user in _load(records, batch.load)}
    for record in records:
        fold_record(touched[record.partition, record.key], record, rules)
    return list(touched.values())


def _was_erased(record: Record, erased_at_ms: Mapping[StateKey, int]) -> bool:
    until_ms = erased_at_ms.get((record.partition, record.key))
    return until_ms is not None and record.timestamp_ms <= until_ms and record.topic != USER_CONTROLS.name


def _load(records: Sequence[Record], load: Callable[[int, Sequence[str]], Mapping[str, bytes]]) -> Iterator[Touched]:
    first: dict[StateKey, Record] = {}
    for record in records:
        first.setdefault((record.partition, record.key), record)
    stored: dict[StateKey, bytes] = {}
    for partition in {partition for partition, _ in first}:
        keys = [key for number, key in first if number == partition]
        stored.update({(partition, key): data for key, data in load(partition, keys).items()})
    for (partition, user_id), record in first.items():
        data = stored.get((partition, user_id))
        state = UserState() if data is None else decode_state(data)
        yield Touched(partition, user_id, state, record, record.timestamp_ms)


def fold_record(user: Touched, record: Record, rules: FoldSettings) -> None:
    """Fold one record into its user's state, and note what happened."""
    message = record.message
    profile_before = consents(user.state, "profile", rules)
    lists_before = consents(user.state, "recommendations", rules)
    changed = fold(user.state, record.topic, message, rules)
    user.changed |= changed
    user.newest = record
    if isinstance(message, BehaviorEvent):
        if changed:
            user.events.append(message)
        elif is_late(user.state, message, rules):
            user.late += 1
        else:
            user.duplicates += 1
    elif isinstance(message, EraseControl):
        user.erased_at_ms = record.timestamp_ms
        user.events.clear()
    elif isinstance(message, EditControl | MuteControl):
        user.own_word |= changed
    elif record.topic == USER_ATTRIBUTES.name:  # a tombstone too
        user.declared |= changed
    elif isinstance(message, UserProfile):
        user.profile_arrived = True
        # a text that was under way when consent was withdrawn, or the user erased, must not stay on the topic
        user.withdrew_profile |= not profile_before or message.state_life != user.state.life
    user.withdrew_profile |= profile_before and not consents(user.state, "profile", rules)
    user.withdrew_recommendations |= lists_before and not consents(user.state, "recommendations", rules)
