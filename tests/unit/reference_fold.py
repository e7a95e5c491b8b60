"""The fold once more, as plainly as it can be said: everything a user did is kept, and the state is worked out from it.

It shares no code with `consumers.fold`; the state machine holds one against the other.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consumers.runtime.processor import Record
from consumers.statements.clean_text import tag_key
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


@dataclass
class Life:
    """What a user did and said since their last erasure."""

    events: list[BehaviorEvent] = field(default_factory=list)
    attributes: UserAttributes | None = None
    consent: dict[str, bool] = field(default_factory=dict)
    muted: set[tuple[str, str]] = field(default_factory=set)
    edits: dict[str, str] = field(default_factory=dict)
    profile: UserProfile | None = None
    changes: int = 0


class Reference:
    """One user. `life_of` says in which life (0, 1, …) the profile of a request was asked for."""

    def __init__(self, rules: FoldSettings, life_of: Mapping[str, int]) -> None:
        self.rules = rules
        self.life_of = life_of
        self.life_number = 0
        self.erased_at_ms = -1
        self.life = Life()

    def read(self, record: Record) -> None:
        """Take the next record, in the order in which they were sent."""
        message = record.message
        if isinstance(message, EraseControl):
            self.erased_at_ms = record.timestamp_ms
            self.life = Life()
            self.life_number += 1
        elif record.topic == "user-controls" or record.timestamp_ms > self.erased_at_ms:
            self.life.changes += self.changed_by(record)

    def changed_by(self, record: Record) -> bool:
        life, message = self.life, record.message
        if isinstance(message, BehaviorEvent):
            return self.did(message)
        before = (life.attributes, dict(life.consent), set(life.muted), dict(life.edits), life.profile)
        if isinstance(message, UserAttributes):
            if life.attributes is None or message.updated_at_ms >= life.attributes.updated_at_ms:
                life.attributes = message
        elif isinstance(message, ConsentControl):
            life.consent[message.purpose] = message.granted
            if not self.allows("profile"):
                life.profile = None
        elif isinstance(message, MuteControl):
            by_case = message.target == "tag"
            same = {
                (target, value)
                for target, value in life.muted
                if target == message.target
                and (tag_key(value) == tag_key(message.value) if by_case else value == message.value)
            }
            if message.muted and not same:
                life.muted.add((message.target, message.value))
            elif not message.muted:
                life.muted -= same
        elif isinstance(message, EditControl):
            same_topic = [topic for topic in life.edits if tag_key(topic) == tag_key(message.topic)]
            if [life.edits[topic] for topic in same_topic] != [message.stance]:
                for topic in same_topic:
                    del life.edits[topic]
                if message.stance != "unset":
                    life.edits[message.topic] = message.stance
        elif isinstance(message, UserProfile):
            if self.holds(message):
                life.profile = message
        elif record.topic == "user-attributes":
            life.attributes = None
        elif record.topic == "user-profiles":
            life.profile = None
        return before != (life.attributes, life.consent, life.muted, life.edits, life.profile)

    def did(self, event: BehaviorEvent) -> bool:
        done, window = self.life.events, self.rules.history_length
        known = {one.event_id for one in (*done[-window:], *self.by_time()[-window:])}
        newest_ms = max((one.event_time_ms for one in done), default=0)
        if event.event_id in known or event.event_time_ms < newest_ms - self.rules.max_late_s * 1000:
            return False
        done.append(event)
        return True

    def by_time(self) -> list[BehaviorEvent]:
        return sorted(self.life.events, key=lambda event: (event.event_time_ms, event.event_id))

    def allows(self, purpose: str) -> bool:
        return self.life.consent.get(purpose, purpose in self.rules.default_consent)

    def holds(self, profile: UserProfile) -> bool:
        known = -1 if self.life.profile is None else self.life.profile.state_version
        of_this_life = self.life_of[profile.request_id] == self.life_number
        return self.allows("profile") and of_this_life and known < profile.state_version <= self.life.changes

    def expected(self) -> dict[str, Any] | None:
        """What the state must say; None when nothing may be stored."""
        life = self.life
        if not life.changes:
            return None
        return {
            "version": life.changes,
            "history": [
                (one.event_id, one.event_time_ms, one.item_id, one.type, one.value, one.text)
                for one in self.by_time()[-self.rules.history_length :]
            ],
            "types": dict(Counter(one.type for one in life.events)),
            "surfaces": dict(Counter(one.surface for one in life.events if one.surface)),
            "domains": dict(Counter(one.domain for one in life.events if one.domain)),
            "items": self.items(),
            "age": life.attributes and life.attributes.age,
            "tags": life.attributes and life.attributes.tags,
            "consent": life.consent,
            "muted": life.muted,
            "edits": life.edits,
            "profile": life.profile and life.profile.state_version,
        }

    def items(self) -> dict[str, tuple[float, int]]:
        """Summed weight and last time of the items used last."""
        kept: dict[str, tuple[float, int]] = {}
        for event in self.life.events:
            if event.item_id is None:
                continue
            weight, last_ms = kept.get(event.item_id, (0.0, 0))
            stars = event.type == "rating" and event.value is not None
            gained = (event.value - 3) * 2 if stars and event.value is not None else self.rules.type_weights[event.type]
            if event.type in ("view", "click", "play") and event.value is not None and event.value < 15:
                gained = 0.0
            kept[event.item_id] = weight + gained, max(last_ms, event.event_time_ms)
            if len(kept) > self.rules.max_items:
                del kept[min(kept, key=lambda item_id: (kept[item_id][1], item_id))]
        return kept
