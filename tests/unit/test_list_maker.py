"""Lists with every source, rule and dial, from a catalogue that is scanned and from one that is searched."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.catalogue import Catalogue
from consumers.lists.concepts import Concepts
from consumers.lists.histories import Histories
from consumers.lists.list_rules import ListRules
from consumers.lists.lists import ListMaker
from consumers.lists.ranking import tag_taste
from consumers.lists.reason_texts import reason_text
from consumers.lists.rules import AgeLimit, Boost, GroupCap, Match, Pin, RuleBook
from consumers.lists.tag_tastes import tag_tastes
from consumers.search.faiss_index import FaissChoice, FaissIndex
from consumers.statements.interests import event_weights, tag_weights
from schemas.messages import Item, RecommendedItem
from schemas.state import Attributes, UserState
from tests.unit.synthetic import (
    DAY_MS,
    NOBODY,
    NOW_MS,
    RULES,
    TOPICS,
    add,
    event,
    item,
    shop,
    topic_vector,
    user,
    vectors_of,
)

BOOK = RuleBook(
    boosts=(
        Boost("push", Match(tags=frozenset({"music"})), 0.5),
        Boost("over", Match(tags=frozenset({"travel"})), 5, 0, NOW_MS),
    ),
    pins=(Pin("hero", "cooking-3", 2), Pin("gone", "expired", 1), Pin("elsewhere", "sports-9", 1, frozenset({"home"}))),
    caps=(GroupCap("brands", "brand", 2),),
    age_limits=(AgeLimit("adults", Match(tags=frozenset({"travel"})), 18),),
)


def branded_shop() -> Catalogue:
    """The shop, with five brands across its topics, an item that has expired and one that is not there yet."""
    catalogue = shop()
    for number, item_id in enumerate(list(catalogue.item_ids)):
        catalogue.put_item(catalogue.items[item_id].model_copy(update={"attributes": {"brand": f"b{number % 5}"}}))
    add(catalogue, item("expired", "music", available_until_ms=NOW_MS), topic_vector("music"))
    add(catalogue, item("early", "music", available_from_ms=NOW_MS + 1), topic_vector("music"))
    return catalogue


def maker(catalogue: Catalogue, searched: bool = False, book: RuleBook | None = None, **rules: object) -> ListMaker:
    given_rules = ListRules(**{"top_k": 5, "interest": RULES, "scan_up_to": 0 if searched else 10_000, **rules})  # type: ignore[arg-type]
    index = FaissIndex(FaissChoice(exact_up_to=0, lists_probed=64)) if searched else None
    return ListMaker(given_rules, catalogue, index, book)


def made_for(
    state: UserState, taste: Sequence[float], made: ListMaker, seed: int = 7, now_ms: int = NOW_MS
) -> list[RecommendedItem]:
    return made.make([state], vectors_of(taste), now_ms, [seed])[0].items


def ids(places: Sequence[RecommendedItem]) -> list[str]:
    return [place.item_id for place in places]


def kinds(place: RecommendedItem) -> list[str]:
    return [reason.kind for reason in place.reasons]


@st.composite
def states(draw: st.DrawFn) -> UserState:
    some_ids = st.sampled_from([f"{topic}-{number}" for topic in TOPICS for number in range(10)])
    kind = st.sampled_from(["view", "like", "skip", "not_interested", "purchase", "comment"])
    events = [event(draw(some_ids), draw(kind), hours) for hours in range(draw(st.integers(0, 12)), 0, -1)]
    return user(
        *events,
        type_counts=dict(Counter(str(one.type) for one in events)),
        muted_items=draw(st.lists(some_ids, max_size=2)),
        muted_tags=draw(st.lists(st.sampled_from(TOPICS), max_size=1)),
        attributes=draw(st.sampled_from([None, Attributes(NOW_MS), Attributes(NOW_MS, age=17), Attributes(NOW_MS, age=40)])),
    )


@pytest.mark.parametrize("searched", [False, True])
@settings(max_examples=25, deadline=None)
@given(
    st.lists(states(), min_size=1, max_size=4),
    st.sampled_from(["mmr", "dpp"]),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 2**64 - 1),
)
def test_whatever_the_dials_policy_holds(
    searched: bool, found: list[UserState], method: str, dial: float, explore: float, seed: int
) -> None:
    catalogue = branded_shop()
    making = maker(
        catalogue, searched, BOOK, diversity=dial, diversity_method=method, explore=explore, surfaces={"home": 3, "long": 12}
    )
    tastes = vectors_of(*[topic_vector(TOPICS[number % 4]) for number in range(len(found))])
    seeds = [seed + number for number in range(len(found))]
    seeds = [one % 2**64 for one in seeds]
    lists = making.make(found, tastes, NOW_MS, seeds)
    assert lists == making.make(found, tastes, NOW_MS, seeds)
    for state, own in zip(found, lists, strict=True):
        age = state.attributes.age if state.attributes and state.attributes.age is not None else -1
        seen = {one.item_id for one in state.events}
        for name, size, places in (
            ("main", 5, own.items),
            ("home", 3, own.surfaces["home"]),
            ("long", 12, own.surfaces["long"]),
        ):
            shown = ids(places)
            assert len(set(shown)) == len(shown) <= size
            assert not set(shown) & (seen | set(state.muted_items) | {"expired", "early"})
            tags = {tag for one in shown for tag in catalogue.items[one].tags}
            assert not tags & set(state.muted_tags)
            assert age >= 18 or "travel" not in tags
            pinned = [
                place.item_id
                for place in places
                if "rule" in kinds(place) and place.reasons[0].detail in ("hero", "elsewhere")
            ]
            forced = [place for place in places if "exploration" in kinds(place) or place.item_id in pinned]
            brands = Counter(catalogue.items[one].attributes["brand"] for one in shown if one not in ids(forced))
            assert all(count <= 2 for count in brands.values())
            if name != "home" and "cooking-3" not in seen | set(state.muted_items) and "cooking" not in state.muted_tags:
                assert shown.index("cooking-3") == min(1, len(shown) - 1)
            if name == "home" and "sports-9" in shown and "sports-9" in pinned:
                assert shown[0] == "sports-9"
            assert name != "main" or "elsewhere" not in {reason.detail for place in places for reason in place.reasons}
            check_truth(places, state, catalogue)


def check_truth(places: Sequence[RecommendedItem], state: UserState, catalogue: Catalogue) -> None:
    by_id = {one.event_id: one for one in state.events}
    for place in places:
        assert place.sources and place.reasons, "each item says why"
        assert all(reason.kind != "catalogue" for reason in place.reasons) or len(place.reasons) == 1
        for reason in place.reasons:
            assert reason.text and (reason.detail in reason.text)
            if reason.kind in ("similar_to", "neighbour"):
                assert reason.evidence is not None
                behind = by_id[reason.evidence.removeprefix("event:")]
                assert behind.item_id is not None and catalogue.items[behind.item_id].title == reason.detail
                assert event_weights(user(behind), RULES)[0] > 0
            if reason.kind == "neighbour":
                assert "neighbour" in place.sources
            if reason.kind == "exploration":
                assert "exploration" in place.sources
            if reason.kind == "rule" and reason.detail == "push":
                assert "music" in catalogue.items[place.item_id].tags
            assert reason.detail not in ("over", "gone")


def meet(catalogue: Catalogue, one: str, other: str, times: int = 5) -> None:
    rows = catalogue.rows([one] * times), catalogue.rows([other] * times)
    catalogue.covisitation.observe(*rows, np.ones(times), np.full(times, float(NOW_MS)))


@pytest.mark.parametrize("searched", [False, True])
def test_what_others_turn_to_is_offered_and_says_after_which_item(searched: bool) -> None:
    catalogue = shop()
    meet(catalogue, "sports-0", "travel-7")
    state = user(event("sports-0", "purchase"), event("sports-1", "view", 2.0))
    [place] = [one for one in made_for(state, NOBODY, maker(catalogue, searched, top_k=12)) if one.item_id == "travel-7"]
    assert "neighbour" in place.sources and kinds(place)[0] == "neighbour"
    [reason] = [one for one in place.reasons if one.kind == "neighbour"]
    assert reason.detail == "All about sports-0" and reason.evidence == f"event:{state.events[-1].event_id}"
    assert reason.text == "Because you bought All about sports-0: people who turned to it turned to this too"


def test_what_was_refused_since_brings_no_neighbours() -> None:
    catalogue = shop()
    meet(catalogue, "sports-0", "travel-7")
    state = user(event("sports-0", "view", 2.0), event("sports-0", "not_interested", 1.0))
    assert all("neighbour" not in place.sources for place in made_for(state, NOBODY, maker(catalogue)))


def test_reasons_are_in_the_user_s_language() -> None:
    catalogue = shop()
    meet(catalogue, "sports-0", "travel-7")
    state = user(event("sports-0", "view"), attributes=Attributes(NOW_MS, language="zh"))
    [place] = [one for one in made_for(state, NOBODY, maker(catalogue, top_k=12)) if one.item_id == "travel-7"]
    assert place.reasons[0].text == "因为您浏览过“All about sports-0”，关注它的人也关注了这个"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_kind_of_reason_has_words(language: str) -> None:
    for kind in (
        "interest",
        "similar_to",
        "neighbour",
        "concept",
        "profile",
        "popular",
        "fresh",
        "rule",
        "exploration",
        "catalogue",
    ):
        assert reason_text(kind, language, "X", "like", "Y")  # type: ignore[arg-type]


@pytest.mark.parametrize("searched", [False, True])
def test_shared_concepts_bring_items_and_say_which(searched: bool) -> None:
    catalogue = shop()
    concepts = Concepts({"sports-0": ("Film Noir", "Paris"), "cooking-4": ("film noir",), "gone": ("Paris",)})
    rules = ListRules(12, RULES, scan_up_to=0 if searched else 10_000)
    index = FaissIndex(FaissChoice(exact_up_to=0)) if searched else None
    making = ListMaker(rules, catalogue, index, None, concepts)
    state = user(event("sports-0", "like"))
    [place] = [one for one in made_for(state, NOBODY, making) if one.item_id == "cooking-4"]
    [reason] = [one for one in place.reasons if one.kind == "concept"]
    assert "concept" in place.sources and reason.detail.casefold() == "film noir"
    assert reason.evidence == f"event:{state.events[0].event_id}" and "All about sports-0, which you liked" in reason.text
    catalogue.remove_item("sports-1")
    add(catalogue, item("noir", "music"), topic_vector("music"))
    assert "concept" not in next(iter(made_for(state, topic_vector("music"), making))).sources


@pytest.mark.parametrize("searched", [False, True])
def test_a_new_item_is_in_the_next_list_and_an_expired_one_in_none(searched: bool) -> None:
    catalogue = shop()
    making = maker(catalogue, searched)
    state = user(event("sports-0", "like"))
    made_for(state, topic_vector("sports"), making)
    making._index.wait()
    add(catalogue, item("new", "sports", available_until_ms=NOW_MS + 10), topic_vector("sports"))
    assert ids(made_for(state, topic_vector("sports"), making))[0] == "new"
    assert "new" in ids(made_for(state, topic_vector("sports"), making, now_ms=NOW_MS + 9))
    assert "new" not in ids(made_for(state, topic_vector("sports"), making, now_ms=NOW_MS + 10))
    catalogue.remove_item("new")
    assert "new" not in ids(made_for(state, topic_vector("sports"), making))


@pytest.mark.parametrize("searched", [False, True])
def test_a_user_from_whom_almost_all_is_kept_gets_what_is_left(searched: bool) -> None:
    state = user(*(event(f"{topic}-{number}") for topic in TOPICS for number in range(9)), muted_tags=["music"])
    assert sorted(ids(made_for(state, topic_vector("sports"), maker(shop(), searched)))) == [
        "cooking-9",
        "sports-9",
        "travel-9",
    ]


def test_a_boost_lifts_and_says_so_and_burying_sinks_without_a_word() -> None:
    up = RuleBook(boosts=(Boost("push", Match(items=frozenset({"music-5"})), 3.0),))
    down = RuleBook(boosts=(Boost("sink", Match(tags=frozenset({"sports"})), -3.0),))
    state = user(event("sports-0", "like"))
    first = made_for(state, topic_vector("sports"), maker(shop(), book=up))[0]
    assert first.item_id == "music-5" and first.reasons[0].kind == "rule" and first.reasons[0].detail == "push"
    sunk = made_for(state, topic_vector("sports"), maker(shop(), book=down))
    assert not [place for place in sunk if place.item_id.startswith("sports") or "rule" in kinds(place)]


def test_rules_follow_an_item_that_changes_and_one_whose_row_moves() -> None:
    catalogue = shop()
    making = maker(catalogue, book=RuleBook(boosts=(Boost("push", Match(tags=frozenset({"sale"})), 3.0),)))
    state = user(event("sports-0", "like"))
    assert "rule" not in kinds(made_for(state, topic_vector("sports"), making)[0])
    catalogue.put_item(catalogue.items["music-9"].model_copy(update={"tags": ["music", "sale"]}))
    assert ids(made_for(state, topic_vector("sports"), making))[0] == "music-9"
    catalogue.remove_item("sports-3")
    assert ids(made_for(state, topic_vector("sports"), making))[0] == "music-9"
    catalogue.put_item(catalogue.items["music-9"].model_copy(update={"tags": ["music"]}))
    assert "rule" not in kinds(made_for(state, topic_vector("sports"), making)[0])


@settings(max_examples=60, deadline=None)
@given(st.lists(states(), min_size=1, max_size=5))
def test_tastes_of_a_batch_are_those_of_each_user(found: list[UserState]) -> None:
    catalogue = shop()
    for entry in (item("many", tags=["sports", "travel", "music"]), item("none", tags=[])):
        add(catalogue, entry, topic_vector("music"))
    found = [*found, user(event("many", "like", 3), event("many", "dislike", 2), event("none")), user(event("unknown"))]
    histories = Histories.of(found, catalogue, RULES)
    for number, (state, taste) in enumerate(zip(found, tag_tastes(found, histories, catalogue, RULES), strict=True)):
        weights = event_weights(state, RULES)
        assert histories.faded[number, : len(weights)].tolist() == pytest.approx(weights)
        expected = tag_taste(tag_weights(state, catalogue.items, RULES, weights, catalogue.vocabulary))
        assert taste == pytest.approx(expected)


def test_entries_of_a_fresh_catalogue_are_the_freshest(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = shop()
    entry: Item = item("news", "cooking", published_at_ms=NOW_MS - DAY_MS)
    add(catalogue, entry, topic_vector("cooking"))
    [place] = [one for one in made_for(user(), NOBODY, maker(catalogue)) if one.item_id == "news"]
    assert "fresh" in place.sources and place.reasons[0].text == "New"
