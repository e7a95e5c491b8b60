import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.catalogue import Catalogue
from consumers.lists.lists import ListRules, make_lists
from consumers.lists.ranking import RankWeights
from consumers.statements.interests import event_weights, interests
from schemas.messages import Item, RecommendedItem
from schemas.settings import Settings
from schemas.state import Attributes, ItemCount, ProfileRef, UserState
from tests.unit.synthetic import (
    DAY_MS,
    DIM,
    NOBODY,
    NOW_MS,
    RULES,
    TOPICS,
    add,
    event,
    item,
    list_rules,
    shop,
    topic_vector,
    unit,
    user,
    vectors_of,
)

IDS = [f"i{number}" for number in range(14)]
TAGS = [*TOPICS, "Sports", "MUSIC", "旅游"]


def list_of(
    state: UserState, taste: list[float], catalogue: Catalogue, rules: ListRules | None = None
) -> list[RecommendedItem]:
    return make_lists([state], vectors_of(taste), catalogue, rules or list_rules(), NOW_MS)[0]


def ids(places: list[RecommendedItem]) -> list[str]:
    return [place.item_id for place in places]


def kinds(place: RecommendedItem) -> list[str]:
    return [reason.kind for reason in place.reasons]


@st.composite
def items(draw: st.DrawFn) -> list[Item]:
    ages = st.integers(-3, 100).map(lambda days: NOW_MS - days * DAY_MS)
    return [
        item(
            item_id,
            tags=draw(st.lists(st.sampled_from(TAGS), max_size=3)),
            published_at_ms=draw(st.one_of(st.just(0), ages)),
            available_from_ms=draw(st.one_of(st.none(), ages)),
            available_until_ms=draw(st.one_of(st.none(), ages)),
        )
        for item_id in draw(st.lists(st.sampled_from(IDS), unique=True, max_size=14))
    ]


@st.composite
def users(draw: st.DrawFn) -> UserState:
    some_ids = st.lists(st.sampled_from([*IDS, "unknown"]), max_size=4)
    some_tags = st.lists(st.sampled_from(TAGS), max_size=2)
    kind = st.sampled_from(["view", "like", "dislike", "rating", "purchase"])
    events = [
        event(one, draw(kind), draw(st.floats(0, 500)), value=draw(st.sampled_from([1.0, 5.0]))) for one in draw(some_ids)
    ]
    vector = draw(st.one_of(st.none(), st.lists(st.floats(-1, 1, width=16), min_size=DIM, max_size=DIM)))
    return user(
        *events,
        items={one: ItemCount(1000, NOW_MS) for one in draw(some_ids)},
        muted_items=draw(some_ids),
        muted_tags=draw(some_tags),
        edits=dict.fromkeys(draw(some_tags), draw(st.sampled_from(["interested", "not_interested"]))),
        attributes=Attributes(NOW_MS, tags=draw(some_tags)),
        profile=vector and ProfileRef(1, "en", [], unit(vector).astype("<f2").tobytes(), 1, NOW_MS),
    )


def may_see(state: UserState, one: Item) -> bool:
    refused = {*state.muted_tags, *(tag for tag, stance in state.edits.items() if stance == "not_interested")}
    seen = {entry.item_id for entry in state.events} | set(state.items) | set(state.muted_items)
    available = (one.available_from_ms or 0) <= NOW_MS < (one.available_until_ms or NOW_MS + 1)
    clean = not {tag.casefold() for tag in one.tags} & {tag.casefold() for tag in refused}
    return available and clean and one.item_id not in seen


def check_reasons(place: RecommendedItem, state: UserState, catalogue: Catalogue, popular: dict[str, float]) -> None:
    one = catalogue.items[place.item_id]
    found = interests(state, catalogue.items, RULES)
    liked_tags = {tag.casefold() for tag, interest in found.items() if interest.weight > 0}
    liked = [e for e in state.events if e.item_id in catalogue.items and event_weights(user(e), RULES)[0] > 0]
    liked_titles = {catalogue.items[str(e.item_id)].title for e in liked}
    assert place.reasons, "each item says why"
    for reason in place.reasons:
        match reason.kind:
            case "interest":
                assert reason.detail in one.tags and reason.detail.casefold() in liked_tags
            case "similar_to":
                assert reason.detail in liked_titles
            case "profile":
                assert state.profile is not None
            case "popular":
                assert popular[place.item_id] > 0
            case "fresh":
                assert NOW_MS - 14 * DAY_MS <= one.published_at_ms <= NOW_MS
            case "catalogue":
                assert len(place.reasons) == 1
            case _:
                raise AssertionError(f"nothing here gives {reason.kind}")


