"""What a text claims it claims of a fact that follows, and of today: only what was looked at may be told as past."""

import pytest

from consumers.texts.plain_text import plain_text
from schemas.messages import Language, Statement
from tests.unit.profile_cases import told
from tests.unit.test_grounding_changes import HIM, kinds


def language_of(text: str) -> Language:
    return "zh" if text.endswith("。") else "en"


@pytest.mark.parametrize(
    "text",
    [
        "He had been interested in drama.",
        "He had an interest in drama.",
        "He has loved drama.",
        "He did like drama.",
        "He had recently become interested in chess.",
        "He had lost interest in horror.",
        "He had not been interested in opera.",
        "He had been active in the evening.",
        "He had looked at “Blue Lamp” and had been interested in drama.",
        "He likes drama and had.",
        "他曾经喜欢drama。",
        "他曾喜欢drama。",
        "他曾对drama感兴趣。",
        "他喜欢过drama。",
        "他对drama感兴趣过。",
        "他喜欢drama，曾经喜欢jazz。",
        "他曾不喜欢opera。",
        "他对opera曾不感兴趣。",
        "他曾经不再喜欢horror。",
        "他曾在晚上活跃。",
        "他曾选择品牌Northlap。",
        "他曾浏览过Blue Lamp，曾喜欢drama。",
        "他喜欢drama，曾经。",
    ],
)
def test_what_is_so_today_is_not_told_as_past(text: str) -> None:
    assert kinds(text, language_of(text)) & {"polarity", "word"}


@pytest.mark.parametrize(
    "text",
    [
        "He had recently looked at “Blue Lamp” and likes drama.",
        "He likes drama and had viewed “Blue Lamp”.",
        "He dislikes opera and has looked at “Blue Lamp”.",
        "He has been interested in drama.",
        "He has had a growing interest in jazz.",
        "He has lost interest in horror.",
        "He lost interest in horror.",
        "曾浏览过Blue Lamp。",
        "他曾经看过Blue Lamp，对drama感兴趣，通常在晚上活跃。",
        "他喜欢drama，近期曾浏览过Blue Lamp。",
        "他不喜欢opera，曾浏览过Blue Lamp。",
        "他对horror失去了兴趣。",
    ],
)
def test_what_was_looked_at_may_be_told_as_past_and_the_perfect_is_of_today(text: str) -> None:
    assert kinds(text, language_of(text)) == set()


@pytest.mark.parametrize(
    "text",
    [
        "He likes drama, but never.",
        "He likes drama, but not.",
        "He likes drama not.",
        "He likes drama without.",
        "He likes drama. Not.",
        "He likes drama, but does not like.",
        "He likes drama but does not like it.",
        "He has viewed “Blue Lamp”, but never.",
        "He is usually active in the evening, but not.",
        "He is not a man.",
        "Never. He likes drama.",
        "No, he likes drama.",
        "He does not, likes drama.",
        "He isn't someone who likes drama.",
        "He has no interest in and likes drama.",
        "He has lost interest, likes drama.",
    ],
)
def test_a_negation_needs_a_fact_to_deny(text: str) -> None:
    assert "polarity" in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "He likes drama, but dislikes.",
        "He likes drama but dislikes it.",
        "He dislikes opera but likes it.",
        "He likes drama. He dislikes.",
        "He dislikes, likes drama.",
        "He dislikes the brand Northlap.",
        "He enjoys viewing “Blue Lamp”.",
        "他喜欢drama，但不喜欢。",
        "他不喜欢opera，但喜欢。",
        "他不喜欢，喜欢drama。",
        "他不喜欢，对drama感兴趣。",
        "他对不感兴趣，对drama感兴趣。",
        "他不喜欢品牌Northlap。",
    ],
)
def test_a_verb_needs_a_fact_of_its_own(text: str) -> None:
    assert "polarity" in kinds(text, language_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "He likes to avoid opera.",
        "He enjoys avoiding opera.",
        "He is interested in avoiding opera.",
        "He is interested in working and likes drama.",
        "He is usually active in.",
        "He is usually active in and likes drama.",
        "He often chooses the brand.",
        "He often chooses the brand and likes drama.",
        "He likes drama and usually chooses.",
        "He often chooses the brand Northlap, the author.",
        "He likes drama and tends.",
        "He lives in.",
        "He is working.",
        "He comes from, and likes drama.",
        "He lives in and is a man.",
        "He usually stays in the evening.",
        "He has looked and likes drama.",
        "His interests are.",
        "The author Li Wei likes drama.",
        "He is the author Li Wei.",
        "他来自。",
        "他职业为，喜欢drama。",
        "他住在。",
        "他通常选择。",
        "他通常选择，喜欢drama。",
        "他通常在，对drama感兴趣。",
        "他选择品牌。",
        "他喜欢不喜欢opera。",
    ],
)
def test_a_like_a_habit_and_a_declared_fact_need_their_name(text: str) -> None:
    assert "polarity" in kinds(text, language_of(text))


