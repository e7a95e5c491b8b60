"""What a catalogue learns from a user's new events: what is popular, what goes together, and what people come back to."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from consumers.catalogue import Catalogue
from consumers.statements.feedback import event_weight
from schemas.messages import BehaviorEvent, EventType
from schemas.state import HistoryEvent, UserState

REACH = 10
"""Events before a new one that it is paired with; the n-th before it counts 1 / n."""
VISIT_MS = 30 * 60 * 1000
"""Takings of one item that are nearer to each other are of one visit: looked at, put into the basket and bought."""

Event = BehaviorEvent | HistoryEvent
"""As it was sent, or as a state keeps it."""


class Taking(NamedTuple):
    """An event of a user on an item: one that speaks for it, if it has a positive weight."""

    item_id: str
    is_new: bool
    time_ms: int
    weight: float


class Pair(NamedTuple):
    """Two items that a user turned to one soon after the other; the nearer, the more it counts."""

    one: str
    other: str
    weight: float
    time_ms: float


def learn_from(
    users: Iterable[tuple[Sequence[Event], UserState]], catalogue: Catalogue, type_weights: Mapping[EventType, float]
) -> None:
    """Let the catalogue learn of each user the new events, given with the state that has them by now."""
    events: list[Event] = []
    pairs: list[Pair] = []
    visits: list[tuple[str, bool]] = []
    for new, state in users:
        own = [event for event in new if event.item_id is not None]
        if own:
            known = history(own, state, type_weights)
            events += own
            pairs += meetings(known)
            visits += returning(known, state)
    weights = [event_weight(event.type, event.value, type_weights) for event in events]
    catalogue.observe([event.item_id for event in events], weights, [event.event_time_ms for event in events])
    if pairs:
        ones, others, nearness, times_ms = zip(*pairs, strict=True)
        rows = catalogue.rows(ones), catalogue.rows(others)
        catalogue.covisitation.observe(*rows, np.array(nearness, np.float64), np.array(times_ms, np.float64))
    catalogue.returns.observe(catalogue.rows([item_id for item_id, _ in visits]), [again for _, again in visits])


def history(new: Sequence[Event], state: UserState, type_weights: Mapping[EventType, float]) -> list[Taking]:
    """What a user did on items, oldest first, with all that is new, though the state may have no room for it any more."""
    fresh = {event.event_id for event in new}
    kept = {event.event_id for event in state.events}
    events: list[Event] = [*state.events]
    if not fresh <= kept:
        events += [event for event in new if event.event_id not in kept]
        events.sort(key=lambda event: (event.event_time_ms, event.event_id))
    return [
        Taking(one.item_id, one.event_id in fresh, one.event_time_ms, event_weight(one.type, one.value, type_weights))
        for one in events
        if one.item_id is not None
    ]


def meetings(known: Sequence[Taking]) -> list[Pair]:
    """Pairs of what is new and what is near it: each once, however the events came in batches.

    What matters is that something was taken, not how much its event says.
    """
    taken = [one for one in known if one.weight > 0]
    pairs = []
    for place, (item_id, is_new, time_ms, _) in enumerate(taken):
        if is_new:
            for back in range(1, min(REACH, place) + 1):
                pairs.append(Pair(item_id, taken[place - back].item_id, 1.0 / back, time_ms))
            for ahead in range(1, min(REACH, len(taken) - 1 - place) + 1):  # a late event meets what came after it too
                later = taken[place + ahead]
                if not later.is_new:
                    pairs.append(Pair(item_id, later.item_id, 1.0 / ahead, later.time_ms))
    return pairs


def returning(known: Sequence[Taking], state: UserState) -> list[tuple[str, bool]]:
    """Of each visit in which an item is newly taken: the item, and whether the user had taken it in an earlier visit."""
    last_ms: dict[str, int] = {}
    found = []
    for item_id, is_new, time_ms, weight in known:
        if weight > 0:
            before_ms = last_ms.get(item_id)
            if is_new and (before_ms is None or time_ms - before_ms >= VISIT_MS):
                found.append((item_id, before_ms is not None or _older(item_id, weight, known, state)))
            last_ms[item_id] = time_ms
    return found


def _older(item_id: str, weight: float, known: Sequence[Taking], state: UserState) -> bool:
    """Whether an item has more weight than what is `known` gives it, one of which is `weight`: it was taken before."""
    count = state.items.get(item_id)
    if count is None or count.weight_milli <= round(1000 * weight):
        return False
    return count.weight_milli > sum(round(1000 * one.weight) for one in known if one.item_id == item_id)
