"""Words that are remembered: shared by all, but for what a user declares; bounded; of one model."""

from consumers.texts.profile_jobs import ATTEMPTS, ProfileJob
from consumers.texts.words import FIXED, WordMemory, Words
from schemas.messages import Language, ProfileRequest, Statement
from tests.unit.profile_cases import facts, request

LANGUAGES: frozenset[Language] = frozenset({"en"})
LIKES_TEA, LIKES_WAR = Words("likes tea", by_llm=True), Words("likes war", by_llm=True)
U, V = (0, "u"), (1, "v")


def job(memory: WordMemory, asked: ProfileRequest, partition: int = 0) -> ProfileJob:
    return ProfileJob.of(asked, partition, 0, LANGUAGES, memory=memory)


def asked_for(user_id: str, statements: list[Statement], reason: str = "changed") -> ProfileRequest:
    return request(user_id, statements).model_copy(update={"reason": reason})


def test_the_words_used_last_are_kept() -> None:
    memory = WordMemory(2)
    memory.remember("tea?", None, LIKES_TEA)
    memory.remember("war?", None, LIKES_WAR)
    assert memory.recall("tea?", None) == LIKES_TEA
    memory.remember("go?", None, FIXED)
    assert (memory.recall("war?", None), memory.recall("tea?", None), memory.recall("go?", None)) == (None, LIKES_TEA, FIXED)


def test_what_a_user_declares_is_known_for_them_alone_until_they_go() -> None:
    memory = WordMemory(10)
    memory.remember("who?", U, Words("He is 30.", by_llm=True))
    assert memory.recall("who?", U) and not memory.recall("who?", V) and not memory.recall("who?", None)
    assert not memory.recall("who now?", U)
    memory.remember("who now?", U, Words("He is 31.", by_llm=True))
    assert len(memory) == 1, "only what they declared last"
    memory.forget(U)
    memory.remember("who?", V, LIKES_TEA)
    memory.forget_partition(1)
    assert len(memory) == 0


def test_users_who_declare_do_not_drive_out_what_all_share() -> None:
    memory = WordMemory(10)
    for number in range(5):
        memory.remember(f"{number}?", None, LIKES_TEA)
    for number in range(100):
        memory.remember("who?", (0, f"u{number}"), LIKES_TEA)
    assert all(memory.recall(f"{number}?", None) for number in range(5)) and len(memory) == 10


def test_another_model_has_words_of_its_own() -> None:
    memory = WordMemory(10)
    memory.remember("tea?", None, LIKES_TEA)
    memory.of_version("1")
    assert memory.recall("tea?", None)
    memory.of_version("2")
    assert not memory.recall("tea?", None)


def test_a_fact_is_asked_for_once_for_all_users_and_declared_ones_for_each() -> None:
    memory, her = WordMemory(100), facts(["tea"], age="30", gender="female")
    first = job(memory, asked_for("u", her))
    for work, text in zip(first.works, ("She is 30 years old.", "This user likes tea."), strict=True):
        assert first.answer(work, text) == []
    again, other = job(memory, asked_for("u", her)), job(memory, asked_for("v", her))
    assert again.finished and [work.source for work in again.works] == ["remembered"] * 2
    assert [work.waiting for work in other.works] == [True, False]
    him = job(memory, asked_for("w", facts(["tea"], gender="male")))
    assert [sentence.text for sentence in him.summary()[0]] == ["He likes tea."]
    elsewhere = job(memory, asked_for("u", her), partition=1)
    assert [work.waiting for work in elsewhere.works] == [True, False]


def test_a_fact_that_the_model_cannot_word_is_not_asked_for_again() -> None:
    memory = WordMemory(100)
    first = job(memory, asked_for("u", facts(["tea"])))
    for _ in range(ATTEMPTS):
        first.answer(first.works[0], "This user hates tea.")
    again = job(memory, asked_for("v", facts(["tea"])))
    assert again.finished and [work.source for work in again.works] == ["plain"]
    assert [sentence.source for sentence in again.summary()[0]] == ["plain"]


def test_a_text_of_something_changed_tells_of_titles_as_far_as_their_words_are_known() -> None:
    memory, seen = WordMemory(100), facts(["tea"], viewed=["Jaws", "Fargo"])
    first = job(memory, asked_for("u", seen, "first"))
    tea, jaws, _ = first.works
    assert all(work.waiting for work in first.works)
    first.answer(tea, "This user likes tea.")
    first.answer(jaws, "This user has viewed “Jaws”.")
    changed = job(memory, asked_for("u", seen))
    assert changed.finished and [work.source for work in changed.works] == ["remembered", "remembered", "left_out"]
    assert [sentence.text for sentence in changed.summary()[0]] == ["This user likes tea.", "This user has viewed “Jaws”."]
    assert job(memory, asked_for("u", seen, "first")).works[2].waiting
    assert all(work.waiting for work in job(memory, asked_for("u", facts(viewed=["Fargo"]))).works), "else it would be empty"
    with_more = job(memory, asked_for("u", facts(["war"], viewed=["Fargo"])))
    assert all(work.waiting for work in with_more.works), "a call is needed anyway: it tells everything"
