"""What a text says of change and habit is checked like everything else; every wording we ask for passes when it is true."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from consumers.texts.grounding import check, read
from consumers.texts.parts import parts, sheet_of
from consumers.texts.plain_text import plain_part, plain_text
from consumers.texts.profile_jobs import must_name
from consumers.texts.prompt_texts import VARIANTS
from consumers.texts.prompts import writable
from consumers.texts.sentences import sentence
from schemas.messages import Language, Statement
from tests.unit.profile_cases import people_who_change, told

LANGUAGES: tuple[Language, ...] = ("en", "zh")
HIM = [
    told("likes", "chess", "new"),
    told("likes", "jazz", "rising"),
    told("likes", "war films", "fading"),
    told("likes", "tea", "reversed"),
    told("likes", "drama", "steady"),
    told("dislikes", "horror", "reversed"),
    told("dislikes", "opera", "steady"),
    told("is", "gender", value="male"),
    told("habit", "time_of_day", value="evening"),
    told("habit", "price_band", value="20-50 EUR"),
    told("habit", "format", value="video"),
    told("habit", "brand", value="Northlap"),
    told("habit", "author", value="Li Wei"),
    told("viewed", "Blue Lamp"),
]


def kinds(text: str, language: Language = "en", statements: list[Statement] = HIM) -> set[str]:
    return {fault.kind for fault in read(text, statements, language, required=[]).faults}


@settings(max_examples=200)
@given(people_who_change(), st.sampled_from(LANGUAGES))
def test_plain_text_with_changes_and_habits_always_passes(statements: list[Statement], language: Language) -> None:
    assume(statements)
    for part in parts(statements):
        (alone,) = plain_part(part, statements, language, follows=True)
        basis = [statements[index] for index in part.basis]
        assert read(alone.text, basis, language, must_name(part, statements)).faults == [], alone.text
    text = ("" if language == "zh" else " ").join(s.text for s in plain_text(statements, language))
    assert check(text, statements, language) == [], text


@settings(max_examples=200)
@given(people_who_change(), st.sampled_from(LANGUAGES), st.integers(0, VARIANTS - 1))
def test_every_wording_the_model_is_asked_for_passes_when_it_is_written(
    statements: list[Statement], language: Language, variant: int
) -> None:
    for part in parts(statements):
        if writable(part, statements, language):
            text = sentence(sheet_of(part, statements, language), language, variant)
            basis = [statements[index] for index in part.basis]
            assert read(text, basis, language, must_name(part, statements)).faults == [], text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("He has recently become interested in chess and is no longer interested in horror.", "en"),
        ("He has a growing interest in jazz, a fading interest in war films, and now likes tea.", "en"),
        ("He is more interested in jazz than before and less interested in war films than before.", "en"),
        ("He has lost interest in horror, and is interested in drama.", "en"),
        ("He is not interested in horror or opera.", "en"),
        ("He is usually active in the evening and often chooses the brand Northlap.", "en"),
        ("He prefers videos, prices of 20-50 EUR and the author Li Wei.", "en"),
        ("他最近开始对chess感兴趣，不再对horror感兴趣。", "zh"),
        ("他对jazz越来越感兴趣，对war films的兴趣有所减退，现在喜欢tea。", "zh"),
        ("他对horror不再感兴趣，对drama感兴趣。", "zh"),
        ("他通常在晚上活跃，多选择20-50 EUR的价位，常看作者Li Wei的内容。", "zh"),
    ],
)
def test_true_changes_and_habits_pass(text: str, language: Language) -> None:
    assert kinds(text, language) == set()


@pytest.mark.parametrize(
    ("text", "language", "kind"),
    [
        ("He has recently become interested in drama.", "en", "trend"),
        ("He is increasingly interested in war films.", "en", "trend"),
        ("He is less interested in jazz than before.", "en", "trend"),
        ("He no longer likes opera.", "en", "trend"),
        ("He now likes drama.", "en", "trend"),
        ("He is interested in chess and is increasingly interested in drama.", "en", "trend"),
        ("He is more interested in jazz and war films.", "en", "trend"),
        ("He likes drama more.", "en", "trend"),
        ("He no longer likes chess.", "en", "polarity"),
        ("He no longer dislikes opera.", "en", "polarity"),
        ("He has lost interest in drama.", "en", "polarity"),
        ("He is increasingly interested in horror.", "en", "polarity"),
        ("He longer likes horror.", "en", "polarity"),
        ("He is increasingly active in the evening.", "en", "polarity"),
        ("He is not active in the evening.", "en", "polarity"),
        ("He likes Northlap.", "en", "polarity"),
        ("He often chooses the brand Li Wei.", "en", "polarity"),
        ("He often returns to the author Northlap.", "en", "polarity"),
        ("He prefers drama.", "en", "polarity"),
        ("He is usually active in the morning.", "en", "word"),
        ("He prefers prices of 20-60 EUR.", "en", "number"),
        ("He prefers prices of 20-50 USD.", "en", "name"),
        ("He prefers prices of 50 EUR.", "en", "number"),
        ("He used to like horror.", "en", "word"),
        ("He rarely chooses the brand Northlap.", "en", "word"),
        ("He often chooses the brand Southlap.", "en", "name"),
        ("He is less interested in war films than in 1997.", "en", "number"),
        ("他最近开始对drama感兴趣。", "zh", "trend"),
        ("他对war films越来越感兴趣。", "zh", "polarity"),
        ("他不再喜欢opera。", "zh", "trend"),
        ("他对opera不再感兴趣。", "zh", "polarity"),
        ("他不再对chess感兴趣。", "zh", "polarity"),
        ("他不再对horror不感兴趣。", "zh", "polarity"),
        ("他现在喜欢horror。", "zh", "polarity"),
        ("他对horror感兴趣。", "zh", "polarity"),
        ("他常选择品牌Li Wei。", "zh", "polarity"),
        ("他喜欢Northlap。", "zh", "polarity"),
        ("他很少在晚上活跃。", "zh", "word"),
        ("他通常在早上活跃。", "zh", "word"),
        ("他多选择20-60 EUR的价位。", "zh", "number"),
        ("他开始。", "zh", "word"),
    ],
)
def test_false_changes_and_habits_are_refused(text: str, language: Language, kind: str) -> None:
    assert kind in kinds(text, language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "text",
    [
        "Write one English sentence about the user from the facts. Use every fact, copy names, add nothing.",
        "用一句中文写出该用户的资料：每项都写，名称照抄，不添加内容。",
        "subject: He\nis increasingly interested in …: jazz.",
        "对…越来越感兴趣: jazz。",
        "must not say: drama.",
        "He likes drama.<br>He likes jazz.",
        "<b>He likes drama.</b>",
        "He likes [drama](http://example.com).",
        "他喜欢<script>drama</script>。",
        "Él está interesado en drama.",
        "彼はdramaが好きです。",
        "<|im_start|>system",
    ],
)
def test_prompts_markup_and_other_languages_are_refused(text: str, language: Language) -> None:
    assert kinds(text, language)


def test_a_sentence_names_all_it_was_asked_to() -> None:
    (_, trends, *_) = parts(HIM)
    basis = [HIM[index] for index in trends.basis]
    text = "He has recently become interested in chess and is now interested in tea."
    faults = read(text, basis, "en", must_name(trends, HIM)).faults
    assert [(fault.kind, fault.detail) for fault in faults] == [("missing", "jazz"), ("missing", "horror")]
