"""Whose profiles are evaluated: users of the demo shop and of a data folder, each cut before the item that is held out."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from consumers.catalogue import Catalogue
from consumers.gate import WantedText, profile_request, wanted_text
from consumers.lists.lists import ListRules
from consumers.overlay import Touched, fold_record
from consumers.refresh import enough_for_a_text, profile_language
from consumers.runtime.processor import Record
from consumers.statements.interests import InterestRules
from consumers.statements.statements import statements
from producers.shop import Shop, Timed, time_of
from schemas.messages import (
    BehaviorEvent,
    EraseControl,
    Language,
    Message,
    ProfileRequest,
    UserAttributes,
    UserProfile,
)
from schemas.settings import Settings
from schemas.state import UserState
from schemas.topics import BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES

LANGUAGES: tuple[Language, ...] = ("en", "zh")
TOPICS = {BehaviorEvent: BEHAVIOR_EVENTS, UserAttributes: USER_ATTRIBUTES, UserProfile: USER_PROFILES}
LEAST_BEFORE = 5
"""Events a user must have before the held-out item for it to be one."""


@dataclass(frozen=True)
class Place:
    """A data set: its catalogue with real vectors, and for the demo shop the shop, which knows the truth."""

    name: str
    catalogue: Catalogue
    settings: Settings
    shop: Shop | None = None

    @property
    def rules(self) -> InterestRules:
        """How interests are computed online."""
        return ListRules.of(self.settings).interest


@dataclass(frozen=True)
class Person:
    """One user: the messages their profile may know, and the item held out, which none of them names."""

    user_id: str
    language: Language
    messages: tuple[Timed, ...]
    held_out: str | None = None

    @property
    def events(self) -> list[BehaviorEvent]:
        """What they did, in order of time."""
        return [message for message in self.messages if isinstance(message, BehaviorEvent)]


@dataclass
class Life:
    """A user followed message by message with the code that runs online."""

    user_id: str
    place: Place
    state: UserState = field(default_factory=UserState)
    _taken: int = 0

    @classmethod
    def of(cls, person: Person, place: Place) -> "Life":
        """The user after all their messages."""
        life = cls(person.user_id, place)
        for message in person.messages:
            life.fold(message)
        return life

    def fold(self, message: Message) -> Touched:
        """Fold one message as a micro-batch of its own."""
        topic = TOPICS.get(type(message), USER_CONTROLS)
        now_ms = message.generated_at_ms if isinstance(message, UserProfile) else time_of(message)  # type: ignore[arg-type]
        self._taken += 1
        record = Record(topic.name, 0, self._taken, now_ms, self.user_id, message)
        user = Touched(0, self.user_id, self.state, record, now_ms)
        fold_record(user, record, self.place.settings.fold)
        return user

    def take(self, message: Message) -> ProfileRequest | None:
        """Fold a message; the request for a text that the refresh gate makes of it, if it makes one."""
        user, place = self.fold(message), self.place
        wanted = wanted_text(user, False, place.catalogue, place.rules, place.settings) if user.changed else None
        return profile_request(user, wanted, self._request_id(), user.newest.timestamp_ms) if wanted else None

    def request(self) -> ProfileRequest | None:
        """A request for a text of all that holds now; None when the user would get none."""
        place, state = self.place, self.state
        stated = statements(state, place.catalogue.items, place.rules, place.catalogue.vocabulary)
        if not stated or not enough_for_a_text(state, place.settings):
            return None
        language = profile_language(state, place.catalogue.items, place.settings.profiler.default_language)
        record = Record(BEHAVIOR_EVENTS.name, 0, self._taken, self.now_ms, self.user_id, None)
        user = Touched(0, self.user_id, state, record, self.now_ms)
        return profile_request(user, WantedText("first", language, stated), self._request_id(), self.now_ms)

    @property
    def now_ms(self) -> int:
        """The user's newest moment."""
        declared = self.state.attributes.updated_at_ms if self.state.attributes else 0
        return max(declared, self.state.events[-1].event_time_ms if self.state.events else 0)

    def _request_id(self) -> str:
        return f"{self.place.name}/{self.user_id}/{self._taken}"


def shop_people(shop: Shop, messages: Iterable[Timed], count: int) -> list[Person]:
    """`count` users of the shop who agreed to a profile and erased nothing, half of each language."""
    languages = {user.user_id: user.language for user in shop.users if user.consent and user.erased_ms is None}
    own = by_user(message for message in messages if message.user_id in languages and not isinstance(message, EraseControl))
    people = [_cut_shop(user_id, languages[user_id], own[user_id]) for user_id in sorted(own)]
    return half_of_each(people, count)


