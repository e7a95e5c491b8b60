"""The budget of texts, and the queue it draws from: never too many, nobody waits for ever, the user's own word first."""

from hypothesis import example, given
from hypothesis import strategies as st

from consumers.texts.request_queue import RequestQueue
from consumers.texts.text_budget import OLDEST_EVERY, OWN_WORD_PAUSE_S, TextBudget
from schemas.settings import NarratorSettings
from tests.unit.profile_cases import facts, request

DRAMA = facts(["drama"])
NOW_S = 1000.0
BACKFILL = 7


def budget(calls_per_s: float = 0.0, calls_burst: int = 10, user_pause_s: float = 0.0) -> TextBudget:
    return TextBudget(NarratorSettings(calls_per_s=calls_per_s, calls_burst=calls_burst, user_pause_s=user_pause_s))


@given(
    st.sampled_from([0.1, 1.0, 7.5, 100.0]),
    st.integers(1, 20),
    st.lists(st.floats(0, 5, allow_subnormal=False), min_size=1, max_size=200),
)
@example(1.0, 1, [0.0] * 50)
def test_never_more_than_rate_times_time_and_burst(rate: float, burst: int, steps_s: list[float]) -> None:
    bucket, now_s, begun = budget(rate, burst), NOW_S, []
    for step_s in steps_s:
        now_s += step_s
        while bucket.allows(now_s) and len(begun) < 2000:
            bucket.begin((0, f"u{len(begun)}"), now_s)
            begun.append(now_s)
    for first in range(0, len(begun), 1 + len(begun) // 30):
        for last in range(first, len(begun)):
            assert last - first + 1 <= rate * (begun[last] - begun[first]) + burst + 1e-6


@given(st.sampled_from([0.5, 3.0, 10.0]), st.integers(2, 5))
def test_what_is_allowed_can_be_used_up_and_comes_back(rate: float, burst: int) -> None:
    bucket, begun = budget(rate, burst), 0
    for tick in range(1000):
        now_s = NOW_S + tick / 10
        while bucket.allows(now_s):
            bucket.begin((0, "u"), now_s)
            begun += 1
    assert burst + rate * 99.9 - 1 <= begun <= burst + rate * 99.9 + 1e-6


def test_without_a_rate_there_is_no_limit_and_a_clock_that_stands_still_gives_nothing() -> None:
    free, strict = budget(), budget(5.0, 2)
    begun = [free.allows(NOW_S) for _ in range(100)]
    assert all(begun)
    for number in range(2):
        assert strict.allows(NOW_S)
        strict.begin((0, f"u{number}"), NOW_S)
    assert not strict.allows(NOW_S) and not strict.allows(NOW_S - 10) and not strict.allows(NOW_S)
    assert strict.allows(NOW_S + 0.2)


def test_a_user_pauses_and_by_their_own_word_only_a_moment() -> None:
    paused = budget(user_pause_s=60.0)
    key = (0, "u")
    assert paused.ready_at_s(key, BACKFILL) == float("-inf")
    paused.begin(key, NOW_S)
    assert paused.ready_at_s(key, BACKFILL) == NOW_S + 60.0
    assert paused.ready_at_s(key, 0) == NOW_S + OWN_WORD_PAUSE_S
    assert paused.ready_at_s((0, "v"), BACKFILL) == float("-inf")
    paused.begin((0, "v"), NOW_S + 100.0)
    assert paused.ready_at_s(key, BACKFILL) == float("-inf") and len(paused._last_s) == 1


arrivals = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 1, 4, 7])), min_size=1, max_size=12)
"""Requests that come between two texts: user and priority."""


@given(st.lists(arrivals, min_size=40, max_size=80))
def test_nobody_waits_for_ever_however_much_that_is_urgent_comes(turns: list[list[tuple[int, int]]]) -> None:
    """A backfill user waits while urgent users ask without end, and again and again themselves; they get one text a turn."""
    queue, turn_taker, served = RequestQueue(), budget(), []
    for number in range(3):
        queue.put(0, number, request(f"patient-{number}", DRAMA, priority=BACKFILL, requested_at_ms=number))
    offset = 3
    for at, coming in enumerate(turns):
        for user, priority in coming:
            queue.put(0, offset, request(f"busy-{user}", DRAMA, priority=priority, requested_at_ms=100 + offset))
            offset += 1
        if at < 3:  # asking again costs nobody their place
            queue.put(0, offset, request("patient-2", DRAMA, priority=BACKFILL, requested_at_ms=100 + offset))
            offset += 1
        taken = queue.take(turn_taker.turn_of_oldest)
        assert taken is not None
        turn_taker.begin((0, taken.request.user_id), NOW_S)
        served.append(taken.request.user_id)
    assert {f"patient-{number}" for number in range(3)} <= set(served[: 3 * OLDEST_EVERY])


@given(st.lists(st.sampled_from([1, 2, 4, 5, 7]), min_size=1, max_size=40), st.integers(1, 10))
def test_edits_go_first_but_for_the_turns_of_the_oldest(others: list[int], edits: int) -> None:
    queue, turn_taker = RequestQueue(), budget()
    for offset, priority in enumerate(others):
        queue.put(0, offset, request(f"u{offset}", DRAMA, priority=priority, requested_at_ms=offset))
    for number in range(edits):
        at = 1000 + number
        queue.put(0, at, request(f"edit-{number}", DRAMA, priority=0, requested_at_ms=at))
    order = []
    while len(queue):
        taken = queue.take(turn_taker.turn_of_oldest)
        assert taken is not None
        order.append(taken.request.user_id)
        turn_taker.begin((0, order[-1]), NOW_S)
    last_edit = max(order.index(f"edit-{number}") for number in range(edits))
    assert sum(not user.startswith("edit") for user in order[:last_edit]) <= edits // (OLDEST_EVERY - 1)


def test_a_held_request_is_not_taken_before_its_time_and_others_pass_it() -> None:
    queue = RequestQueue()
    queue.put(0, 0, request("busy", DRAMA, priority=1, requested_at_ms=0), ready_at_s=NOW_S + 5)
    queue.put(0, 1, request("calm", DRAMA, priority=7, requested_at_ms=1))
    assert len(queue) == 2 and queue.held == 1 and queue.lowest_offsets() == {0: 0}
    queue.release(NOW_S + 4.9)
    first = queue.take()
    assert first is not None and first.request.user_id == "calm" and queue.take() is None
    queue.release(NOW_S + 5)
    second = queue.take()
    assert second is not None and second.request.user_id == "busy" and queue.held == 0


def test_a_held_request_can_be_dropped_and_replaced() -> None:
    queue = RequestQueue()
    queue.put(0, 0, request("u", DRAMA, priority=4), ready_at_s=NOW_S)
    queue.put(0, 1, request("u", facts(["war"]), priority=0))
    assert queue.held == 0 and len(queue) == 1
    queue.release(NOW_S)
    taken = queue.take()
    assert taken is not None and taken.request.priority == 0 and queue.take() is None
    queue.put(0, 2, request("u", DRAMA), ready_at_s=NOW_S)
    queue.put(1, 2, request("v", DRAMA), ready_at_s=NOW_S)
    queue.drop((0, "u"))
    assert queue.held == 1
    queue.drop_partition(1)
    assert queue.held == 0 and len(queue) == 0
    queue.release(NOW_S)
    assert queue.take() is None
