"""The demo shop: a catalogue and users we invented, with a truth to measure recommendations and profiles against."""

import heapq
from collections.abc import Iterator

from producers import shop_example
from producers.shop_catalog import DAY_MS, LANGUAGES, TOPICS, ShopItem, compose_items
from producers.shop_sessions import Life, Shelf
from producers.shop_users import ShopUser, Weights, make_users
from schemas.errors import ConfigError
from schemas.messages import (
    BehaviorEvent,
    ConsentControl,
    EditControl,
    EraseControl,
    Item,
    MuteControl,
    UserAttributes,
    UserControl,
)

Timed = BehaviorEvent | UserAttributes | UserControl

DEFAULT_START_MS = 1_767_225_600_000
"""2026-01-01 UTC: where the shop's time starts when nobody says otherwise."""
MOST_EVENTS_A_DAY = 60
FEWEST_DAYS = 2
EXAMPLE_EVENTS = 3 * len(LANGUAGES)


class Shop:
    """A seeded shop; everything in it is the same for the same arguments.

    `users` invented users, and user A of the worked example in each language, live from `start_ms` on for `days`.
    """

    def __init__(self, seed: int = 7, users: int = 200, start_ms: int = DEFAULT_START_MS, days: int = 28) -> None:
        if days < FEWEST_DAYS or users < 0:
            raise ConfigError(f"a shop needs at least {FEWEST_DAYS} days and no negative number of users")
        self.seed, self.start_ms, self.days = seed, start_ms, days
        self.end_ms = start_ms + days * DAY_MS
        self.shop_items: list[ShopItem] = [
            *compose_items(seed, start_ms, days),
            *shop_example.example_items(published_at_ms=start_ms - 30 * DAY_MS),
        ]
        self.users: list[ShopUser] = [
            *(shop_example.example_user(language, start_ms) for language in LANGUAGES),
            *make_users(seed, users, start_ms, days),
        ]
        self._users = {user.user_id: user for user in self.users}
        self._topics = {shop_item.item.item_id: shop_item.topics for shop_item in self.shop_items}

    @property
    def items(self) -> list[Item]:
        """The catalogue: 480 composed items and the six of the worked example."""
        return [shop_item.item for shop_item in self.shop_items]

    def topics_of(self, item_id: str) -> tuple[str, ...]:
        """What an item is really about: topic keys, the main one first."""
        return self._topics[item_id]

    def truth(self, user_id: str, time_ms: int) -> Weights:
        """What a user is really interested in at a time: topic key → weight, summing to 1."""
        return dict(self._users[user_id].weights_at(time_ms))

    def simulate(self, events: int = 20_000) -> Iterator[Timed]:
        """Exactly `events` behaviour events, with what users declare, allow and ask for, in order of time.

        Raises:
            ConfigError: more events than these users could live through, or fewer than the worked example needs.
        """
        counts = self._events_by_user(events)
        shelf = Shelf([shop_item for shop_item in self.shop_items if not shop_item.item.item_id.startswith("item-")])
        streams = [shop_example.example_messages(language, self.start_ms) for language in LANGUAGES]
        streams += [
            heapq.merge(
                declarations(user), Life(self.seed, user, shelf, counts.get(user.user_id, 0), self.end_ms).run(), key=time_of
            )
            for user in self.users[len(LANGUAGES) :]
        ]
        return heapq.merge(*streams, key=time_of)

    def _events_by_user(self, events: int) -> dict[str, int]:
        active = [user for user in self.users if user.activity]
        room = {user.user_id: self._room(user) for user in active}
        wanted, most = events - EXAMPLE_EVENTS, sum(room.values())
        if not 0 <= wanted <= most:
            raise ConfigError(
                f"{len(active)} active users can do {EXAMPLE_EVENTS} to {most + EXAMPLE_EVENTS} events in {self.days} days, "
                f"not {events}; change the number of users or events"
            )
        return shares(wanted, {user.user_id: user.activity for user in active}, room)

    def _room(self, user: ShopUser) -> int:
        """How many events a user can do between joining and leaving."""
        return max(0, ((user.erased_ms or self.end_ms) - user.joined_ms) * MOST_EVENTS_A_DAY // DAY_MS)


def shares(total: int, activity: dict[str, float], room: dict[str, int]) -> dict[str, int]:
    """Split `total` by activity so that the parts sum to it and no one gets more than their room."""
    counts, left = dict.fromkeys(activity, 0), total
    while left:
        unfilled = [user_id for user_id in activity if counts[user_id] < room[user_id]]
        scale = left / sum(activity[user_id] for user_id in unfilled)
        for user_id in sorted(unfilled, key=lambda user_id: -activity[user_id]):
            part = max(1, int(activity[user_id] * scale))
            extra = min(part, room[user_id] - counts[user_id], left)
            counts[user_id] += extra
            left -= extra
    return counts


def declarations(user: ShopUser) -> Iterator[UserAttributes | UserControl]:
    """What a user says rather than does, in order of time."""
    if user.consent is not None:
        yield ConsentControl(user_id=user.user_id, issued_at_ms=user.joined_ms, purpose="profile", granted=user.consent)
    if user.attributes is not None:
        yield user.attributes
    if user.says_so and user.changes_ms and user.dropped_topic:
        tag = TOPICS[user.dropped_topic].tag(user.language)
        if user.says_so == "edit":
            yield EditControl(user_id=user.user_id, issued_at_ms=user.changes_ms, topic=tag, stance="not_interested")
        else:
            yield MuteControl(user_id=user.user_id, issued_at_ms=user.changes_ms, target="tag", value=tag)
    if user.erased_ms is not None:
        yield EraseControl(user_id=user.user_id, issued_at_ms=user.erased_ms)


def time_of(message: Timed) -> int:
    """When a message happened, in Unix milliseconds."""
    match message:
        case BehaviorEvent():
            return message.event_time_ms
        case UserAttributes():
            return message.updated_at_ms
        case _:
            return message.issued_at_ms
