"""Reasons name what the user liked and what really speaks for an item, whoever ranks."""

import json

import numpy as np
import pytest

from consumers.catalogue import Catalogue
from consumers.lists.concepts import Concepts
from consumers.lists.details import CONTEXT, DETAILS
from consumers.lists.learned_ranker import TELLING, TOLD, read_ranker
from consumers.lists.lists import ListMaker, ListRules
from consumers.lists.ranking import FEATURES, PlainRanker, RankWeights
from schemas.messages import RecommendedItem
from schemas.state import HistoryEvent, UserState
from tests.benchmarks.bench_lists import made_up_ranker, made_up_ranker_file
from tests.unit.synthetic import DAY_MS, NOBODY, NOW_MS, RULES, event, list_rules, shop, topic_vector, user, vectors_of
from tests.unit.test_ranker_of_encoder import ranker_that_likes

NOIR = Concepts({"sports-0": ("Noir",), "travel-0": ("Noir",), "music-0": ("Noir", "Jazz"), "cooking-4": ("Noir",)})


def listed(making: ListMaker, state: UserState, topic: str | None = "music") -> list[RecommendedItem]:
    return making.make([state], vectors_of(topic_vector(topic) if topic else NOBODY), NOW_MS)[0].items


def learned(feature: str, weight: float, catalogue: Catalogue) -> ListMaker:
    making = ListMaker(list_rules(top_k=40, diversity=0.0), catalogue)
    making.rank_by(read_ranker(ranker_that_likes(feature, weight), RankWeights()))
    return making


def kinds(place: RecommendedItem) -> set[str]:
    return {reason.kind for reason in place.reasons}


def test_a_learned_ranker_gives_the_reasons_of_its_own_score() -> None:
    """The plain one would say of most that they are similar, and of interest."""
    state = user(event("music-0", "like"))
    by_likeness = {place.item_id: kinds(place) for place in listed(learned("similarity", 1.0, shop()), state)}
    assert by_likeness["music-1"] == {"similar_to"}
    by_interest = {place.item_id: kinds(place) for place in listed(learned("interest", 1.0, shop()), state)}
    assert by_interest["music-1"] == {"interest"}


def test_what_a_ranker_holds_against_an_item_is_no_reason_for_it() -> None:
    state = user(event("music-0", "like"))
    places = {place.item_id: place for place in listed(learned("similarity", -1.0, shop()), state)}
    assert places["music-1"].score < places["travel-1"].score
    plain = {place.item_id: place for place in listed(ListMaker(list_rules(40, 0.0), shop()), state)}
    # nothing that the item has speaks for it: what the plain ranker says of it is still true
    assert kinds(places["music-1"]) == kinds(plain["music-1"])


def test_a_part_is_what_a_score_loses_when_what_tells_it_is_as_usual() -> None:
    ranker, draw = made_up_ranker(4), np.random.default_rng(2)
    features = draw.normal(size=(9, 9, len(FEATURES))).astype(np.float32)
    features[:, :, FEATURES.index("boost")] = 0.0
    details, context = draw.normal(size=(9, 9, len(DETAILS))), draw.normal(size=(9, len(CONTEXT)))
    told = details.astype(np.float32), context.astype(np.float32)
    scores, parts = ranker.scores(features, told), ranker.parts(features, told)
    usual = np.array(json.loads(made_up_ranker_file(4))["feature_scaling"]["mean"], np.float32)
    lost = np.zeros_like(parts)
    for place, name in enumerate(FEATURES):
        columns = [TOLD.index(one) for one in TELLING[name]]
        both = np.concatenate([features, told[0]], axis=2)
        both[:, :, columns] = usual[columns]
        without = ranker.scores(both[:, :, : len(FEATURES)], (both[:, :, len(FEATURES) :], told[1]))
        lost[:, :, place] = np.where(features[:, :, place] > 0, scores - without, 0)
    speaks = (lost > 0).any(axis=2, keepdims=True)
    assert 0 < speaks.sum() < speaks.size, "of some nothing speaks for them"
    expected = np.where(speaks, lost, PlainRanker(RankWeights()).parts(features, None))
    np.testing.assert_allclose(parts[features > 0], expected[features > 0], rtol=1e-3, atol=1e-4)


def test_all_that_a_ranker_is_told_of_an_item_belongs_to_one_reason_at_most() -> None:
    names = [name for told in TELLING.values() for name in told]
    assert set(TELLING) == set(FEATURES) and len(names) == len(set(names)) and set(names) <= set(TOLD)


@pytest.mark.parametrize(
    "against",
    [
        {"muted_items": {"travel-0"}},
        {"events": (event("travel-0", "dislike", 0.5), event("travel-0", "dislike", 0.4))},
    ],
)
def test_a_shared_concept_names_what_the_user_still_likes(against: dict[str, object]) -> None:
    more: tuple[HistoryEvent, ...] = against.pop("events", ())  # type: ignore[assignment]
    state = user(event("sports-0", "like", 9.0), event("travel-0", "view", 1.0), *more, **against)
    making = ListMaker(ListRules(12, RULES), shop(), concepts=NOIR)
    [place] = [one for one in listed(making, state, None) if one.item_id == "cooking-4"]
    [reason] = [one for one in place.reasons if one.kind == "concept"]
    assert "like All about sports-0, which you liked" in reason.text


def test_a_shared_concept_names_the_item_that_adds_most_to_it() -> None:
    state = user(event("music-0", "like", 1.0), event("sports-0", "like", 9.0))  # half of what music-0 adds goes to Jazz
    making = ListMaker(ListRules(40, RULES), shop(), concepts=NOIR)
    [place] = [one for one in listed(making, state, None) if one.item_id == "cooking-4"]
    [reason] = [one for one in place.reasons if one.kind == "concept"]
    assert reason.detail == "Noir" and "like All about sports-0" in reason.text


@pytest.mark.parametrize("years", [5, 8, 21, 60])
def test_likes_of_decades_ago_are_survived(years: int) -> None:
    old = [event("sports-0", "like", 24.0 * 365 * years), event("music-3", "rating", 24.0 * 365 * years - 1, 5.0)]
    for newest in (event("gone", "view"), event("travel-1", "view")):
        state = user(*old, newest)
        making = ListMaker(ListRules(12, RULES), shop(), concepts=NOIR)
        assert len(listed(making, state)) == 12
    assert NOW_MS > 365 * DAY_MS * 50, "there were clocks then"
