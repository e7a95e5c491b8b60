"""What a replay of the refresh gate takes: messages in order of time, the catalogue, and the demo shop's true changes."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from consumers.catalogue import Catalogue, Floats
from producers.dataset import Dataset, open_dataset
from producers.replay import profile_consent
from producers.shop import Shop, Timed, time_of
from producers.shop_catalog import LANGUAGES, TOPICS, topic_of_tag
from schemas.messages import BehaviorEvent, ConsentControl, Item, ItemVector
from schemas.tensors import EMBEDDING_DIM


@dataclass(frozen=True)
class Change:
    """A true change of a user's interests: at `changes_ms` one topic is gone and another stands in its place."""

    changes_ms: int
    dropped: str
    fresh: str

    def is_shown_by(self, topics: Sequence[str], themes: bool = True) -> bool:
        """Whether a text with these statement topics likes the fresh topic, by its tag or a theme's, and not the dropped.

        Without `themes` a liked theme of the dropped topic (hiking of outdoors) is let pass, and only its own tag is not.
        """
        tags = [topic.removeprefix("likes:") for topic in topics if topic.startswith("likes:")]
        dropped = {TOPICS[self.dropped].tag(language) for language in LANGUAGES}
        asserted = any(topic_of_tag().get(tag) == self.dropped for tag in tags) if themes else not dropped.isdisjoint(tags)
        return not asserted and self.fresh in {topic_of_tag().get(tag) for tag in tags}


@dataclass(frozen=True)
class Material:
    """`changes` by user id: of those users of the shop who agreed to a profile and keep it."""

    name: str
    catalogue: Catalogue
    messages: list[Timed]
    changes: dict[str, Change] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """How many behaviour events there are."""
        return sum(isinstance(message, BehaviorEvent) for message in self.messages)

    @property
    def events_of_agreeing(self) -> int:
        """Events of the users who agree to a profile."""
        agreeing = {message.user_id for message in self.messages if isinstance(message, ConsentControl) and message.granted}
        return sum(isinstance(message, BehaviorEvent) and message.user_id in agreeing for message in self.messages)

    @property
    def users(self) -> int:
        """Users who do something."""
        return len({message.user_id for message in self.messages if isinstance(message, BehaviorEvent)})


def shop_material(seed: int, users: int, events: int, vectors: Path | None) -> Material:
    """The demo shop with this many users and events, both languages."""
    shop = Shop(seed, users)
    changes = {}
    for user in shop.users:
        if user.consent and user.changes_ms and user.dropped_topic and user.erased_ms is None:
            before, after = user.interests[0][1], user.interests[1][1]
            fresh = next(topic for topic in after if topic not in before)
            changes[user.user_id] = Change(user.changes_ms, user.dropped_topic, fresh)
    return Material("shop", catalogue_of(shop.items, vectors), list(shop.simulate(events)), changes)


def movielens_material(folder: Path, seed: int, users: int, vectors: Path | None) -> Material:
    """A data folder such as MovieLens 100K: this many of its users, drawn by seed, or all (0).

    Everyone is taken to agree to a profile, as the data has no consents.
    """
    dataset = open_dataset(folder)
    return Material("movielens", catalogue_of(list(dataset.items()), vectors), movielens_messages(dataset, seed, users))


def movielens_messages(dataset: Dataset, seed: int, users: int = 0) -> list[Timed]:
    """What users of a data folder declare and do, and their consent to a profile, in order of time; `users` 0 is all."""
    user_ids = sorted(dataset.user_ids())
    chosen = set(random.Random(seed).sample(user_ids, min(users, len(user_ids))) if users else user_ids)
    messages: list[Timed] = [*dataset.attributes()]
    messages += [profile_consent(user_id, dataset.times.first_ms) for user_id in user_ids]
    return sorted((message for message in chain(messages, dataset.events()) if message.user_id in chosen), key=time_of)


def catalogue_of(items: Sequence[Item], vectors: Path | None) -> Catalogue:
    """The catalogue with vectors from an .npz file of `ids` and `vectors`, or drawn ones.

    A drawn vector is the sum of a direction for each tag and one of the item's own: items are as alike as their tags.
    """
    catalogue = Catalogue()
    known = _read(vectors) if vectors is not None else {}
    for item in items:
        vector = known.get(item.item_id)
        if vector is None:
            vector = sum((_direction(f"tag {tag}") for tag in item.tags), start=_direction(f"item {item.item_id}"))
        catalogue.put_item(item)
        catalogue.put_vector(
            ItemVector(item_id=item.item_id, vector=vector.tolist(), model_name="text_encoder", model_version="0")
        )
    return catalogue


def _read(path: Path) -> dict[str, Floats]:
    stored = np.load(path)
    return dict(zip(stored["ids"].tolist(), stored["vectors"], strict=True))


_directions: dict[str, Floats] = {}


def _direction(name: str) -> Floats:
    """A direction of its own for each name, always the same."""
    if name not in _directions:
        source = random.Random(name)
        _directions[name] = np.array([source.gauss(0, 1) for _ in range(EMBEDDING_DIM)], np.float32)
    return _directions[name]
