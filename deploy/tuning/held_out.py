"""Facts to measure a narrator on: of users it was not tuned on, from the demo shop and MovieLens."""

import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from consumers.fold import fold
from consumers.statements.interests import InterestRules
from consumers.statements.statements import statements
from deploy.tuning.names import Names
from deploy.tuning.pairs import invent_statements
from producers.dataset import open_dataset
from producers.shop import Shop
from schemas.messages import BehaviorEvent, Cause, Item, Language, ProfileRequest, Statement, Trend, UserAttributes
from schemas.settings import FoldSettings, ProfilerSettings
from schemas.state import UserState
from schemas.topics import BEHAVIOR_EVENTS

RULES = FoldSettings()
INTERESTS = InterestRules(RULES.type_weights, ProfilerSettings().half_life_h)
CAUSE = Cause(topic=BEHAVIOR_EVENTS.name, partition=0, offset=0, record_time_ms=0, waiting_since_ms=0)
LIKES_TRENDS: tuple[Trend, ...] = ("new", "rising", "steady", "steady", "fading", "reversed")
DISLIKES_TRENDS: tuple[Trend, ...] = ("steady", "reversed")
SHOP_SEED = 1_000_003
EVENTS_PER_USER = 30


class Case(NamedTuple):
    """One profile to write."""

    source: str
    request: ProfileRequest


def worked_example(language: Language) -> Case:
    """User A: 25, male, three tags, three items."""
    tags = ("运动", "科技", "旅游") if language == "zh" else ("sports", "technology", "travel")
    titles = ("商品B", "商品C", "商品D") if language == "zh" else ("Item B", "Item C", "Item D")
    told = [
        *(Statement(topic=tag, stance="likes", strength=0.5, evidence=["field:tags"]) for tag in tags),
        Statement(topic="age", stance="is", value="25", strength=1, evidence=["field:age"]),
        Statement(topic="gender", stance="is", value="male", strength=1, evidence=["field:gender"]),
        *(Statement(topic=title, stance="viewed", strength=1, evidence=["event:1"]) for title in titles),
    ]
    return Case("worked example", _request("user A", language, told))


def shop_cases(count: int, seed: int) -> Iterator[Case]:
    """Users of a demo shop whose seed is far from any used in training, half of them Chinese."""
    shop = Shop(seed=SHOP_SEED + seed, users=count + count // 2)
    items = {item.item_id: item for item in shop.items}
    states = _states(shop.simulate(EVENTS_PER_USER * len(shop.users)))
    languages = {user.user_id: user.language for user in shop.users}
    wanted = {user_id: state for user_id, state in sorted(states.items()) if not user_id.startswith("user-a")}
    cases = (
        Case("demo shop", _request(user_id, languages[user_id], told))
        for user_id, state in wanted.items()
        if (told := _told(user_id, state, items, languages[user_id], seed))
    )
    yield from _first(cases, count)


def movielens_cases(folder: Path, count: int, seed: int) -> Iterator[Case]:
    """MovieLens users; the data speaks no language of its own, so half are asked for in Chinese.

    Raises:
        ConfigError: the folder does not hold the data.
    """
    data = open_dataset(folder, "movielens-100k")
    items = {item.item_id: item for item in data.items()}
    users = sorted(data.user_ids(), key=lambda user_id: random.Random(f"{seed} {user_id}").random())[:count]
    chosen = frozenset(users)
    declared = [message for message in data.attributes() if message.user_id in chosen]
    happened = [message for message in data.events() if message.user_id in chosen]
    states = _states([*declared, *happened])
    for index, user_id in enumerate(users):
        language: Language = "zh" if index % 2 else "en"
        yield Case("movielens-100k", _request(user_id, language, _told(user_id, states[user_id], items, language, seed)))


def _states(messages: Iterable[object]) -> dict[str, UserState]:
    states: dict[str, UserState] = {}
    for message in messages:
        if isinstance(message, BehaviorEvent | UserAttributes):
            fold(states.setdefault(message.user_id, UserState()), "", message, RULES)
    return states


def _told(user_id: str, state: UserState, items: Mapping[str, Item], language: Language, seed: int) -> list[Statement]:
    """What holds of the user; where no trend or habit is known, some are drawn, so that every kind of sentence is measured."""
    source = random.Random(f"{seed} {user_id}")
    told = statements(state, items, INTERESTS)
    if not any(statement.trend for statement in told):
        told = [_with_trend(statement, source) for statement in told]
    if not any(statement.stance == "habit" for statement in told):
        invented = invent_statements(source, Names(source), language, "habits")
        habits = [statement for statement in invented if statement.stance == "habit"]
        place = next((index for index, statement in enumerate(told) if statement.stance == "viewed"), len(told))
        told[place:place] = habits
    return told


def _with_trend(statement: Statement, source: random.Random) -> Statement:
    trends = {"likes": LIKES_TRENDS, "dislikes": DISLIKES_TRENDS}.get(statement.stance)
    return statement.model_copy(update={"trend": source.choice(trends)}) if trends else statement


def _request(user_id: str, language: Language, told: list[Statement]) -> ProfileRequest:
    return ProfileRequest(
        user_id=user_id,
        request_id=user_id,
        language=language,
        reason="first",
        priority=1,
        state_version=1,
        event_count=1,
        statements=told,
        requested_at_ms=0,
        cause=CAUSE,
    )


def _first(cases: Iterable[Case], count: int) -> Iterator[Case]:
    for index, case in enumerate(cases):
        if index == count:
            return
        yield case
