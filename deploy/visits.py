"""Users of the demo shop look at the lists that were made for them, round after round: the feedback loop, closed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from deploy.reading import BEGINNING, Follower, decoded
from producers.publisher import Publisher
from producers.shop import Shop
from producers.shop_visits import Visit, Visitor
from schemas.messages import Recommendations
from schemas.settings import Settings
from schemas.topics import BEHAVIOR_EVENTS, IMPRESSIONS, RECOMMENDATIONS

SETTLED_S = 5.0
"""When no list has come for so long, they say what was sent."""
PATIENCE_S = 120.0


@dataclass
class Visited:
    """Counts of a round. `drawn_…` are of items that chance put into the list."""

    lists: int = 0
    items_seen: int = 0
    clicked: int = 0
    drawn_seen: int = 0
    drawn_clicked: int = 0
    events: int = 0

    def count(self, visit: Visit, shown: Recommendations) -> None:
        """Add one visit."""
        drawn = {one.item_id for one in shown.items if "exploration" in one.sources}
        seen = {one.item_id for one in visit.impression.items}
        self.lists += 1
        self.items_seen += len(seen)
        self.clicked += len(visit.clicked)
        self.drawn_seen += len(seen & drawn)
        self.drawn_clicked += len(visit.clicked & drawn)
        self.events += len(visit.events)

    def sentence(self) -> str:
        """The round in one line."""
        clicked = _share(self.clicked, self.items_seen)
        said = f"{self.lists:,} lists looked at, {self.items_seen:,} items seen, {clicked} clicked"
        return said + (f" (drawn by chance: {_share(self.drawn_clicked, self.drawn_seen)})" if self.drawn_seen else "")

    def as_dict(self) -> dict[str, float | None]:
        """For the report."""
        return {**asdict(self), "clicks_per_item": round(self.clicked / self.items_seen, 4) if self.items_seen else None}


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def visits(shop: Shop, settings: Settings, publisher: Publisher, rounds: int, say: Callable[[str], None]) -> Iterator[Visited]:
    """After each wave of lists everybody who has a new one looks at it, and what they do is sent.

    Raises:
        ConfigError: a topic is missing.
        Retryable: the broker does not answer.
    """
    shop_items = {shop_item.item.item_id: shop_item for shop_item in shop.shop_items}
    visitors = {user.user_id: Visitor(shop.seed, user, shop_items) for user in shop.users}
    newest: dict[str, Recommendations] = {}
    looked_at: set[str | None] = {None}
    with Follower(settings.kafka, "portrait-visits") as follower:
        follower.follow([RECOMMENDATIONS], back=BEGINNING)
        for number in range(1, rounds + 1):
            say(f"visit {number}: waiting for lists to settle")
            if not follow_until_settled(follower, newest, settings):
                say("there are no lists to look at: start the roles that make them (`portrait run profiler`)")
                return
            visited = Visited()
            for user_id, shown in newest.items():
                if user_id not in visitors or shown.list_id in looked_at:
                    continue
                looked_at.add(shown.list_id)
                if (visit := visitors[user_id].visit(shown, time.time_ns() // 1_000_000)) is None:
                    continue
                publisher.send(IMPRESSIONS, user_id, visit.impression)
                for event in visit.events:
                    publisher.send(BEHAVIOR_EVENTS, user_id, event)
                visited.count(visit, shown)
            publisher.flush()
            yield visited


def follow_until_settled(follower: Follower, newest: dict[str, Recommendations], settings: Settings) -> bool:
    """Bring `newest` up to date, until nothing has come for a while; False when there are no lists at all."""
    began = last = time.monotonic()
    while (now := time.monotonic()) < began + PATIENCE_S and (now < last + SETTLED_S or follower.behind):
        for record in follower.poll(0.5):
            last = time.monotonic()
            user_id, shown = decoded(record, settings.fold)
            if isinstance(shown, Recommendations):
                newest[user_id] = shown
            else:
                newest.pop(user_id, None)
    return bool(newest)
