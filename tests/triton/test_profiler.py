"""The profiler on a real broker and a real Triton: lists, late items, consent and erasure, as a subscriber sees them."""

import time
import uuid
from collections.abc import Iterator

import pytest

from consumers.catalog import Catalog
from consumers.inference import InferenceClient
from consumers.profiler import Profiler
from deploy.local.stack import LocalStack
from deploy.reading import decoded, read_all
from producers.publisher import Publisher
from schemas.messages import (
    BehaviorEvent,
    Cause,
    ConsentControl,
    EraseControl,
    Item,
    MuteControl,
    ProfileRequest,
    Recommendations,
    Statement,
    UserAttributes,
    UserProfile,
)
from schemas.settings import RuntimeSettings, Settings
from schemas.topics import (
    BEHAVIOR_EVENTS,
    ITEMS,
    PROFILE_REQUESTS,
    RECOMMENDATIONS,
    USER_ATTRIBUTES,
    USER_CONTROLS,
    USER_PROFILES,
    USER_STATE,
    Topic,
)
from tests.broker.test_runtime import running

WAIT_S = 60.0
NEW_ITEM_WITHIN_MS = 5_000
SHOWN_FOR_MS = 10_000
LISTS_AFTER = 3


def now_ms() -> int:
    return int(time.time() * 1000)


