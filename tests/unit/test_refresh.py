"""When a profile is asked for again, and in which language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.gate import worth_a_look
from consumers.refresh import PRIORITY, profile_language, refresh_reason, statement_topics
from schemas.messages import Statement, Trend
from schemas.settings import Settings
from schemas.state import Attributes, ProfileRef, UserState
from tests.unit.profile_cases import Happened, facts, item, state_of

SETTINGS = Settings()
RULES = SETTINGS.profiler
THREE: list[Happened] = [("e1", "view", "a"), ("e2", "view", "a"), ("e3", "view", "a")]


def profiled(written: list[Statement], events: int = 3) -> UserState:
    state = state_of(*[(f"e{number}", "view", "a") for number in range(events)])
    state.profile = ProfileRef(1, "en", statement_topics(written), b"", 3, 0)
    return state


def with_trend(stated: list[Statement], **trends: Trend) -> list[Statement]:
    return [statement.model_copy(update={"trend": trends.get(statement.topic, "steady")}) for statement in stated]


def test_first_takes_consent_and_enough_events_or_tags() -> None:
    told = facts(["drama"])
    assert refresh_reason(state_of(*THREE), told, SETTINGS) == "first"
    assert refresh_reason(state_of(*THREE[:2]), told, SETTINGS) is None
    for own in (
        Attributes(0, tags=["drama"]),
        Attributes(0, answers={"drama": True}),
        Attributes(0, free_text="I like drama"),
    ):
        assert refresh_reason(state_of(attributes=own), told, SETTINGS) == "first"
    assert refresh_reason(state_of(*THREE), [], SETTINGS) is None


def test_without_consent_there_is_never_a_reason() -> None:
    state = state_of(*THREE)
    state.consent = {}
    assert refresh_reason(state, facts(["drama"]), SETTINGS) is None
    state.consent = {"profile": False}
    assert refresh_reason(state, facts(["drama"]), SETTINGS) is None


WRITTEN = facts(["a", "b", "c", "d"], ["x"])


@pytest.mark.parametrize(
    ("now", "asks"),
    [
        (WRITTEN, False),
        (facts(["d", "a", "b", "c"], ["x"]), False),  # all are named already
        (facts(["a", "b", "c", "d", "new"], ["x"]), False),  # not a main like
        (facts(["a", "b", "c", "d"], ["x", "y"]), False),
        (facts(["a", "b", "c", "d"]), False),
        (facts(["a", "b", "new", "c", "d"], ["x"]), True),
        (facts(["a", "b", "c"], ["x"]), True),  # the text names one more
        (with_trend(facts(["a", "b", "c", "d", "new"], ["x"]), new="rising"), True),
        (with_trend(facts(["a", "b", "c", "d", "new"], ["x"]), new="new"), True),
        (with_trend(facts(["a", "b", "c", "d"], ["x"]), a="rising"), False),
        (with_trend(facts(["a", "b", "c", "d"], ["x"]), d="fading"), True),
        (with_trend(facts(["a", "b", "c", "d", "e"], ["x"]), e="fading"), False),
    ],
)
def test_a_text_is_asked_for_when_it_lacks_a_like_or_names_one_that_went(now: list[Statement], asks: bool) -> None:
    assert (refresh_reason(profiled(WRITTEN, 4), now, SETTINGS) == "changed") == asks


@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), st.sampled_from(["steady", "new", "rising", "fading"]))
def test_a_text_never_lacks_what_it_says(likes: list[str], trend: Trend) -> None:
    stated = with_trend(facts(likes), **{likes[-1]: trend})
    assert refresh_reason(profiled(stated, 4), stated, SETTINGS) is None


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (facts(["a", "b", "c", "d"], ["x"], age="30"), "declared"),
        (facts(["a", "c", "d"], ["x", "b"]), "reversed"),
        (facts(["a", "b", "c", "x"]), "reversed"),
    ],
)
def test_what_is_declared_or_reversed_asks_at_once(now: list[Statement], reason: str) -> None:
    assert refresh_reason(profiled(WRITTEN), now, SETTINGS) == reason


def test_a_fading_like_that_is_disliked_is_reversed_too() -> None:
    written = with_trend(facts(["a", "b"]), b="fading")
    assert refresh_reason(profiled(written), facts(["a"], ["b"]), SETTINGS) == "reversed"


def test_what_the_user_just_told_asks_at_once_when_it_changes_anything() -> None:
    now = facts(["a", "b", "c", "d", "declared"], ["x"])
    assert refresh_reason(profiled(WRITTEN), now, SETTINGS) is None
    assert refresh_reason(profiled(WRITTEN), now, SETTINGS, told=True) == "declared"
    assert refresh_reason(profiled(WRITTEN), WRITTEN, SETTINGS, told=True) is None


@given(st.integers(0, 60), st.integers(1, 30))
def test_no_step_is_missed_however_events_are_batched(seen: int, new_events: int) -> None:
    passed = any((seen + number) % RULES.look_events == 0 for number in range(1, new_events + 1))
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


def test_drift_asks_after_some_events() -> None:
    def reason(new_events: int, drift: float) -> str | None:
        return refresh_reason(profiled(WRITTEN, 3 + new_events), WRITTEN, SETTINGS, drift=drift)

    enough = RULES.refresh_drift_events
    assert reason(enough, RULES.refresh_drift) == "drifted"
    assert reason(enough - 1, RULES.refresh_drift) is None and reason(enough, RULES.refresh_drift - 0.01) is None


def test_an_old_text_is_asked_for_again_once_the_user_does_something() -> None:
    old_ms = int(RULES.refresh_age_h * 3_600_000)
    assert refresh_reason(profiled(WRITTEN, 4), WRITTEN, SETTINGS, age_ms=old_ms) == "aged"
    assert refresh_reason(profiled(WRITTEN, 3), WRITTEN, SETTINGS, age_ms=old_ms) is None
    assert refresh_reason(profiled(WRITTEN, 4), WRITTEN, SETTINGS, age_ms=old_ms - 1) is None


def test_grown_after_many_new_events_even_if_nothing_else_changed() -> None:
    assert refresh_reason(profiled(WRITTEN, 3 + RULES.refresh_grown_events - 1), WRITTEN, SETTINGS) is None
    assert refresh_reason(profiled(WRITTEN, 3 + RULES.refresh_grown_events), WRITTEN, SETTINGS) == "grown"


def test_habits_and_titles_ask_for_nothing() -> None:
    habit = Statement(topic="time_of_day", stance="habit", value="evening", strength=0.8, evidence=["event:1"])
    now = [*WRITTEN, habit, *facts(viewed=["Jaws"])]
    assert statement_topics(now) == statement_topics(WRITTEN)
    assert refresh_reason(profiled(WRITTEN, 50), now, SETTINGS) is None


def test_the_user_s_own_word_is_the_most_urgent_and_a_first_text_next() -> None:
    assert PRIORITY["edited"] == PRIORITY["declared"] == 0 < PRIORITY["first"] < PRIORITY["reversed"]
    assert all(PRIORITY[reason] > PRIORITY["first"] for reason in ("changed", "drifted", "aged", "grown"))


def test_a_newly_declared_language_asks_for_a_new_text() -> None:
    told = facts(["drama"])
    state = profiled(told)
    state.attributes = Attributes(0, language="zh")
    assert refresh_reason(state, told, SETTINGS) == "declared"


def test_language_is_declared_or_the_historys_or_the_default() -> None:
    catalogue = {"a": item("a", language="zh"), "b": item("b", language="en")}
    state = state_of(("e1", "view", "a"), ("e2", "view", "a"), ("e3", "view", "b"))
    assert profile_language(state, catalogue, "en") == "zh"
    assert profile_language(UserState(attributes=Attributes(0, language="en")), catalogue, "zh") == "en"
    assert profile_language(UserState(), catalogue, "zh") == "zh"
    assert profile_language(state_of(("e1", "view", "a"), ("e2", "view", "b")), catalogue, "en") == "en"


def test_nothing_is_asked_for_without_end() -> None:
    """A text that says what holds is followed by none, whatever the user said or is told to be."""
    torn = facts(["tea"], ["tea"])
    assert refresh_reason(profiled(torn), torn, SETTINGS) is None
    aged = facts(["tea"], age="25")
    state = profiled(aged)
    state.muted_tags, state.edits = ["age=25"], {"age=25": "not_interested"}
    assert refresh_reason(state, aged, SETTINGS, told=True) is None
    more = facts(["tea", "war"], ["tea"], age="25")
    assert refresh_reason(profiled(torn), more, SETTINGS) == "declared"
