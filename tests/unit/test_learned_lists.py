"""With a learned ranker and the dial as it comes, rules are obeyed, and lists do not hang on what else is made of them."""

import json

import pytest

from consumers.lists.learned_ranker import read_ranker
from consumers.lists.lists import ListMaker, ListRules
from consumers.lists.ranking import RankWeights
from consumers.lists.rules import Boost, Match, RuleBook
from tests.unit.synthetic import NOW_MS, RULES, event, shop, topic_vector, user, vectors_of
from tests.unit.test_ranker_of_encoder import ranker_that_likes

FAN = user(event("music-0", "like"))


def listed(book: RuleBook, surfaces: dict[str, int], spread: float = 0.2) -> list[str]:
    """The main list of one who likes music, by a ranker that is nearly sure of it: its log odds are five scores apart."""
    making = ListMaker(ListRules(8, RULES, surfaces=surfaces), shop(25), book=book)
    file = json.loads(ranker_that_likes("similarity", 10.0)) | {"spread": spread}
    making.rank_by(read_ranker(json.dumps(file), RankWeights()))
    return [place.item_id for place in making.make([FAN], vectors_of(topic_vector("music")), NOW_MS)[0].items]


def rule(amount: float, item_id: str) -> RuleBook:
    return RuleBook(boosts=(Boost("rule", Match(items=frozenset({item_id})), amount),))


def test_one_who_is_surely_known_keeps_their_own() -> None:
    assert all(item_id.startswith("music") for item_id in listed(RuleBook(), {}))


@pytest.mark.parametrize("spread", [0.05, 0.2, 1.0])
def test_what_is_buried_is_buried(spread: float) -> None:
    best = listed(RuleBook(), {}, spread)[0]
    assert best not in listed(rule(-10.0, best), {}, spread)


def test_what_is_pushed_comes_first_and_brings_no_strangers() -> None:
    pushed = listed(rule(2.0, "music-20"), {})
    assert pushed[0] == "music-20" and all(item_id.startswith("music") for item_id in pushed)


def test_more_surfaces_leave_the_main_list_as_it_is() -> None:
    assert listed(RuleBook(), {}) == listed(RuleBook(), {"home": 30, "detail": 3})
