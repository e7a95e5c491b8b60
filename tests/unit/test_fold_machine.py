"""Anything a user can do and say, in any batches, held against a plain reference; and what may come between topics."""

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import BaseModel

from consumers.consent import consents
from consumers.overlay import fold_batch
from consumers.runtime.processor import Batch, Record, StateKey
from deploy.judge import plain_fold
from schemas.errors import BadMessage
from schemas.messages import (
    BehaviorEvent,
    Cause,
    ConsentControl,
    EditControl,
    EraseControl,
    MuteControl,
    Statement,
    UserAttributes,
    UserProfile,
    encode,
)
from schemas.settings import FoldSettings, Settings
from schemas.state import UserState, decode_state
from schemas.topics import BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES, Topic
from schemas.wire import decode
from tests.unit.reference_fold import Reference

RULES = FoldSettings(history_length=4, max_items=3, max_late_s=60, max_future_s=10)
START_MS = 1_790_000_000_000
PARTITION_OF = {"ann": 0, "bob": 1, "cid": 1}
NOBODY = Cause(topic="t", partition=0, offset=0, record_time_ms=0, waiting_since_ms=0)

users = st.sampled_from(sorted(PARTITION_OF))
steps_ms = st.sampled_from([0, 0, 1, 3, 2000, 40_000])
numbers = st.integers(0, 9)
lags_ms = st.one_of(st.integers(-12_000, 5000), st.sampled_from([-10_001, -10_000, 0, 59_999, 60_000, 60_001, 200_000]))
"""How long before its record an event happened, by the user's clock; negative: the clock is ahead."""


class Worker:
    """States as a profiler keeps them: stored bytes between batches, and the erasures it remembers."""

    def __init__(self) -> None:
        self.stored: dict[StateKey, bytes] = {}
        self.erased_at_ms: dict[StateKey, int] = {}

    def load(self, partition: int, keys: Sequence[str]) -> Mapping[str, bytes]:
        return {key: self.stored[partition, key] for key in keys if (partition, key) in self.stored}

    def take(self, records: Sequence[Record], attempts: int = 1) -> None:
        """Fold a batch so many times, as after failed calls of a model, and commit the last attempt."""
        outcomes = []
        for _ in range(attempts):
            touched = fold_batch(Batch(records, self.load), RULES, self.erased_at_ms)
            outcomes.append([(user.key, user.changed, user.duplicates, user.late, user.stored()) for user in touched])
        assert outcomes == outcomes[:1] * attempts
        for user in touched:
            stored = user.stored()
            if stored is None:
                self.stored.pop(user.key, None)
            elif user.changed or user.erased:
                self.stored[user.key] = stored
            if user.erased_at_ms is not None:
                self.erased_at_ms[user.key] = user.erased_at_ms

    def state(self, user_id: str) -> UserState:
        data = self.stored.get((PARTITION_OF[user_id], user_id))
        return UserState() if data is None else decode_state(data)


def said(state: UserState) -> dict[str, Any]:
    """The state in the words of `Reference.expected`."""
    return {
        "version": state.version,
        "history": [(one.event_id, one.event_time_ms, one.item_id, one.type, one.value, one.text) for one in state.events],
        "types": state.type_counts,
        "surfaces": state.surface_counts,
        "domains": state.domain_counts,
        "items": {item_id: (count.weight_milli / 1000, count.last_event_time_ms) for item_id, count in state.items.items()},
        "age": state.attributes and state.attributes.age,
        "tags": state.attributes and state.attributes.tags,
        "consent": state.consent,
        "muted": {("tag", tag) for tag in state.muted_tags} | {("item", item) for item in state.muted_items},
        "edits": state.edits,
        "profile": state.profile and state.profile.state_version,
    }


