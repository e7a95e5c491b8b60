"""The circuit breaker against its rules, and what stands around it: repeats inside a budget, and refused texts."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consumers.inference import guard as module
from consumers.inference.breaker import Breaker, BreakerRules, State, Ticket
from consumers.inference.guard import Guard, breaker_rules, repeated
from consumers.inference.refused_texts import HARMLESS, Vectors, without_refused
from schemas import metrics
from schemas.errors import BadMessage, ConfigError, Retryable
from schemas.settings import TritonSettings
from schemas.tensors import EMBEDDING_DIM

RULES = BreakerRules(failures=3, window_s=10.0, first_pause_s=1.0, longest_pause_s=4.0)


def admitted(breaker: Breaker, now_s: float) -> Ticket:
    ticket = breaker.admit(now_s)
    assert ticket is not None
    return ticket


def fail(breaker: Breaker, now_s: float, chance: float = 1.0) -> None:
    breaker.failed(admitted(breaker, now_s), now_s, chance)


def opened(at_s: float = 0.0) -> Breaker:
    breaker = Breaker(RULES)
    for _ in range(RULES.failures):
        fail(breaker, at_s)
    assert breaker.state is State.OPEN
    return breaker


def test_a_run_of_failures_opens_it_and_a_success_between_them_does_not() -> None:
    breaker = Breaker(RULES)
    for now_s in (0.0, 1.0):
        fail(breaker, now_s)
    breaker.succeeded(admitted(breaker, 2.0))
    for now_s in (3.0, 4.0):
        fail(breaker, now_s)
        assert breaker.state is State.CLOSED
    fail(breaker, 5.0)
    assert breaker.state is State.OPEN and breaker.admit(5.9) is None
    assert breaker.retry_in_s(5.25) == pytest.approx(0.75)


def test_failures_too_far_apart_are_no_run() -> None:
    breaker = Breaker(RULES)
    for now_s in (0.0, 6.0, 12.0, 18.0, 24.0):
        fail(breaker, now_s)
    assert breaker.state is State.CLOSED


def test_after_the_pause_one_call_probes_and_its_success_closes() -> None:
    breaker = opened()
    probe = admitted(breaker, 1.0)
    assert breaker.state is State.HALF_OPEN
    assert breaker.admit(1.0) is None and breaker.admit(100.0) is None
    breaker.succeeded(probe)
    assert breaker.state is State.CLOSED
    assert breaker.admit(1.1) is not None and breaker.admit(1.1) is not None


def test_each_failed_probe_doubles_the_pause_up_to_the_longest_and_a_success_resets_it() -> None:
    breaker, now_s, pauses_s = opened(), 1.0, []
    for _ in range(4):
        fail(breaker, now_s)
        pauses_s.append(breaker.retry_in_s(now_s))
        now_s += pauses_s[-1]
    assert pauses_s == pytest.approx([2.0, 4.0, 4.0, 4.0])
    breaker.succeeded(admitted(breaker, now_s))
    for _ in range(RULES.failures):
        fail(breaker, now_s)
    assert breaker.retry_in_s(now_s) == pytest.approx(1.0)


def test_a_probe_that_is_given_up_leaves_the_place_to_another() -> None:
    breaker = opened()
    breaker.abandoned(admitted(breaker, 1.0))
    assert breaker.state is State.HALF_OPEN
    breaker.succeeded(admitted(breaker, 1.0))
    assert breaker.state is State.CLOSED


def test_what_comes_of_calls_made_before_it_opened_decides_nothing() -> None:
    breaker = Breaker(RULES)
    early = [admitted(breaker, 0.0) for _ in range(32)]
    for ticket in early[:3]:
        breaker.failed(ticket, 5.0, 1.0)
    assert breaker.state is State.OPEN and breaker.retry_in_s(5.0) == pytest.approx(1.0)
    for ticket in early[3:]:
        breaker.failed(ticket, 5.5, 1.0)
    assert breaker.retry_in_s(5.5) == pytest.approx(0.5), "an outage counts once, not once per text in flight"
    probe = admitted(breaker, 6.0)
    breaker.succeeded(early[0])
    breaker.abandoned(early[1])
    assert breaker.state is State.HALF_OPEN and breaker.admit(6.0) is None
    breaker.succeeded(probe)
    assert breaker.state is State.CLOSED


class AnyCalls(RuleBasedStateMachine):
    """Calls that begin and end in any order and time, against what the rules promise."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(RULES)
        self.now_s = 0.0
        self.tickets: list[Ticket] = []
        self.run = 0
        self.probe: Ticket | None = None
        self.open_since_s: float | None = None

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def begin(self) -> None:
        before = self.breaker.state
        wait_s = self.breaker.retry_in_s(self.now_s)
        ticket = self.breaker.admit(self.now_s)
        if before is State.CLOSED:
            assert ticket is not None
        elif before is State.OPEN:
            assert (ticket is None) == (wait_s > 0)
        else:
            assert (ticket is None) == (self.probe is not None), "half-open: one call at a time"
        if ticket is not None:
            self.tickets.append(ticket)
            if self.breaker.state is State.HALF_OPEN:
                self.probe = ticket

    def _end(self, data: st.DataObject) -> tuple[Ticket, bool]:
        ticket = self.tickets.pop(data.draw(st.integers(0, len(self.tickets) - 1)))
        return ticket, ticket == self.probe and self.breaker.state is State.HALF_OPEN

    @rule(data=st.data(), chance=st.floats(0, 1))
    def fail(self, data: st.DataObject, chance: float) -> None:
        if self.tickets:
            before = self.breaker.state
            ticket, is_probe = self._end(data)
            self.breaker.failed(ticket, self.now_s, chance)
            if before is State.CLOSED:
                self.run += 1
                assert self.breaker.state is State.CLOSED or self.run >= RULES.failures
            else:
                assert self.breaker.state is (State.OPEN if is_probe else before)
            self._note(is_probe)

    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        if self.tickets:
            before = self.breaker.state
            ticket, is_probe = self._end(data)
            self.breaker.succeeded(ticket)
            assert self.breaker.state is (State.CLOSED if is_probe else before)
            self._note(is_probe)

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        if self.tickets:
            before = self.breaker.state
            ticket, is_probe = self._end(data)
            self.breaker.abandoned(ticket)
            assert self.breaker.state is before
            self._note(is_probe)

    def _note(self, was_probe: bool) -> None:
        if was_probe:
            self.probe = None
        if self.breaker.state is not State.CLOSED:
            self.run = 0

    @invariant()
    def is_never_shut_for_longer_than_the_longest_pause(self) -> None:
        assert self.breaker.retry_in_s(self.now_s) <= RULES.longest_pause_s


