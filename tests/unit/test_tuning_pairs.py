"""The pairs a narrator is tuned on: the same for a seed, of great variety, true, and without the words held out."""

import random

from consumers.texts.prompt_texts import TEXTS
from deploy.tuning.names import HELD_OUT_TOPICS, Names
from deploy.tuning.pairs import KINDS, make_pairs
from producers.shop_catalog import TOPICS

PAIRS = list(make_pairs(seed=5, count=1000))
"""Every sentence passed the grounding check, or this would have failed."""


def test_the_same_seed_gives_the_same_pairs() -> None:
    assert list(make_pairs(seed=5, count=50)) == PAIRS[:50]
    assert list(make_pairs(seed=6, count=50)) != PAIRS[:50]


def test_half_is_chinese_and_every_kind_of_sentence_comes_up_in_both_languages() -> None:
    assert [sum(pair.language == language for pair in PAIRS) for language in ("en", "zh")] == [500, 500]
    for language in ("en", "zh"):
        assert {pair.kind for pair in PAIRS if pair.language == language} == set(KINDS)


def test_hardly_a_sentence_comes_twice_and_each_wording_is_used() -> None:
    answers = [pair.answer for pair in PAIRS]
    assert len(set(answers)) > 0.95 * len(answers)
    for wordings in (TEXTS.en.wordings, TEXTS.zh.wordings):
        for patterns in wordings.values():
            for pattern in patterns:
                label = pattern.replace("{and}", "…").replace("{or}", "…")
                assert any(f"{label}: " in pair.prompt for pair in PAIRS), label


def test_some_prompts_name_the_faults_of_an_attempt_before() -> None:
    corrected = [pair for pair in PAIRS if "must n" in pair.prompt or "必须写出" in pair.prompt or "不能写" in pair.prompt]
    assert 30 < len(corrected) < 150


def test_no_tag_of_the_topics_held_out_is_among_the_names() -> None:
    held_out = list(TOPICS.values())[-HELD_OUT_TOPICS:]
    names = Names(random.Random(1))
    assert len(names.topics) >= HELD_OUT_TOPICS / 2
    for language in ("en", "zh"):
        themes = {theme.phrases(language).tag for topic in held_out for theme in topic.theme}
        assert not themes & {theme.phrases(language).tag for topic in names.topics for theme in topic.theme}
        assert len(names.titles[language]) > 50
