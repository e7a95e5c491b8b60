"""What a catalogue learns from a user's new events: what is popular, what goes together, and what people come back to."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue, Rows
from consumers.statements.feedback import event_weight
from schemas.messages import BehaviorEvent, EventType
from schemas.state import UserState

REACH = 10
"""Events before a new one that it is paired with; the n-th before it counts 1 / n."""
Numbers = npt.NDArray[np.float64]


def learn_from(
    new: Sequence[BehaviorEvent], state: UserState, catalogue: Catalogue, type_weights: Mapping[EventType, float]
) -> None:
    """Let the catalogue learn from events that a user's `state` has by now."""
    events = [event for event in new if event.item_id is not None]
    if not events:
        return
    weights = [event_weight(event.type, event.value, type_weights) for event in events]
    catalogue.observe([event.item_id for event in events], weights, [event.event_time_ms for event in events])
    catalogue.covisitation.observe(*meetings(new, state, type_weights, catalogue))
    _count_returns(events, weights, state, catalogue)


def meetings(
    new: Sequence[BehaviorEvent], state: UserState, type_weights: Mapping[EventType, float], catalogue: Catalogue
) -> tuple[Rows, Rows, Numbers, Numbers]:
    """Pairs for `CoVisitation.observe`: rows, rows, weights and times in ms, of a user whose `state` has the `new` events.

    Only events that speak for their item count; what matters is that both happened, not how much either says.
    """
    fresh = {event.event_id for event in new}
    events = [
        (event.item_id, event.event_id in fresh, event.event_time_ms)
        for event in state.events
        if event.item_id is not None and event_weight(event.type, event.value, type_weights) > 0
    ]
    pairs = []
    for place, (item_id, is_new, time_ms) in enumerate(events):
        if is_new:
            for back in range(1, min(REACH, place) + 1):
                pairs.append((item_id, events[place - back][0], 1.0 / back, float(time_ms)))
            for ahead in range(1, min(REACH, len(events) - 1 - place) + 1):  # a late event meets what came after it too
                later_id, later_is_new, later_ms = events[place + ahead]
                if not later_is_new:
                    pairs.append((item_id, later_id, 1.0 / ahead, float(later_ms)))
    ones, others, weights, times_ms = zip(*pairs, strict=True) if pairs else ((), (), (), ())
    return catalogue.rows(ones), catalogue.rows(others), np.array(weights, np.float64), np.array(times_ms, np.float64)


def _count_returns(events: Sequence[BehaviorEvent], weights: Sequence[float], state: UserState, catalogue: Catalogue) -> None:
    """A taking is one of something taken before when the item's weight is more than what these events add; one an item."""
    gained: dict[str, float] = {}
    for event, weight in zip(events, weights, strict=True):
        if event.item_id is not None and weight > 0:
            gained[event.item_id] = gained.get(event.item_id, 0.0) + weight
    before = [
        (item_id, state.items[item_id].weight_milli > round(1000 * weight))
        for item_id, weight in gained.items()
        if item_id in state.items
    ]
    catalogue.returns.observe(catalogue.rows([item_id for item_id, _ in before]), [again for _, again in before])
