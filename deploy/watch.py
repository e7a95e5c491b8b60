"""What can be known of one user from the topics: the state behind `portrait watch`. Drawn by watch_view.py."""

import time
from collections import deque
from dataclasses import dataclass, field

from pydantic import BaseModel

from consumers.runtime.clients import RawRecord
from deploy.reading import BEGINNING, Follower, decoded
from schemas import topics
from schemas.errors import BadMessage
from schemas.messages import (
    BehaviorEvent,
    ConsentControl,
    EditControl,
    EraseControl,
    Item,
    MuteControl,
    Purpose,
    Recommendations,
    UserAttributes,
    UserProfile,
)
from schemas.settings import Settings

EVENTS_KEPT = 200
EVENTS_BACK = 200_000
"""How many of the newest events of the user's partition are searched for theirs."""
TITLES_KEPT = 200_000
TITLE_CHARACTERS = 200
NEIGHBOURS = 5


@dataclass(frozen=True)
class SeenEvent:
    """An event, or (`refusal`) a message of this user that is not valid and goes to dead-letters."""

    arrived_ms: int
    event: BehaviorEvent | None
    refusal: str = ""
    topic: str = topics.BEHAVIOR_EVENTS.name


@dataclass
class Watched:
    """All that is known of a user, from the records taken in so far."""

    user_id: str
    default_consent: frozenset[Purpose]
    events: deque[SeenEvent] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    """Newest first, by arrival."""
    attributes: UserAttributes | None = None
    consent: dict[str, bool] = field(default_factory=dict)
    edits: dict[str, str] = field(default_factory=dict)
    muted: set[str] = field(default_factory=set)
    profile: UserProfile | None = None
    profile_arrived_ms: int = 0
    recommendations: Recommendations | None = None
    list_arrived_ms: int = 0
    profile_withdrawn: bool = False
    list_withdrawn: bool = False
    erased_ms: int | None = None
    titles: dict[str, str] = field(default_factory=dict)
    neighbours: list[str] = field(default_factory=list)
    """A few other users met on the way, to suggest when this one is unknown."""
    loading: bool = False
    """Whether what is on Kafka has not been read to its end."""

    def consents(self, purpose: Purpose) -> bool:
        """Whether the user allows this purpose: their last word on it, or the default."""
        return self.consent.get(purpose, purpose in self.default_consent)

    @property
    def known(self) -> bool:
        """Whether anything was ever heard of this user."""
        heard = self.events or self.attributes or self.profile or self.recommendations or self.consent or self.edits
        return bool(heard or self.muted or self.profile_withdrawn or self.list_withdrawn or self.erased_ms is not None)

    def title(self, item_id: str) -> str:
        """The item's title, or its id while that is all we know."""
        return self.titles.get(item_id, item_id)

    def take(self, topic: str, arrived_ms: int, message: BaseModel | None) -> bool:
        """Take in a valid message of this user; False when it changes nothing that is shown."""
        match message:
            case BehaviorEvent():
                self.events.appendleft(SeenEvent(arrived_ms, message))
            case UserAttributes():
                self.attributes = message
            case UserProfile():
                self.profile, self.profile_arrived_ms, self.profile_withdrawn = message, arrived_ms, False
            case Recommendations():
                self.recommendations, self.list_arrived_ms, self.list_withdrawn = message, arrived_ms, False
            case ConsentControl():
                self.consent[message.purpose] = message.granted
            case EditControl():
                self.edits[message.topic] = message.stance
            case MuteControl():
                (self.muted.add if message.muted else self.muted.discard)(message.value)
            case EraseControl():
                self._erase(arrived_ms)
            case None:
                return self._take_tombstone(topic)
            case _:
                return False
        return True

    def refuse(self, arrived_ms: int, topic: str, error: BadMessage) -> None:
        """Take in a message of this user that is not valid."""
        self.events.appendleft(SeenEvent(arrived_ms, None, error.reason, topic))

    def _erase(self, arrived_ms: int) -> None:
        self.events.clear()
        self.consent.clear()
        self.edits.clear()
        self.muted.clear()
        self.attributes = self.profile = self.recommendations = None
        self.erased_ms = arrived_ms

    def _take_tombstone(self, topic: str) -> bool:
        if topic == topics.USER_PROFILES.name:
            self.profile, self.profile_withdrawn = None, True
        elif topic == topics.RECOMMENDATIONS.name:
            self.recommendations, self.list_withdrawn = None, True
        elif topic == topics.USER_ATTRIBUTES.name:
            self.attributes = None
        else:
            return False
        return True


