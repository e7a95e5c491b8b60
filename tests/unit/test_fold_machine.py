"""Anything a user can do and say, in any batches, held against a plain reference; and what may come between topics."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from pydantic import BaseModel

from consumers.consent import consents
from consumers.fold import fold
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

RULES = FoldSettings(history_length=3, max_items=3, max_late_s=60, max_future_s=10)
START_MS = 1_790_000_000_000
PARTITION_OF = {"ann": 0, "bob": 0}
NOBODY = Cause(topic="t", partition=0, offset=0, record_time_ms=0, waiting_since_ms=0)

users = st.sampled_from(sorted(PARTITION_OF))
steps_ms = st.sampled_from([0, 0, 1, 3, 2000, 40_000])
lags_ms = st.one_of(st.integers(0, 9), st.sampled_from([-10_001, -10_000, -1, 0, 59_999, 60_000, 60_001, 200_000]))
"""How long before its record an event happened, by the user's clock; negative: the clock is ahead."""


class Deed(NamedTuple):
    """What becomes an event; numbers repeat, so that the same event id comes again."""

    number: int
    item: int | None
    kind: Any
    lag_ms: int


class Word(NamedTuple):
    """What becomes attributes or a control."""

    kind: str
    number: int
    flag: bool


SURFACES = (None, "home", "mail")
kinds = st.sampled_from(["view", "purchase", "return", "rating", "search"])
deeds = st.builds(Deed, st.integers(0, 7), st.none() | st.integers(0, 4), kinds, lags_ms)
words = st.builds(
    Word,
    st.sampled_from(["declare", "declare", "tombstone", "consent", "consent", "mute", "mute", "edit", "edit", "erase"]),
    st.integers(0, 3),
    st.booleans(),
)


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

    @initialize(agreed_users=st.fixed_dictionaries({user_id: st.booleans() for user_id in PARTITION_OF}))
    def start(self, agreed_users: dict[str, bool]) -> None:
        self.now_ms = START_MS
        self.sent: list[Record] = []
        self.read = 0
        self.serial = 0
        self.life_of: dict[str, int] = {}
        self.requests: dict[str, list[tuple[str, int, int]]] = {user_id: [] for user_id in PARTITION_OF}
        self.references = {user_id: Reference(RULES, self.life_of) for user_id in PARTITION_OF}
        self.batches, self.one_by_one = Worker(), Worker()
        self.words: dict[str, set[str]] = {user_id: set() for user_id in PARTITION_OF}
        self.banned: dict[str, set[str]] = {user_id: set() for user_id in PARTITION_OF}

        for user_id, agreed in agreed_users.items():
            consent = ConsentControl(user_id=user_id, issued_at_ms=START_MS - 10**9, purpose="profile", granted=agreed)
            assert self.send(USER_CONTROLS, user_id, consent)

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

    @rule(user_id=users, deeds=st.lists(deeds, min_size=1, max_size=6), step_ms=steps_ms)
    def do(self, user_id: str, deeds: list[Deed], step_ms: int) -> None:
        self.now_ms += step_ms
        for number, item, kind, lag_ms in deeds:
            self.serial += 1
            event_id, word = f"<{user_id}-{number}>", f"<word {self.serial}>"
            item_id = f"<item {item}>" if item is not None or kind != "search" else None
            event = BehaviorEvent(
                event_id=event_id, user_id=user_id, item_id=item_id, type=kind, event_time_ms=self.now_ms - lag_ms,
                value=float(number % 6), text=word, surface=SURFACES[number % 3], domain="news" if number % 2 else None,
            )  # fmt: skip
            taken = self.send(BEHAVIOR_EVENTS, user_id, event, event_id, word, *([item_id] if item_id else []))
            assert taken == (lag_ms >= -RULES.max_future_s * 1000)
            if taken:
                on_record = self.sent[-1].message
                assert isinstance(on_record, BehaviorEvent)
                assert on_record.event_time_ms == min(event.event_time_ms, self.now_ms)

    @rule(user_id=users, words=st.lists(words, min_size=1, max_size=4), step_ms=steps_ms)
    def say(self, user_id: str, words: list[Word], step_ms: int) -> None:
        self.now_ms += step_ms
        for kind, number, flag in words:
            self.serial += 1  # nobody says two things at once: each has a time of its own
            said = {"user_id": user_id, "issued_at_ms": START_MS - 10**9 + self.serial}
            if kind == "declare":
                tag, time_ms = f"<tag {self.serial}>", self.now_ms - 1000 * number
                attributes = UserAttributes(user_id=user_id, updated_at_ms=time_ms, age=20 + number, tags=[tag])
                assert self.send(USER_ATTRIBUTES, user_id, attributes, tag)
            elif kind == "tombstone":
                assert self.send(USER_ATTRIBUTES if flag else USER_PROFILES, user_id, None)
            elif kind == "erase":
                assert self.send(USER_CONTROLS, user_id, EraseControl(**said))
                self.banned[user_id] |= self.words[user_id]
                self.words[user_id].clear()
            elif kind == "consent":
                purpose: Any = "profile" if number else "recommendations"
                assert self.send(USER_CONTROLS, user_id, ConsentControl(**said, purpose=purpose, granted=flag))
            elif kind == "mute":
                what: Any = "tag" if number % 2 else "item"
                value = f"<muted {number}>"
                assert self.send(USER_CONTROLS, user_id, MuteControl(**said, target=what, value=value, muted=flag), value)
            else:
                stance: Any = ("interested", "not_interested", "unset")[self.serial % 3]
                topic = f"<edited {number}>"
                assert self.send(USER_CONTROLS, user_id, EditControl(**said, topic=topic, stance=stance), topic)

    @rule(user_id=users, answers=st.lists(st.integers(0, 3), max_size=3), off_by=st.sampled_from([0, 0, 0, 0, 1, 5]))
    def narrate(self, user_id: str, answers: list[int], off_by: int) -> None:
        """The narrator is asked for a profile of what is known now, and answers old requests or this one."""
        state, requests = self.batches.state(user_id), self.requests[user_id]
        if state.version:
            request_id = f"r {user_id} {len(requests)}"
            self.life_of[request_id] = self.references[user_id].life_number
            requests.append((request_id, state.version, state.life))
        for ago in answers:
            if ago < len(requests):
                self.publish_profile(user_id, *requests[-1 - ago], off_by)

    @rule(user_id=users, deeds=st.lists(deeds, min_size=1, max_size=6), step_ms=steps_ms)
    def leave_and_return(self, user_id: str, deeds: list[Deed], step_ms: int) -> None:
        """Erased while a text is under way, which arrives when the user has come back."""
        self.narrate(user_id, [], 0)
        self.say(user_id, [Word("erase", 0, True), Word("consent", 1, True)], step_ms)
        self.do(user_id, deeds, step_ms)
        self.narrate(user_id, [0], 0)

    def publish_profile(self, user_id: str, request_id: str, version: int, life: int, off_by: int) -> None:
        self.serial += 1
        word = f"<topic {self.serial}>"
        statement = Statement(topic=word, stance="likes", strength=0.5, evidence=["event:e"])
        message = UserProfile(
            user_id=user_id, request_id=request_id, language="en", state_version=version + off_by, state_life=life,
            event_count=1, statements=[statement], summary=[], text_vector=[0.5], model_name="m", model_version="1",
            generated_at_ms=self.now_ms, requested_at_ms=self.now_ms, cause=NOBODY,
        )  # fmt: skip
        erasures = sum(record.key == user_id and isinstance(record.message, EraseControl) for record in self.sent)
        (self.words if self.life_of[request_id] == erasures else self.banned)[user_id].add(word)
        assert self.send(USER_PROFILES, user_id, message)

    @precondition(lambda self: self.read < len(self.sent))
    @rule(sizes=st.lists(st.integers(1, 8), max_size=3), attempts=st.integers(1, 2), to_the_end=st.booleans())
    def read_batches(self, sizes: list[int], attempts: int, to_the_end: bool) -> None:
        for size in [*sizes, *([len(self.sent)] if to_the_end else [])]:
            self.read_batch(size, attempts)

    def read_batch(self, size: int, attempts: int = 1) -> None:
        batch = self.sent[self.read : self.read + size]
        self.read += len(batch)
        self.batches.take(batch, attempts)
        for record in batch:
            self.one_by_one.take([record])
            self.references[record.key].read(record)
        self.check()

    def check(self) -> None:
        """What must hold after each batch."""
        self.states_are_what_the_reference_says()
        for user_id in PARTITION_OF:
            state, stored = self.batches.state(user_id), self.batches.stored.get((PARTITION_OF[user_id], user_id), b"")
            ids = [one.event_id for one in state.events]
            assert len(ids) == len(set(ids)) <= RULES.history_length, "an event is in the history twice"
            assert len(state.items) <= RULES.max_items and len(state.late_ids) <= RULES.history_length
            assert len(stored) < 2000
            assert state.profile is None or consents(state, "profile", RULES), "a profile without consent"
            if self.read == len(self.sent):
                left = [word for word in self.banned[user_id] if word.encode() in stored]
                assert not left, "something from before an erasure is left"

    def states_are_what_the_reference_says(self) -> None:
        assert self.batches.stored.keys() == self.one_by_one.stored.keys()
        for user_id, reference in self.references.items():
            state, expected = self.batches.state(user_id), reference.expected()
            assert said(state) == expected if expected is not None else state == UserState()
            assert state == self.one_by_one.state(user_id), "batches and single records lead to different states"

    def teardown(self) -> None:
        if not hasattr(self, "sent"):
            return
        self.read_batch(len(self.sent))
        folded, _ = plain_fold(self.sent, Settings(fold=RULES))
        assert {key[1]: decode_state(data) for key, data in self.batches.stored.items()} == folded


FoldMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=25)
test_the_fold_is_what_the_reference_says = FoldMachine.TestCase


def record(topic: Topic, offset: int, timestamp_ms: int, message: BaseModel | None) -> Record:
    return Record(topic.name, 0, offset, timestamp_ms, "ann", message)


def view(number: int, event_time_ms: int = START_MS) -> BehaviorEvent:
    return BehaviorEvent(event_id=f"e{number:02}", user_id="ann", item_id="i", type="view", event_time_ms=event_time_ms)


AGREE = ConsentControl(user_id="ann", issued_at_ms=START_MS, purpose="profile", granted=True)
ERASE = EraseControl(user_id="ann", issued_at_ms=START_MS)


@pytest.mark.parametrize("agreed_ms", [START_MS, START_MS - 5000, START_MS + 1])
@pytest.mark.parametrize("in_one_batch", [True, False])
def test_what_a_user_says_after_an_erasure_counts_whatever_its_timestamp(agreed_ms: int, in_one_batch: bool) -> None:
    """Consent of the same millisecond was taken for older than the erasure, and undone by it."""
    records = [
        record(BEHAVIOR_EVENTS, 0, START_MS - 1, view(1)),
        record(USER_CONTROLS, 0, START_MS, ERASE),
        record(USER_CONTROLS, 1, agreed_ms, AGREE),
    ]
    worker = Worker()
    for batch in [records] if in_one_batch else [[one] for one in records]:
        worker.take(batch)
    assert worker.state("ann").consent == {"profile": True}
    assert plain_fold(records, Settings(fold=RULES))[0] == {"ann": worker.state("ann")}


