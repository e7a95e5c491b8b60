"""The judge: a single-threaded fold of all inputs in plain Python, held against what the profiler's changelog says.

It shares the fold with the profiler and nothing else: no runtime, no micro-batches, no store, no transactions.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from consumers.fold import fold, is_empty, life_of
from consumers.overlay import in_fold_order
from consumers.runtime.changelog import PROGRESS_KEY
from consumers.runtime.clients import RawRecord
from consumers.runtime.packing import unpack
from consumers.runtime.processor import Record
from deploy.reading import read_all
from schemas.errors import BadMessage
from schemas.settings import Settings
from schemas.state import UserState, decode_state
from schemas.topics import BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES, USER_STATE
from schemas.wire import decode

INPUTS = (BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES)


@dataclass(frozen=True)
class Verdict:
    """How many users were compared, and which of them differ from the plain fold, with what is wrong.

    `event_counts` is what the changelog's states hold, by user; `events` is their sum in the plain fold.
    """

    users: int
    events: int
    event_counts: Mapping[str, int]
    differing: Mapping[str, str]


def judge(settings: Settings) -> Verdict:
    """Compare every user's state on the changelog with a plain fold of the input topics, read from their beginning.

    The inputs must be at rest: everything sent has been read by the profiler. Records are folded in the order of their Kafka
    timestamps.
    """
    stored = _last_states(read_all(settings.kafka, (USER_STATE,)))
    lives = {user_id: state.life for user_id, state in stored.items()}
    folded, events = plain_fold(list(_valid(settings, read_all(settings.kafka, INPUTS))), settings, lives)
    differing = {
        user_id: _difference(folded.get(user_id), stored.get(user_id))
        for user_id in folded.keys() | stored.keys()
        if folded.get(user_id) != stored.get(user_id)
    }
    counts = {user_id: state.event_count for user_id, state in stored.items()}
    return Verdict(len(folded.keys() | stored.keys()), events, counts, differing)


def plain_fold(
    records: Sequence[Record], settings: Settings, lives: Mapping[str, int] = MappingProxyType({})
) -> tuple[dict[str, UserState], int]:
    """States by user id, empty ones left out, and how many events are in them.

    `lives` has what stored states say they began with. Topics have no order among them, so any of a user's messages may have
    been the first to be read; the word of the store is taken if it names one of them.
    """
    of_user: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        of_user[record.key].append(record)
    states: dict[str, UserState] = {}
    for record in in_fold_order(records):
        state = states.setdefault(record.key, UserState())
        begins = is_empty(state)
        fold(state, record.topic, record.message, settings.fold)
        if begins and not is_empty(state) and _began_with(lives.get(record.key, state.life), state.life, of_user[record.key]):
            state.life = lives[record.key]
    known = {user_id: state for user_id, state in states.items() if not is_empty(state)}
    return known, sum(state.event_count for state in known.values())


def _began_with(life: int, found: int, records: Sequence[Record]) -> bool:
    """Whether a state of another `life` than the one `found` here began with one of these messages."""
    return life != found and any(life == life_of(record.message) for record in records if record.message is not None)


def _valid(settings: Settings, raws: Iterable[RawRecord]) -> Iterable[Record]:
    for raw in raws:
        try:
            key, message = decode(raw.topic, raw.key, raw.value, raw.headers, raw.timestamp_ms, settings.fold)
        except BadMessage:
            continue
        yield Record(raw.topic, raw.partition, raw.offset, raw.timestamp_ms, key, message)


def _last_states(raws: Iterable[RawRecord]) -> dict[str, UserState]:
    states: dict[str, UserState] = {}
    for raw in raws:
        if raw.key is None or raw.key == PROGRESS_KEY:
            continue
        if raw.value is None:
            states.pop(raw.key.decode(), None)
        else:
            states[raw.key.decode()] = decode_state(unpack(raw.value))
    return states


def _difference(folded: UserState | None, stored: UserState | None) -> str:
    if folded is None or stored is None:
        return f"no state {'in the plain fold' if folded is None else 'on the changelog'}"
    names = [
        f"{name}: folded {getattr(folded, name)!r:.200}, stored {getattr(stored, name)!r:.200}"
        for name in UserState.__struct_fields__
        if getattr(folded, name) != getattr(stored, name)
    ]
    return "; ".join(names)
