"""The evaluation's protocol: cuts that leak nothing, ranks, reversals and orders judged right, a page that escapes."""

from typing import Any

import numpy as np
import pytest

from consumers.catalogue import Catalogue
from deploy.evaluation.obedience import WAYS, Case, asserts_interest, disobeyed, reversal_cases
from deploy.evaluation.people import Life, Person, Place, data_people, lives, shop_people
from deploy.evaluation.plots import bars, curve, scatter, visible, whiskers
from deploy.evaluation.retrieval import CoVisitation, Hits, middle_rank, popularity_before, rank_held_out
from deploy.evaluation.writing import NarratorDesk
from producers.shop import Shop, time_of
from schemas.messages import BehaviorEvent, Item, ItemVector, RecommendedItem, UserProfile
from schemas.settings import NarratorSettings, Settings

SHOP = Shop(11, 60)
MESSAGES = list(SHOP.simulate(2400))
PLAIN = NarratorSettings(llm_languages=frozenset())


class NoModel:
    """Nothing may be asked of it."""

    def write(self, asked: Any, on_text: Any) -> None:
        raise AssertionError(asked)


@pytest.fixture(scope="module")
def place() -> Place:
    catalogue, source = Catalogue(), np.random.default_rng(1)
    for item in SHOP.items:
        catalogue.put_item(item)
        vector = source.normal(size=384).tolist()
        catalogue.put_vector(ItemVector(item_id=item.item_id, vector=vector, model_name="m", model_version="0"))
    return Place("shop", catalogue, Settings(), SHOP)


@pytest.fixture(scope="module")
def users(place: Place) -> list[tuple[Person, Life, UserProfile]]:
    found = list(lives(shop_people(SHOP, MESSAGES, 40), place))
    written = NarratorDesk(NoModel(), PLAIN).write([request for _, _, request in found])
    return [(person, life, one.profile) for (person, life, _), one in zip(found, written, strict=True)]


def test_nobody_knows_the_held_out_item_or_what_came_after() -> None:
    people = shop_people(SHOP, MESSAGES, 60)
    assert sum(person.held_out is not None for person in people) > 20
    all_events = [message for message in MESSAGES if isinstance(message, BehaviorEvent)]
    for person in people:
        if person.held_out is not None:
            met = min(e.event_time_ms for e in all_events if (e.user_id, e.item_id) == (person.user_id, person.held_out))
            assert all(time_of(message) < met for message in person.messages)


def test_of_a_data_folder_the_last_event_is_held_out() -> None:
    events = [
        BehaviorEvent(
            event_id=f"e{n}", user_id=f"u{u}", item_id=f"i{n}", type="rating", value=4.0, event_time_ms=10**12 + n // 2
        )
        for u in range(4)
        for n in range(12)
    ]
    people = data_people(events, 4, seed=1)
    assert sorted(person.language for person in people) == ["en", "en", "zh", "zh"]
    assert all(person.held_out in ("i10", "i11") and len(person.events) == 11 for person in people)
    assert {person.held_out for person in data_people(events, 4, seed=2)} <= {"i10", "i11"}


def test_ties_stand_at_their_middle_rank() -> None:
    scores = np.array([3.0, 1.0, 1.0, 1.0, 9.0], np.float32)
    assert middle_rank(scores, 2, np.array([True, True, True, True, False])) == 3.0


def test_the_text_finds_what_it_is_about_and_popularity_what_many_met(place: Place) -> None:
    people = [person for person in shop_people(SHOP, MESSAGES, 60) if person.held_out]
    popularity = popularity_before(people)
    truth = place.catalogue.rows([people[0].held_out])[0]
    covisitation = CoVisitation(people, place.catalogue)
    hits = rank_held_out(people[0], "", place.catalogue.matrix[truth], popularity, covisitation, place.catalogue)
    assert hits.profile == hits.vector == [1.0], "a text that names nothing leaves it to the vector"
    assert hits.popularity[0] > 1 and Hits.rate(hits.profile) == 1.0


