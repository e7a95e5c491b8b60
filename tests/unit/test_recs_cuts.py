"""What the protocols ask and what they hide."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from deploy.recs.cuts import (
    LEAVE_ONE_OUT,
    TIME_CUT,
    TIME_CUT_NEW_ITEMS,
    default_protocol,
    leave_one_out,
    require_no_leak,
    split_by,
    time_cut,
    truncated,
    validation_split,
)
from deploy.recs.interactions import Interactions
from deploy.recs.recorded import RecordedData
from deploy.recs.split import Split
from schemas.errors import ConfigError, PortraitError
from tests.unit.recommendation_cases import DAY_MS, events, named, ordered


def answers(split: Split) -> dict[str, set[str]]:
    train = split.train
    return {train.user_ids[user]: named(train, truth) for user, truth in zip(split.users, split.truths, strict=True)}


def known(split: Split) -> dict[str, list[str]]:
    train, bounds = split.train, split.train.bounds()
    return {
        user: [train.item_ids[item] for item in train.items[bounds[place] : bounds[place + 1]]]
        for place, user in enumerate(train.user_ids)
    }


def test_leave_one_out_asks_for_the_last_item_newly_met() -> None:
    data = events(("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("u", "a", 4), ("v", "a", 1), ("w", "b", 1), ("w", "c", 2))
    split = leave_one_out(data)
    assert answers(split) == {"u": {"c"}, "w": {"c"}}
    assert known(split) == {"u": ["a", "b"], "v": ["a"], "w": ["b"]}
    assert answers(validation_split(split)) == {"u": {"b"}}


def test_what_speaks_against_its_item_is_no_truth() -> None:
    data = events(("u", "a", 1), ("u", "b", 2), ("u", "c", 3), types=["purchase", "purchase", "return"])
    assert answers(leave_one_out(data)) == {"u": {"b"}}


RETAIL = [
    ("u", "a", 0), ("u", "b", 50), ("u", "a", 92), ("u", "c", 92), ("u", "d", 95),
    ("v", "a", 10), ("v", "a", 100),
    ("new", "c", 91),
    ("back", "b", 20), ("back", "b", 93), ("back", "e", 94),
]  # fmt: skip
RETAIL_TYPES = ["purchase"] * 9 + ["return", "purchase"]


def test_a_time_cut_asks_for_the_first_basket_after_it() -> None:
    data = events(*RETAIL, types=RETAIL_TYPES)
    split = time_cut(data, remove_seen=False)
    assert split.cut_ms == 90 * DAY_MS
    assert answers(split) == {"u": {"a", "c"}, "v": {"a"}, "new": {"c"}, "back": {"e"}}
    assert known(split) == {"u": ["a", "b"], "v": ["a"], "new": [], "back": ["b"]}


def test_with_new_items_only_what_was_bought_before_is_no_truth() -> None:
    split = time_cut(events(*RETAIL, types=RETAIL_TYPES), remove_seen=True)
    assert answers(split) == {"u": {"c"}, "new": {"c"}, "back": {"e"}}


def test_a_session_is_one_basket_though_it_lasts() -> None:
    rows = [("u", "a", 0), ("u", "b", 95), ("u", "c", 96), ("u", "d", 97), ("w", "a", 100)]
    split = time_cut(events(*rows, sessions=["1", "2", "2", "3", "4"]), remove_seen=False)
    assert answers(split)["u"] == {"b", "c"}


@pytest.mark.parametrize("protocol", [LEAVE_ONE_OUT, TIME_CUT, TIME_CUT_NEW_ITEMS])
def test_validation_looks_at_nothing_of_the_test(protocol: str) -> None:
    source = np.random.default_rng(3)
    rows = [(f"u{source.integers(20)}", f"i{source.integers(15)}", int(source.integers(100))) for _ in range(600)]
    split = split_by(protocol, events(*rows))
    validation = validation_split(split)
    assert len(validation.train) < len(split.train)
    counts = np.diff(split.train.bounds())
    for user, truth in zip(validation.users, validation.truths, strict=True):
        begin = split.train.bounds()[user]
        assert set(truth) <= set(split.train.items[begin : begin + counts[user]])
    if split.cut_ms is not None and validation.cut_ms is not None:
        assert validation.cut_ms < split.cut_ms and validation.train.times_ms.max() < validation.cut_ms


def with_answers_in_training(split: Split, data: Interactions) -> Split:
    return replace(split, train=data)


def with_a_truth_from_before(split: Split, data: Interactions) -> Split:
    return replace(split, truths=[split.train.items[:1], *split.truths[1:]])


def with_an_earlier_cut(split: Split, data: Interactions) -> Split:
    return replace(split, cut_ms=10 * DAY_MS)


def with_another_event(split: Split, data: Interactions) -> Split:
    return replace(split, train=replace(split.train, items=split.train.items[::-1].copy()))


@pytest.mark.parametrize(
    "spoil", [with_answers_in_training, with_a_truth_from_before, with_an_earlier_cut, with_another_event]
)
def test_a_leak_is_found(spoil: Callable[[Split, Interactions], Split]) -> None:
    data = events(*RETAIL, types=RETAIL_TYPES)
    split = time_cut(data, remove_seen=True)
    require_no_leak(split, data)
    with pytest.raises(PortraitError, match="leak"):
        require_no_leak(spoil(split, data), data)


def test_short_histories_keep_the_newest_events_and_the_questions() -> None:
    data = events(*[("u", f"i{day}", day) for day in range(10)], ("v", "i1", 1), ("v", "i2", 2))
    split = leave_one_out(data)
    short = truncated(split, 3)
    assert known(short) == {"u": ["i6", "i7", "i8"], "v": ["i1"]}
    assert answers(short) == answers(split)
    assert answers(validation_split(short)) == {"u": {"i8"}}


def test_events_of_one_moment_stand_in_an_order_without_meaning() -> None:
    items = [f"{number:03}" for number in range(200)]
    one = ordered(["u"] * 200, items, [5] * 200, ["view"] * 200)
    other = ordered(["u"] * 200, items[::-1], [5] * 200, ["view"] * 200)
    np.testing.assert_array_equal(one.items, other.items)
    assert abs(np.corrcoef(one.items, np.arange(200))[0, 1]) < 0.2
    assert not np.array_equal(one.items, ordered(["v"] * 200, items, [5] * 200, ["view"] * 200).items)


def test_the_default_protocol_follows_the_data() -> None:
    def recorded(data: Interactions, has_times: bool = True) -> RecordedData:
        return RecordedData("d", "m", data, [""] * len(data.item_ids), [()] * len(data.item_ids), has_times)

    bulk = events(*[(f"u{user}", f"i{item}", user) for user in range(5) for item in range(4)])
    new_items = events(*[(f"u{user}", f"i{item}", 10 * item) for user in range(5) for item in range(4)])
    repeats = events(*[(f"u{user}", f"i{item % 2}", 10 * item) for user in range(5) for item in range(4)])
    assert default_protocol(recorded(bulk)) == LEAVE_ONE_OUT
    assert default_protocol(recorded(new_items, has_times=False)) == LEAVE_ONE_OUT
    assert default_protocol(recorded(new_items)) == TIME_CUT_NEW_ITEMS
    assert default_protocol(recorded(repeats)) == TIME_CUT


def test_nobody_to_ask_is_an_error() -> None:
    with pytest.raises(ConfigError, match="nobody to ask"):
        split_by(LEAVE_ONE_OUT, events(("u", "a", 1), ("v", "a", 1)))
