"""What a demo sends: the demo shop, or a folder of real data."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from producers.dataset import open_dataset
from producers.replay import Timed, profile_consent
from producers.shop import Shop
from producers.shop_catalog import DAY_MS
from producers.shop_example import user_id
from schemas.messages import Item


@dataclass(frozen=True)
class Source:
    """Items first, then what users declared and allowed, then `events` in their order (`event_count` behaviour events)."""

    name: str
    seed: int
    items: list[Item]
    declared: list[Timed]
    events: Iterable[Timed]
    event_count: int
    shown_users: list[str] = field(default_factory=list)


def data_source(folder: Path, mapping: str | None, seed: int) -> Source:
    """A folder in the layout of docs/data-layout.md; every user is taken to agree to a profile, as the data has no consents.

    Raises:
        ConfigError: a file or column is missing.
    """
    dataset = open_dataset(folder, mapping)
    user_ids = dataset.user_ids()
    consents = [profile_consent(user_id, dataset.times.first_ms) for user_id in user_ids]
    return Source(
        name=dataset.folder.resolve().name,
        seed=seed,
        items=list(dataset.items()),
        declared=[*dataset.attributes(), *consents],
        events=dataset.events(),
        event_count=dataset.times.count,
    )


def shop_source(seed: int, users: int, events: int, days: int = 28) -> Source:
    """The demo shop's last `days` days, up to now; user A of the worked example comes first, in Chinese and in English.

    Raises:
        ConfigError: more events than so many users could live through.
    """
    shop = Shop(seed, users, start_ms=int(time.time() * 1000) - days * DAY_MS, days=days)
    return Source(
        name="demo shop",
        seed=seed,
        items=shop.items,
        declared=[],
        events=shop.simulate(events),
        event_count=events,
        shown_users=[user_id("zh"), user_id("en")],
    )
