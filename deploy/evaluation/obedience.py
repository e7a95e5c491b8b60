"""Users who take something back, edit or mute: what their next profile and list make of it."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

import numpy as np

from consumers.lists.features import user_features
from consumers.lists.lists import ListRules, make_lists
from consumers.lists.tag_vectors import TagVectors
from deploy.evaluation.evidence_check import same
from deploy.evaluation.models import Floats, TextEncoder, UserEncoder
from deploy.evaluation.people import Life, Person, Place, items_by_tag
from deploy.evaluation.text_check import find_names, folded, is_negated, names_of
from schemas.messages import (
    BehaviorEvent,
    EditControl,
    EventType,
    Language,
    Message,
    MuteControl,
    ProfileRequest,
    RecommendedItem,
    UserAttributes,
    UserProfile,
)
from schemas.state import decode_state, encode_state

Way = Literal["free_text", "comment", "edit", "mute", "not_interested", "dislike", "return"]
WAYS: tuple[Way, ...] = ("free_text", "comment", "edit", "mute", "not_interested", "dislike", "return")
Order = Literal["mute_tag", "mute_item", "edit_not_interested", "edit_interested"]
ORDERS: tuple[Order, ...] = ("mute_tag", "mute_item", "edit_not_interested", "edit_interested")
REFUSALS = 3
"""Clear refusals in a row that take an interest back: so docs/statements.md promises."""
PATIENCE = 20
"""Events in which the refresh gate must have asked for a text."""
MINUTE_MS = 60_000

SAID: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "I'm no longer interested in {}.",
        "I am not into {} any more.",
        "I used to love {}, but I have lost interest in it.",
        "I don't like {} anymore.",
        "No longer a fan of {}!",
    ),
    "zh": ("我对{}不再感兴趣了。", "不再喜欢{}了。", "以前喜欢{}，现在没兴趣了。", "我已经不喜欢{}了。", "对{}没有兴趣了！"),
}


@dataclass(frozen=True)
class Case:
    """A user who does something about `name`, a tag or an item's title, and the request for a text that follows.

    `request` is None when the refresh gate asked for none within PATIENCE events.
    """

    way: str
    language: Language
    name: str
    life: Life
    request: ProfileRequest | None
    waited: int = 0
    item_id: str | None = None


def copied(life: Life, profile: UserProfile) -> Life:
    """The user with the profile read, for something to be tried on."""
    made = Life(life.user_id, life.place, decode_state(encode_state(life.state)), life._taken)
    made.fold(profile)
    return made


def reversal_cases(users: Sequence[tuple[Person, Life, UserProfile]], place: Place, per_way: int) -> Iterator[Case]:
    """`per_way` cases of each way, the ways in turn, half of each language; a user is used for one case."""
    of_tag = items_by_tag(place.catalogue)
    wanted = {(way, language): (per_way + 1) // 2 for way in WAYS for language in ("en", "zh")}
    for person, life, profile in users:
        way = max(WAYS, key=lambda way: wanted[way, person.language])
        if not wanted[way, person.language]:
            continue
        liked = [
            one.topic for one in profile.statements if one.stance == "likes" and len(of_tag[one.topic.casefold()]) >= REFUSALS
        ]
        if liked:
            name = liked[wanted[way, person.language] % min(2, len(liked))]  # the first or the second interest
            number = wanted[way, person.language]
            wanted[way, person.language] -= 1
            yield revoke(copied(life, profile), person, way, name, number, of_tag)


def revoke(life: Life, person: Person, way: Way, name: str, number: int, of_tag: Mapping[str, list[str]]) -> Case:
    """The user takes the interest back in this way, then goes on with other things until the gate asks for a text."""
    request, waited = None, 0
    for message in _revocation(life, person, way, name, number, of_tag[name.casefold()]):
        request = life.take(message) or request
    others = [item_id for tag, own in sorted(of_tag.items()) if tag != name.casefold() for item_id in own]
    items = life.place.catalogue.items
    others = [item_id for item_id in others if not any(same(name, tag) for tag in items[item_id].tags)]
    while request is None and waited < PATIENCE:
        waited += 1
        request = life.take(_event(life, "view", others[waited * 7 % len(others)], waited))
    return Case(way, person.language, name, life, request, waited)


def _revocation(life: Life, person: Person, way: Way, name: str, number: int, items: Sequence[str]) -> list[Message]:
    at_ms = life.now_ms + MINUTE_MS
    said = SAID[person.language][number % len(SAID[person.language])].format(name)
    if way == "edit":
        return [EditControl(user_id=life.user_id, issued_at_ms=at_ms, topic=name, stance="not_interested")]
    if way == "mute":
        return [MuteControl(user_id=life.user_id, issued_at_ms=at_ms, target="tag", value=name)]
    if way == "comment":
        return [_event(life, "comment", items[number % len(items)], 0, said)]
    if way == "free_text":
        declared = [message for message in person.messages if isinstance(message, UserAttributes)]
        known = declared[-1] if declared else UserAttributes(user_id=life.user_id, updated_at_ms=0, language=person.language)
        return [known.model_copy(update={"updated_at_ms": at_ms, "free_text": said})]
    kind: EventType = way
    return [_event(life, kind, item_id, place) for place, item_id in enumerate(items[:REFUSALS])]


def _event(life: Life, kind: EventType, item_id: str, number: int, text: str | None = None) -> BehaviorEvent:
    return BehaviorEvent(
        event_id=f"case-{life.user_id}-{kind}-{number}",
        user_id=life.user_id,
        item_id=item_id,
        type=kind,
        event_time_ms=life.now_ms + MINUTE_MS,
        text=text,
    )


def asserts_interest(profile: UserProfile, name: str) -> bool:
    """Whether the profile says, in a statement or in its text, that the user likes what is named."""
    if any(one.stance == "likes" and same(one.topic, name) for one in profile.statements):
        return True
    return _told_positively(profile, name)


def _told_positively(profile: UserProfile, name: str) -> bool:
    every = [(found.start, found.end) for found in find_names(profile.text, names_of(profile.statements, profile.language))]
    return any(not is_negated(profile.text, place, profile.language, every) for place in _places(profile, name))


def names(profile: UserProfile, name: str) -> bool:
    """Whether the profile speaks of it at all."""
    return any(same(one.topic, name) for one in profile.statements) or bool(_places(profile, name))


def _places(profile: UserProfile, name: str) -> list[tuple[int, int]]:
    """Where the text names it, other than within a longer name."""
    facts = names_of(profile.statements, profile.language)
    wanted = folded(name)
    return [(found.start, found.end) for found in find_names(profile.text, {*facts, wanted}) if found.name == wanted]


def order_cases(users: Sequence[tuple[Person, Life, UserProfile]], place: Place, per_order: int) -> Iterator[Case]:
    """Edits and mutes, the kinds in turn, half of each language; a user is used for one case."""
    of_tag = items_by_tag(place.catalogue)
    left = {(order, language): (per_order + 1) // 2 for order in ORDERS for language in ("en", "zh")}
    for person, life, profile in users:
        order = max(ORDERS, key=lambda order: left[order, person.language])
        if left[order, person.language] and (case := _ordered(copied(life, profile), person, order, profile, of_tag)):
            left[order, person.language] -= 1
            yield case


def _ordered(life: Life, person: Person, order: Order, profile: UserProfile, of_tag: Mapping[str, list[str]]) -> Case | None:
    """The user's order, on something that their profile says or, for a new interest, does not."""
    at_ms, item_id, user_id = life.now_ms + MINUTE_MS, None, life.user_id
    liked = [one.topic for one in profile.statements if one.stance == "likes"]
    known = {one.topic.casefold() for one in profile.statements}
    message: Message
    if order == "mute_item":
        seen = [event.item_id for event in reversed(person.events) if event.item_id]
        items = life.place.catalogue.items
        found = [one for one in seen if one in items and any(same(s.topic, items[one].title) for s in profile.statements)]
        if not found:
            return None
        item_id = found[0]
        name = items[item_id].title
        message = MuteControl(user_id=user_id, issued_at_ms=at_ms, target="item", value=item_id)
    elif order == "edit_interested":
        fresh = [tag for tag in sorted(of_tag) if tag not in known and len(of_tag[tag]) >= REFUSALS]
        name = fresh[len(person.messages) % len(fresh)]
        name = next(tag for tag in life.place.catalogue.items[of_tag[name][0]].tags if tag.casefold() == name)
        message = EditControl(user_id=user_id, issued_at_ms=at_ms, topic=name, stance="interested")
    elif not liked:
        return None
    elif order == "mute_tag":
        name = liked[len(person.messages) % len(liked)]
        message = MuteControl(user_id=user_id, issued_at_ms=at_ms, target="tag", value=name)
    else:
        name = liked[len(person.messages) % len(liked)]
        message = EditControl(user_id=user_id, issued_at_ms=at_ms, topic=name, stance="not_interested")
    request = life.take(message)
    return Case(order, person.language, name, life, request or life.request(), item_id=item_id)


