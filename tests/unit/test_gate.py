"""The gate as the profiler asks it: when a user is looked at, and what a wanted text says."""

from collections.abc import Sequence

import pytest

from consumers.catalogue import Catalogue
from consumers.gate import WantedText, may_need_text, profile_request, wanted_text
from consumers.overlay import Touched
from consumers.refresh import statement_topics
from consumers.runtime.processor import Record
from schemas.messages import BehaviorEvent, EventType
from schemas.settings import ProfilerSettings, Settings
from schemas.state import HistoryEvent, ProfileRef, UserState
from tests.unit.profile_cases import CAUSE, facts
from tests.unit.synthetic import DIM, HOUR_MS, NOW_MS, RULES, TOPICS, item, topic_vector, vector

SETTINGS = Settings()


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    known = Catalogue(DIM)
    for topic in TOPICS:
        known.put_item(item(topic, topic))
        known.put_vector(vector(topic, topic_vector(topic)))
    return known


def state_with(
    item_ids: Sequence[str], events_seen: int | None = None, likes: Sequence[str] = (), step_h: int = 1
) -> UserState:
    """A consenting user who liked these items; `events_seen` of them before a text on `likes`."""
    events = [HistoryEvent(NOW_MS + step_h * HOUR_MS * at, f"e{at}", item_id, "like") for at, item_id in enumerate(item_ids)]
    state = UserState(version=9, events=events, type_counts={"like": len(events)}, consent={"profile": True})
    if events_seen is not None:
        state.profile = ProfileRef(1, "en", statement_topics(facts(likes)), b"", events_seen, 0)
    return state


def touched(state: UserState, new: int = 1, kind: EventType = "like", **flags: bool) -> Touched:
    """The user after a micro-batch with the newest `new` events."""
    events = [
        BehaviorEvent(event_id=e.event_id, user_id="u", item_id=e.item_id, type=kind, event_time_ms=e.event_time_ms)
        for e in state.events[len(state.events) - new :]
    ]
    return Touched(0, "u", state, Record("behavior-events", 0, 7, NOW_MS, "u", None), NOW_MS, True, events=events, **flags)


def wanted(user: Touched, catalogue: Catalogue, under_way: bool = False, settings: Settings = SETTINGS) -> str | None:
    found = wanted_text(user, under_way, catalogue, RULES, settings)
    return found and found.reason


def test_while_a_text_is_under_way_only_the_user_s_own_word_asks(catalogue: Catalogue) -> None:
    state = state_with(["sports"] * 3)
    assert wanted(touched(state), catalogue) == "first"
    assert wanted(touched(state), catalogue, under_way=True) is None
    assert wanted(touched(state, declared=True), catalogue, under_way=True) == "first"
    assert wanted(touched(state, own_word=True), catalogue, under_way=True) == "first"
    assert wanted(touched(state, profile_arrived=True), catalogue, under_way=True) == "first"


def test_without_consent_nobody_is_looked_at() -> None:
    state = state_with(["sports"] * 3)
    state.consent = {}
    assert not may_need_text(touched(state, own_word=True), False, SETTINGS)


def test_a_clear_refusal_is_looked_at_at_once() -> None:
    state = state_with(["sports"] * 6, events_seen=5, likes=["sports"])
    assert not may_need_text(touched(state), False, SETTINGS)
    assert may_need_text(touched(state, kind="not_interested"), False, SETTINGS)


NEVER_DRIFTED = {"refresh_drift": 2.0}


def test_a_new_main_interest_asks_when_it_has_been_unnamed_long_enough(catalogue: Catalogue) -> None:
    def asked(new: int) -> str | None:
        state = state_with(["sports"] * 20 + ["travel"] * new, events_seen=20, likes=["sports"])
        return wanted(touched(state, new), catalogue, settings=Settings(profiler=ProfilerSettings(**NEVER_DRIFTED)))

    assert asked(SETTINGS.profiler.look_events) is None
    assert asked(SETTINGS.profiler.refresh_events // 2) == "changed"


def test_a_difference_that_has_just_come_waits_until_it_has_settled(catalogue: Catalogue) -> None:
    def asked(settle_events: int) -> str | None:
        state = state_with(["sports"] * 24 + ["travel"] * 6, events_seen=20, likes=["sports"])
        profiler = ProfilerSettings(settle_events=settle_events, refresh_events=10, **NEVER_DRIFTED)
        return wanted(touched(state, 3), catalogue, settings=Settings(profiler=profiler))

    assert [asked(0), asked(2), asked(6), asked(8)] == ["changed", "changed", None, None]


@pytest.mark.parametrize(("kind", "reason"), [("not_interested", "reversed"), ("rating", None)])
def test_a_reversal_by_button_need_not_settle(kind: EventType, reason: str | None, catalogue: Catalogue) -> None:
    state = state_with(["sports"] * 20 + ["travel"] * 2, events_seen=21, likes=["sports", "travel"])
    for at in (-2, -1):
        state.events[at] = HistoryEvent(state.events[at].event_time_ms, f"r{at}", "travel", kind, value=1.0)
    assert wanted(touched(state, 1, kind, profile_arrived=True), catalogue) == reason


def test_a_like_that_refusals_took_away_asks_though_it_is_no_dislike_yet(catalogue: Catalogue) -> None:
    def asked(refusals: int) -> str | None:
        state = state_with(["sports"] * 20 + ["travel"] * 2, events_seen=22, likes=["sports", "travel"])
        for at in range(refusals):
            state.events.append(HistoryEvent(state.events[-1].event_time_ms + 1, f"r{at}", "travel", "dislike"))
            state.type_counts["dislike"] = at + 1
        return wanted(touched(state, 1, "dislike"), catalogue)

    assert [asked(1), asked(2)] == [None, "reversed"]


def test_drift_asks_though_the_topics_hold(catalogue: Catalogue) -> None:
    state = state_with(["sports"] * 10 + ["travel"] * 10, events_seen=10, likes=["sports", "travel"])

    def settings(drift: float) -> Settings:
        return Settings(profiler=ProfilerSettings(refresh_drift=drift, refresh_drift_events=10))

    assert wanted(touched(state, 10), catalogue, settings=settings(0.25)) == "drifted"
    assert wanted(touched(state, 10), catalogue, settings=settings(0.35)) is None


def test_a_text_of_long_ago_is_asked_for_again(catalogue: Catalogue) -> None:
    state = state_with(["sports"] * 10, events_seen=5, likes=["sports"], step_h=24 * 40)
    assert wanted(touched(state, 5), catalogue) == "aged"


def test_the_request_carries_what_the_narrator_needs(catalogue: Catalogue) -> None:
    user = touched(state_with(["sports"] * 3))
    found = wanted_text(user, False, catalogue, RULES, SETTINGS)
    assert isinstance(found, WantedText)
    request = profile_request(user, found, "r1", NOW_MS)
    assert (request.user_id, request.request_id, request.reason, request.priority) == ("u", "r1", "first", 1)
    assert (request.state_version, request.event_count, request.language) == (9, 3, "en")
    assert request.statements[0].topic == "sports" and request.cause.offset == 7 != CAUSE.offset
