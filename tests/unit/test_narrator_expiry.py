"""Requests that the narrator cannot answer before their topic deletes them: their offsets are held no longer."""

import logging
import time

import pytest
from msgspec.structs import replace

from consumers.narrator import HELD_FOR_MS, LOOK_EVERY_S, Narrator
from consumers.runtime.processor import Record, TopicPartition
from schemas import metrics
from schemas.messages import Language
from schemas.topics import DAY_MS, PROFILE_REQUESTS
from tests.unit.profile_cases import facts, request
from tests.unit.test_narrator import DRAMA, PART_0, TRUE_TEXT, Model, new_narrator, profiles, record, turn

SENT_MS = 1_760_000_000_000


class Clock:
    """Both clocks, in the test's hand."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.passed_s

    def time(self) -> float:
        return SENT_MS / 1000 + self.passed_s

    def pass_until_given_up(self) -> None:
        self.passed_s = HELD_FOR_MS / 1000 + LOOK_EVERY_S


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(time, "time", clock.time)
    return clock


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def narrator(model: Model, clock: Clock) -> Narrator:
    return new_narrator(model)


def sent(offset: int, user_id: str, after_s: float = 0.0, language: Language = "en", partition: int = 0) -> Record:
    """A request that reached its topic so long after the first."""
    plain = record(offset, request(user_id, DRAMA, language), partition=partition)
    return replace(plain, timestamp_ms=SENT_MS + int(after_s * 1000))


def expired() -> float:
    return float(metrics.REQUESTS_EXPIRED._value.get())


def test_an_offset_is_held_no_longer_than_its_topic_keeps_it(
    narrator: Narrator, model: Model, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert HELD_FOR_MS + LOOK_EVERY_S * 1000 < (PROFILE_REQUESTS.retention_ms or 0) == DAY_MS
    before = expired()
    turn(narrator, sent(5, "asked"), sent(6, "also asked"), sent(7, "queued"), sent(8, "young", after_s=7200))
    assert len(model.open) == 2
    clock.passed_s = HELD_FOR_MS / 1000 - 1
    assert turn(narrator).hold == {PART_0: 5} and expired() == before
    clock.pass_until_given_up()
    with caplog.at_level(logging.WARNING):
        outputs = turn(narrator)
    assert outputs.hold == {PART_0: 8} and expired() == before + 3
    assert "gave up 3 profile requests" in caplog.text
    turn(narrator)
    assert len(model.open) == 1, "the others' texts are waited for no more"
    model.answer(TRUE_TEXT)
    outputs = turn(narrator)
    assert [profile.user_id for profile in profiles(outputs)] == ["young"] and outputs.hold == {}


@pytest.mark.parametrize("language", ["en", "zh"], ids=["written by the model", "plain"])
def test_a_profile_that_cannot_leave_is_given_up_too(
    narrator: Narrator, model: Model, clock: Clock, language: Language
) -> None:
    model.encoder_down = True
    turn(narrator, sent(5, "u", language=language))
    model.answer(TRUE_TEXT)
    assert turn(narrator).hold == {PART_0: 5}
    clock.pass_until_given_up()
    assert turn(narrator).hold == {}
    model.encoder_down = False
    clock.passed_s += 60.0
    assert turn(narrator).records == []


def test_what_leaves_in_this_turn_is_answered(narrator: Narrator, model: Model, clock: Clock) -> None:
    before = expired()
    turn(narrator, sent(5, "u"))
    model.answer(TRUE_TEXT)
    clock.pass_until_given_up()
    old = sent(6, "v", language="zh")  # read only now, but plain
    assert {profile.user_id for profile in profiles(turn(narrator, old, commit=False))} == {"u", "v"}
    assert len(profiles(turn(narrator, old))) == 2 and expired() == before


def test_what_is_given_up_counts_once_and_only_when_its_offset_is_committed(narrator: Narrator, clock: Clock) -> None:
    before = expired()
    turn(narrator, sent(5, "u"), sent(3, "v", partition=1))
    clock.pass_until_given_up()
    turn(narrator, commit=False)
    narrator.on_revoked(frozenset({0}))
    assert expired() == before
    turn(narrator)
    turn(narrator)
    assert expired() == before + 1
    turn(narrator, sent(5, "u"))  # read again
    clock.passed_s += LOOK_EVERY_S
    assert turn(narrator).hold == {} and expired() == before + 2


def test_a_queue_of_old_requests_does_not_keep_the_next_ones_from_being_read(narrator: Narrator, clock: Clock) -> None:
    assert turn(narrator, *(sent(number, f"u{number}") for number in range(4))).pause
    clock.pass_until_given_up()
    assert not turn(narrator).pause
    newer = replace(record(9, request("late", facts(["war"])), partition=1), timestamp_ms=int(clock.time() * 1000))
    assert turn(narrator, newer).hold == {TopicPartition(PROFILE_REQUESTS.name, 1): 9}


def test_a_newer_request_of_the_same_user_has_its_own_time(narrator: Narrator, clock: Clock) -> None:
    turn(narrator, sent(5, "u"))
    turn(narrator, sent(6, "u", after_s=7200))
    clock.pass_until_given_up()
    assert turn(narrator).hold == {PART_0: 6}
