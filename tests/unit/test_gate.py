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
    state, seldom = (
        state_with(["sports"] * 6, events_seen=5, likes=["sports"]),
        Settings(profiler=ProfilerSettings(look_events=3)),
    )
    assert not may_need_text(touched(state), False, seldom)
    assert may_need_text(touched(state, kind="not_interested"), False, seldom)


NEVER_DRIFTED = {"refresh_drift": 2.0}


@pytest.mark.parametrize("look_events", [1, 4])
def test_a_new_main_interest_asks_at_the_next_look(look_events: int, catalogue: Catalogue) -> None:
    settings = Settings(profiler=ProfilerSettings(look_events=look_events, **NEVER_DRIFTED))

    def asked(new: int) -> str | None:
        state = state_with(["sports"] * 20 + ["travel"] * new, events_seen=20, likes=["sports"])
        return wanted(touched(state, 1), catalogue, settings=settings)

    assert [asked(new) for new in range(5, 11)] == [None if new % look_events else "changed" for new in range(5, 11)]


def test_a_like_that_refusals_took_away_asks_though_it_is_no_dislike_yet(catalogue: Catalogue) -> None:
    def asked(refusals: int) -> str | None:
        state = state_with(["sports", "travel"] * 6, events_seen=12, likes=["sports", "travel"])
        for at in range(refusals):
            state.events.append(HistoryEvent(state.events[-1].event_time_ms + 1, f"r{at}", "travel", "dislike"))
            state.type_counts["dislike"] = at + 1
        return wanted(touched(state, 1, "dislike"), catalogue)

    reasons = [asked(refusals) for refusals in range(6)]
    assert reasons[0] is None and reasons[-1] == "reversed" and "changed" in reasons, reasons


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