@dataclass(frozen=True)
class Change:
    """Something that has just happened to the user; `message` None is a tombstone, `refusal` a message that is not valid."""

    topic: str
    arrived_ms: int
    message: BaseModel | None
    refusal: str = ""


class Watcher:
    """Keeps a `Watched` up to date from Kafka: first what is there, then live."""

    def __init__(self, settings: Settings, user_id: str) -> None:
        self.user = Watched(user_id, settings.fold.default_consent, loading=True)
        self._limits = settings.fold
        self._key = user_id.encode()
        self._loading: list[RawRecord] | None = []
        self._follower = Follower(settings.kafka, "portrait-watch")
        theirs = (topics.USER_ATTRIBUTES, topics.USER_CONTROLS, topics.USER_PROFILES, topics.RECOMMENDATIONS)
        try:
            self._follower.follow([topics.BEHAVIOR_EVENTS], back=EVENTS_BACK, key=user_id)
            self._follower.follow(theirs, back=BEGINNING, key=user_id)
            self._follower.follow([topics.ITEMS], back=BEGINNING)
        except BaseException:
            self._follower.close()
            raise

    @property
    def connected(self) -> bool:
        """Whether a broker is connected."""
        return self._follower.connected

    def poll(self, timeout_s: float) -> list[Change]:
        """Take in what has arrived; gives the changes, none of them while the user is `loading`.

        Raises:
            ConfigError, Retryable: as `Follower.poll`.
        """
        theirs = [record for record in self._follower.poll(timeout_s) if self._is_theirs(record)]
        if self._loading is None:
            return [change for record in theirs if (change := self._take(record))]
        self._loading += theirs
        if not self._follower.behind:
            records, self._loading = self._loading, None
            self.user.loading = False
            for record in sorted(records, key=lambda record: record.timestamp_ms):  # an erasure ends what came before it
                self._take(record)
        return []

    def load(self) -> None:
        """Poll until everything that is there has been read."""
        while self.user.loading:
            self.poll(0.1)

    def _is_theirs(self, record: RawRecord) -> bool:
        if record.topic == topics.ITEMS.name:
            self._keep_title(record)
            return False
        if record.key == self._key:
            return True
        neighbours = self.user.neighbours
        if record.key and len(neighbours) < NEIGHBOURS and record.value:
            neighbour = record.key.decode(errors="replace")
            if neighbour not in neighbours:
                neighbours.append(neighbour)
        return False

    def _keep_title(self, record: RawRecord) -> None:
        titles = self.user.titles
        try:
            item_id, item = decoded(record, self._limits)
        except BadMessage:
            return
        if isinstance(item, Item) and (len(titles) < TITLES_KEPT or item_id in titles):
            titles[item_id] = item.title[:TITLE_CHARACTERS]

    def _take(self, record: RawRecord) -> Change | None:
        try:
            _, message = decoded(record, self._limits)
        except BadMessage as error:
            self.user.refuse(record.timestamp_ms, record.topic, error)
            return Change(record.topic, record.timestamp_ms, None, error.reason)
        changed = self.user.take(record.topic, record.timestamp_ms, message)
        return Change(record.topic, record.timestamp_ms, message) if changed else None

    def close(self) -> None:
        """Leave the topics."""
        self._follower.close()


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