def test_what_the_text_names_brings_what_the_same_users_met(place: Place) -> None:
    first, second, third = SHOP.items[:3]
    pair = tuple(
        BehaviorEvent(event_id=i.item_id, user_id="u", item_id=i.item_id, type="view", event_time_ms=10**12)
        for i in (first, second)
    )
    scores = CoVisitation([Person("u", "en", pair)], place.catalogue).scores(f"She has viewed “{first.title}”.")
    rows = place.catalogue.rows([first.item_id, second.item_id, third.item_id])
    assert scores[rows].round(3).tolist() == [0.0, 1.0, 0.0]


def test_every_way_to_take_back_an_interest_is_tried_in_both_languages(place: Place, users: Any) -> None:
    cases = list(reversal_cases(users, place, per_way=2))
    assert {(case.way, case.language) for case in cases} == {(way, language) for way in WAYS for language in ("en", "zh")}
    asked = [case for case in cases if case.request]
    written = NarratorDesk(NoModel(), PLAIN).write([case.request for case in asked])  # type: ignore[misc]
    wrong = [case for case, one in zip(asked, written, strict=True) if asserts_interest(one.profile, case.name)]
    assert len(asked) == len(cases) and not wrong


def test_a_profile_that_still_asserts_is_seen(users: Any) -> None:
    _, _, profile = next(user for user in users if any(one.stance == "likes" for one in user[2].statements))
    liked = next(one.topic for one in profile.statements if one.stance == "likes")
    assert asserts_interest(profile, liked)
    silent = profile.model_copy(update={"statements": []})
    assert asserts_interest(silent, liked), "the text alone says it too"
    assert not asserts_interest(profile, "no such thing")


def test_a_disobeyed_order_is_seen(place: Place, users: Any) -> None:
    _, life, profile = next(user for user in users if any(one.stance == "likes" for one in user[2].statements))
    liked = next(one.topic for one in profile.statements if one.stance == "likes")
    item: Item = next(item for item in SHOP.items if liked in item.tags)
    listed = [RecommendedItem(item_id=item.item_id, title=item.title, score=1.0, reasons=[])]
    case = Case("mute_tag", profile.language, liked, life, None)
    assert disobeyed(case, profile, listed) == ["list", "profile"]
    silent = profile.model_copy(update={"statements": [], "summary": []})
    assert disobeyed(case, silent, []) == []
    assert disobeyed(Case("mute_item", "en", item.title, life, None, item_id=item.item_id), silent, listed) == ["list"]
    assert disobeyed(Case("edit_interested", "en", "no such thing", life, None), profile, []) == ["profile"]


def test_the_page_escapes_and_shows_what_cannot_be_seen() -> None:
    hostile = "<script>x</script>"
    assert "<script>" not in bars(hostile, [(hostile, 0.5)])
    assert visible("a\u202eb") == "a\\u202eb"
    assert "polyline" in curve("t", [(0, 0.0), (20, 1.0)])
    assert "<script>" not in whiskers(hostile, [(hostile, 0.1, -0.1, 0.2)], zero=True) + scatter(
        hostile, hostile, hostile, [(hostile, 1.0, 0.5), ("other", 1.0, 0.0)]
    )


def test_texts_of_an_earlier_run_are_not_written_again(users: Any, tmp_path: Any) -> None:
    class Counting:
        asked = 0

        def write(self, asked: Any, on_text: Any) -> None:
            self.asked += len(asked)
            for place in range(len(asked)):
                on_text(place, "?")

    request = next(life.request() for _, life, _ in users)
    first, second = Counting(), Counting()
    file = tmp_path / "texts.jsonl"
    written = NarratorDesk(first, NarratorSettings(), file).write([request])
    again = NarratorDesk(second, NarratorSettings(), file).write([request])
    assert first.asked > 0 and second.asked == 0
    assert written[0].profile == again[0].profile and not written[0].all_by_llm and written[0].refused