def data_people(messages: Iterable[Timed], count: int, seed: int) -> list[Person]:
    """`count` users of a data folder, half of each language, which follows from the user's id."""
    own = by_user(messages)
    people = []
    for user_id in sorted(own, key=lambda user_id: random.Random(f"{seed} {user_id}").random()):
        language = language_by_parity(user_id)
        spoken = [_speaking(message, language) for message in own[user_id]]
        people.append(_cut_last(user_id, language, spoken, seed))
    return half_of_each(people, count)


def language_by_parity(user_id: str) -> Language:
    """Chinese for odd ids, English for even ones; by the id's last digit, or its last letter's number."""
    return "zh" if (int(user_id[-1]) if user_id[-1].isdigit() else ord(user_id[-1])) % 2 else "en"


def half_of_each(people: Sequence[Person], count: int) -> list[Person]:
    """The first of each language, half of `count` each."""
    return [
        person
        for language in LANGUAGES
        for person in [person for person in people if person.language == language][: (count + 1) // 2]
    ]


def by_user(messages: Iterable[Timed]) -> dict[str, list[Timed]]:
    """Each user's messages in their order."""
    own: dict[str, list[Timed]] = defaultdict(list)
    for message in messages:
        own[message.user_id].append(message)
    return own


def _speaking(message: Timed, language: Language) -> Timed:
    return message.model_copy(update={"language": language}) if isinstance(message, UserAttributes) else message


def _cut_shop(user_id: str, language: Language, messages: Sequence[Timed]) -> Person:
    """Held out is the item met last and not refused; the profile knows nothing from its first event on."""
    events = [message for message in messages if isinstance(message, BehaviorEvent) and message.item_id]
    first_met = {event.item_id: event for event in reversed(events)}
    refused = {event.item_id for event in events if _refuses(event)}
    liked = [event for event in events if event.item_id not in refused and event is first_met[event.item_id]]
    for event in reversed(liked):
        before = tuple(message for message in messages if time_of(message) < event.event_time_ms)
        if sum(isinstance(message, BehaviorEvent) for message in before) >= LEAST_BEFORE:
            return _checked(Person(user_id, language, before, event.item_id), event.event_time_ms)
        break
    return Person(user_id, language, tuple(messages))


def _cut_last(user_id: str, language: Language, messages: Sequence[Timed], seed: int) -> Person:
    """Held out is the last event; those of one moment are ordered by a seeded hash, as data order may tell more than time."""
    events = [message for message in messages if isinstance(message, BehaviorEvent)]
    others = [message for message in messages if not isinstance(message, BehaviorEvent)]
    events.sort(key=lambda event: (event.event_time_ms, random.Random(f"{seed} {user_id} {event.item_id}").random()))
    if len(events) <= LEAST_BEFORE:
        return Person(user_id, language, tuple(sorted(messages, key=time_of)))
    before = tuple(sorted([*others, *events[:-1]], key=time_of))
    return _checked(Person(user_id, language, before, events[-1].item_id), events[-1].event_time_ms)


def _checked(person: Person, cut_ms: int) -> Person:
    """The person, unless what they are told by knows of the held-out item or of later times."""
    assert all(time_of(message) <= cut_ms for message in person.messages), f"{person.user_id}: an event from after the cut"
    assert all(event.item_id != person.held_out for event in person.events), f"{person.user_id}: the held-out item is known"
    return person


def _refuses(event: BehaviorEvent) -> bool:
    low = event.type == "rating" and event.value is not None and event.value < 3
    return low or event.type in ("return", "skip", "dislike", "not_interested")


def lives(people: Iterable[Person], place: Place) -> Iterator[tuple[Person, Life, ProfileRequest]]:
    """Those who get a text, with their state and the request for it."""
    for person in people:
        life = Life.of(person, place)
        request = life.request()
        if request is not None:
            yield person, life, request


def items_by_tag(catalogue: Catalogue) -> Mapping[str, list[str]]:
    """Item ids by case-folded tag; items with the fewest other tags first."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in sorted(catalogue.items.values(), key=lambda item: (len(item.tags), item.item_id)):
        for tag in item.tags:
            found[tag.casefold()].append(item.item_id)
    return found
