"""After a restart, and on another machine, lists have what is popular and what goes together without a new event on it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumers.profiler import Profiler
from deploy.local.stack import LocalStack, local_stack
from deploy.reading import decoded, read_all
from deploy.topics import ensure_topics
from producers.publisher import Publisher
from schemas.messages import BehaviorEvent, Item, ItemVector, Recommendations
from schemas.metrics import USERS_RELEARNT
from schemas.settings import ProfilerSettings, RuntimeSettings, Settings
from schemas.topics import BEHAVIOR_EVENTS, ITEM_VECTORS, ITEMS, RECOMMENDATIONS
from tests.broker.fault_case import until
from tests.broker.test_runtime import running
from tests.conftest import fresh_settings
from tests.unit.test_profiler import AXES, Models, axis

USERS = [f"user-{number}" for number in range(40)]
"""All like music-0 after sports-0, but the last, who liked sports-0 alone."""


class FastPath(Models):
    """In place of Triton."""

    def wait_ready(self, models: object, budget_s: float) -> None: ...


@pytest.fixture(scope="module")
def stack(needs_java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A broker of our own: its changelog must hold nothing but true states."""
    with local_stack(tmp_path_factory.mktemp("anew"), fresh_settings(), triton=False) as stack:
        ensure_topics(stack.settings)
        with Publisher(stack.settings.kafka) as publisher:
            for tag in AXES:
                for number in range(5):
                    send_item(publisher, f"{tag}-{number}", tag)
        yield stack


@pytest.fixture(scope="module")
def folder(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the first worker, which has read everything and stopped."""
    folder = tmp_path_factory.mktemp("project")
    with profiler(stack, folder, "0") as settings:
        like(settings, "sports-0", *USERS)
        like(settings, "music-0", *USERS[:-1])
        until(lambda: all(newest_versions(settings).get(user_id) == 2 for user_id in USERS[:-1]), "the lists of all")
    return folder


@contextmanager
def profiler(stack: LocalStack, folder: Path, replica: str) -> Iterator[Settings]:
    runtime = RuntimeSettings(folder=folder, replica=replica)
    settings = stack.settings.model_copy(update={"runtime": runtime, "profiler": ProfilerSettings(top_k=20)})
    with running(Profiler(FastPath(), settings), settings):  # type: ignore[arg-type]
        yield settings


def send_item(publisher: Publisher, item_id: str, tag: str) -> None:
    publisher.send(ITEMS, item_id, Item(item_id=item_id, domain="video", title=f"About {item_id}", tags=[tag]))
    vector = ItemVector(item_id=item_id, vector=axis(tag), model_name="text_encoder", model_version="1")
    publisher.send(ITEM_VECTORS, item_id, vector)


def like(settings: Settings, item_id: str, *user_ids: str) -> None:
    with Publisher(settings.kafka) as publisher:
        for user_id in user_ids:
            event = BehaviorEvent(
                event_id=f"{user_id}-{item_id}-{time.time_ns()}", user_id=user_id, item_id=item_id, type="like",
                event_time_ms=int(time.time() * 1000),
            )  # fmt: skip
            publisher.send(BEHAVIOR_EVENTS, user_id, event)


def newest_lists(settings: Settings) -> dict[str, Recommendations]:
    messages = [decoded(record, settings.fold)[1] for record in read_all(settings.kafka, [RECOMMENDATIONS])]
    return {message.user_id: message for message in messages if isinstance(message, Recommendations)}


def newest_versions(settings: Settings) -> dict[str, int]:
    return {user_id: found.state_version for user_id, found in newest_lists(settings).items()}


def sources(settings: Settings, user_id: str, version: int) -> dict[str, list[str]]:
    until(lambda: newest_versions(settings).get(user_id) == version, "a list")
    return {item.item_id: item.sources for item in newest_lists(settings)[user_id].items}


@pytest.mark.parametrize("replica", ["0", "on-another-machine"])
def test_a_fresh_process_knows_what_was_popular_and_went_together(
    stack: LocalStack, folder: Path, tmp_path: Path, replica: str
) -> None:
    newcomer, relearnt = f"newcomer-{replica}", USERS_RELEARNT._value.get()
    version = newest_versions(stack.settings)[USERS[-1]]
    with profiler(stack, folder if replica == "0" else tmp_path, replica) as settings:
        until(lambda: USERS_RELEARNT._value.get() >= relearnt + len(USERS), "all users' part")
        like(settings, "travel-1", newcomer)
        met_by_newcomer = sources(settings, newcomer, 1)
        assert "popular" in met_by_newcomer["music-0"] and "popular" in met_by_newcomer["sports-0"]
        like(settings, "travel-2", USERS[-1])
        met_by_known = sources(settings, USERS[-1], version + 1)
        assert "neighbour" in met_by_known["music-0"] and "neighbour" not in met_by_known["music-1"]
