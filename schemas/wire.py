"""From a Kafka record's bytes to a valid message, or the reason why not."""

from collections.abc import Callable, Mapping, Sequence

from pydantic import BaseModel, ValidationError

from schemas import topics
from schemas.errors import BadMessage
from schemas.messages import (
    SCHEMA_VERSION,
    USER_CONTROL,
    VERSION_HEADER,
    BehaviorEvent,
    Item,
    ItemVector,
    ProfileRequest,
    Recommendations,
    UserAttributes,
    UserProfile,
)
from schemas.settings import FoldSettings

Headers = Sequence[tuple[str, bytes | None]]

DEAD_LETTER_PREFIX = "portrait-"
"""Our headers on a dead letter start with this: reason, detail, source-topic, source-partition, source-offset, …"""

_PARSERS: Mapping[str, Callable[[bytes], BaseModel]] = {
    topics.BEHAVIOR_EVENTS.name: BehaviorEvent.model_validate_json,
    topics.USER_ATTRIBUTES.name: UserAttributes.model_validate_json,
    topics.USER_CONTROLS.name: USER_CONTROL.validate_json,
    topics.ITEMS.name: Item.model_validate_json,
    topics.ITEM_VECTORS.name: ItemVector.model_validate_json,
    topics.PROFILE_REQUESTS.name: ProfileRequest.model_validate_json,
    topics.USER_PROFILES.name: UserProfile.model_validate_json,
    topics.RECOMMENDATIONS.name: Recommendations.model_validate_json,
}
_NULL_HAS_MEANING = {topic.name for topic in topics.TOPICS if "compact" in topic.cleanup_policy} | {
    topics.PROFILE_REQUESTS.name
}
_TIME_FIELD = {
    topics.BEHAVIOR_EVENTS.name: "event_time_ms",
    topics.USER_ATTRIBUTES.name: "updated_at_ms",
    topics.USER_CONTROLS.name: "issued_at_ms",
}
_KEY_FIELD = {topic.name: topic.key.value for topic in topics.TOPICS}


def decode(
    topic: str, key: bytes | None, value: bytes | None, headers: Headers | None, timestamp_ms: int, limits: FoldSettings
) -> tuple[str, BaseModel | None]:
    """The key and message of a record; the message is None for a tombstone, where the topic allows one.

    `timestamp_ms` is the record's Kafka timestamp: times too far ahead of it are refused, so that the verdict on a record
    depends on the record alone.

    Raises:
        BadMessage: this record can never be processed.
    """
    if headers:
        _check_version(headers)
    text_key = _decode_key(key)
    if value is None:
        if topic not in _NULL_HAS_MEANING:
            raise BadMessage("missing_value", "the value is null")
        return text_key, None
    try:
        message = _PARSERS[topic](value)
    except ValidationError as error:
        raise _refusal(error) from None
    owner = getattr(message, _KEY_FIELD[topic])
    if owner != text_key:
        raise BadMessage("key_mismatch", f"the key is {text_key[:64]!r} but the message belongs to {owner[:64]!r}")
    if topic in _TIME_FIELD:
        _check_time(_TIME_FIELD[topic], getattr(message, _TIME_FIELD[topic]), timestamp_ms, limits)
    if isinstance(message, BehaviorEvent) and message.item_id is None and message.type != "search":
        raise BadMessage("missing_item", f"an event of type {message.type} needs an item_id")
    return text_key, message


def _check_version(headers: Headers) -> None:
    for name, raw in headers:
        if name == VERSION_HEADER and raw != b"%d" % SCHEMA_VERSION:
            raise BadMessage("unknown_version", f"schema version {raw!r:.40}; this build reads version {SCHEMA_VERSION}")


def _decode_key(key: bytes | None) -> str:
    if not key:
        raise BadMessage("missing_key", "the key is null or empty")
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise BadMessage("bad_key", "the key is not UTF-8") from None


def _refusal(error: ValidationError) -> BadMessage:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return BadMessage("not_json", first["msg"])
    place = ".".join(str(part) for part in first["loc"]) or "message"
    return BadMessage("invalid", f"{place}: {first['msg']}"[:300])


def _check_time(name: str, time_ms: int, timestamp_ms: int, limits: FoldSettings) -> None:
    if time_ms < limits.min_event_time_ms:
        raise BadMessage("absurd_time", f"{name} {time_ms} is before {limits.min_event_time_ms}; is it in seconds?")
    if time_ms > timestamp_ms + limits.max_future_s * 1000:
        raise BadMessage("absurd_time", f"{name} {time_ms} is more than {limits.max_future_s:.0f} s ahead of its record")


def dead_letter_headers(
    error: BadMessage, topic: str, partition: int, offset: int, timestamp_ms: int, original: Headers | None
) -> list[tuple[str, bytes | None]]:
    """The headers of a dead letter: why and from where, then the record's own. Its key and value stay as they came."""
    ours = {
        "reason": error.reason,
        "detail": error.detail,
        "source-topic": topic,
        "source-partition": partition,
        "source-offset": offset,
        "source-timestamp-ms": timestamp_ms,
    }
    named = [(DEAD_LETTER_PREFIX + name, str(value).encode(errors="replace")) for name, value in ours.items()]
    return [*named, *(original or [])]
