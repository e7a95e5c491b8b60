"""How a demo shop user behaves: sessions of a few items, chosen and judged by the user's true interests at that moment."""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from producers.shop_acts import Act, Acting
from producers.shop_catalog import DAY_MS, DOMAINS, TOPICS, ShopItem
from producers.shop_users import ShopUser
from schemas.messages import BehaviorEvent, Domain, Item, Language

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
PAUSE_MS = 10 * MINUTE_MS
LAST_START_MS = 3 * HOUR_MS
"""No session begins later than this before the user's end, so that all have ended by then."""
SESSION_SIZES = (2, 10)
EXPLORATION, OWN_LANGUAGE, MEETS_DROPPED = 0.2, 0.93, 0.15
DROPPED_FOR_MS = 5 * DAY_MS
HOURS = [1, 1, 1, 1, 1, 1, 3, 5, 6, 5, 4, 4, 7, 6, 4, 4, 4, 5, 7, 9, 12, 12, 8, 3]
"""How busy each hour of the day is (UTC), relative to the others."""

SURFACES = {"ecommerce": "shop", "video": "player", "social": "feed", "news": "front page"}


class Shelf:
    """The catalogue by language, topic and domain."""

    def __init__(self, items: Sequence[ShopItem]) -> None:
        self._by_place: dict[tuple[Language, str], list[ShopItem]] = defaultdict(list)
        for shop_item in items:
            self._by_place[shop_item.item.language, shop_item.topics[0]].append(shop_item)

    def on_offer(self, language: Language, topic: str, time_ms: int) -> list[ShopItem]:
        """Items mainly of a topic that are published and available at a time."""
        return [shop_item for shop_item in self._by_place[language, topic] if is_on_offer(shop_item, time_ms)]


def is_on_offer(shop_item: ShopItem, time_ms: int) -> bool:
    """Whether a user could meet the item at a time."""
    item = shop_item.item
    return (
        item.published_at_ms <= time_ms
        and (item.available_from_ms or 0) <= time_ms
        and (item.available_until_ms is None or time_ms < item.available_until_ms)
    )


@dataclass
class Life:
    """One user's behaviour in order of time; `events` of them between joining and `end_ms`."""

    seed: int
    user: ShopUser
    shelf: Shelf
    events: int
    end_ms: int
    _source: random.Random = field(init=False)
    _acting: Acting = field(init=False)
    _to_return: list[ShopItem] = field(default_factory=list)
    _sent: int = 0

    def __post_init__(self) -> None:
        self._source = random.Random(f"shop life {self.seed} {self.user.user_id}")
        self._acting = Acting(self._source, self.user)

    def run(self) -> Iterator[BehaviorEvent]:
        """Every event of the user."""
        sizes = self._session_sizes()
        last_ms = 0
        for number, (start_ms, size) in enumerate(zip(self._session_starts(len(sizes)), sizes, strict=True), start=1):
            session = self._session(max(start_ms, last_ms + PAUSE_MS))
            session_id = f"{self.user.user_id}-{number}"
            for act, item, time_ms in itertools.islice(session, size):
                yield self._event(act, item, time_ms, session_id)
                self._sent += 1
                last_ms = time_ms

    def _session_sizes(self) -> list[int]:
        """Events of each session, summing to `events`."""
        sizes: list[int] = []
        while (left := self.events - sum(sizes)) > 0:
            sizes.append(min(left, self._source.randint(*SESSION_SIZES)))
        return sizes

    def _session_starts(self, count: int) -> list[int]:
        last_ms = (self.user.erased_ms or self.end_ms) - LAST_START_MS
        first_day, last_day = self.user.joined_ms // DAY_MS, last_ms // DAY_MS
        starts: list[int] = []
        while len(starts) < count:
            hour = self._source.choices(range(24), HOURS)[0]
            day = self._source.randint(first_day, last_day)
            start_ms = day * DAY_MS + hour * HOUR_MS + self._source.randrange(HOUR_MS)
            if self.user.joined_ms + MINUTE_MS <= start_ms < last_ms:
                starts.append(start_ms)
        return sorted(starts)

    def _session(self, time_ms: int) -> Iterator[tuple[Act, Item | None, int]]:
        """What happens from a time on, without end; the caller stops when the session is long enough."""
        focus = self._source.choice(DOMAINS)
        while self._to_return:
            yield Act("return", 30, value=1.0), self._to_return.pop().item, time_ms
            time_ms += 30_000
        topic = self._topic(time_ms)
        if self._source.random() < 0.15:
            yield Act("search", 8, text=self._query(topic)), None, time_ms
            time_ms += 8_000
        while True:
            shop_item = self._pick(topic, focus, time_ms)
            if shop_item is not None:
                for act in self._acting.acts(shop_item, time_ms):
                    if act.regretted:  # noted here, since the session may end before this act
                        self._to_return.append(shop_item)
                    yield act, shop_item.item, time_ms
                    time_ms += int(act.seconds * 1000)
            time_ms += self._source.randrange(2_000, 20_000)
            topic = self._topic(time_ms)

    def _topic(self, time_ms: int) -> str:
        user, source = self.user, self._source
        changed_ms = user.changes_ms
        if (
            changed_ms
            and user.dropped_topic
            and 0 <= time_ms - changed_ms < DROPPED_FOR_MS
            and source.random() < MEETS_DROPPED
        ):
            return user.dropped_topic
        if source.random() < EXPLORATION:
            return source.choice(list(TOPICS))
        weights = user.weights_at(time_ms)
        return source.choices(list(weights), list(weights.values()))[0]

    def _query(self, topic: str) -> str:
        theme = self._source.choice(TOPICS[topic].theme)
        return self._source.choice([TOPICS[topic].tag(self.user.language), theme.phrases(self.user.language).tag])

    def _pick(self, topic: str, focus: Domain, time_ms: int) -> ShopItem | None:
        other: Language = "en" if self.user.language == "zh" else "zh"
        language = self.user.language if self._source.random() < OWN_LANGUAGE else other
        offered = self.shelf.on_offer(language, topic, time_ms)
        focused = [shop_item for shop_item in offered if shop_item.item.domain == focus]
        if focused and self._source.random() < 0.7:
            offered = focused
        return self._source.choice(offered) if offered else None

    def _event(self, act: Act, item: Item | None, time_ms: int, session_id: str) -> BehaviorEvent:
        return BehaviorEvent(
            event_id=f"{self.user.user_id.removeprefix('shop')}-{self._sent}",
            user_id=self.user.user_id,
            item_id=item.item_id if item else None,
            type=act.type,
            event_time_ms=time_ms,
            value=act.value,
            text=act.text,
            surface="search" if item is None else SURFACES[item.domain],
            domain=None if item is None else item.domain,
            session_id=session_id,
        )
