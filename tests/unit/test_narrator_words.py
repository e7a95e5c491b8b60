"""The narrator and what it remembers: texts of known words, many who wait for the same, an erasure."""

import pytest

from consumers import narrator as module
from consumers.narrator import Narrator
from schemas import metrics
from schemas.errors import Retryable
from tests.unit.profile_cases import facts, request
from tests.unit.test_narrator import DRAMA, PART_0, TRUE_TEXT, Model, new_narrator, profiles, record, turn


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def narrator(model: Model) -> Narrator:
    return new_narrator(model)


def test_a_text_of_known_words_needs_neither_the_model_nor_its_place_in_the_queue(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (60.0, 60.0))
    narrator, begun = new_narrator(model, queue_limit=100), metrics.TEXTS_BEGUN.labels(reason="first")._value.get()
    turn(narrator, record(1, request("u", DRAMA)))
    model.answer(TRUE_TEXT)
    assert [profile.user_id for profile in profiles(turn(narrator))] == ["u"]
    turn(narrator, record(2, request("v", facts(["war"]))))
    model.open[0].set_exception(Retryable("profile_llm is down"))
    turn(narrator)
    outputs = turn(narrator, record(3, request("w", DRAMA)))
    (profile,) = profiles(outputs)
    assert (profile.user_id, profile.text, profile.generated_tokens) == ("w", TRUE_TEXT, 0)
    assert outputs.hold == {PART_0: 2} and len(model.asked) == 2
    assert metrics.TEXTS_BEGUN.labels(reason="first")._value.get() == begun + 2


def test_many_who_wait_for_one_fact_take_one_call(model: Model) -> None:
    narrator, begun = new_narrator(model, queue_limit=1000), metrics.TEXTS_BEGUN.labels(reason="first")._value.get()
    turn(narrator, *(record(number, request(f"u{number}", DRAMA)) for number in range(600)))
    assert len(model.asked) == 2, "as many as may be in flight"
    found = 0
    for _ in range(12):
        model.answer(TRUE_TEXT)
        outputs = turn(narrator)
        found += len(profiles(outputs))
        assert len(profiles(outputs)) <= module.MOST_AT_ONCE
    assert found == 600 and outputs.hold == {} and len(model.asked) == 2
    assert metrics.TEXTS_BEGUN.labels(reason="first")._value.get() == begun + 2


def test_an_erased_user_s_words_are_forgotten(narrator: Narrator, model: Model) -> None:
    him = facts(age="40")
    turn(narrator, record(1, request("u", him)))
    model.answer("This user is 40 years old.")
    turn(narrator)
    assert profiles(turn(narrator, record(2, request("u", him, requested_at_ms=2000))))
    turn(narrator, record(3, None, "u"))
    assert profiles(turn(narrator, record(4, request("u", him, requested_at_ms=3000)))) == []
    assert len(model.open) == 1


def test_requests_whose_words_were_forgotten_while_they_waited_are_begun_a_few_at_a_time(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model was changed while text_encoder was down and the queue of finished texts filled."""
    monkeypatch.setattr(module, "BACKOFF_S", (0.0, 0.0))
    narrator = new_narrator(model, queue_limit=1000)
    turn(narrator, record(0, request("u", DRAMA)))
    model.answer(TRUE_TEXT)
    assert len(profiles(turn(narrator))) == 1
    model.encoder_down = True
    turn(narrator, *(record(number, request(f"u{number}", DRAMA)) for number in range(1, 301)))
    monkeypatch.setattr(model, "model_version", lambda name: "8")
    model.encoder_down, begun = False, metrics.TEXTS_BEGUN.labels(reason="first")._value.get()
    published = {profile.user_id for profile in profiles(turn(narrator))}
    for _ in range(20):
        before = metrics.TEXTS_BEGUN.labels(reason="first")._value.get()
        published |= {profile.user_id for profile in profiles(turn(narrator))}
        assert metrics.TEXTS_BEGUN.labels(reason="first")._value.get() - before <= module.MOST_AT_ONCE
        model.answer(TRUE_TEXT)
    assert len(published) == 300 and metrics.TEXTS_BEGUN.labels(reason="first")._value.get() > begun
