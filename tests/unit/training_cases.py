"""A small world to train on: users walk through groups of items, and what an item says tells its group."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.recs.interactions import Floats
from deploy.recs.ours.network import NetworkShape
from deploy.recs.ours.network_training import Schedule
from deploy.recs.recorded import RecordedData
from deploy.training.learning import Recipe
from deploy.training.material import Material, read_material
from schemas.messages import Item, UserAttributes
from schemas.tensors import DEMOGRAPHICS_DIM, EMBEDDING_DIM
from tests.unit.recommendation_cases import ordered

GROUPS, EACH, USERS, EVENTS = 5, 24, 150, 8
ROUND = 4
"""Items after which users begin again, where they do."""
DAY_MS = 86_400_000
QUICK = Recipe(
    NetworkShape(dim=32, layers=1, heads=1, dropout=0.1, length=10),
    Schedule(epochs=20, patience=20, learning_rate=1e-2, warm_up_steps=5),
)


def encode(texts: Sequence[str]) -> Floats:
    """Unit vectors: texts with a word of a group are near each other."""
    found = []
    for text in texts:
        own = _direction(text)
        for group in range(GROUPS):
            if f"group{group}" in text:
                own = own + 4 * _direction(f"group{group}")
        found.append(own / np.linalg.norm(own))
    return np.array(found, np.float32).reshape(len(texts), EMBEDDING_DIM)


def _direction(text: str) -> Floats:
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")
    direction = np.random.default_rng(seed).normal(size=EMBEDDING_DIM)
    return (direction / np.linalg.norm(direction)).astype(np.float32)


def item(group: int, number: int) -> Item:
    name = f"{group}-{number}"
    return Item(item_id=name, domain="video", title=f"Film {name} of group{group}", tags=[f"group{group}"])


def recorded(repeats: bool = False) -> RecordedData:
    """Each user takes the items of one group in their order, from anywhere in it: what comes next is certain.

    With `repeats` each user takes the same few again and again.
    """
    random = np.random.default_rng(4)
    users, items, times = [], [], []
    for user in range(USERS):
        group, start = int(random.integers(GROUPS)), int(random.integers(EACH))
        for step in range(EVENTS):
            users.append(f"u{user}")
            items.append(f"{group}-{(start + (step % ROUND if repeats else step)) % EACH}")
            times.append(1_700_000_000_000 + step * DAY_MS)
    catalogue = {one.item_id: one for one in (item(group, number) for group in range(GROUPS) for number in range(EACH))}
    item_ids = sorted(catalogue)
    declared = UserAttributes(user_id="u0", updated_at_ms=1_700_000_000_000, age=30, gender="female")
    return RecordedData(
        name="walks",
        source="made up",
        interactions=ordered(users, items, times, types=["play"] * len(users), item_ids=item_ids),
        texts=[catalogue[item_id].title for item_id in item_ids],
        tags=[catalogue[item_id].tags for item_id in item_ids],
        has_times=True,
        items=catalogue,
        attributes={"u0": declared},
    )


def material(repeats: bool = False) -> Material:
    return read_material(recorded(repeats), encode)


def nobody(users: int, length: int) -> dict[str, npt.NDArray[Any]]:
    """The tensors of user_encoder for users of whom nothing is known, to be filled in; each event has a vector of its own."""
    return {
        "ITEM_VECTORS": np.zeros((users, length, EMBEDDING_DIM), np.float16),
        "HISTORY_PLACES": np.arange(1, users * length + 1, dtype=np.int32).reshape(users, length),
        "HISTORY_ITEMS": np.zeros((users, length), np.int64),
        "HISTORY_TYPES": np.zeros((users, length), np.int32),
        "HISTORY_AGES": np.zeros((users, length), np.float32),
        "HISTORY_VALUES": np.full((users, length), np.nan, np.float32),
        "TAG_VECTOR": np.zeros((users, EMBEDDING_DIM), np.float32),
        "PROFILE_VECTOR": np.zeros((users, EMBEDDING_DIM), np.float32),
        "DEMOGRAPHICS": np.zeros((users, DEMOGRAPHICS_DIM), np.float32),
    }
