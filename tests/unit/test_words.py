"""Words that are remembered: shared by all, but for what a user declares; bounded; of one model."""

from hypothesis import given
from hypothesis import strategies as st

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


def test_what_is_a_user_s_alone_is_known_until_they_go_or_a_second_one_has_it() -> None:
    memory, thirty = WordMemory(100), Words("He is 30.", by_llm=True)
    memory.remember("who?", U, thirty)
    assert memory.recall("who?", U) == thirty and not memory.recall("who else?", V)
    memory.forget(U)
    assert len(memory) == 0
    memory.remember("who?", V, thirty)
    memory.forget_partition(1)
    assert len(memory) == 0
    memory.remember("who?", U, thirty)
    assert memory.recall("who?", V) == thirty
    memory.forget(U)
    memory.forget(V)
    assert memory.recall("who?", None) == thirty, "it is nobody's own any more"


@given(
    st.lists(
        st.tuples(st.sampled_from(["recall", "remember", "forget"]), st.sampled_from("abcdef"), st.sampled_from([None, U, V]))
    )
)
def test_no_order_of_doings_leaves_words_of_nobody_or_too_many(doings: list[tuple[str, str, tuple[int, str] | None]]) -> None:
    memory = WordMemory(4)
    for doing, question, owner in doings:
        if doing == "recall":
            memory.recall(question, owner)
        elif doing == "remember":
            memory.remember(question, owner, Words(question, by_llm=True))
        elif owner is not None:
            memory.forget(owner)
        held = {key: holder for holder, keys in memory._keys_of.items() for key in keys}
        assert held == {key: holder for key, (holder, _) in memory._own.items()}
        assert len(memory) <= 4 and memory._own.keys().isdisjoint(memory._shared)


def test_users_who_declare_do_not_drive_out_what_all_share() -> None:
    memory = WordMemory(10)
    for number in range(5):
        memory.remember(f"{number}?", None, LIKES_TEA)
    for number in range(100):
        memory.remember(f"who? {number}", (0, f"u{number}"), LIKES_TEA)
    assert all(memory.recall(f"{number}?", None) for number in range(5)) and len(memory) == 10


def test_another_model_has_words_of_its_own() -> None:
    memory = WordMemory(10)
    memory.remember("tea?", None, LIKES_TEA)
    memory.of_version("1")
    assert memory.recall("tea?", None)
    memory.of_version("2")
    assert not memory.recall("tea?", None)


def test_a_fact_is_asked_for_once_for_all_users() -> None:
    memory, her = WordMemory(100), facts(["tea"], age="30", gender="female")
    first = job(memory, asked_for("u", her))
    for work, text in zip(first.works, ("She is 30 years old.", "This user likes tea."), strict=True):
        assert first.answer(work, text) == []
    again = job(memory, asked_for("u", her))
    assert again.finished and [work.source for work in again.works] == ["remembered"] * 2
    other = job(memory, asked_for("v", facts(["tea"], age="31", gender="female")))
    assert [work.waiting for work in other.works] == [True, False]
    him = job(memory, asked_for("w", facts(["tea"], gender="male")))
    assert [sentence.text for sentence in him.summary[0]] == ["He likes tea."]


def test_a_topic_that_rests_on_what_a_user_said_is_theirs_until_others_show_it() -> None:
    memory = WordMemory(100)
    said = [statement.model_copy(update={"evidence": ["field:tags"]}) for statement in facts(["my clinic"])]
    first = job(memory, asked_for("u", said))
    assert first.answer(first.works[0], "This user likes my clinic.") == []
    assert job(memory, asked_for("u", said)).finished
    memory.forget(U)
    assert len(memory) == 0
    shown = job(memory, asked_for("w", facts(["my clinic"])))
    shown.answer(shown.works[0], "This user likes my clinic.")
    memory.forget((0, "w"))
    assert job(memory, asked_for("v", said)).finished


def test_words_must_hold_of_everybody_of_whom_the_fact_does() -> None:
    strong = [statement.model_copy(update={"strength": 0.9, "trend": "new"}) for statement in facts(["tea"])]
    for text, kind in (("This user loves tea.", "overstated"), ("This user now likes tea.", "trend")):
        first = job(WordMemory(100), asked_for("u", strong))
        assert kind in {fault.kind for fault in first.answer(first.works[0], text)}


def test_a_fact_that_the_model_cannot_word_is_not_asked_for_again() -> None:
    memory = WordMemory(100)
    first = job(memory, asked_for("u", facts(["tea"])))
    for _ in range(ATTEMPTS):
        first.answer(first.works[0], "This user hates tea.")
    again = job(memory, asked_for("v", facts(["tea"])))
    assert again.finished and [work.source for work in again.works] == ["plain"]
    assert [sentence.source for sentence in again.summary[0]] == ["plain"]


def test_a_text_of_something_changed_tells_of_titles_as_far_as_their_words_are_known() -> None:
    memory, seen = WordMemory(100), facts(["tea"], viewed=["Jaws", "Fargo"])
    first = job(memory, asked_for("u", seen, "first"))
    tea, jaws, _ = first.works
    assert all(work.waiting for work in first.works)
    first.answer(tea, "This user likes tea.")
    first.answer(jaws, "This user has viewed “Jaws”.")
    changed = job(memory, asked_for("u", seen))
    assert changed.finished and [work.source for work in changed.works] == ["remembered", "remembered", "left_out"]
    assert [sentence.text for sentence in changed.summary[0]] == ["This user likes tea.", "This user has viewed “Jaws”."]
    assert job(memory, asked_for("u", seen, "first")).works[2].waiting
    assert all(work.waiting for work in job(memory, asked_for("u", facts(viewed=["Fargo"]))).works), "else it would be empty"
    with_more = job(memory, asked_for("u", facts(["war"], viewed=["Fargo"])))
    assert all(work.waiting for work in with_more.works), "a call is needed anyway: it tells everything"
