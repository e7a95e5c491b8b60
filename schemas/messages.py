"""Every message on the wire: JSON in UTF-8, one pydantic model each, with the schema version in a header.

Times are Unix milliseconds. Ids are opaque strings. Lengths are bounded so that one message can never fill a state.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, StringConstraints, TypeAdapter

SCHEMA_VERSION = 1
VERSION_HEADER = "schema-version"
"""Header that carries the schema version as ASCII digits. A message without it is read as version 1."""

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(max_length=4000)]
Component = Annotated[float, Field(ge=-1.01, le=1.01)]
Count = Annotated[int, Field(ge=0, le=2**53)]
TimeMs = Annotated[int, Field(ge=0, le=253_402_300_799_000, description="Unix time in milliseconds")]

Language = Literal["en", "zh"]
Domain = Literal["ecommerce", "video", "social", "news"]
Gender = Literal["male", "female", "other"]
Purpose = Literal["profile", "recommendations"]
EventType = Literal[
    "view", "click", "play", "search", "like", "favorite", "share", "comment", "follow", "rating",
    "add_to_cart", "purchase", "return", "skip", "dislike", "not_interested",
]  # fmt: skip
EVENT_TYPES: tuple[EventType, ...] = EventType.__args__  # type: ignore[attr-defined]
"""In the order of the user_encoder's type ids: the first has id 1, 0 is padding. Only ever append."""


class Message(BaseModel):
    """Base of every message: strict types, finite numbers, unknown fields ignored so that producers may add some."""

    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        cache_strings="none",  # ids seldom repeat within a batch, and looking them up costs a tenth of a decode
    )


class BehaviorEvent(Message):
    """One thing a user did. Every type but `search` names an item; a search carries its query in `text`."""

    event_id: Identifier
    user_id: Identifier
    item_id: Identifier | None = None
    type: EventType
    event_time_ms: TimeMs
    value: float | None = Field(None, ge=-1e12, le=1e12, description="rating, dwell or play seconds, or quantity, by type")
    text: Text | None = Field(None, description="the query of a search, the text of a comment")
    surface: Label | None = None
    domain: Domain | None = None
    session_id: Identifier | None = None
    list_id: Identifier | None = Field(None, description="the list that it came from, as `Recommendations.list_id`")


class ShownItem(Message):
    """An item of a list, and at which place from 0 it was seen."""

    item_id: Identifier
    position: int = Field(ge=0, lt=1000)


class Impression(Message):
    """What a user really saw of a list: sent by the site, for lists to be judged by what was done with them."""

    impression_id: Identifier
    user_id: Identifier
    list_id: Identifier
    surface: Label | None = Field(None, description="unset: the main list")
    shown_at_ms: TimeMs
    items: Annotated[list[ShownItem], FailFast()] = Field(min_length=1, max_length=200)


class UserAttributes(Message):
    """What a user declared about themselves. Each message replaces the one before."""

    user_id: Identifier
    updated_at_ms: TimeMs
    age: int | None = Field(None, ge=0, le=130)
    gender: Gender | None = None
    location: Label | None = None
    occupation: Label | None = None
    language: Language | None = None
    tags: Annotated[list[Label], FailFast()] = Field(default_factory=list, max_length=32)
    free_text: Text | None = None
    answers: dict[Label, bool] = Field(
        default_factory=dict, max_length=64, description="a questionnaire's: tag, and whether it interests the user"
    )


class ConsentControl(Message):
    """Give or withdraw consent for one purpose."""

    kind: Literal["consent"] = "consent"
    user_id: Identifier
    issued_at_ms: TimeMs
    purpose: Purpose
    granted: bool


class MuteControl(Message):
    """Never show this tag or item again, or lift that."""

    kind: Literal["mute"] = "mute"
    user_id: Identifier
    issued_at_ms: TimeMs
    target: Literal["tag", "item"]
    value: Identifier
    muted: bool = True


class EditControl(Message):
    """The user's own word on a topic of their profile; it wins over every event."""

    kind: Literal["edit"] = "edit"
    user_id: Identifier
    issued_at_ms: TimeMs
    topic: Label
    stance: Literal["interested", "not_interested", "unset"]


class EraseControl(Message):
    """Forget everything about this user: state, profile, list and declared attributes."""

    kind: Literal["erase"] = "erase"
    user_id: Identifier
    issued_at_ms: TimeMs


UserControl = ConsentControl | MuteControl | EditControl | EraseControl
USER_CONTROL: TypeAdapter[UserControl] = TypeAdapter(Annotated[UserControl, Field(discriminator="kind")])


class Item(Message):
    """Something that can be shown to a user."""

    item_id: Identifier
    domain: Domain
    language: Language = "en"
    title: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    description: Annotated[str, StringConstraints(max_length=20_000)] = ""
    tags: Annotated[list[Label], FailFast()] = Field(default_factory=list, max_length=32)
    attributes: dict[str, str | float | int | bool] = Field(default_factory=dict, max_length=64)
    media_urls: Annotated[list[Annotated[str, StringConstraints(max_length=2000)]], FailFast()] = Field(
        default_factory=list, max_length=16
    )
    published_at_ms: TimeMs = 0
    available_from_ms: TimeMs | None = None
    available_until_ms: TimeMs | None = None


class ItemVector(Message):
    """An item's text embedding, of unit length."""

    item_id: Identifier
    vector: Annotated[list[float], FailFast()]
    model_name: str
    model_version: str


