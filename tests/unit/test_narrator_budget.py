"""The narrator's budget at work: what begins when, and what the metrics say of the rest."""

from collections.abc import Callable

import pytest

from consumers import narrator as module
from consumers.narrator import Narrator
from schemas import metrics
from schemas.settings import NarratorSettings, Settings
from tests.unit.profile_cases import facts, request
from tests.unit.test_narrator import TRUE_TEXT, Model, profiles, record, turn

DRAMA = facts(["drama"])


class Clock:
    """A monotonic clock in the test's hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    return clock


@pytest.fixture
def model() -> Model:
    return Model()


def narrator(model: Model, calls_per_s: float = 0.0, calls_burst: int = 1, user_pause_s: float = 0.0) -> Narrator:
    limits = NarratorSettings(
        calls_per_s=calls_per_s, calls_burst=calls_burst, user_pause_s=user_pause_s, llm_languages=frozenset({"en"})
    )
    return Narrator(model, Settings(narrator=limits))


def held_back(by: str) -> float:
    return float(metrics.TEXTS_HELD_BACK.labels(by=by)._value.get())


def test_no_more_texts_begin_than_the_budget_allows_edits_first(model: Model, clock: Clock) -> None:
    writer = narrator(model, calls_per_s=2.0, calls_burst=2)
    begun = metrics.TEXTS_BEGUN.labels(reason="first")._value.get()
    turn(writer, *(record(number, request(f"u{number}", DRAMA, priority=7)) for number in range(6)))
    assert len(model.asked) == 2 and held_back("calls_per_s") == 4
    assert metrics.TEXTS_BEGUN.labels(reason="first")._value.get() == begun + 2
    turn(writer, record(6, request("edit", facts(["war"]), priority=0, requested_at_ms=5000)))
    assert len(model.asked) == 2
    clock.now_s += 0.5
    turn(writer)
    assert len(model.asked) == 3 and ": war<|im_end|>" in model.asked[2][0]
    clock.now_s += 60
    turn(writer)
    assert len(model.asked) == 5 and held_back("calls_per_s") == 2


def test_the_second_fact_and_later_attempts_cost_nothing(model: Model, clock: Clock) -> None:
    writer = narrator(model, calls_per_s=0.001)
    turn(writer, record(0, request("u", facts(["drama"], (), ["Jaws"]))), record(1, request("v", DRAMA)))
    assert len(model.asked) == 2
    model.answer("nonsense")
    turn(writer)
    assert len(model.asked) == 4
    model.answer("nonsense")
    turn(writer)
    assert len(model.asked) == 6
    model.answer("nonsense")
    assert [profile.user_id for profile in profiles(turn(writer))] == ["u"]


def test_a_user_s_next_text_waits_but_the_user_s_own_word_only_a_moment(model: Model, clock: Clock) -> None:
    writer = narrator(model, user_pause_s=60.0)

    def answered(offset: int, tag: str, priority: int) -> Callable[[], list[str]]:
        turn(writer, record(offset, request("u", facts([tag]), priority=priority, requested_at_ms=1000 + offset)))

        def leave() -> list[str]:
            model.answer(TRUE_TEXT.replace("drama", tag))
            return [profile.request_id for profile in profiles(turn(writer))]

        return leave

    assert answered(0, "drama", 4)() == ["u-1000"]
    waiting = answered(1, "war", 4)
    assert waiting() == [] and held_back("user_pause") == 1
    edited = answered(2, "sport", 0)
    assert edited() == []
    clock.now_s += 2.0
    turn(writer)
    assert edited() == ["u-1002"] and held_back("user_pause") == 0
    later = answered(3, "war", 4)
    clock.now_s += 59.0
    turn(writer)
    assert later() == []
    clock.now_s += 1.0
    turn(writer)
    assert later() == ["u-1003"]


def test_plain_profiles_need_no_budget(model: Model, clock: Clock) -> None:
    writer = narrator(model, calls_per_s=0.001, user_pause_s=60.0)
    outputs = turn(writer, *(record(number, request(f"u{number}", DRAMA, "zh")) for number in range(5)))
    assert len(profiles(outputs)) == 5 and model.asked == []


def test_the_model_is_told_how_urgent_a_text_is(model: Model, clock: Clock) -> None:
    turn(narrator(model), record(0, request("ann", DRAMA, priority=4)))
    assert [sampling.priority for _, sampling, _ in model.asked] == [4]
