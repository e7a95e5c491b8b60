"""The user state and its codec.

Facts only: what a user did, declared and asked for. What an item means is joined from the catalogue when the state is used.
The codec is MessagePack with fields by position; the same bytes are in RocksDB and in the changelog topic.
"""

import msgspec

from schemas.messages import EventType

STATE_CODEC_VERSION = 1


class HistoryEvent(msgspec.Struct, array_like=True, frozen=True, order=True):
    """An event as the state keeps it; ordered by time, then id, so that every arrival order gives the same history."""

    event_time_ms: int
    event_id: str
    item_id: str | None
    type: EventType
    value: float | None = None
    text: str | None = None


class ItemCount(msgspec.Struct, array_like=True):
    """How much a user had to do with an item: summed type weights in thousandths, and when last.

    Integers, so that sums do not depend on the order of arrival. Decay is applied from `last_event_time_ms` at use.
    """

    weight_milli: int
    last_event_time_ms: int


class Attributes(msgspec.Struct, array_like=True, frozen=True):
    """What the user declared; see `schemas.messages.UserAttributes`."""

    updated_at_ms: int
    age: int | None = None
    gender: str | None = None
    location: str | None = None
    occupation: str | None = None
    language: str | None = None
    tags: list[str] = []
    free_text: str | None = None
    answers: dict[str, bool] = {}


class ProfileRef(msgspec.Struct, array_like=True, frozen=True):
    """What the state remembers of the last profile: enough to rank with it and to see when it has aged.

    `topics` are the statement topics it wrote about, with their stance; `text_vector` is float16, little-endian.
    """

    state_version: int
    language: str
    topics: list[str]
    text_vector: bytes
    events_seen: int
    generated_at_ms: int


class UserState(msgspec.Struct, array_like=True):
    """Everything Portrait knows of one user. `version` rises by one with each change."""

    codec: int = STATE_CODEC_VERSION
    version: int = 0
    events: list[HistoryEvent] = []
    items: dict[str, ItemCount] = {}
    type_counts: dict[str, int] = {}
    surface_counts: dict[str, int] = {}
    domain_counts: dict[str, int] = {}
    attributes: Attributes | None = None
    consent: dict[str, bool] = {}
    muted_tags: list[str] = []
    muted_items: list[str] = []
    edits: dict[str, str] = {}
    profile: ProfileRef | None = None
    late_ids: dict[str, int] = {}
    """Ids of events that came out of order, with `event_count` when they came: they may leave `events` before they may be
    forgotten. In order of arrival; empty for most users."""
    life: int = 0
    """Tells this state from one that an erasure ended: a checksum of the message it began with."""

    @property
    def event_count(self) -> int:
        """Events folded so far, the ones no longer in `events` included."""
        return sum(self.type_counts.values())


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(UserState)


def encode_state(state: UserState) -> bytes:
    """The state's bytes, in RocksDB and on the changelog topic."""
    return _encoder.encode(state)


def decode_state(data: bytes) -> UserState:
    """Read a state back.

    Raises:
        msgspec.DecodeError: the bytes are not a state of this codec version.
    """
    return _decoder.decode(data)
