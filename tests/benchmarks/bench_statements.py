"""How true statements are, against the demo shop's truth: `python tests/benchmarks/bench_statements.py`.

Every user's messages are folded in order of time; their statements at the end are held against what they are really interested
in then. Cold users have declared tags or free text, and no events. The last line is one JSON object.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from consumers.fold import fold
from consumers.lists.lists import ListRules
from consumers.statements.statements import statements
from consumers.statements.vocabulary import Vocabulary
from producers.shop import Shop
from producers.shop_catalog import topic_of_tag
from producers.shop_users import ShopUser
from schemas.messages import BehaviorEvent, Item, Language, Statement, UserAttributes
from schemas.settings import Settings
from schemas.state import UserState
from schemas.topics import BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS

LANGUAGES: tuple[Language, ...] = ("en", "zh")


class Site:
    """A demo shop with the state of each of its users, followed message by message."""

    def __init__(self, seed: int, users: int, events: int) -> None:
        self.shop = Shop(seed, users)
        self.items: dict[str, Item] = {item.item_id: item for item in self.shop.items}
        self.vocabulary = Vocabulary.of(self.items.values())
        self.states: dict[str, UserState] = {}
        self._settings = Settings()
        self._rules = ListRules.of(self._settings).interest
        self._messages = self.shop.simulate(events)

    def live(self) -> Iterator[str]:
        """Fold the next message; whose it was."""
        for message in self._messages:
            state = self.states.setdefault(message.user_id, UserState())
            topic = USER_CONTROLS
            if isinstance(message, BehaviorEvent):
                topic = BEHAVIOR_EVENTS
            elif isinstance(message, UserAttributes):
                topic = USER_ATTRIBUTES
            fold(state, topic.name, message, self._settings.fold)
            yield message.user_id

    def stated(self, user_id: str) -> list[Statement]:
        """The user's statements now."""
        return statements(self.states.get(user_id, UserState()), self.items, self._rules, self.vocabulary)

    def truth(self, user: ShopUser, time_ms: int) -> set[str]:
        """The topics the user is really interested in."""
        return set(self.shop.truth(user.user_id, time_ms))


def topics(found: Iterable[Statement], stance: str) -> set[str]:
    """The shop's topics that statements of a stance are about; tags that are no topic's are left out."""
    known = topic_of_tag()
    return {known[one.topic] for one in found if one.stance == stance and one.topic in known}


def wrong_dislikes(site: Site, user: ShopUser, found: Sequence[Statement], true: set[str]) -> set[str]:
    """Disliked topic tags (not theirs of a part) that the user is really interested in."""
    whole = {topic for one in found if one.stance == "dislikes" for topic in true if one.topic in _topic_tags(topic)}
    return whole - {site.shop.users[0].dropped_topic}


def _topic_tags(topic: str) -> set[str]:
    from producers.shop_catalog import TOPICS

    return {TOPICS[topic].tag(language) for language in LANGUAGES}


def cold(site: Site) -> dict[str, Any]:
    """Cold users by language: how many of their true topics are stated from words alone, and how many false ones."""
    result: dict[str, Any] = {}
    for language in LANGUAGES:
        named = stated = false = users = missed = 0
        for user in site.shop.users:
            if user.activity or user.language != language or user.attributes is None or user.user_id.startswith("user-a"):
                continue
            true = site.truth(user, user.joined_ms)
            words = f"{user.attributes.tags} {user.attributes.free_text}"
            said = {topic for topic in true if any(tag in words for tag in _topic_tags(topic))}
            found = site.stated(user.user_id)
            likes = topics(found, "likes")
            users += 1
            named, stated, missed = named + len(said), stated + len(likes & said), missed + len(true - likes)
            false += len(likes - true) + len(topics(found, "dislikes"))
        result[language] = {
            "users": users,
            "declared_topics_stated": round(stated / max(named, 1), 3),
            "true_topics_stated": round(1 - missed / max(stated + missed, 1), 3),
            "false": false,
        }
    return result


def warm(site: Site, least_events: int) -> dict[str, Any]:
    """Users with a history: precision of likes, main interest found, true topics disliked, trends and habits."""
    right = wrong = main = users = misjudged = disliked = reversed_stale = 0
    trends: Counter[str] = Counter()
    habits: Counter[str] = Counter()
    for user in site.shop.users:
        state = site.states.get(user.user_id)
        if state is None or state.event_count < least_events or not state.events:
            continue
        now_ms = state.events[-1].event_time_ms
        weights = site.shop.truth(user.user_id, now_ms)
        found = site.stated(user.user_id)
        likes, true = topics(found, "likes"), set(weights)
        if user.dropped_topic and user.changes_ms and now_ms >= user.changes_ms:
            reversed_stale += user.dropped_topic in likes
            likes.discard(user.dropped_topic)  # counted on its own: history cannot forget at once
        users += 1
        right, wrong = right + len(likes & true), wrong + len(likes - true)
        main += max(weights, key=lambda topic: weights[topic]) in likes
        disliked += sum(one.stance == "dislikes" for one in found)
        misjudged += len(wrong_dislikes(site, user, found, true))
        trends.update(str(one.trend) for one in found if one.stance == "likes")
        habits.update(one.topic for one in found if one.stance == "habit")
    return {
        "users": users,
        "likes_precision": round(right / max(right + wrong, 1), 3),
        "main_interest_stated": round(main / max(users, 1), 3),
        "dropped_still_liked": reversed_stale,
        "dislikes": disliked,
        "true_topics_disliked": misjudged,
        "trends_of_likes": dict(trends.most_common()),
        "habits": dict(habits.most_common()),
    }


def changes(site: Site, least_events: int = 20) -> dict[str, Any]:
    """Follows users through their change of interest: events until the new topic is among the likes."""
    changing = {user.user_id: user for user in site.shop.users if user.changes_ms}
    since: Counter[str] = Counter()
    shown: dict[str, int] = {}
    for user_id in site.live():
        user = changing.get(user_id)
        state = site.states[user_id]
        if user is None or user.changes_ms is None or not state.events or state.events[-1].event_time_ms < user.changes_ms:
            continue
        since[user_id] += 1
        if user_id not in shown:
            fresh = set(user.interests[1][1]) - set(user.interests[0][1])
            if fresh & topics(site.stated(user_id), "likes"):
                shown[user_id] = since[user_id]
    followed = [user_id for user_id in since if since[user_id] >= least_events]
    waits = sorted(shown.get(user_id, 10**6) for user_id in followed)
    return {
        "changes": len(followed),
        "new_topic_stated_within_20_events": round(sum(wait <= 20 for wait in waits) / max(len(followed), 1), 3),
        "median_events": waits[len(waits) // 2] if waits else None,
    }


def cost_ms(site: Site) -> float:
    """Milliseconds for one user's statements, over all users."""
    started = time.process_time()
    for user_id in site.states:
        site.stated(user_id)
    return round(1000 * (time.process_time() - started) / max(len(site.states), 1), 3)


def main() -> None:
    """Print each part, then the report."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--users", type=int, default=600)
    arguments.add_argument("--events", type=int, default=30_000)
    arguments.add_argument("--seed", type=int, default=7)
    given = arguments.parse_args()
    site = Site(given.seed, given.users, given.events)
    report = {
        "report": "bench-statements",
        **vars(given),
        "changes": changes(site),
        "cold": cold(site),
        "warm": warm(site, least_events=20),
        "ms_per_user": cost_ms(site),
    }
    for name, part in report.items():
        print(f"{name}: {part}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