TestAnyCalls = AnyCalls.TestCase


@given(outage_s=st.floats(0, 300), spread=st.floats(0, 1))
def test_a_dead_server_is_asked_seldom_and_one_that_is_back_is_found_within_the_longest_pause(
    outage_s: float, spread: float
) -> None:
    breaker, now_s, asked_dead, closed_at_s = Breaker(RULES), 0.0, 0, None
    while closed_at_s is None:
        ticket = breaker.admit(now_s)
        if ticket is not None and now_s < outage_s:
            asked_dead += 1
            breaker.failed(ticket, now_s, spread)
        elif ticket is not None:
            breaker.succeeded(ticket)
            closed_at_s = now_s
        now_s += 0.1
    assert closed_at_s <= outage_s + RULES.longest_pause_s + 0.2
    assert asked_dead <= RULES.failures + 3 + outage_s / (RULES.longest_pause_s / 2)


@pytest.fixture
def guarded() -> Guard:
    return Guard("user_encoder", "here:1", TritonSettings(breaker_first_pause_s=60.0, breaker_longest_pause_s=60.0))


def call(guarded: Guard, error: BaseException | None) -> bool:
    """One call through the guard; gives whether it was made."""
    made = False
    try:
        with guarded.call():
            made = True
            if error is not None:
                raise error
    except (Retryable, BadMessage, ConfigError, KeyboardInterrupt):
        pass
    return made


