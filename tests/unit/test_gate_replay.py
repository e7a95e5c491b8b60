"""What bench_gate measures with: a replay of a small shop, and when a text shows a change."""

import pytest

from deploy.evaluation.gate_material import Change, Material, shop_material
from deploy.evaluation.gate_replay import Outcome, Replay
from producers.shop_catalog import TOPICS
from schemas.settings import ProfilerSettings, Settings
from schemas.state import ProfileRef, UserState

DELAY_MS = 30_000
DROPPED, FRESH = list(TOPICS)[:2]
CHANGE = Change(1000, DROPPED, FRESH)


@pytest.fixture(scope="module")
def shop() -> Material:
    return shop_material(seed=7, users=12, events=700, vectors=None)


def replayed(shop: Material, **rules: int) -> Outcome:
    return Replay(shop, Settings(profiler=ProfilerSettings(**rules)), DELAY_MS, everything=True).run()


def tags(topic: str) -> tuple[str, str]:
    """The topic's tag in Chinese, and one of its themes in English."""
    return TOPICS[topic].zh, TOPICS[topic].theme[0].en.tag


def test_a_change_is_shown_by_a_like_of_the_fresh_topic_and_none_of_the_dropped() -> None:
    (fresh, fresh_theme), (dropped, dropped_theme) = tags(FRESH), tags(DROPPED)
    assert CHANGE.is_shown_by([f"likes:{fresh}"]) and CHANGE.is_shown_by([f"likes:{fresh_theme}", "is:age=30"])
    assert not CHANGE.is_shown_by([]) and not CHANGE.is_shown_by([f"dislikes:{fresh}"])
    assert not CHANGE.is_shown_by([f"likes:{fresh}", f"likes:{dropped}"])
    assert CHANGE.is_shown_by([f"likes:{fresh}", f"fades:{dropped}", f"dislikes:{dropped_theme}"])
    with_theme = [f"likes:{fresh}", f"likes:{dropped_theme}"]
    assert not CHANGE.is_shown_by(with_theme) and CHANGE.is_shown_by(with_theme, themes=False)


def test_everyone_who_agrees_and_acts_gets_one_first_text(shop: Material) -> None:
    outcome = replayed(shop)
    assert 0 < outcome.reasons["first"] <= shop.users
    assert 0 < outcome.calls < 0.2 * shop.events and outcome.facts >= outcome.calls
    assert outcome.texts > outcome.calls, "most need nothing but words that are known"


def test_a_gate_that_asks_more_costs_more_and_never_shows_what_cannot_be_said(shop: Material) -> None:
    eager = replayed(shop)
    lazy = replayed(shop, look_events=1000, refresh_grown_events=1000)
    assert eager.texts > 2 * lazy.texts and eager.calls > lazy.calls
    assert eager.sayable_at == lazy.sayable_at and len(eager.sayable_at) > 0
    assert eager.share_within(eager.shown_at) <= eager.share_within(eager.tag_shown_at)


def noted(shop: Material, *texts: tuple[int, list[str] | None]) -> Outcome:
    """What is noted of a user whose text in force has these topics after so many events since the change."""
    replay = Replay(shop, Settings(), DELAY_MS)
    state = replay._states["u"] = UserState()
    for events, topics in texts:
        state.profile = None if topics is None else ProfileRef(1, "en", topics, b"", events, 0)
        replay.outcome.after["u"] = events
        replay._note_shown("u", CHANGE)
    return replay.outcome


def test_the_text_in_force_is_what_shows_a_change_and_the_first_to_do_so_counts(shop: Material) -> None:
    (fresh, _), (dropped, dropped_theme) = tags(FRESH), tags(DROPPED)
    assert noted(shop, (1, None), (2, [f"likes:{dropped}"])).shown_at == {}
    assert noted(shop, (1, [f"likes:{dropped}"]), (4, [f"likes:{fresh}"]), (9, [f"likes:{fresh}"])).shown_at == {"u": 4}
    with_theme = noted(shop, (3, [f"likes:{fresh}", f"likes:{dropped_theme}"]), (8, [f"likes:{fresh}"]))
    assert (with_theme.tag_shown_at, with_theme.shown_at) == ({"u": 3}, {"u": 8})


def test_a_text_older_than_the_change_shows_it_where_it_already_says_so(shop: Material) -> None:
    """Someone may have taken to the fresh topic before: no new text is asked for, and the old one is right."""
    assert noted(shop, (1, [f"likes:{tags(FRESH)[0]}"])).shown_at == {"u": 1}
