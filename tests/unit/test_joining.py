"""One sentence of several clauses: grammar, grouping, and that whatever is joined still passes the grounding check."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from consumers.texts.grounding import check
from consumers.texts.joining import Clause, clause_in, joined
from consumers.texts.parts import facts_of, parts, sheet_of
from consumers.texts.profile_jobs import ProfileJob, profile_of
from consumers.texts.prompts import variant_of, writable
from consumers.texts.sentences import sentence
from schemas.messages import Language, Statement
from tests.unit.profile_cases import facts, people_who_change, request

LANGUAGES: tuple[Language, ...] = ("en", "zh")


@pytest.mark.parametrize(
    ("language", "clauses", "text"),
    [
        ("en", [("likes tea", "tea")], "She likes tea."),
        ("en", [("likes tea", "tea"), ("likes war", "war"), ("likes go", "go")], "She likes tea, war and go."),
        ("en", [("likes tea", "tea"), ("enjoys war", "war")], "She likes tea and enjoys war."),
        (
            "en",
            [("likes tea", "tea"), ("enjoys war", "war"), ("likes go", "go")],
            "She likes tea and go, and enjoys war.",
        ),
        ("en", [("does not like tea", "tea"), ("does not like war", "war")], "She does not like tea or war."),
        ("en", [("has lost interest in a", "a"), ("has lost interest in b", "b")], "She has lost interest in a and b."),
        ("en", [("started to like art", "art"), ("started to like war", "war")], "She started to like art and war."),
        ("en", [("is active at night", "in the evening")], "She is active at night."),
        ("zh", [("对茶感兴趣", "茶"), ("喜欢go", "go"), ("对围棋感兴趣", "围棋")], "She对茶、围棋感兴趣，喜欢go。"),
    ],
)
def test_clauses_that_differ_in_the_name_alone_share_their_words(
    language: Language, clauses: list[tuple[str, str]], text: str
) -> None:
    assert joined([Clause(*clause) for clause in clauses], "She", language) == text


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("en", "This user likes tea.", "likes tea"),
        ("en", "He likes tea.", None),
        ("en", "This user likes tea", None),
        ("en", "This user.", None),
        ("en", "This user: likes tea.", None),
        ("en", "This user likes tea. They enjoy tea.", None),
        ("en", "This user's interests include tea.", None),
        ("zh", "该用户喜欢茶。", "喜欢茶"),
        ("zh", "曾浏览过茶。", "曾浏览过茶"),
        ("zh", "最近，该用户喜欢茶。", None),
        ("zh", "该用户，喜欢茶。", None),
        ("zh", "用户喜欢茶。", None),
        ("zh", "她喜欢茶。", None),
        ("zh", "该用户喜欢茶", None),
    ],
)
def test_a_clause_is_a_sentence_about_this_user_without_these_words(language: Language, text: str, words: str | None) -> None:
    assert clause_in(text, "茶" if language == "zh" else "tea", language) == words


def answered(statements: list[Statement], language: Language) -> ProfileJob:
    """A job whose facts are worded as the model is asked to."""
    job = ProfileJob.of(request("u", statements, language), 0, 0, frozenset(LANGUAGES))
    for work in job.works:
        if work.waiting:
            sheet = sheet_of(work.fact, statements, language)
            assert job.answer(work, sentence(sheet, language, variant_of(sheet))) == []
    return job


@settings(max_examples=200, deadline=None)
@given(people_who_change(), st.sampled_from(LANGUAGES))
def test_whatever_facts_are_joined_the_text_passes_the_check(statements: list[Statement], language: Language) -> None:
    worded = [fact for part in parts(statements) for fact in facts_of(part, statements)]
    assume(any(writable(fact, statements, language) for fact in worded))
    job = answered(statements, language)
    profile, faults = profile_of(job, "1", 0), job.summary[1]
    assert faults == [] and {found.source for found in profile.summary} == {"llm"}
    assert check(profile.text, statements, language) == []


def test_words_that_do_not_hold_of_this_user_are_not_published() -> None:
    """A memory may know words that were true of somebody else: "loves" needs a strong interest."""
    weak = facts(["tea"])
    job = ProfileJob.of(request("u", weak), 0, 0, frozenset(LANGUAGES))
    job.works[0].words = answered(weak, "en").works[0].words._replace(text="loves tea")  # type: ignore[union-attr]
    profile, faults = profile_of(job, "1", 0), job.summary[1]
    assert [fault.kind for fault in faults] == ["overstated"] and profile.summary[0].source == "plain"