def test_while_open_calls_fail_at_once_and_say_when_the_next_is_made(guarded: Guard, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    held_back = metrics.CALLS_HELD_BACK.labels("user_encoder")._value.get()
    for _ in range(3):
        assert call(guarded, Retryable("no answer"))
    assert metrics.BREAKER_STATE.labels("user_encoder")._value.get() == State.OPEN
    with pytest.raises(Retryable, match=r"user_encoder at here:1 is not asked.* let through in \d") as caught, guarded.call():
        pytest.fail("the call was made")
    assert caught.value.retry_in_s is not None and 20 < caught.value.retry_in_s <= 60
    assert metrics.CALLS_HELD_BACK.labels("user_encoder")._value.get() == held_back + 1
    assert [record.message.split("(")[1] for record in caplog.records] == ["no answer)"], "one line per change"


@pytest.mark.parametrize("error", [None, BadMessage("inference_refused", "no"), ConfigError("no"), KeyboardInterrupt()])
def test_what_says_nothing_against_the_server_never_opens_it(guarded: Guard, error: BaseException | None) -> None:
    for _ in range(20):
        assert call(guarded, error)


def test_a_server_that_is_back_closes_it(guarded: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        call(guarded, Retryable("no answer"))
    assert not call(guarded, None)
    now_s = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now_s + 61)
    with guarded.call() as admission:
        assert admission.probe
        assert metrics.BREAKER_STATE.labels("user_encoder")._value.get() == State.HALF_OPEN
    assert metrics.BREAKER_STATE.labels("user_encoder")._value.get() == State.CLOSED
    with guarded.call() as admission:
        assert not admission.probe


def test_the_longest_pause_is_never_shorter_than_the_first() -> None:
    assert breaker_rules(TritonSettings(breaker_first_pause_s=9.0)).longest_pause_s == 9.0


class Clock:
    """Time that passes only in sleep and in calls."""

    def __init__(self, call_s: float) -> None:
        self.now_s, self.call_s = 100.0, call_s
        self.begun_s: list[float] = []
        self.slept_s: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds

    def call(self, errors: Iterator[Exception]) -> str:
        self.begun_s.append(self.now_s)
        self.now_s += self.call_s
        for error in errors:
            raise error
        return "answer"


def run(clock: Clock, errors: Sequence[Exception], budget_s: float, chance: float = 1.0) -> str:
    failing = iter(errors)
    return repeated(
        lambda: clock.call(iter([error]) if (error := next(failing, None)) else iter(())),
        budget_s,
        lambda: None,
        lambda: clock.now_s,
        clock.sleep,
        lambda low, high: low + chance * (high - low),
    )


@given(call_s=st.floats(0.001, 3), budget_s=st.floats(0, 5), chance=st.floats(0, 1))
def test_no_repeat_begins_after_the_budget_and_pauses_stay_within_their_bounds(
    call_s: float, budget_s: float, chance: float
) -> None:
    clock = Clock(call_s)
    with pytest.raises(Retryable):
        run(clock, [Retryable("down")] * 10_000, budget_s, chance)
    assert all(begun_s < 100.0 + budget_s for begun_s in clock.begun_s[1:])
    assert clock.now_s <= 100.0 + budget_s + call_s
    bounds = [min(0.8, 0.05 * 2.0 ** min(turn, 10)) for turn in range(len(clock.slept_s))]
    assert all(0 <= slept_s <= bound for slept_s, bound in zip(clock.slept_s, bounds, strict=True))


def test_what_passes_in_time_is_never_seen_by_the_caller() -> None:
    clock = Clock(0.01)
    assert run(clock, [Retryable("full")] * 3, 2.0) == "answer"
    assert clock.slept_s == pytest.approx([0.05, 0.1, 0.2])


@pytest.mark.parametrize("error", [BadMessage("inference_refused", "no"), ConfigError("no")])
def test_what_cannot_pass_is_not_repeated(error: Exception) -> None:
    clock = Clock(0.01)
    with pytest.raises(type(error)):
        run(clock, [error], 2.0)
    assert len(clock.begun_s) == 1


class Encoder:
    """Refuses the texts it is told to; counts calls."""

    def __init__(self, refused: set[str]) -> None:
        self.refused = refused
        self.calls = 0

    def __call__(self, texts: Sequence[str]) -> Vectors:
        self.calls += 1
        if self.refused & set(texts):
            raise BadMessage("inference_refused", "no such text")
        return np.array([[len(text)] * EMBEDDING_DIM for text in texts], np.float32)


@given(texts=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=40), data=st.data())
def test_only_refused_texts_are_without_a_vector(texts: list[str], data: st.DataObject) -> None:
    refused = set(data.draw(st.lists(st.sampled_from(texts), max_size=3)))
    refused.discard(HARMLESS)
    reported: list[str] = []
    vectors = without_refused(Encoder(refused), texts, lambda text, _: reported.append(text))
    assert vectors[:, 0].tolist() == [0 if text in refused else len(text) for text in texts]
    assert reported == [text for text in texts if text in refused]


def test_one_refused_text_of_many_is_found_in_few_calls() -> None:
    encoder = Encoder({"text 77"})
    without_refused(encoder, [f"text {number}" for number in range(256)], lambda *_: None)
    assert encoder.calls <= 2 * 8 + 2


def test_an_encoder_that_refuses_everything_blames_no_text() -> None:
    texts = ["a", "b", "c"]
    with pytest.raises(Retryable, match="even a harmless text"):
        without_refused(Encoder({HARMLESS, *texts}), texts, lambda *_: pytest.fail("a text was given up"))
