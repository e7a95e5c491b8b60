"""Which question comes next."""

import random

from hypothesis import example, given
from hypothesis import strategies as st

from consumers.statements.questionnaire import Questionnaire
from producers.shop import Shop
from producers.shop_catalog import topic_of_tag
from schemas.messages import Item, Language
from tests.unit.profile_cases import item

ITEMS = [
    *(item(f"a{number}", "film", "comedy" if number < 4 else "drama") for number in range(8)),
    *(item(f"b{number}", "sports", "football" if number < 3 else "tennis") for number in range(6)),
    *(item(f"c{number}", "cooking") for number in range(4)),
    item("d", "rare"),
]


def asked(items: list[Item], answers: dict[str, bool], language: Language = "en") -> str | None:
    return Questionnaire(items, language).next_tag(answers)


def test_the_first_question_splits_the_catalogue_most_evenly() -> None:
    assert asked(ITEMS, {}) == "film"


def test_questions_follow_the_answers() -> None:
    assert asked(ITEMS, {"film": False}) == "sports"
    assert asked(ITEMS, {"film": False, "sports": True}) in ("cooking", "tennis", "football")
    assert asked(ITEMS, {"FILM": True}) in ("comedy", "drama", "sports")


def test_the_same_items_under_another_name_are_not_asked_about_again() -> None:
    twins = [item(str(number), "film", "movies") for number in range(5)] + [item(f"x{number}", "chess") for number in range(3)]
    assert asked(twins, {"film": True}) == "chess"
    assert asked(twins, {"film": True, "chess": False}) is None


def test_only_the_users_language_is_asked_in_where_it_has_items() -> None:
    items = [*ITEMS, *(item(f"z{number}", ["足球", "茶", "美食"][max(0, number - 2)], language="zh") for number in range(5))]
    assert asked(items, {}, "zh") == "足球"
    assert asked(ITEMS, {}, "zh") == "film"


def test_nothing_is_asked_of_an_empty_catalogue() -> None:
    assert asked([], {}) is None and asked([item("1")], {}) is None


@example([["a"], ["a", "c"], ["b", "c"], ["b"], ["b"], ["b", "c"]], random.Random(1))
@given(st.lists(st.lists(st.sampled_from("abcdefg"), max_size=4), max_size=12), st.randoms(use_true_random=False))
def test_every_tag_is_asked_at_most_once_and_order_does_not_matter(tags: list[list[str]], source) -> None:  # type: ignore[no-untyped-def]
    items = [item(str(number), *own) for number, own in enumerate(tags)]
    shuffled = items[:]
    source.shuffle(shuffled)
    one, other = Questionnaire(items, "en"), Questionnaire(shuffled, "en")
    answers: dict[str, bool] = {}
    while (tag := one.next_tag(answers)) is not None:
        assert tag == other.next_tag(answers) and tag not in answers
        answers[tag] = source.random() < 0.5


def test_answers_find_a_demo_shop_users_interests() -> None:
    """Questions hit upon true topics at least as often as chance would, and never ask about one twice."""
    shop, known = Shop(7, 60), topic_of_tag()
    found = true_topics = 0
    for user in shop.users:
        questionnaire, true = Questionnaire(shop.items, user.language), set(user.interests[0][1])
        answers: dict[str, bool] = {}
        for _ in range(12):
            tag = questionnaire.next_tag(answers)
            assert tag is not None
            answers[tag] = known.get(tag) in true
        found += len({known[tag] for tag, likes in answers.items() if likes})
        true_topics += len(true)
    assert found / true_topics > 0.4
