"""When a profile is asked for again, and in which language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.refresh import (
    LOOK_EVERY,
    STALE_AFTER,
    profile_language,
    refresh_reason,
    statement_topics,
    worth_a_look,
)
from schemas.messages import Statement
from schemas.settings import Settings
from schemas.state import Attributes, ProfileRef, UserState
from tests.unit.profile_cases import Happened, facts, item, state_of

SETTINGS = Settings()
THREE: list[Happened] = [("e1", "view", "a"), ("e2", "view", "a"), ("e3", "view", "a")]


def profiled(written: list[Statement], events: int = 3) -> UserState:
    state = state_of(*[(f"e{number}", "view", "a") for number in range(events)])
    state.profile = ProfileRef(1, "en", statement_topics(written), b"", 3, 0)
    return state


def test_first_takes_consent_and_enough_events_or_tags() -> None:
    told = facts(["drama"])
    assert refresh_reason(state_of(*THREE), told, SETTINGS) == "first"
    assert refresh_reason(state_of(*THREE[:2]), told, SETTINGS) is None
    assert refresh_reason(state_of(attributes=Attributes(0, tags=["drama"])), told, SETTINGS) == "first"
    assert refresh_reason(state_of(*THREE), [], SETTINGS) is None


def test_without_consent_there_is_never_a_reason() -> None:
    state = state_of(*THREE)
    state.consent = {}
    assert refresh_reason(state, facts(["drama"]), SETTINGS) is None
    state.consent = {"profile": False}
    assert refresh_reason(state, facts(["drama"]), SETTINGS) is None


WRITTEN = facts(["a", "b", "c", "d"], ["x"])
NEW = SETTINGS.profiler.refresh_events


@pytest.mark.parametrize(
    ("now", "new_events"),
    [
        (WRITTEN, None),
        (facts(["d", "a", "b", "c"], ["x"]), None),  # named already
        (facts(["a", "b", "c", "new"], ["x"]), None),  # not a main like
        (facts(["b", "c", "d"], ["x"]), None),  # it fades
        (facts(["a", "b", "c", "d"]), None),
        (facts(["a", "new", "b", "c"], ["x"]), NEW),
        (facts(["a", "b", "c", "d"], ["x", "y"]), NEW),
        (facts(["newer", "new", "b"], ["x"]), NEW // 2),
        (facts(["a", "b", "c", "d"], ["x"], age="30"), 0),
        (facts(["a", "c", "d"], ["x", "b"]), 0),  # reversed
        (facts(["a", "b", "c", "x"]), 0),
    ],
)
def test_changes_ask_the_sooner_the_more_they_matter(now: list[Statement], new_events: int | None) -> None:
    asking = [since for since in range(NEW + 1) if refresh_reason(profiled(WRITTEN, 3 + since), now, SETTINGS) == "changed"]
    assert asking == ([] if new_events is None else list(range(new_events, NEW + 1)))


def test_what_the_user_just_told_asks_at_once_when_it_changes_anything() -> None:
    now = facts(["a", "b", "c", "declared"], ["x"])
    assert refresh_reason(profiled(WRITTEN), now, SETTINGS) is None
    assert refresh_reason(profiled(WRITTEN), now, SETTINGS, told=True) == "changed"
    assert refresh_reason(profiled(WRITTEN), WRITTEN, SETTINGS, told=True) is None


@given(st.integers(0, 60), st.integers(1, 30))
def test_no_step_is_missed_however_events_are_batched(seen: int, new_events: int) -> None:
    passed = any((seen + number) % LOOK_EVERY == 0 for number in range(1, new_events + 1))
    assert worth_a_look(profiled(WRITTEN, 3 + seen + new_events), new_events, SETTINGS) == passed


def test_a_first_text_is_looked_at_with_the_event_that_suffices() -> None:
    assert not worth_a_look(state_of(*THREE[:2]), 1, SETTINGS)
    assert worth_a_look(state_of(*THREE), 1, SETTINGS) and worth_a_look(state_of(*THREE), 0, SETTINGS)
    assert worth_a_look(state_of(attributes=Attributes(0, tags=["drama"])), 0, SETTINGS)


def test_edits_and_mutes_ask_at_once() -> None:
    written = facts(["drama", "war"])
    state = profiled(written)
    state.edits = {"War": "not_interested"}
    assert refresh_reason(state, facts(["drama"], ["war"]), SETTINGS) == "edited"
    state = profiled(facts(["a", "b", "c", "war"]))
    state.muted_tags = ["war"]
    assert refresh_reason(state, facts(["a", "b", "c"]), SETTINGS) == "edited"


def test_grown_after_many_new_events_even_if_nothing_else_changed() -> None:
    assert refresh_reason(profiled(WRITTEN, 3 + STALE_AFTER * NEW - 1), WRITTEN, SETTINGS) is None
    assert refresh_reason(profiled(WRITTEN, 3 + STALE_AFTER * NEW), WRITTEN, SETTINGS) == "grown"


def test_a_newly_declared_language_asks_for_a_new_text() -> None:
    told = facts(["drama"])
    state = profiled(told)
    state.attributes = Attributes(0, language="zh")
    assert refresh_reason(state, told, SETTINGS) == "changed"


def test_language_is_declared_or_the_historys_or_the_default() -> None:
    catalogue = {"a": item("a", language="zh"), "b": item("b", language="en")}
    state = state_of(("e1", "view", "a"), ("e2", "view", "a"), ("e3", "view", "b"))
    assert profile_language(state, catalogue, "en") == "zh"
    assert profile_language(UserState(attributes=Attributes(0, language="en")), catalogue, "zh") == "en"
    assert profile_language(UserState(), catalogue, "zh") == "zh"
    assert profile_language(state_of(("e1", "view", "a"), ("e2", "view", "b")), catalogue, "en") == "en"
