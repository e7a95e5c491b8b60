"""The queue of profile requests against a plain dict that is sorted each time."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.texts.request_queue import RequestQueue
from schemas.messages import ProfileRequest
from tests.unit.profile_cases import facts, request

Entry = tuple[int, ProfileRequest]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 7), st.integers(0, 9), st.integers(0, 50)),
        st.tuples(st.just("drop"), st.integers(0, 7), st.just(0), st.just(0)),
        st.tuples(st.just("take"), st.just(0), st.just(0), st.just(0)),
        st.tuples(st.just("revoke"), st.integers(0, 1), st.just(0), st.just(0)),
    ),
    max_size=120,
)


def most_urgent(known: dict[tuple[int, str], Entry]) -> tuple[int, str]:
    return min(known, key=lambda key: (known[key][1].priority, known[key][1].requested_at_ms, key[0], known[key][0]))


@given(steps)
def test_it_is_a_sorted_dict(todo: list[tuple[str, int, int, int]]) -> None:
    queue, known = RequestQueue(), dict[tuple[int, str], Entry]()
    for offset, (kind, number, priority, asked_ms) in enumerate(todo):
        key = (number % 2, f"u{number}")
        if kind == "put":
            message = request(key[1], facts(["drama"]), priority=priority, requested_at_ms=asked_ms)
            queue.put(key[0], offset, message)
            known[key] = offset, message
        elif kind == "drop":
            queue.drop(key)
            known.pop(key, None)
        elif kind == "revoke":
            queue.drop_partition(number)
            known = {key: entry for key, entry in known.items() if key[0] != number}
        else:
            taken = queue.take()
            if taken is None:
                assert not known
            else:
                key = most_urgent(known)
                assert (taken.partition, taken.request.user_id) == key
                assert (taken.offset, taken.request) == known.pop(key)
        assert len(queue) == len(known) and (queue.packed_bytes > 0) == bool(known)
        offsets = {number: [entry[0] for key, entry in known.items() if key[0] == number] for number in (0, 1)}
        assert queue.lowest_offsets() == {number: min(found) for number, found in offsets.items() if found}
        assert all(queue.offset(key) == entry[0] for key, entry in known.items())


def test_what_is_replaced_again_and_again_takes_no_memory() -> None:
    queue, message = RequestQueue(), request("u", facts(["drama"]))
    queue.put(0, 0, message)
    once = queue.packed_bytes
    for offset in range(1, 5000):
        queue.put(0, offset, message)
    assert len(queue) == 1 and queue.packed_bytes == once
    assert len(queue._urgent) < 100 and len(queue._oldest) < 100


def test_a_partition_that_comes_back_finds_no_entries_of_its_past() -> None:
    queue = RequestQueue()
    queue.put(0, 5, request("x", facts(["drama"]), priority=7, requested_at_ms=1))
    queue.put(1, 9, request("y", facts(["drama"]), priority=1, requested_at_ms=100))
    taken = queue.take(oldest=True), queue.take()
    assert [one.request.user_id for one in taken if one] == ["x", "y"]
    queue.drop_partition(0)
    queue.put(0, 5, request("x", facts(["drama"]), priority=7, requested_at_ms=1), ready_at_s=100.0)
    queue.release(0.0)
    assert queue.take() is None and queue.held == 1
    queue.release(100.0)
    again = queue.take()
    assert again is not None and again.request.user_id == "x"