def test_which_topic_was_read_first_is_the_stores_word_if_it_is_one_of_the_users_messages() -> None:
    """A worker that read a user's consent before their older attributes was called wrong, on a busy machine."""
    older = record(USER_ATTRIBUTES, 0, START_MS, UserAttributes(user_id="ann", updated_at_ms=START_MS, age=30))
    newer = record(USER_CONTROLS, 0, START_MS + 1, AGREE)
    worker = Worker()
    for batch in ([newer], [older]):
        worker.take(batch)
    stored = worker.state("ann")
    assert plain_fold([older, newer], Settings(fold=RULES), {"ann": stored.life})[0] == {"ann": stored}
    invented = plain_fold([older, newer], Settings(fold=RULES), {"ann": 1})[0]["ann"]
    assert invented.life not in (1, stored.life)


def test_a_tombstone_without_a_timestamp_is_folded() -> None:
    """It was taken for older than an erasure that never was."""
    worker = Worker()
    worker.take([record(USER_ATTRIBUTES, 0, START_MS, UserAttributes(user_id="ann", updated_at_ms=START_MS, age=30))])
    worker.take([record(USER_ATTRIBUTES, 1, -1, None)])
    assert worker.state("ann").attributes is None


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(0, 5), st.lists(st.integers(1, 4), max_size=12))
def test_no_event_sent_before_an_erasure_comes_back(sent_ms: list[int], erased_ms: int, lead: list[int]) -> None:
    """Events lag behind controls by any number of batches."""
    events = [record(BEHAVIOR_EVENTS, offset, START_MS + at_ms, view(offset)) for offset, at_ms in enumerate(sorted(sent_ms))]
    worker = Worker()
    worker.take([record(USER_CONTROLS, 0, START_MS + erased_ms, ERASE)])
    for size in [*lead, len(events)]:
        batch, events = events[:size], events[size:]
        worker.take(batch)
    kept = [f"e{offset:02}" for offset, at_ms in enumerate(sorted(sent_ms)) if at_ms > erased_ms]
    assert sum(worker.state("ann").type_counts.values()) == len(kept)
    assert {one.event_id for one in worker.state("ann").events} == set(kept[-RULES.history_length :])