@pytest.mark.parametrize("text", ["He likes drama, has and does.", "He likes drama and.", "He likes drama and jazz in."])
def test_no_sentence_ends_with_a_word_that_leads_on(text: str) -> None:
    assert kinds(text) == {"unfinished"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("He likes neither drama nor jazz.", "polarity"),
        ("He likes neither opera nor drama.", "polarity"),
        ("He likes neither opera nor.", "polarity"),
        ("He dislikes neither opera nor horror.", "polarity"),
        ("He dislikes opera, but not horror.", "polarity"),
        ("He dislikes not opera.", "polarity"),
        ("He likes drama now.", "trend"),
        ("He likes jazz now.", "trend"),
        ("He likes drama and tea now.", "trend"),
        ("He likes tea and now.", "trend"),
        ("He likes drama now and tea.", "trend"),
        ("He dislikes opera now.", "trend"),
        ("His interests are opera and jazz.", "polarity"),
        ("His interests are not drama.", "polarity"),
        ("His dislikes are drama and opera.", "polarity"),
        ("His interests are Northlap and Li Wei.", "polarity"),
    ],
)
def test_what_neither_now_and_are_claim_is_checked(text: str, kind: str) -> None:
    assert kind in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "He likes neither opera nor horror.",
        "He is neither interested in opera nor horror.",
        "He likes drama and neither opera nor horror.",
        "He dislikes opera and does not like horror.",
        "He likes tea now.",
        "He likes chess and tea now.",
        "He dislikes horror now.",
        "He likes tea now and drama.",
        "His interests are drama and jazz.",
        "His dislikes are opera and horror.",
        "He tends to like drama and to avoid opera.",
        "He often chooses the Northlap brand.",
        "He often chooses content from the author Li Wei.",
        "He usually stays within 20-50 EUR and usually stays active in the evening.",
    ],
)
def test_true_neither_now_and_are_pass(text: str) -> None:
    assert kinds(text) == set()


@pytest.mark.parametrize(
    "text",
    [
        "He lives in Berlin and works as a nurse.",
        "He likes drama and lives and works in Berlin.",
        "He is a nurse, comes from Berlin, and likes drama.",
        "From Berlin and working as a nurse, he likes drama.",
        "他住在Berlin，职业是nurse，喜欢drama。",
    ],
)
def test_where_one_lives_and_works_passes(text: str) -> None:
    declared = [told("is", "occupation", value="nurse"), told("is", "location", value="Berlin")]
    assert kinds(text, language_of(text), [*HIM, *declared]) == set()


@pytest.mark.parametrize(
    "text",
    [
        "He likes drama, but not opera or horror.",
        "He does not like or enjoy opera.",
        "He isn't someone who likes opera.",
        "He is interested in, and enjoys, drama.",
        "He does not like opera and now likes tea.",
        "He dislikes opera and often chooses the brand Northlap.",
        "He dislikes opera and is increasingly interested in jazz.",
        "He likes drama and no longer is interested in horror.",
        "他不喜欢opera，现在喜欢tea。",
        "他不喜欢opera，通常在晚上活跃。",
        "他不喜欢opera，现在对tea感兴趣。",
        "他偏好品牌Northlap。",
    ],
)
def test_a_fact_told_frees_the_words_after_it(text: str) -> None:
    assert kinds(text, language_of(text)) == set()


@pytest.mark.parametrize(
    "text", ["他喜欢drama了。", "他喜欢了drama。", "他不喜欢opera了。", "他对drama感兴趣了。", "他对opera不感兴趣了。"]
)
def test_the_chinese_word_for_a_change_is_refused_of_what_is_steady(text: str) -> None:
    assert kinds(text, "zh") & {"trend", "polarity"}


@pytest.mark.parametrize(
    "text",
    [
        "他不再喜欢horror了。",
        "他不再对horror感兴趣了。",
        "他对horror不感兴趣了。",
        "他现在喜欢tea了。",
        "他对tea感兴趣了。",
        "他开始对chess感兴趣了。",
        "他浏览过Blue Lamp了。",
    ],
)
def test_the_chinese_word_for_a_change_passes_of_what_changed_or_was_looked_at(text: str) -> None:
    assert kinds(text, "zh") == set()


def test_an_unknown_word_in_the_place_of_a_fact_is_one_fault() -> None:
    assert kinds("He does not like tennis.") == {"word"}
    assert kinds("他喜欢网球。", "zh") == {"word"}


def test_a_tag_that_is_a_full_stop_does_not_join_two_sentences() -> None:
    likes: list[Statement] = [told("likes", "0"), told("likes", "."), told("likes", "00", "new")]
    text = " ".join(sentence.text for sentence in plain_text(likes, "en"))
    assert text == "A user interested in 0, “.” and 00. This user has recently become interested in 00."
    assert kinds(text, "en", likes) == set()