@settings(max_examples=80)
@given(
    items(),
    st.lists(users(), min_size=1, max_size=3),
    st.lists(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=DIM, max_size=DIM), min_size=17, max_size=17),
    st.dictionaries(st.sampled_from(IDS), st.integers(1, 9)),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.15, 1.0]),
)
def test_a_list_holds_only_what_the_user_may_see_once_and_is_full(
    entries: list[Item],
    states: list[UserState],
    directions: list[list[float]],
    popular: dict[str, int],
    top_k: int,
    diversity: float,
) -> None:
    catalogue = Catalogue(DIM)
    for entry, direction in zip(entries, directions, strict=False):
        add(catalogue, entry, direction if any(direction) else topic_vector("music"))
    catalogue.observe(list(popular), list(popular.values()), NOW_MS)
    tastes = vectors_of(*directions[14 : 14 + len(states)])
    lists = make_lists(states, tastes, catalogue, list_rules(top_k, diversity), NOW_MS)
    assert len(lists) == len(states)
    for state, places in zip(states, lists, strict=True):
        allowed = {entry.item_id for entry in entries if may_see(state, entry)}
        assert set(ids(places)) <= allowed
        assert len(set(ids(places))) == len(places) == min(top_k, len(allowed))
        assert [place.score for place in places] == sorted((place.score for place in places), reverse=True)
        for place in places:
            assert place.title == catalogue.items[place.item_id].title
            check_reasons(place, state, catalogue, {**dict.fromkeys(IDS, 0), **popular})


@settings(max_examples=30)
@given(items(), st.lists(users(), min_size=2, max_size=4), st.integers(0, 1000))
def test_without_diversity_a_list_is_the_best_of_the_longest_list(
    entries: list[Item], states: list[UserState], seed: int
) -> None:
    numbers = np.random.default_rng(seed)
    catalogue = Catalogue(DIM)
    for entry in entries:
        add(catalogue, entry, numbers.standard_normal(DIM).tolist())
    tastes = vectors_of(*numbers.standard_normal((len(states), DIM)).tolist())
    full = make_lists(states, tastes, catalogue, list_rules(len(IDS), 0.0), NOW_MS)
    for state, taste, everything in zip(states, tastes, full, strict=True):
        alone = make_lists([state], taste[None], catalogue, list_rules(3, 0.0), NOW_MS)[0]
        assert [place.score for place in alone] == pytest.approx([place.score for place in everything[:3]], abs=3e-6)


def test_a_user_of_one_topic_gets_that_topic_on_top_and_is_told_why() -> None:
    catalogue = shop()
    state = user(event("sports-0", "like", 3.0), event("sports-1", "view", 2.0))
    places = list_of(state, topic_vector("sports"), catalogue)
    assert all(place.item_id.startswith("sports-") for place in places)
    assert not {"sports-0", "sports-1"} & set(ids(places))
    for place in places:
        assert kinds(place) == ["similar_to", "interest"]
        assert {reason.detail for reason in place.reasons} == {"All about sports-0", "sports"}


def test_tags_alone_lead_to_the_topic_when_the_vector_says_nothing() -> None:
    state = user(attributes=Attributes(NOW_MS, tags=["Travel"]))
    places = list_of(state, NOBODY, shop())
    assert all(place.item_id.startswith("travel-") and kinds(place) == ["interest"] for place in places)


def test_a_disliked_topic_sinks_below_everything_else() -> None:
    state = user(event("sports-0", "dislike"), event("sports-1", "not_interested"))
    places = list_of(state, NOBODY, shop(), list_rules(39, 0.0))
    assert len(places) == 38
    assert [place.item_id.startswith("sports-") for place in places] == [False] * 30 + [True] * 8


def test_a_reversed_preference_wins_over_a_thousand_clicks() -> None:
    clicks = [event(f"sports-{number % 3}", "click", number / 10) for number in range(50)]
    state = user(*clicks, edits={"Sports": "not_interested"})
    assert not [one for one in ids(list_of(state, topic_vector("sports"), shop(), list_rules(30))) if one.startswith("sports")]