def disobeyed(case: Case, profile: UserProfile, listed: Sequence[RecommendedItem]) -> list[str]:
    """What profile or list still holds against the user's order."""
    items = case.life.place.catalogue.items
    tagged = [one.item_id for one in listed if any(same(case.name, tag) for tag in items[one.item_id].tags)]
    if case.way == "mute_item":
        faults = ["list"] * any(one.item_id == case.item_id for one in listed)
        others = [item for item in items.values() if item.item_id != case.item_id and same(case.name, item.title)]
        return faults + ["profile"] * (not others and names(profile, case.name))
    if case.way == "edit_interested":
        stated = any(one.stance == "likes" and same(one.topic, case.name) for one in profile.statements)
        return ["profile"] * (not (stated and _told_positively(profile, case.name)))
    says = names(profile, case.name) if case.way == "mute_tag" else asserts_interest(profile, case.name)
    return ["list"] * bool(tagged) + ["profile"] * says


@dataclass
class ListMaker:
    """Lists as the profiler makes them: features, user_encoder, ranking and policy."""

    place: Place
    texts: TextEncoder
    users: UserEncoder

    def lists(self, lives: Sequence[Life]) -> list[list[RecommendedItem]]:
        """A list for each user, now."""
        catalogue, states = self.place.catalogue, [life.state for life in lives]
        known = TagVectors(self._encode)
        user_features(states, catalogue, known)  # asks for the vectors of declared texts
        while known._wanted or known._call:
            known.arrivals()
        vectors = self.users.encode(user_features(states, catalogue, known)).vectors
        now_ms = max(life.now_ms for life in lives)
        return make_lists(states, vectors, catalogue, ListRules.of(self.place.settings), now_ms)

    def _encode(self, texts: list[str]) -> "Future[Floats]":
        done: Future[Floats] = Future()
        done.set_result(self.texts.encode(texts))
        return done


def with_vector(profile: UserProfile, encoder: TextEncoder) -> UserProfile:
    """The profile with its text's vector, as the narrator publishes it."""
    vector = encoder.encode([profile.text])[0] if profile.text else np.zeros(0, np.float32)
    return profile.model_copy(update={"text_vector": [round(float(x), 6) for x in vector]})
