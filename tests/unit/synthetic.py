"""Small catalogues and users whose right answer is known."""

from collections.abc import Mapping, Sequence

import numpy as np

from consumers.catalogue import Catalogue, Floats
from consumers.lists.lists import ListRules
from consumers.statements.interests import InterestRules
from schemas.messages import Item, ItemVector
from schemas.settings import FoldSettings
from schemas.state import HistoryEvent, UserState

NOW_MS = 1_760_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DIM = 8
TOPICS = ("sports", "travel", "cooking", "music")
TYPE_WEIGHTS: dict[str, float] = {name: weight for name, weight in FoldSettings().type_weights.items()}
RULES = InterestRules(TYPE_WEIGHTS, half_life_h=24.0 * 14)


def list_rules(top_k: int = 5, diversity: float = 0.15) -> ListRules:
    return ListRules(top_k, RULES, diversity=diversity)


def topic_vector(topic: str, wobble: float = 0.0) -> list[float]:
    """The topic's own axis; `wobble` tilts it so that items of a topic differ."""
    vector = [0.0] * DIM
    vector[TOPICS.index(topic)] = 1.0
    vector[4 + TOPICS.index(topic)] = wobble
    return vector


def item(item_id: str, topic: str = "sports", **fields: object) -> Item:
    given = {"domain": "news", "title": f"All about {item_id}", "tags": [topic], "published_at_ms": NOW_MS - 90 * DAY_MS}
    return Item.model_validate({"item_id": item_id, **given, **fields})


def vector(item_id: str, values: Sequence[float]) -> ItemVector:
    return ItemVector(item_id=item_id, vector=list(values), model_name="text_encoder", model_version="1")


def add(catalogue: Catalogue, entry: Item, values: Sequence[float]) -> None:
    catalogue.put_item(entry)
    catalogue.put_vector(vector(entry.item_id, values))


def history_vectors(features: Mapping[str, np.ndarray]) -> np.ndarray:
    """The vector of each event in user_encoder's tensors, [users, L, d]."""
    vectors = features["ITEM_VECTORS"].reshape(-1, features["ITEM_VECTORS"].shape[-1])
    return np.pad(vectors, ((1, 0), (0, 0)))[features["HISTORY_PLACES"]]


def shop(per_topic: int = 10) -> Catalogue:
    """Items sports-0, sports-1, … travel-0, … each beside its topic's axis."""
    catalogue = Catalogue(DIM)
    for topic in TOPICS:
        for number in range(per_topic):
            add(catalogue, item(f"{topic}-{number}", topic), topic_vector(topic, 0.1 * number))
    return catalogue


def event(item_id: str | None, kind: str = "view", hours_ago: float = 1.0, value: float | None = None) -> HistoryEvent:
    time_ms = NOW_MS - round(hours_ago * HOUR_MS)
    return HistoryEvent(time_ms, f"e-{item_id}-{kind}-{hours_ago}", item_id, kind, value)


def user(*events: HistoryEvent, **fields: object) -> UserState:
    return UserState(version=1, events=sorted(events, key=lambda one: (one.event_time_ms, one.event_id)), **fields)  # type: ignore[arg-type]


def unit(values: Sequence[float]) -> Floats:
    found = np.asarray(values, np.float32)
    return found / max(float(np.linalg.norm(found)), 1e-9)


def vectors_of(*values: Sequence[float]) -> Floats:
    return np.stack([unit(one) for one in values])


NOBODY = [0.0] * DIM
