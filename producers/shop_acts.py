"""What a demo shop user does to an item: praise or blame, by how well it suits them now."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from producers.shop_catalog import ShopItem
from producers.shop_frames import FRAMES
from producers.shop_users import ShopUser, Weights
from schemas.messages import Domain, EventType


def relevance(topics: Sequence[str], weights: Weights) -> float:
    """How well an item of these topics suits interests, 0 to 1: the main topic counts full, the others half."""
    strongest = max(weights.values())
    own = weights.get(topics[0], 0.0) + sum(weights.get(topic, 0.0) for topic in topics[1:]) / 2
    return min(1.0, own / strongest)


@dataclass
class Act:
    """One step of a session: what is done to an item, and how long it takes."""

    type: EventType
    seconds: float
    value: float | None = None
    text: str | None = None
    regretted: bool = False
    """A purchase that goes back in the next session."""


@dataclass(frozen=True)
class Acting:
    """One user's way with items; what they do is drawn from `source`."""

    source: random.Random
    user: ShopUser

    def acts(self, shop_item: ShopItem, time_ms: int) -> list[Act]:
        """What the user does to an item: liked more often, and for longer, the better it suits them now."""
        source = self.source
        suits = relevance(shop_item.topics, self.user.weights_at(time_ms))
        liked = source.random() < (0.76 + 0.2 * suits if suits else 0.06)
        seconds = float(source.randrange(40, 300) if liked else source.randrange(3, 15))
        first = "play" if shop_item.item.domain == "video" else "click" if shop_item.item.domain == "news" else "view"
        acts = [Act(first, seconds, value=seconds)]  # type: ignore[arg-type]  # one of three literals
        acts += self._praise(shop_item.item.domain) if liked else self._blame(shop_item.item.domain)
        return acts

    def _praise(self, domain: Domain) -> list[Act]:
        source, chosen = self.source, list[Act]()
        chances: dict[Domain, list[tuple[float, EventType]]] = {
            "ecommerce": [(0.4, "add_to_cart"), (0.12, "favorite")],
            "video": [(0.3, "like"), (0.12, "favorite"), (0.06, "share"), (0.06, "comment"), (0.1, "rating")],
            "social": [(0.4, "like"), (0.12, "comment"), (0.08, "follow"), (0.1, "share")],
            "news": [(0.15, "favorite"), (0.12, "share"), (0.15, "like")],
        }
        for chance, event_type in chances[domain]:
            if source.random() < chance:
                chosen.append(self._act(event_type, good=True))
        if any(act.type == "add_to_cart" for act in chosen) and source.random() < 0.5:
            chosen.append(Act("purchase", 60, value=float(source.choice((1, 1, 1, 2)))))
        return chosen

    def _blame(self, domain: Domain) -> list[Act]:
        source = self.source
        if domain == "ecommerce" and source.random() < 0.12:
            return [Act("purchase", 60, value=1.0, regretted=True)]
        if domain == "video" and source.random() < 0.6:
            return [Act("skip", 2)]
        draw = source.random()
        if draw < 0.12:
            return [Act("not_interested", 3)]
        if draw < 0.25:
            return [Act("dislike", 2)]
        if draw < 0.3 and domain in ("video", "social"):
            return [self._act("comment", good=False)]
        return [self._act("rating", good=False)] if draw < 0.33 and domain == "video" else []

    def _act(self, event_type: EventType, *, good: bool) -> Act:
        frames = FRAMES[self.user.language]
        if event_type == "comment":
            return Act(event_type, 25, text=self.source.choice(frames.good_comments if good else frames.bad_comments))
        if event_type == "rating":
            return Act(event_type, 4, value=float(self.source.choice((4, 5, 5) if good else (1, 2))))
        return Act(event_type, 4)