def test_a_text_from_before_an_erasure_is_taken_off_its_topic() -> None:
    worker = Worker()
    worker.take([record(USER_CONTROLS, 0, START_MS, AGREE), record(BEHAVIOR_EVENTS, 0, START_MS, view(1))])
    old = worker.state("ann")
    again = AGREE.model_copy(update={"issued_at_ms": START_MS + 2})
    worker.take([record(USER_CONTROLS, 1, START_MS + 1, ERASE), record(USER_CONTROLS, 2, START_MS + 2, again)])
    worker.take([record(BEHAVIOR_EVENTS, 1, START_MS + 3, view(2))])
    statement = Statement(topic="sports", stance="likes", strength=0.5, evidence=["event:e01"])
    text = UserProfile(
        user_id="ann", request_id="r", language="en", state_version=old.version, state_life=old.life, event_count=1,
        statements=[statement], summary=[], text_vector=[], model_name="m", model_version="1", generated_at_ms=START_MS,
        requested_at_ms=START_MS, cause=NOBODY,
    )  # fmt: skip
    batch = Batch([record(USER_PROFILES, 0, START_MS + 4, text)], worker.load)
    [user] = fold_batch(batch, RULES, worker.erased_at_ms)
    assert user.withdrew_profile and not user.changed and user.state.profile is None


def test_late_and_repeated_events_are_counted_apart() -> None:
    worker, bound_ms = Worker(), int(RULES.max_late_s * 1000)
    worker.take([record(BEHAVIOR_EVENTS, 0, START_MS, view(1))])
    sent = [view(1, START_MS - 2 * bound_ms), view(2, START_MS - bound_ms - 1), view(3, START_MS - bound_ms)]
    batch = Batch([record(BEHAVIOR_EVENTS, number, START_MS, one) for number, one in enumerate(sent, 1)], worker.load)
    [user] = fold_batch(batch, RULES, {})
    assert (user.duplicates, user.late, [one.event_id for one in user.events]) == (1, 1, ["e03"])


def test_the_example_of_the_docs() -> None:
    noon, minute, rules = START_MS, 60_000, FoldSettings(history_length=3)
    day = 24 * 60 * minute
    sent = [
        (0, "a", 0), (10, "b", 10 * minute), (20, "c", 5 * minute), (21, "c", 5 * minute), (30, "d", 210 * minute),
        (40, "e", -60 * minute), (41, "e", -60 * minute), (50, "f", 2 * day), (55, "g", -60 * day),
    ]  # fmt: skip
    state, histories = UserState(), []
    for recorded_min, event_id, happened_ms in sent:
        event = view(0, noon + happened_ms).model_copy(update={"event_id": event_id})
        try:
            _, read = decode(BEHAVIOR_EVENTS.name, b"ann", encode(event), None, noon + recorded_min * minute, rules)
        except BadMessage as refusal:
            histories.append(refusal.reason)
        else:
            fold(state, BEHAVIOR_EVENTS.name, read, rules)
            histories.append(" ".join(one.event_id for one in state.events))
    assert histories == ["a", "a b", "a c b", "a c b", "c b d", "c b d", "c b d", "absurd_time", "c b d"]
    assert state.event_count == len("abcde")
    assert state.events[-1].event_time_ms == noon + 30 * minute
