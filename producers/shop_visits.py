"""Users of the demo shop open their lists: what they see of them, and what they do with it."""

import random
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from producers.shop_acts import Act, Acting, relevance
from producers.shop_catalog import ShopItem
from producers.shop_sessions import SURFACES
from producers.shop_users import ShopUser
from schemas.messages import BehaviorEvent, Impression, Recommendations, ShownItem

GOES_ON = 0.9
"""Chance that a user scrolls on to the next place."""
LOOKS, LOOKS_LESS = 0.9, 0.4
"""Chance to look at what is in the first place, and how fast it falls with the place: place to the power of minus this."""
CURIOUS, CLICKS = 0.03, 0.5
"""Chance to click what was looked at, whatever it is, and what is added to that where it suits the user best."""
REACHES_MS, ACTS_MS = 400, 200
"""Between places and between acts. A video is watched in no time: events are sent at once, so a visit takes seconds."""


class Visit(NamedTuple):
    """One user's look at their list, and what they did."""

    impression: Impression
    events: list[BehaviorEvent]
    clicked: set[str]


class Visitor:
    """A user of the demo shop in front of lists; the same seed does the same with the same list."""

    def __init__(self, seed: int, user: ShopUser, shop_items: Mapping[str, ShopItem]) -> None:
        self._seed, self._user, self._shop_items = seed, user, shop_items

    def visit(self, shown: Recommendations, now_ms: int) -> Visit | None:
        """What happens from `now_ms` on; None when there is nothing to see."""
        source = random.Random(f"shop visit {self._seed} {self._user.user_id} {shown.list_id}")
        seen = min(len(shown.items), 1 + sum(1 for _ in _scrolls(source)))
        if not seen or shown.list_id is None:
            return None
        impression = Impression(
            impression_id=f"{shown.list_id}-seen",
            user_id=self._user.user_id,
            list_id=shown.list_id,
            shown_at_ms=now_ms,
            items=[ShownItem(item_id=one.item_id, position=place) for place, one in enumerate(shown.items[:seen])],
        )
        events: list[BehaviorEvent] = []
        clicked: set[str] = set()
        time_ms = now_ms
        for place, one in enumerate(shown.items[:seen]):
            time_ms += REACHES_MS
            shop_item = self._shop_items.get(one.item_id)
            if shop_item is None or not self._clicks(source, shop_item, place, now_ms):
                continue
            clicked.add(one.item_id)
            for act in Acting(source, self._user).acts(shop_item, time_ms):
                events.append(self._event(act, shop_item, time_ms, shown.list_id, len(events)))
                time_ms += ACTS_MS
        return Visit(impression, events, clicked)

    def _clicks(self, source: random.Random, shop_item: ShopItem, place: int, now_ms: int) -> bool:
        looks = LOOKS / (place + 1) ** LOOKS_LESS
        suits = relevance(shop_item.topics, self._user.weights_at(now_ms))
        clicks: bool = source.random() < looks * (CURIOUS + CLICKS * suits)
        return clicks

    def _event(self, act: Act, shop_item: ShopItem, time_ms: int, list_id: str, number: int) -> BehaviorEvent:
        item = shop_item.item
        return BehaviorEvent(
            event_id=f"{list_id}-{number}",
            user_id=self._user.user_id,
            item_id=item.item_id,
            type=act.type,
            event_time_ms=time_ms,
            value=act.value,
            text=act.text,
            surface=SURFACES[item.domain],
            domain=item.domain,
            session_id=f"{list_id}-visit",
            list_id=list_id,
        )


def _scrolls(source: random.Random) -> Iterator[None]:
    while source.random() < GOES_ON:
        yield None
