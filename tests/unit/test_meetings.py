"""Pairs of items from new events: each with those shortly before it, once however the events arrive."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.meetings import REACH, history, meetings
from schemas.messages import BehaviorEvent
from schemas.state import HistoryEvent
from tests.unit.synthetic import NOW_MS, TYPE_WEIGHTS, user


def pairs_of(new: list[HistoryEvent], known: list[HistoryEvent]) -> Counter[tuple[str, str, float]]:
    sent = [
        BehaviorEvent(event_id=one.event_id, user_id="u", item_id=one.item_id, type=one.type, event_time_ms=one.event_time_ms)
        for one in new
    ]
    pairs = meetings(history(sent, user(*known), TYPE_WEIGHTS))
    return Counter((*sorted((pair.one, pair.other)), pair.weight) for pair in pairs)


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
