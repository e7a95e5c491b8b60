"""What one event says about its item: a signed weight, positive for interest."""

from collections.abc import Mapping

from schemas.messages import EventType

RATING_NEUTRAL = 3.0
RATING_STEP = 2.0
RATING_LIMIT = 10.0


def event_weight(event_type: EventType, value: float | None, type_weights: Mapping[EventType, float]) -> float:
    """The weight of an event: its type's weight, or for a rating (stars - 3) * 2, so that low stars count against, within ±10.

    `type_weights` is `FoldSettings.type_weights`; an unknown type weighs 0.
    """
    if event_type == "rating" and value is not None:
        return max(-RATING_LIMIT, min(RATING_LIMIT, (value - RATING_NEUTRAL) * RATING_STEP))
    return type_weights.get(event_type, 0.0)