def test_items_of_a_refused_tag_explain_nothing() -> None:
    catalogue = shop()
    add(catalogue, item("both", tags=["sports", "travel"]), topic_vector("travel"))
    history = event("both", "like", 1.0), event("travel-0", "view", 2.0)
    for muted, told in (([], "All about both"), (["sports"], "All about travel-0")):
        for place in list_of(user(*history, muted_tags=muted), topic_vector("travel"), catalogue):
            assert [reason.detail for reason in place.reasons if reason.kind == "similar_to"] == [told]


@pytest.mark.parametrize("kind", ["like", "dislike"])
def test_an_item_is_not_called_similar_to_its_opposite(kind: str) -> None:
    catalogue = shop()
    add(catalogue, item("opposite", tags=[]), [-value for value in topic_vector("music")])
    places = list_of(user(event("opposite", kind)), topic_vector("music"), catalogue)
    assert all(place.item_id.startswith("music-") and kinds(place) == ["catalogue"] for place in places)


def test_the_profile_text_draws_the_list_its_way() -> None:
    music = np.asarray(topic_vector("music"), "<f2").tobytes()
    state = user(profile=ProfileRef(1, "en", [], music, 1, NOW_MS))
    places = list_of(state, NOBODY, shop())
    assert all(place.item_id.startswith("music-") and kinds(place) == ["profile"] for place in places)


def test_a_user_of_whom_nothing_is_known_gets_what_is_popular_or_fresh() -> None:
    catalogue = shop()
    catalogue.observe(["music-3", "travel-4"], [9.0, 5.0], NOW_MS)
    add(catalogue, item("brand-new", published_at_ms=NOW_MS), topic_vector("cooking"))
    add(catalogue, item("from-the-future", published_at_ms=NOW_MS + DAY_MS), topic_vector("cooking"))
    places = list_of(user(), NOBODY, catalogue, list_rules(5, 0.0))
    assert [(place.item_id, kinds(place)) for place in places[:3]] == [
        ("music-3", ["popular"]),
        ("travel-4", ["popular"]),
        ("brand-new", ["fresh"]),
    ]
    assert len(places) == 5 and all(kinds(place) == ["catalogue"] for place in places[3:])


def test_an_item_that_arrives_is_recommended_and_an_event_on_it_counts_from_then_on() -> None:
    catalogue = shop()
    state = user(event("later", "like"))
    before = list_of(state, NOBODY, catalogue)
    assert all(kinds(place) == ["catalogue"] for place in before)
    add(catalogue, item("later", "cooking"), topic_vector("cooking"))
    after = list_of(state, topic_vector("cooking"), catalogue)
    assert all(place.item_id.startswith("cooking-") for place in after)
    assert after[0].reasons[0].detail == "All about later"


def test_a_list_does_not_depend_on_the_order_in_which_items_came() -> None:
    entries = [(item(f"i{number}", "music"), topic_vector("music")) for number in range(60)]
    found = []
    for order in (entries, entries[::-1]):
        catalogue = Catalogue(DIM)
        for entry, direction in order:
            add(catalogue, entry, direction)
        found.append(ids(list_of(user(event("i3")), topic_vector("music"), catalogue)))
    assert found[0] == found[1]


def test_blocks_of_users_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue, states = shop(), [user(event(f"{topic}-0")) for topic in TOPICS]
    tastes = vectors_of(*(topic_vector(topic) for topic in TOPICS))
    whole = make_lists(states, tastes, catalogue, list_rules(), NOW_MS)
    monkeypatch.setattr("consumers.lists.lists.MAX_CELLS", 2 * len(catalogue))
    assert make_lists(states, tastes, catalogue, list_rules(), NOW_MS) == whole


def test_an_empty_catalogue_gives_empty_lists() -> None:
    assert make_lists([user(), user()], vectors_of(NOBODY, NOBODY), Catalogue(DIM), list_rules(), NOW_MS) == [[], []]


def test_rules_follow_the_settings() -> None:
    rules = ListRules.of(Settings.model_validate({"profiler": {"top_k": 7, "half_life_h": 2.0}}))
    assert (rules.top_k, rules.interest.half_life_h, rules.weights) == (7, 2.0, RankWeights())
