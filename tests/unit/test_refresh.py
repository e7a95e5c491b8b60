"""When a profile is asked for again, and in which language."""

from consumers.refresh import profile_language, refresh_reason, statement_topics
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


def test_changed_when_a_main_like_is_new_or_gone_or_any_dislike_differs() -> None:
    written = facts(["a", "b", "c", "d"], ["x"])
    assert refresh_reason(profiled(written), written, SETTINGS) is None
    assert refresh_reason(profiled(written), facts(["d", "a", "b", "c"], ["x"]), SETTINGS) is None
    assert refresh_reason(profiled(written), facts(["a", "b", "c", "new"], ["x"]), SETTINGS) is None
    assert refresh_reason(profiled(written), facts(["a", "new", "b", "c"], ["x"]), SETTINGS) == "changed"
    assert refresh_reason(profiled(written), facts(["b", "c", "d"], ["x"]), SETTINGS) == "changed"
    assert refresh_reason(profiled(written), facts(["a", "b", "c", "d"]), SETTINGS) == "changed"
    assert refresh_reason(profiled(written), facts(["a", "b", "c", "d"], ["x"], age="30"), SETTINGS) == "changed"


def test_edits_and_mutes_ask_at_once() -> None:
    written = facts(["drama", "war"])
    state = profiled(written)
    state.edits = {"War": "not_interested"}
    assert refresh_reason(state, facts(["drama"], ["war"]), SETTINGS) == "edited"
    state = profiled(facts(["a", "b", "c", "war"]))
    state.muted_tags = ["war"]
    assert refresh_reason(state, facts(["a", "b", "c"]), SETTINGS) == "edited"


def test_grown_after_enough_new_events() -> None:
    told = facts(["drama"])
    new = SETTINGS.profiler.refresh_events
    assert refresh_reason(profiled(told, 3 + new - 1), told, SETTINGS) is None
    assert refresh_reason(profiled(told, 3 + new), told, SETTINGS) == "grown"


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
