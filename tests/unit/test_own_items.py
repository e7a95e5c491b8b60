"""What users took before: how it is counted, offered, explained, and kept from lists where nobody wants it again."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.catalogue import Catalogue, Floats
from consumers.lists.histories import Histories
from consumers.lists.list_rules import ListRules
from consumers.lists.lists import ListMaker
from consumers.lists.own_items import FADING, OFFERED, OWN_FACTS, OwnItems
from consumers.lists.ranking import PlainRanker
from consumers.meetings import learn_from
from consumers.returns import Returns
from schemas.messages import BehaviorEvent, Language
from schemas.settings import ProfilerSettings, Settings
from schemas.state import HistoryEvent, ItemCount, UserState
from tests.unit.synthetic import DAY_MS, NOW_MS, RULES, TOPICS, TYPE_WEIGHTS, event, shop, topic_vector, user, vectors_of


def taker(*events: HistoryEvent, **fields: object) -> UserState:
    """A user with these events, and the counts that the fold makes of them."""
    weights: defaultdict[str, int] = defaultdict(int)
    last: dict[str, int] = {}
    for one in sorted(events):
        weights[str(one.item_id)] += round(1000 * TYPE_WEIGHTS[one.type])
        last[str(one.item_id)] = one.event_time_ms
    items = {item_id: ItemCount(weight, last[item_id]) for item_id, weight in weights.items()}
    return user(*events, items=items, type_counts=dict(Counter(str(one.type) for one in events)), **fields)


def maker(catalogue: Catalogue, repeats: bool = True, **rules: object) -> ListMaker:
    made = ListMaker(ListRules(**{"top_k": 6, "interest": RULES, "repeats": repeats, "diversity": 0.0, **rules}), catalogue)  # type: ignore[arg-type]
    made.rank_by(PlainRanker(made.rules.weights, repeats=True))  # as if trained where people take things again
    return made


def own(state: UserState, catalogue: Catalogue) -> dict[str, dict[str, float]]:
    found = OwnItems.of([state], Histories.of([state], catalogue, RULES), catalogue, NOW_MS)
    rows = found.rows[0][found.rows[0] >= 0]
    return {
        catalogue.item_ids[row]: dict(zip(OWN_FACTS, facts, strict=True))
        for row, facts in zip(rows.tolist(), found.facts[0].tolist(), strict=False)
    }


def test_facts_say_how_much_how_often_and_how_lately() -> None:
    catalogue = shop()
    state = taker(
        event("music-1", "purchase", 24 * 7),
        event("music-1", "purchase", 24 * 3),
        event("sports-2", "purchase", 24 * 3),  # in one basket with the second
        event("travel-0", "purchase", 24 * 30),
        event("cooking-1", "dislike", 2),
        event("gone", "purchase", 1),
    )
    found = own(state, catalogue)
    assert list(found) == ["music-1", "sports-2", "travel-0"]
    music, travel = found["music-1"], found["travel-0"]
    assert music["own_weight"] == pytest.approx(np.log1p(10)) and music["own_share"] == pytest.approx(0.5)
    assert music["own_moments"] == 2 and travel["own_moments"] == 1
    moments = {"music-1": (2, 3), "travel-0": (4,)}  # what came after each: gone, cooking, one basket, music
    for name, ago in moments.items():
        assert found[name]["own_moments_recent"] == pytest.approx(sum(FADING[2] ** one for one in ago), rel=1e-5)
    assert music["own_week"] == pytest.approx(2 ** (-3 / 7)) and travel["own_month"] == pytest.approx(0.5)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(TOPICS), st.integers(0, 9), st.sampled_from(["purchase", "view", "return"]), st.integers(0, 30)
            ),
            max_size=14,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_batch_says_of_each_user_what_plain_counting_says(users: list[list[tuple[str, int, str, int]]]) -> None:
    catalogue = shop()
    states = [
        taker(*{event(f"{topic}-{number}", kind, 1 + days * 24) for topic, number, kind, days in events}) for events in users
    ]
    histories = Histories.of(states, catalogue, RULES)
    found = OwnItems.of(states, histories, catalogue, NOW_MS)
    for place, state in enumerate(states):
        times = sorted({one.event_time_ms for one in state.events})
        assert [times[-1 - ago] for ago in histories.moments_ago[place, : len(state.events)]] == [
            one.event_time_ms for one in state.events
        ]
        liked = {item_id for item_id, count in state.items.items() if count.weight_milli > 0}
        rows = found.rows[place][found.rows[place] >= 0]
        assert {catalogue.item_ids[row] for row in rows} == liked and len(rows) == len(liked)
        for row, facts in zip(rows.tolist(), found.facts[place].tolist(), strict=False):
            baskets = {
                one.event_time_ms
                for one in state.events
                if one.item_id == catalogue.item_ids[row] and TYPE_WEIGHTS[one.type] > 0
            }
            assert facts[OWN_FACTS.index("own_moments")] == len(baskets)


def test_of_very_many_items_those_taken_most_are_offered() -> None:
    catalogue = shop(per_topic=30)
    names = [f"{topic}-{number}" for topic in TOPICS for number in range(30)]
    items = {name: ItemCount(1000 * (1 + place), NOW_MS - DAY_MS) for place, name in enumerate(names)}
    state = UserState(version=1, items=items)
    assert list(own(state, catalogue)) == names[::-1][:OFFERED]
    assert not own(UserState(), catalogue)


def test_what_was_taken_is_listed_again_only_where_that_was_learned_and_is_allowed() -> None:
    catalogue = shop()
    state = taker(event("music-1", "purchase", 50), event("music-2", "purchase", 40), event("music-3", "return", 30))
    taste = vectors_of(topic_vector("music", 0.15))

    def listed(making: ListMaker, whom: UserState = state) -> dict[str, list[str]]:
        [lists] = making.make([whom], taste, NOW_MS)
        return {place.item_id: place.sources for place in lists.items}

    again = listed(maker(catalogue))
    assert {"music-1", "music-2"} <= set(again) and "music-3" not in again
    assert "again" in again["music-1"] and "again" not in again["music-4"]
    never = maker(catalogue, repeats=False)
    plain = maker(catalogue)
    plain.rank_by(PlainRanker(plain.rules.weights))
    for making in (never, plain):
        found = listed(making)
        assert not {"music-1", "music-2", "music-3"} & set(found) and len(found) == 6
    assert not ListRules.of(Settings()).repeats
    assert ListRules.of(Settings(profiler=ProfilerSettings(repeats="learned"))).repeats
    refused = taker(*state.events, muted_items=["music-1"], edits={"travel": "not_interested"})
    assert "music-1" not in listed(maker(catalogue), refused) and "music-2" in listed(maker(catalogue), refused)


@pytest.mark.parametrize(("language", "said"), [("en", "You bought this before"), ("zh", "您之前买过")])
def test_the_reason_names_the_event(language: Language, said: str) -> None:
    catalogue = shop()
    bought = event("music-1", "purchase", 50)
    state = taker(bought, event("music-1", "return", 20), event("music-1", "purchase", 60))
    making = maker(catalogue, language=language)
    if language == "zh":
        for item_id in list(catalogue.item_ids):
            catalogue.put_item(catalogue.items[item_id].model_copy(update={"language": "zh"}))
    [lists] = making.make([state], vectors_of(topic_vector("music")), NOW_MS)
    [place] = [one for one in lists.items if one.item_id == "music-1"]
    [reason] = [one for one in place.reasons if one.kind == "again"]
    assert reason.text == said and reason.evidence == f"event:{bought.event_id}"
    assert all(one.kind != "again" for other in lists.items if other.item_id != "music-1" for one in other.reasons)


def test_what_people_come_back_to_is_counted_once_a_visit_however_it_comes() -> None:
    history = [
        event("music-1", "view", 9.1), event("music-1", "purchase", 9), event("sports-1", "purchase", 8.9),
        event("music-1", "purchase", 5), event("music-1", "return", 4.9), event("music-1", "purchase", 4),
    ]  # fmt: skip
    sent = [
        BehaviorEvent(event_id=one.event_id, user_id="u", item_id=one.item_id, type=one.type, event_time_ms=one.event_time_ms)
        for one in history
    ]
    at_once, one_by_one = shop(), shop()
    learn_from([(sent, taker(*history))], at_once, TYPE_WEIGHTS)
    for number, one in enumerate(sent, 1):
        learn_from([([one], taker(*history[:number]))], one_by_one, TYPE_WEIGHTS)
    assert share_of(at_once) == share_of(one_by_one)
    assert share_of(at_once)["music-1"] == pytest.approx(2 / 8) and share_of(at_once)["sports-1"] == 0


def test_what_was_taken_before_the_history_begins_is_taken_again() -> None:
    catalogue, newest = shop(), event("music-1", "purchase", 1)
    state = taker(event("music-1", "purchase", 900), newest)
    state.events = state.events[1:]
    sent = BehaviorEvent(
        event_id=newest.event_id, user_id="u", item_id="music-1", type="purchase", event_time_ms=newest.event_time_ms
    )
    learn_from([([sent], state)], catalogue, TYPE_WEIGHTS)
    assert share_of(catalogue)["music-1"] == pytest.approx(1 / 6)


def share_of(catalogue: Catalogue) -> dict[str, float]:
    return dict(zip(catalogue.item_ids, catalogue.returns.shares(len(catalogue)).tolist(), strict=True))


def test_counts_follow_their_row() -> None:
    returns = Returns(2)
    returns.observe(np.array([0, 1, 1, -1]), [False, True, True, True])
    returns.grow(4)
    returns.move(1, 0)
    shares: Floats = returns.shares(4)
    assert shares.tolist() == [pytest.approx(2 / 7), 0, 0, 0]
