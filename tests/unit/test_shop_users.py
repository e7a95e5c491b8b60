"""The demo shop's users: deterministic, in order of time, and with a truth that their behaviour really follows."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.shop import DEFAULT_START_MS, Shop, Timed, shares, time_of
from producers.shop_acts import relevance
from producers.shop_catalog import topic_of_tag
from producers.shop_sessions import is_on_offer
from schemas.errors import ConfigError
from schemas.messages import BehaviorEvent, ConsentControl, EditControl, EraseControl, MuteControl, UserAttributes, encode
from schemas.settings import FoldSettings
from schemas.topics import BEHAVIOR_EVENTS
from schemas.wire import decode

EVENTS = 12_000
PRAISE = {"like", "favorite", "share", "add_to_cart", "follow"}
BLAME = {"skip", "dislike", "not_interested", "return"}


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


@pytest.fixture(scope="module")
def stream(shop: Shop) -> list[Timed]:
    return list(shop.simulate(EVENTS))


@pytest.fixture(scope="module")
def events(stream: list[Timed]) -> list[BehaviorEvent]:
    return [message for message in stream if isinstance(message, BehaviorEvent)]


def test_exactly_as_many_events_as_asked_for_with_short_unique_ids(events: list[BehaviorEvent]) -> None:
    assert len(events) == EVENTS
    assert len({event.event_id for event in events}) == EVENTS
    assert max(len(event.event_id) for event in events) <= 16


def test_messages_come_in_order_of_time_and_within_the_shop_s_days(shop: Shop, stream: list[Timed]) -> None:
    times = [time_of(message) for message in stream]
    assert times == sorted(times)
    assert shop.start_ms <= times[0] and times[-1] < shop.end_ms
    assert times[-1] > shop.end_ms - 2 * 86_400_000


def test_the_same_seed_gives_the_same_stream(stream: list[Timed]) -> None:
    assert list(Shop().simulate(EVENTS)) == stream
    assert list(Shop(seed=8).simulate(EVENTS)) != stream


def test_every_message_is_accepted_at_the_border(events: list[BehaviorEvent]) -> None:
    for event in events[::50]:
        now_ms = event.event_time_ms
        decoded = decode(BEHAVIOR_EVENTS.name, event.user_id.encode(), encode(event), None, now_ms, FoldSettings())
        assert decoded == (event.user_id, event)


def test_users_only_meet_items_on_offer(shop: Shop, events: list[BehaviorEvent]) -> None:
    by_id = {shop_item.item.item_id: shop_item for shop_item in shop.shop_items}
    opened = [event for event in events if event.type in ("view", "play", "click")]
    assert len(opened) > 5_000
    assert all(is_on_offer(by_id[event.item_id or ""], event.event_time_ms) for event in opened)


def test_praise_and_blame_follow_the_hidden_interests(shop: Shop, events: list[BehaviorEvent]) -> None:
    suits: dict[str, list[bool]] = defaultdict(list)
    for event in events:
        if event.item_id is not None:
            truth = shop.truth(event.user_id, event.event_time_ms)
            suits[event.type].append(relevance(shop.topics_of(event.item_id), truth) > 0)
    praised = [hit for event_type in PRAISE for hit in suits[event_type]]
    blamed = [hit for event_type in BLAME - {"return"} for hit in suits[event_type]]
    assert sum(praised) / len(praised) > 0.9
    assert sum(blamed) / len(blamed) < 0.5
    assert all(len(suits[event_type]) > 10 for event_type in PRAISE | BLAME | {"comment", "purchase", "rating"})


def test_types_go_with_their_domains(events: list[BehaviorEvent]) -> None:
    domains = defaultdict(set)
    for event in events:
        domains[event.type].add(event.domain)
    assert domains["play"] == {"video"} == domains["skip"]
    assert domains["add_to_cart"] == {"ecommerce"} == domains["purchase"] == domains["return"]
    assert domains["click"] == {"news"} and domains["search"] == {None}
    assert all((event.item_id is None) == (event.type == "search") for event in events)
    assert all(event.text for event in events if event.type in ("search", "comment"))


def test_what_is_returned_was_bought(events: list[BehaviorEvent]) -> None:
    bought: set[tuple[str, str | None]] = set()
    for event in events:
        if event.type == "purchase":
            bought.add((event.user_id, event.item_id))
        assert event.type != "return" or (event.user_id, event.item_id) in bought


def test_changing_users_really_change(shop: Shop, events: list[BehaviorEvent]) -> None:
    changing = {user.user_id: user for user in shop.users if user.changes_ms}
    assert 30 <= len(changing) <= 75
    before, after = Counter[bool](), Counter[bool]()
    for event in events:
        user = changing.get(event.user_id)
        if user and user.changes_ms and event.type in PRAISE and event.item_id:
            about_dropped = shop.topics_of(event.item_id)[0] == user.dropped_topic
            (before if event.event_time_ms < user.changes_ms else after)[about_dropped] += 1
    assert before[True] / before.total() > 0.3
    assert after[True] / after.total() < 0.05
    for user in changing.values():
        assert user.changes_ms is not None and user.dropped_topic is not None
        assert user.dropped_topic in shop.truth(user.user_id, user.changes_ms - 1)
        assert user.dropped_topic not in shop.truth(user.user_id, user.changes_ms)


def test_truth_is_a_distribution_over_topics(shop: Shop) -> None:
    for user in shop.users:
        for time_ms in (0, shop.start_ms, shop.end_ms):
            assert sum(shop.truth(user.user_id, time_ms).values()) == pytest.approx(1, abs=1e-3)


def test_consent_comes_before_anything_else_and_not_everyone_gives_it(stream: list[Timed]) -> None:
    first = {}
    for message in stream:
        first.setdefault(message.user_id, message)
    consents = [message for message in first.values() if isinstance(message, ConsentControl)]
    granted = sum(message.granted for message in consents)
    assert 0.7 < granted / len(first) < 0.9
    assert 0.04 < (len(consents) - granted) / len(first) < 0.18
    assert len(first) > len(consents), "some say nothing"
    assert all(message.purpose == "profile" for message in consents)


def test_one_or_two_erase_and_are_silent_after(stream: list[Timed]) -> None:
    erased = {message.user_id: message.issued_at_ms for message in stream if isinstance(message, EraseControl)}
    assert 1 <= len(erased) <= 4
    said = [message for message in stream if message.user_id in erased and not isinstance(message, EraseControl)]
    assert len(said) > 20
    assert all(time_of(message) < erased[message.user_id] for message in said)


def test_some_users_are_cold_and_some_declare_what_changed(
    shop: Shop, stream: list[Timed], events: list[BehaviorEvent]
) -> None:
    active = {event.user_id for event in events}
    cold = [m for m in stream if isinstance(m, UserAttributes) and m.user_id not in active]
    assert len(cold) >= 5 and all(message.tags or message.free_text for message in cold)
    controls = [m for m in stream if isinstance(m, EditControl | MuteControl)]
    assert {type(control) for control in controls} == {EditControl, MuteControl}
    users = {user.user_id: user for user in shop.users}
    for control in controls:
        topic = control.topic if isinstance(control, EditControl) else control.value
        assert topic_of_tag()[topic] == users[control.user_id].dropped_topic


def test_declared_tags_are_true_and_in_the_user_s_language(shop: Shop, stream: list[Timed]) -> None:
    declared = [message for message in stream if isinstance(message, UserAttributes) and message.tags]
    assert len(declared) > 50
    for message in declared:
        topics = [topic_of_tag()[tag] for tag in message.tags]
        assert set(topics) <= set(shop.truth(message.user_id, 0))
    assert {message.language for message in declared} == {"en", "zh"}
    assert any(message.free_text for message in stream if isinstance(message, UserAttributes))


@pytest.mark.parametrize(("language", "tags"), [("zh", ["运动", "科技", "旅游"]), ("en", ["sports", "technology", "travel"])])
def test_user_a_is_in_the_stream_as_the_design_says(stream: list[Timed], language: str, tags: list[str]) -> None:
    mine = [message for message in stream if message.user_id == f"user-a-{language}"]
    declared = next(message for message in mine if isinstance(message, UserAttributes))
    assert (declared.age, declared.gender, declared.tags, declared.language) == (25, "male", tags, language)
    browsed = [message.item_id for message in mine if isinstance(message, BehaviorEvent)]
    assert browsed == [f"item-{letter}-{language}" for letter in "bcd"]
    assert any(isinstance(message, ConsentControl) and message.granted for message in mine)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), users=st.integers(1, 12), events=st.integers(6, 300), days=st.integers(2, 30))
def test_any_small_shop_is_in_order_and_exact_or_refuses(seed: int, users: int, events: int, days: int) -> None:
    shop = Shop(seed, users, start_ms=DEFAULT_START_MS + seed * 977, days=days)
    stream: list[Timed] = []
    refused = ""
    try:
        stream = list(shop.simulate(events))
    except ConfigError as error:
        refused = str(error)
    if refused:
        assert "change the number of users or events" in refused
        return
    times = [time_of(message) for message in stream]
    assert times == sorted(times)
    assert sum(isinstance(message, BehaviorEvent) for message in stream) == events


@settings(max_examples=50)
@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.tuples(st.floats(0.01, 50), st.integers(0, 90)), max_size=8),
    st.integers(0, 100),
)
def test_shares_sum_to_the_total_and_respect_the_room(users: dict[str, tuple[float, int]], percent: int) -> None:
    room = {user: most for user, (_, most) in users.items()}
    total = sum(room.values()) * percent // 100
    counts = shares(total, {user: activity for user, (activity, _) in users.items()}, room)
    assert sum(counts.values()) == total
    assert all(0 <= counts[user] <= room[user] for user in users)


def test_too_many_events_are_refused_with_the_bounds() -> None:
    with pytest.raises(ConfigError, match="3 active users can do 6 to"):
        list(Shop(users=3).simulate(10_000_000))
    with pytest.raises(ConfigError, match="at least 2 days"):
        Shop(days=1)
