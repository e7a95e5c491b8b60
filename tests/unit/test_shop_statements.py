"""Statements against the demo shop's truth; `tests/benchmarks/bench_statements.py` prints the same at length."""

import pytest

from tests.benchmarks.bench_statements import Site, changes, cold, warm
from tests.unit.statement_support import unsupported


@pytest.fixture(scope="module")
def followed() -> tuple[Site, dict]:
    site = Site(seed=7, users=160, events=7000)
    return site, changes(site)


def test_cold_users_words_become_statements_and_nothing_else_does(followed: tuple[Site, dict]) -> None:
    for language, found in cold(followed[0]).items():
        assert found["users"] >= 3, language
        assert found["declared_topics_stated"] == 1.0 and found["false"] == 0, language


def test_likes_of_users_with_a_history_are_true_and_dislikes_are_not_of_true_interests(followed: tuple[Site, dict]) -> None:
    found = warm(followed[0], least_events=20)
    assert found["users"] > 80
    assert found["likes_precision"] > 0.85 and found["main_interest_stated"] > 0.9
    assert found["true_topics_disliked"] <= 0.05 * found["users"]


def test_a_change_of_interest_is_stated_within_a_few_events(followed: tuple[Site, dict]) -> None:
    assert followed[1]["changes"] > 8 and followed[1]["new_topic_stated_within_20_events"] >= 0.85


def test_all_that_is_stated_of_any_shopper_is_supported(followed: tuple[Site, dict]) -> None:
    site, checked = followed[0], 0
    for user_id, state in site.states.items():
        for statement in site.stated(user_id):
            told = {"field:free_text": {statement.topic: 1}} if "field:free_text" in statement.evidence else {}
            if told:
                assert state.attributes is not None and statement.topic in (state.attributes.free_text or "")
            assert not unsupported(statement, state, site.items, told), (user_id, statement)
            checked += 1
    assert checked > 800
