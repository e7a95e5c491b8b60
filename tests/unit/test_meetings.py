"""Pairs of items from new events: each with those shortly before it, once however the events arrive."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.catalogue import Catalogue
from consumers.meetings import REACH, VISIT_MS, Learnt, meetings, returning, takings
from consumers.statements.feedback import event_weight, weights_of
from schemas.messages import EVENT_TYPES, BehaviorEvent
from schemas.state import HistoryEvent, ItemCount, UserState
from tests.unit.synthetic import NOW_MS, TYPE_WEIGHTS, shop, user

CATALOGUE = shop()


def sent(event: HistoryEvent) -> BehaviorEvent:
    return BehaviorEvent(
        event_id=event.event_id, user_id="u", item_id=event.item_id, type=event.type, event_time_ms=event.event_time_ms
    )


def pairs_of(new: Sequence[HistoryEvent], known: Sequence[HistoryEvent]) -> Counter[tuple[str, str, float]]:
    return pairs_learnt([([sent(one) for one in new], user(*known))], CATALOGUE)


def pairs_learnt(learnt: Sequence[Learnt], catalogue: Catalogue) -> Counter[tuple[str, str, float]]:
    pairs = meetings(takings(learnt, catalogue, TYPE_WEIGHTS))
    names = [*catalogue.item_ids, "unknown"]
    return Counter(
        (*sorted((names[one], names[other])), weight)
        for one, other, weight in zip(pairs.ones.tolist(), pairs.others.tolist(), pairs.weights.tolist(), strict=True)
    )


def events(kinds: list[str]) -> list[HistoryEvent]:
    return [HistoryEvent(NOW_MS + at, f"e{at:02}", f"sports-{at % 10}", kind) for at, kind in enumerate(kinds)]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["view", "like", "skip", "search"]), max_size=20), st.data())
def test_events_one_by_one_in_any_order_pair_those_near_each_other(kinds: list[str], data: st.DataObject) -> None:
    acts = events(kinds)
    counted = [one for one in acts if one.type in ("view", "like")]
    expected = {
        tuple(sorted((counted[at].item_id or "", counted[at - back].item_id or "")))
        for at in range(len(counted))
        for back in range(1, min(REACH, at) + 1)
    }
    in_order: Counter[tuple[str, str, float]] = Counter()
    for at in range(len(acts)):
        in_order += pairs_of(acts[at : at + 1], acts[: at + 1])
    assert {pair[:2] for pair in in_order} == expected
    assert sum(in_order.values()) == sum(min(REACH, at) for at in range(len(counted)))
    assert pairs_of(acts, acts) == in_order
    late = data.draw(st.permutations(acts))
    met: set[tuple[str, str]] = set()
    for at in range(len(late)):
        met |= {(pair[0], pair[1]) for pair in pairs_of(late[at : at + 1], late[: at + 1])}
    assert met >= expected


def test_what_speaks_against_its_item_meets_nothing() -> None:
    assert not pairs_of(events(["skip", "dislike"]), events(["skip", "dislike"]))


def test_what_a_batch_pushes_out_of_the_history_meets_too() -> None:
    acts = events(["view"] * 40)
    in_order: Counter[tuple[str, str, float]] = Counter()
    for at in range(len(acts)):
        in_order += pairs_of(acts[at : at + 1], acts[: at + 1])
    assert pairs_of(acts, acts[-5:]) == in_order


def test_users_of_one_batch_meet_only_themselves_and_unknown_items_keep_their_places() -> None:
    first, second = events(["view"] * 6), events(["like"] * 6)
    second = [
        HistoryEvent(one.event_time_ms, f"o{at}", "nowhere" if at == 2 else one.item_id, one.type)
        for at, one in enumerate(second)
    ]
    together = pairs_learnt(
        [([sent(one) for one in first[3:]], user(*first)), ([sent(one) for one in second], user(*second))], CATALOGUE
    )
    assert together == pairs_of(first[3:], first) + pairs_of(second, second)
    assert together["sports-3", "unknown", 1.0] == 1 and together["sports-1", "sports-3", 0.5] == 2


acts_of_a_user = st.lists(
    st.tuples(
        st.sampled_from(["view", "like", "purchase", "skip"]),
        st.sampled_from(["sports-0", "sports-1", "music-2", "nowhere"]),
        st.sampled_from([0, 60_000, VISIT_MS - 1, VISIT_MS, 5 * VISIT_MS]),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=150)
@given(st.lists(st.tuples(acts_of_a_user, st.booleans()), min_size=1, max_size=3))
def test_returns_are_those_of_a_plain_reading(users: list[tuple[list[tuple[str, str, int, bool]], bool]]) -> None:
    """`users` have acts, each so long after the one before and new or not; and perhaps took everything long ago."""
    learnt: list[Learnt] = []
    expected: Counter[tuple[str, bool]] = Counter()
    for number, (acts, took_before) in enumerate(users):
        times = NOW_MS + np.cumsum([apart for _, _, apart, _ in acts], dtype=np.int64)
        history = [
            HistoryEvent(int(at), f"{number}-{place}", item_id, kind)
            for place, (at, (kind, item_id, _, _)) in enumerate(zip(times, acts, strict=True))
        ]
        state = user(*history)
        for one in history:
            milli = round(1000 * event_weight(one.type, one.value, TYPE_WEIGHTS))
            before = state.items.get(one.item_id or "", ItemCount(5000 if took_before else 0, 0))
            state.items[one.item_id or ""] = ItemCount(before.weight_milli + milli, one.event_time_ms)
        learnt.append(([sent(one) for one, (_, _, _, is_new) in zip(history, acts, strict=True) if is_new], state))
        expected += plain_returns(history, [is_new for _, _, _, is_new in acts], took_before)
    told = [(new, state) for new, state in learnt if new]
    rows, again = returning(takings(told, CATALOGUE, TYPE_WEIGHTS), [state for _, state in told], CATALOGUE)
    assert Counter(zip([CATALOGUE.item_ids[row] for row in rows], again, strict=True)) == expected


def plain_returns(history: list[HistoryEvent], is_new: list[bool], took_before: bool) -> Counter[tuple[str, bool]]:
    last_ms: dict[str, int] = {}
    found: Counter[tuple[str, bool]] = Counter()
    for event, new in zip(history, is_new, strict=True):
        item_id = event.item_id or ""
        if event.type == "skip" or item_id == "nowhere":
            continue
        before_ms = last_ms.get(item_id)
        if new and (before_ms is None or event.event_time_ms - before_ms >= VISIT_MS):
            found[item_id, before_ms is not None or took_before] += 1
        last_ms[item_id] = event.event_time_ms
    return found


@given(st.lists(st.tuples(st.sampled_from(EVENT_TYPES), st.sampled_from([None, 0.0, 1.0, 3.0, 5.0, 14.9, 15.0, 1e9]))))
def test_weights_at_once_are_those_one_by_one(acts: list[tuple[str, float | None]]) -> None:
    history = [HistoryEvent(NOW_MS, str(at), "sports-0", kind, value) for at, (kind, value) in enumerate(acts)]
    expected = [event_weight(one.type, one.value, TYPE_WEIGHTS) for one in history]
    assert weights_of(history, TYPE_WEIGHTS).tolist() == pytest.approx(expected)


def test_nothing_new_teaches_nothing() -> None:
    assert not pairs_learnt([([], UserState())], CATALOGUE)
