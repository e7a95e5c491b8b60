"""Recorded events taken through the code of the live path: states by the fold, and what a profiler learns as it reads."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from consumers.catalogue import Catalogue
from consumers.encoded_users import EncodedUsers
from consumers.fold import fold
from consumers.lists.concepts import concepts_of
from consumers.lists.exploration import chance_of
from consumers.lists.features import user_features
from consumers.lists.list_rules import ListRules
from consumers.lists.lists import ListMaker
from consumers.lists.offered import Offered
from consumers.lists.tag_vectors import TagVectors
from consumers.meetings import learn_from
from deploy.evaluation.models import UserEncoder
from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.training.material import Encode, Material
from schemas.messages import EVENT_TYPES, BehaviorEvent, ItemVector
from schemas.settings import Settings
from schemas.state import UserState
from schemas.tensors import TEXT_ENCODER
from schemas.topics import BEHAVIOR_EVENTS, USER_ATTRIBUTES

EVENTS_PER_BATCH = 500


class Replayed:
    """All users after `events`, and the catalogue of a profiler that read them in the order of time.

    What users declared after the last event is not known yet, nor is a profile that was written later.
    `encode` knows what users declared. The list maker is the live one; the encoder runs in this process.
    """

    def __init__(self, events: Interactions, material: Material, settings: Settings, encode: Encode) -> None:
        self._events, self._settings = events, settings
        self.catalogue = catalogue_of(material)
        self.maker = ListMaker(ListRules.of(settings), self.catalogue, concepts=concepts_of(settings.profiler.concepts_file))
        self._tag_vectors = KnownVectors(encode)
        self.states = [UserState() for _ in events.user_ids]
        last_ms = int(events.times_ms.max(initial=0))
        for user, user_id in enumerate(events.user_ids):
            declared = material.recorded.attributes.get(user_id)
            if declared is not None and declared.updated_at_ms <= last_ms:
                fold(self.states[user], USER_ATTRIBUTES.name, declared, settings.fold)
            self.states[user].profile = material.profiles.before(user_id, last_ms)
        for batch in self._batches():
            self._take(batch)

    @cached_property
    def rows(self) -> "np.typing.NDArray[np.int64]":
        """The catalogue's row of each item by its place in the events' `item_ids`; -1 for one without metadata."""
        return self.catalogue.rows(self._events.item_ids)

    def offered(self, users: Ints, encoder: UserEncoder, now_ms: int) -> Offered:
        """What the live path would choose from for these users: few enough for one block."""
        states = [self.states[user] for user in users]
        vectors, expected, _ = self.encoded(states, encoder)
        seeds = [chance_of(self._events.user_ids[user], self.states[user].version) for user in users]
        [found] = self.maker.offered(states, vectors, now_ms, seeds, expected)
        return found

    def encoded(self, states: Sequence[UserState], encoder: UserEncoder) -> EncodedUsers:
        """What the encoder says of them."""
        return encoder.encode(user_features(states, self.catalogue, self._tag_vectors))

    def _batches(self) -> list[Ints]:
        order = np.argsort(self._events.times_ms, kind="stable")
        return [order[start : start + EVENTS_PER_BATCH] for start in range(0, len(order), EVENTS_PER_BATCH)]

    def _take(self, batch: Ints) -> None:
        """One micro-batch: fold, then learn from each user's part, as the profiler does."""
        taken: defaultdict[int, list[BehaviorEvent]] = defaultdict(list)
        for place in batch.tolist():
            user, event = int(self._events.users[place]), event_at(self._events, place)
            if fold(self.states[user], BEHAVIOR_EVENTS.name, event, self._settings.fold):
                taken[user].append(event)
        learnt = ((events, self.states[user]) for user, events in taken.items())
        learn_from(learnt, self.catalogue, self._settings.fold.type_weights)


class KnownVectors(TagVectors):
    """Texts are encoded when they are asked for: here nobody waits."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._known: dict[str, Floats] = {}

    def lookup(self, texts: Sequence[str]) -> "dict[str, np.typing.NDArray[np.float32]]":
        """The vectors of all of them."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._encode(new), strict=True))
        return {text: self._known[text] for text in dict.fromkeys(texts)}


def event_at(events: Interactions, place: int) -> BehaviorEvent:
    """A recorded event as the message it was."""
    value = float(events.values[place])
    return BehaviorEvent.model_construct(
        event_id=str(place),
        user_id=events.user_ids[events.users[place]],
        item_id=events.item_ids[events.items[place]],
        type=EVENT_TYPES[events.types[place] - 1],
        event_time_ms=int(events.times_ms[place]),
        value=None if np.isnan(value) else value,
        text=None,
        surface=None,
        domain=None,
        session_id=None,
    )


def catalogue_of(material: Material) -> Catalogue:
    """The items with their vectors, and nothing learnt of them yet."""
    catalogue = Catalogue(material.item_vectors.shape[1])
    for item_id, vector in zip(material.recorded.interactions.item_ids, material.item_vectors, strict=True):
        if item_id in material.recorded.items and vector.any():
            catalogue.put_item(material.recorded.items[item_id])
            catalogue.put_vector(
                ItemVector(item_id=item_id, vector=vector.tolist(), model_name=TEXT_ENCODER.name, model_version="1")
            )
    return catalogue
