"""The demo shop's catalogue: enough of it, half Chinese, natural, no title twice, tags in the item's language."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.shop import DEFAULT_START_MS, Shop
from producers.shop_catalog import DOMAINS, TOPICS, compose_items, topic_of_tag
from producers.shop_frames import FRAMES
from schemas.messages import Item

HAN = re.compile("[\u4e00-\u9fff]")
LATIN_WORD = re.compile("[A-Za-z]{3,}")


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return Shop().items


def test_the_shop_is_large_enough_and_half_chinese(items: list[Item]) -> None:
    assert len(items) == 486
    assert Counter(item.language for item in items) == {"en": 243, "zh": 243}
    assert len({item.item_id for item in items}) == len(items)
    per_domain = Counter((item.language, item.domain) for item in items)
    assert min(per_domain[language, domain] for language in ("en", "zh") for domain in DOMAINS) >= 48


def test_topics_of_the_worked_example_are_there_in_both_languages() -> None:
    tags = {key: (topic.en, topic.zh) for key, topic in TOPICS.items()}
    wanted = {"sports": ("sports", "运动"), "technology": ("technology", "科技"), "travel": ("travel", "旅游")}
    assert wanted.items() <= tags.items()
    assert len(TOPICS) == 24
    assert topic_of_tag()["徒步"] == topic_of_tag()["hiking"] == topic_of_tag()["户外"] == "outdoors"


def test_every_tag_belongs_to_one_topic_and_one_language() -> None:
    count = sum(2 + 2 * len(topic.theme) for topic in TOPICS.values())
    assert len(topic_of_tag()) == count, "two topics or themes share a tag"
    assert all(
        other in TOPICS and other != key for key, topic in TOPICS.items() for theme in topic.theme for other in theme.also
    )


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), per_topic=st.integers(8, 16))
def test_whatever_the_seed_texts_are_whole_unique_and_in_their_language(seed: int, per_topic: int) -> None:
    composed = compose_items(seed, DEFAULT_START_MS, 28, per_topic)
    assert len(composed) == len(TOPICS) * 2 * per_topic
    assert len({shop_item.item.title for shop_item in composed}) == len(composed)
    assert len({shop_item.item.description for shop_item in composed if shop_item.item.domain != "social"}) > 0.95 * sum(
        shop_item.item.domain != "social" for shop_item in composed
    )
    for shop_item in composed:
        item = shop_item.item
        for text in (item.title, item.description, *item.tags):
            assert "{" not in text and "}" not in text and "  " not in text and text == text.strip()
            if item.language == "zh":
                assert HAN.search(text), text
                assert not [word for word in LATIN_WORD.findall(text) if word != "Python"], text
            else:
                assert not HAN.search(text), text
        assert 2 <= len(item.tags) <= 4 and len(set(item.tags)) == len(item.tags)
        assert item.tags[0] == TOPICS[shop_item.topics[0]].tag(item.language)
        assert topic_of_tag()[item.tags[1]] == shop_item.topics[0]
        assert item.available_until_ms is None or item.published_at_ms < item.available_until_ms


def test_every_theme_and_domain_of_a_topic_appears_in_both_languages(items: list[Item]) -> None:
    for topic in TOPICS.values():
        for language in ("en", "zh"):
            mine = [item for item in items if item.language == language and item.tags[0] == topic.tag(language)]
            mine = [item for item in mine if not item.item_id.startswith("item-")]
            assert len(mine) == 10
            assert {item.tags[1] for item in mine} == {theme.phrases(language).tag for theme in topic.theme}
            assert {item.domain for item in mine} == set(DOMAINS)


def test_items_have_what_their_domain_needs(items: list[Item]) -> None:
    needed = {"ecommerce": "price", "video": "minutes", "social": "author", "news": "outlet"}
    for item in items:
        if not item.item_id.startswith("item-"):
            assert needed[item.domain] in item.attributes
    windows = [item for item in items if item.available_until_ms is not None]
    assert 20 <= len(windows) <= 120
    assert {item.domain for item in windows} == {"ecommerce", "news"}
    assert any(item.published_at_ms > DEFAULT_START_MS for item in items), "some items are new while users are about"


def test_the_same_seed_gives_the_same_catalogue_and_another_seed_another() -> None:
    assert compose_items(3, DEFAULT_START_MS, 28) == compose_items(3, DEFAULT_START_MS, 28)
    assert compose_items(3, DEFAULT_START_MS, 28) != compose_items(4, DEFAULT_START_MS, 28)


def test_both_languages_fill_every_frame() -> None:
    english, chinese = FRAMES["en"], FRAMES["zh"]
    for name in ("offers", "video_titles", "video_texts", "news_leads", "news_closings", "free_texts"):
        assert len(getattr(english, name)) == len(getattr(chinese, name))


def test_the_worked_example_is_worded_as_the_design_says() -> None:
    by_id = {item.item_id: item for item in Shop(users=0).items}
    assert [by_id[f"item-{letter}-zh"].title for letter in "bcd"] == ["商品B", "商品C", "商品D"]
    assert [by_id[f"item-{letter}-en"].title for letter in "bcd"] == ["Item B", "Item C", "Item D"]
    tags = {tag for letter in "bcd" for tag in by_id[f"item-{letter}-zh"].tags}
    assert tags == {"运动", "科技", "旅游"}