class Cause(Message):
    """Where an output comes from: the newest input message behind it, and how long the oldest one has waited.

    `record_time_ms` is the newest input's Kafka timestamp; `waiting_since_ms` the oldest's in the same micro-batch. Latency
    is measured from `waiting_since_ms`, the worst case.
    """

    topic: str
    partition: int
    offset: int
    event_id: str | None = None
    record_time_ms: int
    waiting_since_ms: int


Stance = Literal["likes", "dislikes", "is", "habit", "viewed"]
Trend = Literal["new", "rising", "steady", "fading", "reversed"]


class Statement(Message):
    """One thing that holds of a user, computed from state alone.

    `topic` is what it is about (a tag, an item title, the name of an attribute or habit), `value` the attribute's or habit's
    value. `strength` in 0..1 is how much, `confidence` in 0..1 how sure. Likes and dislikes have a `trend`; `reversed` says
    that the opposite held before. `evidence` names what it rests on: `event:ID` or `field:NAME`.
    """

    topic: str
    stance: Stance
    value: str | None = None
    strength: float = Field(ge=0, le=1)
    confidence: float = Field(1.0, ge=0, le=1)
    trend: Trend | None = None
    evidence: Annotated[list[str], FailFast()] = Field(min_length=1)


class ProfileRequest(Message):
    """Asks the narrator for a text: the statements to write up are in it, so the narrator needs nothing else."""

    user_id: Identifier
    request_id: Identifier
    language: Language
    reason: Literal["edited", "declared", "first", "reversed", "changed", "drifted", "aged", "grown"]
    priority: int = Field(ge=0, le=9, description="0 is most urgent: fresh users and edits")
    state_version: Count
    state_life: Count = Field(0, description="`UserState.life`: a text from before an erasure is not taken for one of after")
    event_count: Count = Field(description="events in the state the statements rest on")
    statements: Annotated[list[Statement], FailFast()] = Field(min_length=1)
    requested_at_ms: TimeMs
    cause: Cause


class Sentence(Message):
    """One sentence of a profile. `source` says who wrote it: the LLM, or the plain template it falls back to."""

    text: str
    source: Literal["llm", "plain"]
    statements: Annotated[list[int], FailFast()] = Field(description="indexes of the statements this sentence rests on")


class UserProfile(Message):
    """A user's profile: statements with their evidence, and a summary in the user's language."""

    user_id: Identifier
    request_id: Identifier
    language: Language
    state_version: Count
    state_life: Count = Field(0, description="as in the request")
    event_count: Count = Field(description="as in the request")
    statements: Annotated[list[Statement], FailFast()]
    summary: Annotated[list[Sentence], FailFast()]
    text_vector: Annotated[list[Component], FailFast()] = Field(
        max_length=8192, description="embedding of the summary, of unit length"
    )
    model_name: str
    model_version: str
    prompt_version: str = Field("", description="the prompt file behind the LLM's sentences; empty when there are none")
    generated_tokens: int = 0
    generated_at_ms: TimeMs
    requested_at_ms: TimeMs
    cause: Cause

    @property
    def text(self) -> str:
        """The summary as one string."""
        return ("" if self.language == "zh" else " ").join(sentence.text for sentence in self.summary)


SourceName = Literal[
    "vector", "interest", "neighbour", "fresh", "popular", "exploration", "pinned", "concept", "sequence", "again"
]  # fmt: skip


class Reason(Message):
    """Why an item is in a list. `detail` names the tag, the item the user turned to, the concept, or the rule.

    `kind` is interest, similar_to, profile, popular, fresh, neighbour, sequence, concept, rule, exploration, again, or
    catalogue where nothing speaks for an item; more may come, and readers show `text`, which says it in the user's language.
    `evidence` is `event:ID` where one event is behind it.
    """

    kind: Label
    detail: str = ""
    text: str = ""
    evidence: str | None = None


class RecommendedItem(Message):
    """One place in a list. `sources` say which searches found the item.

    `propensity` is the chance that this item stood at this place of its list, where some places are left to chance.
    """

    item_id: Identifier
    title: str
    score: float
    reasons: Annotated[list[Reason], FailFast()]
    sources: Annotated[list[SourceName], FailFast()] = Field(default_factory=list)
    propensity: float | None = Field(None, gt=0, le=1)


class Recommendations(Message):
    """A user's top-k list, best first; `surfaces` are lists for places with a size and rules of their own, by their name."""

    user_id: Identifier
    items: Annotated[list[RecommendedItem], FailFast()]
    surfaces: dict[Label, list[RecommendedItem]] = Field(default_factory=dict)
    state_version: Count
    list_id: Identifier | None = Field(None, description="another for each list; impressions and events name it")
    profile_state_version: int | None = None
    model_name: str
    model_version: str
    catalog_size: int
    generated_at_ms: TimeMs
    cause: Cause


UserInput = BehaviorEvent | UserAttributes | UserControl | UserProfile
"""What the profiler folds into a user's state."""


def encode(message: BaseModel) -> bytes:
    """The message as it stands on the wire; fields that are None are left out."""
    return message.model_dump_json(exclude_none=True).encode()


def version_headers() -> list[tuple[str, bytes]]:
    """The headers every message is sent with."""
    return [(VERSION_HEADER, str(SCHEMA_VERSION).encode())]
