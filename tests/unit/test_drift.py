"""How far the history has moved since the last text, and how old that is: told from the state alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.catalogue import Catalogue
from consumers.drift import age_of_text_ms, history_drift
from schemas.state import HistoryEvent, ProfileRef, UserState
from tests.unit.synthetic import DIM, HOUR_MS, NOW_MS, RULES, TOPICS, item, topic_vector, vector


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    known = Catalogue(DIM)
    for topic in TOPICS:
        known.put_item(item(topic, topic))
        known.put_vector(vector(topic, topic_vector(topic)))
    return known


def history(then: list[str], since: list[str], hours: int = 1) -> UserState:
    """A user whose last text knew the events on `then`; `since` came after it."""
    items = [*then, *since]
    events = [
        HistoryEvent(NOW_MS + HOUR_MS * hours * place, f"e{place:03d}", item_id, "like") for place, item_id in enumerate(items)
    ]
    profile = ProfileRef(1, "en", [], b"", len(then), 0)
    return UserState(version=1, events=events, type_counts={"like": len(items)}, profile=profile)


def test_more_of_the_same_is_no_drift_and_something_else_is(catalogue: Catalogue) -> None:
    assert history_drift(history(["sports"] * 5, ["sports"] * 5), catalogue, RULES) == pytest.approx(0, abs=1e-6)
    little = history_drift(history(["sports"] * 5, ["travel"]), catalogue, RULES)
    much = history_drift(history(["sports"] * 5, ["travel"] * 10), catalogue, RULES)
    assert 0 < little < 0.1 < 0.5 < much < 1


def test_a_rejected_item_drives_away(catalogue: Catalogue) -> None:
    state = history(["sports", "travel"], ["travel"])
    state.events[-1] = HistoryEvent(state.events[-1].event_time_ms, "e", "travel", "not_interested")
    assert history_drift(state, catalogue, RULES) > 0.5


@pytest.mark.parametrize(
    "state",
    [
        UserState(),
        history([], ["sports"] * 3),
        history(["sports"], []),
        history(["nowhere"], ["sports"]),
        history(["sports"], ["nowhere"]),
    ],
)
def test_there_is_none_where_it_cannot_be_told(state: UserState, catalogue: Catalogue) -> None:
    assert history_drift(state, catalogue, RULES) == 0


@given(st.lists(st.sampled_from([*TOPICS, "nowhere"]), max_size=12), st.lists(st.sampled_from(TOPICS), max_size=12))
def test_it_is_between_0_and_2_and_never_looks_beyond_the_history(then: list[str], since: list[str]) -> None:
    known = Catalogue(DIM)
    for topic in TOPICS:
        known.put_item(item(topic, topic))
        known.put_vector(vector(topic, topic_vector(topic)))
    state = history(then, since)
    assert -1e-6 <= history_drift(state, known, RULES) <= 2 + 1e-6
    state.type_counts["like"] += 1000  # as if most of the events since had left the history
    assert history_drift(state, known, RULES) == 0


def test_age_is_the_time_between_the_newest_events_then_and_now() -> None:
    assert age_of_text_ms(history(["sports"] * 3, ["travel"] * 2, hours=10)) == 20 * HOUR_MS
    assert age_of_text_ms(history(["sports"] * 3, [])) == 0
    assert age_of_text_ms(UserState()) == 0
    forgotten = history(["sports"], ["travel"] * 4)
    forgotten.type_counts["like"] += 100
    assert age_of_text_ms(forgotten) == 4 * HOUR_MS
