"""The fold: a user's state from their messages. Pure: no clock, no I/O, no randomness, no look at the catalogue.

A micro-batch folds many messages into one state, so `fold` changes the state it is given; the caller owns the copy. State
depends on the user's messages in their order alone, and within the bounds below what events say does not depend on that order:

- A repeated event_id is a no-op while fewer than `history_length` other events of the user were folded after the first, and as
  long as the first is among the `history_length` newest.
- An event older than the user's newest by more than `max_late_s` is left out.
- History is the newest events by (event time, id); counts are integer sums.
- `items` keeps the `max_items` items used last; an item forgotten and used again starts from zero.

docs/event-time.md has the whole of it.
"""

from bisect import insort
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter
from zlib import crc32

import numpy as np
from pydantic import BaseModel

from consumers.consent import consents
from consumers.refresh import statement_topics
from consumers.statements.clean_text import tag_key
from consumers.statements.feedback import event_weight
from schemas.messages import (
    BehaviorEvent,
    ConsentControl,
    EditControl,
    EraseControl,
    MuteControl,
    UserAttributes,
    UserProfile,
)
from schemas.settings import FoldSettings
from schemas.state import Attributes, HistoryEvent, ItemCount, ProfileRef, UserState
from schemas.topics import USER_ATTRIBUTES, USER_PROFILES

_last_used = attrgetter("last_event_time_ms")

MAX_EVENT_TEXT = 280
"""Characters of a query or comment that the state keeps."""
MAX_SURFACES = 64
MAX_CONTROLS = 1000
"""Mutes of a kind, or edits, that a user can have at once; more are ignored, so that a state always fits into a message."""
MAX_CONTROL_BYTES = 256 * 1024
"""The same for all of them together, in UTF-8."""
MAX_TOPICS = 256
MAX_TOPIC_CHARACTERS = 128
"""Topics of a profile that the state keeps, for the same reason, and characters of each."""


def fold(state: UserState, topic: str, message: BaseModel | None, rules: FoldSettings) -> bool:
    """Fold one message into `state`, in place; says whether the state changed, and raises its version if so.

    `message` None is a tombstone of `topic`. An erasure resets the state to a new user's, with version 0.
    """
    if isinstance(message, EraseControl):
        _erase(state)
        return True
    changed = _apply(state, topic, message, rules)
    if changed and is_empty(state) and message is not None:
        state.life = life_of(message)
    state.version += changed
    return changed


def life_of(message: BaseModel) -> int:
    """`UserState.life` of a state that begins with this message."""
    return crc32(message.model_dump_json().encode())


def is_empty(state: UserState) -> bool:
    """Whether nothing is known: such a state is stored as a tombstone."""
    return state.version == 0


def _apply(state: UserState, topic: str, message: BaseModel | None, rules: FoldSettings) -> bool:
    match message:
        case BehaviorEvent():
            return _fold_event(state, message, rules)
        case UserAttributes():
            return _fold_attributes(state, message)
        case UserProfile():
            return _fold_profile(state, message, rules)
        case ConsentControl():
            return _fold_consent(state, message)
        case MuteControl():
            return _fold_mute(state, message)
        case EditControl():
            return _fold_edit(state, message)
        case None if topic == USER_ATTRIBUTES.name and state.attributes is not None:
            state.attributes = None
            return True
        case None if topic == USER_PROFILES.name and state.profile is not None:
            state.profile = None
            return True
    return False


def _erase(state: UserState) -> None:
    empty = UserState()
    for name in UserState.__struct_fields__:
        setattr(state, name, getattr(empty, name))


def is_late(state: UserState, event: BehaviorEvent, rules: FoldSettings) -> bool:
    """Whether the event is too much older than the user's newest to be folded, and is not one folded before."""
    return _is_too_old(state.events, event, rules) and not _is_known(state, event.event_id)


def _is_too_old(history: Sequence[HistoryEvent], event: BehaviorEvent, rules: FoldSettings) -> bool:
    return bool(history) and event.event_time_ms < history[-1].event_time_ms - rules.max_late_s * 1000


def _is_known(state: UserState, event_id: str) -> bool:
    for seen in state.events:  # a plain loop: any() with a generator takes three times as long here
        if seen.event_id == event_id:
            return True
    return event_id in state.late_ids


def _fold_event(state: UserState, event: BehaviorEvent, rules: FoldSettings) -> bool:
    if _is_known(state, event.event_id) or _is_too_old(state.events, event, rules):
        return False
    entry = HistoryEvent(
        event.event_time_ms,
        event.event_id,
        event.item_id,
        event.type,
        event.value,
        event.text[:MAX_EVENT_TEXT] if event.text else None,
    )
    came_late = _insert(state.events, entry, rules.history_length)
    _count(state.type_counts, event.type)
    _count(state.surface_counts, event.surface)
    if len(state.surface_counts) > MAX_SURFACES:
        del state.surface_counts[max(state.surface_counts)]  # by name, so that the order of arrival does not matter
    _count(state.domain_counts, event.domain)
    if event.item_id is not None:
        _count_item(state.items, event, rules)
    if came_late or state.late_ids:
        _remember_late(state, event.event_id, came_late, rules.history_length)
    return True


