"""What is learned from: events, items with the vectors that text_encoder gives them, and what users declared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from consumers.catalog import item_text
from consumers.lists.features import demographics_of
from deploy.recs.interactions import Floats, Ints
from deploy.recs.recorded import RecordedData
from deploy.training.known_profiles import KnownProfiles
from schemas.errors import ConfigError
from schemas.messages import UserAttributes
from schemas.state import Attributes
from schemas.tensors import DEMOGRAPHICS_DIM

LEAST_ITEMS = 20
Encode = Callable[[Sequence[str]], Floats]
"""Texts to unit vectors, float32 [n, d]."""


@dataclass(frozen=True)
class Material:
    """Everything by the places of `recorded.interactions`: `item_vectors` [items, d], zeros for items that only events know.

    `tags_of` are places in `tag_vectors` [tags, d]; `demographics` [users, 4] are as user_encoder gets them, and `profiles`
    those that users had.
    """

    recorded: RecordedData
    item_vectors: Floats
    tags_of: Sequence[Ints]
    tag_vectors: Floats
    demographics: Floats
    profiles: KnownProfiles = field(default_factory=KnownProfiles)


def read_material(recorded: RecordedData, encode: Encode, profiles: KnownProfiles | None = None) -> Material:
    """Encode the items and tags of recorded data.

    Raises:
        ConfigError: it has too few items with a title to tell them apart.
    """
    items, item_ids = recorded.items, recorded.interactions.item_ids
    described = [place for place, item_id in enumerate(item_ids) if item_id in items]
    if len(described) < LEAST_ITEMS:
        raise ConfigError(
            f"{recorded.name} describes {len(described)} items; at least {LEAST_ITEMS} with a title are needed, as users are "
            "matched with what items say: add an `items` file (docs/data-layout.md)"
        )
    vectors = encode([item_text(items[item_ids[place]]) for place in described])
    item_vectors = np.zeros((len(item_ids), vectors.shape[1]), np.float32)
    item_vectors[described] = vectors
    tags = sorted({tag for item in items.values() for tag in item.tags})
    place_of = {tag: place for place, tag in enumerate(tags)}
    tags_of = [
        np.array([place_of[tag] for tag in (items[item_id].tags if item_id in items else ())], np.int32)
        for item_id in item_ids
    ]
    return Material(
        recorded,
        item_vectors,
        tags_of,
        encode(tags) if tags else np.zeros((0, vectors.shape[1]), np.float32),
        demographics(recorded.interactions.user_ids, recorded.attributes),
        profiles or KnownProfiles(),
    )


def demographics(user_ids: Sequence[str], attributes: Mapping[str, UserAttributes]) -> Floats:
    """Float32 [users, 4], zeros for a user who declared nothing."""
    found = np.zeros((len(user_ids), DEMOGRAPHICS_DIM), np.float32)
    for row, user_id in zip(found, user_ids, strict=True):
        if user_id in attributes:
            row[:] = demographics_of(Attributes(**attributes[user_id].model_dump(exclude={"user_id"})))
    return found