class FoldMachine(RuleBasedStateMachine):
    """Messages are sent in the order of their Kafka timestamps and read in batches of any size, some more than once."""

    @initialize()
    def start(self) -> None:
        self.now_ms = START_MS
        self.sent: list[Record] = []
        self.read = 0
        self.serial = 0
        self.life_of: dict[str, int] = {}
        self.requests: list[tuple[str, str, int, int]] = []
        self.references = {user_id: Reference(RULES, self.life_of) for user_id in PARTITION_OF}
        self.batches, self.one_by_one = Worker(), Worker()
        self.words: dict[str, set[str]] = {user_id: set() for user_id in PARTITION_OF}
        self.banned: dict[str, set[str]] = {user_id: set() for user_id in PARTITION_OF}

    def send(self, topic: Topic, user_id: str, message: BaseModel | None, *words: str) -> bool:
        """Put a message on its topic, over the wire; False when it is refused. `words` must be gone after an erasure."""
        value = None if message is None else encode(message)
        try:
            key, read = decode(topic.name, user_id.encode(), value, None, self.now_ms, RULES)
        except BadMessage:
            return False
        self.sent.append(Record(topic.name, PARTITION_OF[user_id], len(self.sent), self.now_ms, key, read))
        self.words[user_id].update(words)
        self.banned[user_id].difference_update(words)
        return True

    @rule(step_ms=steps_ms)
    def time_passes(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @rule(
        user_id=users,
        number=numbers,
        item=st.none() | st.integers(0, 5),
        kind=st.sampled_from(["view", "purchase", "return", "rating", "search"]),
        lag_ms=lags_ms,
        surface=st.sampled_from([None, "home", "mail"]),
    )
    def do(self, user_id: str, number: int, item: int | None, kind: Any, lag_ms: int, surface: str | None) -> None:
        self.serial += 1
        event_id, word = f"<{user_id}-{number}>", f"<word {self.serial}>"
        item_id = f"<item {item}>" if item is not None or kind != "search" else None
        event = BehaviorEvent(
            event_id=event_id, user_id=user_id, item_id=item_id, type=kind, event_time_ms=self.now_ms - lag_ms,
            value=float(number % 6), text=word, surface=surface, domain="news" if number % 2 else None,
        )  # fmt: skip
        taken = self.send(BEHAVIOR_EVENTS, user_id, event, event_id, word, *([item_id] if item_id else []))
        assert taken == (lag_ms >= -RULES.max_future_s * 1000)
        if taken:
            on_record = self.sent[-1].message
            assert isinstance(on_record, BehaviorEvent)
            assert on_record.event_time_ms == min(event.event_time_ms, self.now_ms)

    @rule(user_id=users, lag_ms=st.integers(-5000, 5000), age=st.none() | st.integers(10, 99))
    def declare(self, user_id: str, lag_ms: int, age: int | None) -> None:
        self.serial += 1
        tag = f"<tag {self.serial}>"
        message = UserAttributes(user_id=user_id, updated_at_ms=self.now_ms - lag_ms, age=age, tags=[tag])
        assert self.send(USER_ATTRIBUTES, user_id, message, tag)

    @rule(user_id=users, topic=st.sampled_from([USER_ATTRIBUTES, USER_PROFILES]))
    def tombstone(self, user_id: str, topic: Topic) -> None:
        assert self.send(topic, user_id, None)

    @rule(user_id=users, purpose=st.sampled_from(["profile", "recommendations"]), granted=st.booleans())
    def consent(self, user_id: str, purpose: Any, granted: bool) -> None:
        self.serial += 1  # nobody says two things at once: each has a time of its own
        message = ConsentControl(
            user_id=user_id, issued_at_ms=START_MS - 10**9 + self.serial, purpose=purpose, granted=granted
        )
        assert self.send(USER_CONTROLS, user_id, message)

    @rule(user_id=users, what=st.sampled_from(["tag", "item"]), number=st.integers(0, 3), muted=st.booleans())
    def mute(self, user_id: str, what: Any, number: int, muted: bool) -> None:
        self.serial += 1
        value = f"<muted {number}>"
        issued_at_ms = START_MS - 10**9 + self.serial
        message = MuteControl(user_id=user_id, issued_at_ms=issued_at_ms, target=what, value=value, muted=muted)
        assert self.send(USER_CONTROLS, user_id, message, value)

    @rule(user_id=users, number=st.integers(0, 3), stance=st.sampled_from(["interested", "not_interested", "unset"]))
    def edit(self, user_id: str, number: int, stance: Any) -> None:
        self.serial += 1
        topic = f"<edited {number}>"
        message = EditControl(user_id=user_id, issued_at_ms=START_MS - 10**9 + self.serial, topic=topic, stance=stance)
        assert self.send(USER_CONTROLS, user_id, message, topic)

    @rule(user_id=users)
    def erase(self, user_id: str) -> None:
        assert self.send(USER_CONTROLS, user_id, EraseControl(user_id=user_id, issued_at_ms=self.now_ms))
        self.banned[user_id] |= self.words[user_id]
        self.words[user_id].clear()

    @rule(user_id=users)
    def ask_for_profile(self, user_id: str) -> None:
        """The narrator gets what is known now; its answer may come at any time, or never."""
        state = self.batches.state(user_id)
        if state.version:
            request_id = f"r{len(self.requests)}"
            self.life_of[request_id] = self.references[user_id].life_number
            self.requests.append((user_id, request_id, state.version, state.life))

    @precondition(lambda self: getattr(self, "requests", None))
    @rule(data=st.data(), off_by=st.sampled_from([0, 0, 0, 0, 1, 5]))
    def profile_arrives(self, data: st.DataObject, off_by: int) -> None:
        user_id, request_id, version, life = data.draw(st.sampled_from(self.requests))
        self.serial += 1
        word = f"<topic {self.serial}>"
        statement = Statement(topic=word, stance="likes", strength=0.5, evidence=["event:e"])
        message = UserProfile(
            user_id=user_id, request_id=request_id, language="en", state_version=version + off_by, state_life=life,
            event_count=1, statements=[statement], summary=[], text_vector=[0.5], model_name="m", model_version="1",
            generated_at_ms=self.now_ms, requested_at_ms=self.now_ms, cause=NOBODY,
        )  # fmt: skip
        (self.words if self.is_of_this_life(user_id, request_id) else self.banned)[user_id].add(word)
        assert self.send(USER_PROFILES, user_id, message)

    def is_of_this_life(self, user_id: str, request_id: str) -> bool:
        erasures = sum(record.key == user_id and isinstance(record.message, EraseControl) for record in self.sent)
        return self.life_of[request_id] == erasures

    @precondition(lambda self: self.read < len(self.sent))
    @rule(size=st.integers(1, 30), attempts=st.integers(1, 2))
    def read_batch(self, size: int, attempts: int) -> None:
        batch = self.sent[self.read : self.read + size]
        self.read += len(batch)
        self.batches.take(batch, attempts)
        for record in batch:
            self.one_by_one.take([record])
            self.references[record.key].read(record)

    @invariant()
    def states_are_what_the_reference_says(self) -> None:
        if not hasattr(self, "references"):
            return
        assert self.batches.stored.keys() == self.one_by_one.stored.keys()
        for user_id, reference in self.references.items():
            state, expected = self.batches.state(user_id), reference.expected()
            assert said(state) == expected if expected is not None else state == UserState()
            assert state == self.one_by_one.state(user_id)

    @invariant()
    def states_are_bounded_and_hold_no_event_twice(self) -> None:
        for user_id in PARTITION_OF if hasattr(self, "batches") else ():
            state = self.batches.state(user_id)
            ids = [one.event_id for one in state.events]
            assert len(ids) == len(set(ids)) <= RULES.history_length
            assert len(state.items) <= RULES.max_items and len(state.late_ids) <= RULES.history_length
            assert len(self.batches.stored.get((PARTITION_OF[user_id], user_id), b"")) < 2000

    @invariant()
    def nothing_from_before_an_erasure_is_left(self) -> None:
        if not hasattr(self, "sent") or self.read < len(self.sent):
            return
        for user_id, words in self.banned.items():
            stored = self.batches.stored.get((PARTITION_OF[user_id], user_id), b"")
            assert not [word for word in words if word.encode() in stored]

    @invariant()
    def without_consent_there_is_no_profile(self) -> None:
        for user_id in PARTITION_OF if hasattr(self, "batches") else ():
            state = self.batches.state(user_id)
            assert state.profile is None or consents(state, "profile", RULES)

    def teardown(self) -> None:
        if not hasattr(self, "sent"):
            return
        self.batches.take(self.sent[self.read :])
        folded, _ = plain_fold(self.sent, Settings(fold=RULES))
        assert {key[1]: decode_state(data) for key, data in self.batches.stored.items()} == folded


FoldMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_the_fold_is_what_the_reference_says = FoldMachine.TestCase