def _insert(history: list[HistoryEvent], entry: HistoryEvent, limit: int) -> bool:
    """Put the event in its place by time; says whether that is before others."""
    came_late = bool(history) and entry < history[-1]
    if came_late:
        insort(history, entry)
    else:
        history.append(entry)
    if len(history) > limit:
        del history[0]
    return came_late


def _remember_late(state: UserState, event_id: str, came_late: bool, window: int) -> None:
    """Keep the ids of late events for `window` events.

    An event that came in order needs no such note: those that push it out of the history all come after it.
    """
    count = state.event_count
    if came_late:
        state.late_ids[event_id] = count
    for known, at in list(state.late_ids.items()):
        if at > count - window:
            break
        del state.late_ids[known]


def _count(counts: dict[str, int], name: str | None) -> None:
    if name is not None:
        counts[name] = counts.get(name, 0) + 1


def _count_item(items: dict[str, ItemCount], event: BehaviorEvent, rules: FoldSettings) -> None:
    assert event.item_id is not None
    weight_milli = round(1000 * event_weight(event.type, event.value, rules.type_weights))
    count = items.get(event.item_id)
    if count is not None:
        count.weight_milli += weight_milli
        count.last_event_time_ms = max(count.last_event_time_ms, event.event_time_ms)
        return
    items[event.item_id] = ItemCount(weight_milli, event.event_time_ms)
    if len(items) > rules.max_items:
        _forget_longest_unused(items)


def _forget_longest_unused(items: dict[str, ItemCount]) -> None:
    """The smallest id of those used longest ago, in two plain passes: a `min` by time and id takes twice as long."""
    oldest_ms = min(map(_last_used, items.values()))
    del items[min([item_id for item_id, count in items.items() if count.last_event_time_ms == oldest_ms])]


def _fold_attributes(state: UserState, message: UserAttributes) -> bool:
    known = state.attributes
    if known is not None and message.updated_at_ms < known.updated_at_ms:
        return False
    fields = message.model_dump(exclude={"user_id"})
    state.attributes = Attributes(**fields)
    return state.attributes != known


def _fold_consent(state: UserState, message: ConsentControl) -> bool:
    if state.consent.get(message.purpose) == message.granted:
        return False
    state.consent[message.purpose] = message.granted
    if message.purpose == "profile" and not message.granted:
        state.profile = None
    return True


def _fold_mute(state: UserState, message: MuteControl) -> bool:
    muted = state.muted_tags if message.target == "tag" else state.muted_items
    same = _spellings(muted, message.value) if message.target == "tag" else [one for one in muted if one == message.value]
    if bool(same) == message.muted:
        return False
    if message.muted and (len(muted) >= MAX_CONTROLS or not _has_room(state, message.value)):
        return False
    if message.muted:
        insort(muted, message.value)
    for one in same:
        muted.remove(one)
    return True


def _fold_edit(state: UserState, message: EditControl) -> bool:
    same = _spellings(state.edits, message.topic)
    if {state.edits[topic] for topic in same} == ({message.stance} - {"unset"}):
        return False
    if not same and (len(state.edits) >= MAX_CONTROLS or not _has_room(state, message.topic)):
        return False
    for topic in same:  # the last word counts, however the one before it was spelled
        del state.edits[topic]
    if message.stance != "unset":
        state.edits[message.topic] = message.stance
    return True


def _spellings(known: Iterable[str], tag: str) -> list[str]:
    """Those that are the same tag, however it is spelled."""
    key = tag_key(tag)
    return [one for one in known if tag_key(one) == key]


def _has_room(state: UserState, text: str) -> bool:
    kept = chain(state.muted_tags, state.muted_items, state.edits, (text,))
    return sum(len(one.encode()) for one in kept) <= MAX_CONTROL_BYTES


def _fold_profile(state: UserState, message: UserProfile, rules: FoldSettings) -> bool:
    """Remember a profile, unless it is older than the one known, from before an erasure, or not consented to."""
    if not consents(state, "profile", rules) or message.state_life != state.life or message.state_version > state.version:
        return False
    if state.profile is not None and message.state_version <= state.profile.state_version:
        return False
    state.profile = ProfileRef(
        state_version=message.state_version,
        language=message.language,
        topics=[topic[:MAX_TOPIC_CHARACTERS] for topic in statement_topics(message.statements)[:MAX_TOPICS]],
        text_vector=np.asarray(message.text_vector, dtype="<f2").tobytes(),
        events_seen=message.event_count,
        generated_at_ms=message.generated_at_ms,
    )
    return True