class Site:
    """What a product team does and sees: sends messages, reads the newest output of a user."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.user_id = f"user-{uuid.uuid4().hex[:12]}"

    def send(self, topic: Topic, key: str, message: object) -> None:
        with Publisher(self.settings.kafka) as publisher:
            publisher.send(topic, key, message)  # type: ignore[arg-type]

    def view(self, item_id: str, number: int = 0) -> None:
        event = BehaviorEvent(
            event_id=f"{self.user_id}-{item_id}-{number}", user_id=self.user_id, item_id=item_id, type="like",
            event_time_ms=now_ms(),
        )  # fmt: skip
        self.send(BEHAVIOR_EVENTS, self.user_id, event)

    def control(self, message: ConsentControl | EraseControl | MuteControl) -> None:
        self.send(USER_CONTROLS, self.user_id, message)

    def consent(self, purpose: str, granted: bool) -> None:
        control = ConsentControl(user_id=self.user_id, issued_at_ms=now_ms(), purpose=purpose, granted=granted)  # type: ignore[arg-type]
        self.control(control)

    def outputs(self, topic: Topic) -> list[object]:
        records = read_all(self.settings.kafka, [topic], key=self.user_id)
        own = [record for record in records if record.key == self.user_id.encode()]
        if topic is USER_STATE:
            return [record.value for record in own]
        return [decoded(record, self.settings.fold)[1] for record in own]

    def lists(self) -> list[Recommendations]:
        return [found for found in self.outputs(RECOMMENDATIONS) if isinstance(found, Recommendations)]

    def like_until(self, item_id: str, condition: object, timeout_s: float = WAIT_S) -> list[Recommendations]:
        """Like an item again and again, as someone who is browsing, until all lists written so far are as waited for."""
        assert callable(condition)
        deadline, number = time.monotonic() + timeout_s, int(time.monotonic() * 1000)
        while time.monotonic() < deadline:
            number += 1
            self.view(item_id, number)
            if condition(found := self.lists()):
                return found
            time.sleep(0.2)
        raise AssertionError(f"{found[-1:]} is not what was waited for")

    def await_output(self, topic: Topic, condition: object, timeout_s: float = WAIT_S) -> object:
        assert callable(condition)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = self.outputs(topic)
            if found and condition(found[-1]):
                return found[-1]
            time.sleep(0.3)
        raise AssertionError(f"{topic.name}: {found[-1:]} is not what was waited for")


@pytest.fixture(scope="module")
def site_settings(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    runtime = RuntimeSettings(folder=tmp_path_factory.mktemp("workers"), replica=uuid.uuid4().hex)
    settings = stack.settings.model_copy(update={"runtime": runtime})
    topics = [
        ("sports", "A running shoe for wet roads"),
        ("cooking", "A cast iron pan that lasts"),
        ("travel", "A light tent"),
    ]
    with running(Catalog(InferenceClient(settings.triton)), settings), running(profiler(settings), settings):  # type: ignore[arg-type]
        site = Site(settings)
        for tag, title in topics:
            for number in range(6):
                item = Item(item_id=f"p-{tag}-{number}", domain="ecommerce", title=f"{title}, model {number}", tags=[tag])
                site.send(ITEMS, item.item_id, item)
        yield settings


def profiler(settings: Settings) -> Profiler:
    return Profiler(InferenceClient(settings.triton), settings)


@pytest.fixture
def site(site_settings: Settings) -> Site:
    return Site(site_settings)


def tags_of(found: object) -> list[str]:
    assert isinstance(found, Recommendations)
    return [item.item_id.split("-")[1] for item in found.items]


def shows(found: Recommendations, item_id: str) -> bool:
    return item_id in {item.item_id for item in found.items}


def test_a_list_follows_the_taste_and_never_shows_what_was_seen_or_muted(site: Site) -> None:
    site.view("p-cooking-0")
    found = site.await_output(
        RECOMMENDATIONS, lambda r: r is not None and len(r.items) >= 5 and tags_of(r)[:3] == ["cooking"] * 3
    )
    assert "p-cooking-0" not in {item.item_id for item in found.items}  # type: ignore[attr-defined]
    site.control(MuteControl(user_id=site.user_id, issued_at_ms=now_ms(), target="tag", value="cooking"))
    site.await_output(RECOMMENDATIONS, lambda r: r is not None and r.items and "cooking" not in tags_of(r))


def test_an_event_on_an_unknown_item_counts_once_the_item_arrives(site: Site) -> None:
    late = f"late-{uuid.uuid4().hex[:8]}"
    site.view(late)
    before = site.await_output(RECOMMENDATIONS, lambda r: r is not None)
    site.send(ITEMS, late, Item(item_id=late, domain="ecommerce", title="A backpack for long hikes", tags=["travel"]))
    after = site.await_output(RECOMMENDATIONS, lambda r: r is not None and r.generated_at_ms > before.generated_at_ms)  # type: ignore[attr-defined]
    assert tags_of(after)[0] == "travel"


def test_a_new_item_is_in_a_list_within_five_seconds(site: Site) -> None:
    site.view("p-cooking-1")
    site.await_output(RECOMMENDATIONS, lambda r: r is not None)
    new = f"new-cooking-{uuid.uuid4().hex[:8]}"
    sent_ms = now_ms()
    site.send(ITEMS, new, Item(item_id=new, domain="ecommerce", title="A cast iron pan, just in", tags=["cooking"]))
    lists = site.like_until("p-cooking-1", lambda lists: any(shows(one, new) for one in lists))
    first_ms = next(one.generated_at_ms for one in lists if shows(one, new))
    assert first_ms - sent_ms <= NEW_ITEM_WITHIN_MS


def test_an_item_is_in_no_list_after_it_has_expired(site: Site) -> None:
    offer, ends_ms = f"offer-cooking-{uuid.uuid4().hex[:8]}", now_ms() + SHOWN_FOR_MS
    item = Item(
        item_id=offer, domain="ecommerce", title="A cast iron pan, today only", tags=["cooking"], available_until_ms=ends_ms
    )
    site.send(ITEMS, offer, item)
    site.like_until("p-cooking-2", lambda lists: any(shows(one, offer) for one in lists), SHOWN_FOR_MS / 1000)

    def enough(lists: list[Recommendations]) -> bool:
        return sum(one.generated_at_ms >= ends_ms for one in lists) >= LISTS_AFTER

    after = [one for one in site.like_until("p-cooking-2", enough) if one.generated_at_ms >= ends_ms]
    assert all(one.items for one in after) and not any(shows(one, offer) for one in after)


def test_no_consent_no_profile_and_a_withdrawal_takes_it_back(site: Site) -> None:
    site.send(
        USER_ATTRIBUTES, site.user_id, UserAttributes(user_id=site.user_id, updated_at_ms=now_ms(), tags=["sports"], age=30)
    )
    site.await_output(RECOMMENDATIONS, lambda r: r is not None)
    assert not site.outputs(PROFILE_REQUESTS)
    site.consent("profile", True)
    request = site.await_output(PROFILE_REQUESTS, lambda r: isinstance(r, ProfileRequest))
    assert isinstance(request, ProfileRequest)
    assert {statement.topic for statement in request.statements} >= {"sports", "age"}
    site.consent("profile", False)
    site.await_output(USER_PROFILES, lambda profile: profile is None)
    site.await_output(PROFILE_REQUESTS, lambda r: r is None)


def test_a_profile_nobody_consented_to_is_met_with_a_tombstone(site: Site) -> None:
    cause = Cause(topic="t", partition=0, offset=0, record_time_ms=0, waiting_since_ms=0)
    statement = Statement(topic="sports", stance="likes", strength=0.5, evidence=["field:tags"])
    profile = UserProfile(
        user_id=site.user_id, request_id="r", language="en", state_version=0, event_count=0, statements=[statement],
        summary=[], text_vector=[], model_name="plain", model_version="1", generated_at_ms=now_ms(), requested_at_ms=now_ms(),
        cause=cause,
    )  # fmt: skip
    site.send(USER_PROFILES, site.user_id, profile)
    site.await_output(USER_PROFILES, lambda found: found is None)


def test_erasure_leaves_tombstones_everywhere_and_an_empty_state(site: Site) -> None:
    site.send(USER_ATTRIBUTES, site.user_id, UserAttributes(user_id=site.user_id, updated_at_ms=now_ms(), tags=["travel"]))
    site.consent("profile", True)
    site.view("p-travel-1")
    site.await_output(PROFILE_REQUESTS, lambda r: isinstance(r, ProfileRequest))
    site.await_output(RECOMMENDATIONS, lambda r: r is not None)
    site.control(EraseControl(user_id=site.user_id, issued_at_ms=now_ms()))
    for topic in (USER_STATE, USER_PROFILES, RECOMMENDATIONS, USER_ATTRIBUTES, PROFILE_REQUESTS):
        site.await_output(topic, lambda found: found is None)
