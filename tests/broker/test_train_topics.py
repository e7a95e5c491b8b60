"""What `portrait train` reads from the topics: a folder in Parquet, without those who may not be learned from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.stack import LocalStack, local_stack
from deploy.recs.recorded import from_dataset
from deploy.topics import ensure_topics
from deploy.training.known_profiles import KnownProfiles
from deploy.training.replayed import event_at
from deploy.training.topics_folder import write_topics
from producers.dataset import open_dataset
from producers.publisher import Publisher
from schemas.errors import ConfigError
from schemas.messages import ConsentControl, EraseControl, Item
from schemas.settings import KafkaSettings, Settings
from schemas.topics import BEHAVIOR_EVENTS, ITEMS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES
from tests.conftest import fresh_settings
from tests.unit.test_evaluation_checks import profile
from tests.unit.training_cases import EVENTS, USERS, recorded

NOW_MS = 1_750_000_000_000


@pytest.fixture(scope="module")
def kafka(needs_java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A broker of its own: what others send must not be learned from."""
    with local_stack(tmp_path_factory.mktemp("kafka"), fresh_settings(), triton=False) as stack:
        ensure_topics(stack.settings)
        yield stack


def test_topics_become_a_folder_without_the_erased_and_those_who_withdrew(kafka: LocalStack, tmp_path: Path) -> None:
    world = recorded()
    events = [event_at(world.interactions, place) for place in range(len(world.interactions))]
    with Publisher(kafka.settings.kafka) as publisher:
        for item in world.items.values():
            until_ms = NOW_MS if item.item_id == "0-1" else None
            publisher.send(ITEMS, item.item_id, item.model_copy(update={"available_until_ms": until_ms}))
        gone = Item(item_id="gone", domain="video", title="It is gone", tags=["a|b", "c"])
        publisher.send(ITEMS, "gone", gone)
        publisher.send_raw(ITEMS, b"gone", None)
        publisher.send(USER_ATTRIBUTES, "u0", world.attributes["u0"].model_copy(update={"free_text": "I like\ntents, 帐篷"}))
        publisher.send(USER_ATTRIBUTES, "u1", world.attributes["u0"].model_copy(update={"user_id": "u1"}))
        for event in events:
            publisher.send(BEHAVIOR_EVENTS, event.user_id, event)
        for user_id in ("u0", "u1", "u2"):
            publisher.send(USER_PROFILES, user_id, profile("Likes films.").model_copy(update={"user_id": user_id}))
        publisher.send_raw(BEHAVIOR_EVENTS, b"u0", b"no event")
        publisher.flush()
        publisher.send(USER_CONTROLS, "u1", EraseControl(user_id="u1", issued_at_ms=NOW_MS))
        for user_id, granted in (("u2", False), ("u3", False), ("u3", True)):
            consent = ConsentControl(user_id=user_id, issued_at_ms=NOW_MS, purpose="recommendations", granted=granted)
            publisher.send(USER_CONTROLS, user_id, consent)
        publisher.flush()
        again = events[0].model_copy(update={"user_id": "u1", "event_id": "after"})
        publisher.send(BEHAVIOR_EVENTS, "u1", again)
    found = from_dataset(open_dataset(write_topics(kafka.settings, tmp_path / "topics")))
    counts = {user_id: int(count) for user_id, count in zip(found.interactions.user_ids, counts_of(found), strict=True)}
    assert counts.pop("u1") == 1  # what came after the erasure is a new user's
    assert "u2" not in counts and set(counts.values()) == {EVENTS}
    assert len(counts) == USERS - 2 and found.bad_rows == 0
    assert set(found.items) == set(world.items)
    assert found.items["0-1"].tags == world.items["0-1"].tags and found.items["0-1"].title == world.items["0-1"].title
    assert set(KnownProfiles.of_topics(kafka.settings).by_user) == {"u0"}
    assert set(found.attributes) == {"u0"}
    assert found.attributes["u0"].updated_at_ms == world.attributes["u0"].updated_at_ms
    assert (found.attributes["u0"].age, found.attributes["u0"].gender) == (30, "female")
    assert found.attributes["u0"].free_text == "I like\ntents, 帐篷"
    assert (found.items["0-1"].available_until_ms, found.items["0-2"].available_until_ms) == (NOW_MS, None)
    assert found.interactions.times_ms.min() == world.interactions.times_ms.min()


def counts_of(found: object) -> list[int]:
    bounds = found.interactions.bounds()  # type: ignore[attr-defined]
    return (bounds[1:] - bounds[:-1]).tolist()


def test_without_kafka_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="portrait up"):
        write_topics(Settings(kafka=KafkaSettings()), tmp_path)
