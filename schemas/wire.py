"""From a Kafka record's bytes to a valid message, or the reason why not."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from pydantic import BaseModel, ValidationError

from schemas import metrics, topics
from schemas.errors import BadMessage
from schemas.messages import (
    SCHEMA_VERSION,
    USER_CONTROL,
    VERSION_HEADER,
    BehaviorEvent,
    Impression,
    Item,
    ItemVector,
    ProfileRequest,
    Recommendations,
    UserAttributes,
    UserProfile,
)
from schemas.settings import FoldSettings
from schemas.shape import shape_of

Headers = Sequence[tuple[str, bytes | None]]

DEAD_LETTER_PREFIX = "portrait-"
"""Our headers on a dead letter start with this: reason, detail, source-topic, source-partition, source-offset, …"""

HEADERS_UNREADABLE = "portrait-headers-unreadable"
"""Stands for the headers of a record of which the client could not read one: a name that is not UTF-8."""
MAX_USER_INPUT_BYTES = 128 * 1024
"""Largest event or attributes: what their fields may hold takes less, however it is escaped."""
MAX_CONTROL_BYTES = 8 * 1024
LARGE_BYTES = 4 * 1024
"""From here on a message's shape is looked at before it is validated."""
_OUR_VERSION = b"%d" % SCHEMA_VERSION


class _Border(NamedTuple):
    """How a topic's records are read. `time_field` is None where no time is checked, `shape` where all messages are small."""

    parse: Callable[[bytes], BaseModel]
    owner: Callable[[BaseModel], str]
    null_has_meaning: bool
    time_field: str | None
    max_bytes: int
    shape: msgspec.json.Decoder[Any] | None


def _border(topic: topics.Topic, model: type[BaseModel], time_field: str | None = None) -> _Border:
    parse = model.__pydantic_validator__.validate_json  # what model_validate_json calls, less half a microsecond
    null_has_meaning = "compact" in topic.cleanup_policy or topic is topics.PROFILE_REQUESTS
    max_bytes = MAX_USER_INPUT_BYTES if time_field else topics.MAX_MESSAGE_BYTES
    return _Border(parse, attrgetter(topic.key.value), null_has_meaning, time_field, max_bytes, shape_of(model))


def _controls_border() -> _Border:
    parse = USER_CONTROL.validator.validate_json
    return _Border(parse, attrgetter("user_id"), False, "issued_at_ms", MAX_CONTROL_BYTES, None)


_BORDERS: Mapping[str, _Border] = {
    topics.BEHAVIOR_EVENTS.name: _border(topics.BEHAVIOR_EVENTS, BehaviorEvent, "event_time_ms"),
    topics.IMPRESSIONS.name: _border(topics.IMPRESSIONS, Impression, "shown_at_ms"),
    topics.USER_ATTRIBUTES.name: _border(topics.USER_ATTRIBUTES, UserAttributes, "updated_at_ms"),
    topics.USER_CONTROLS.name: _controls_border(),
    topics.ITEMS.name: _border(topics.ITEMS, Item),
    topics.ITEM_VECTORS.name: _border(topics.ITEM_VECTORS, ItemVector),
    topics.PROFILE_REQUESTS.name: _border(topics.PROFILE_REQUESTS, ProfileRequest),
    topics.USER_PROFILES.name: _border(topics.USER_PROFILES, UserProfile),
    topics.RECOMMENDATIONS.name: _border(topics.RECOMMENDATIONS, Recommendations),
}


def decode(
    topic: str, key: bytes | None, value: bytes | None, headers: Headers | None, timestamp_ms: int, limits: FoldSettings
) -> tuple[str, BaseModel | None]:
    """The key and message of a record; the message is None for a tombstone, where the topic allows one.

    `timestamp_ms` is the record's Kafka timestamp. Nothing happens after it was recorded: a time ahead of it becomes
    `timestamp_ms`, and one further ahead than `limits.max_future_s` is refused. So the verdict depends on the record alone.

    Raises:
        BadMessage: this record can never be processed.
    """
    border = _BORDERS[topic]
    if headers:
        _check_version(headers)
    text_key = _decode_key(key)
    if value is None:
        if not border.null_has_meaning:
            raise BadMessage("missing_value", "the value is null")
        return text_key, None
    if len(value) > LARGE_BYTES:
        _check_large(value, border)
    try:
        message = border.parse(value)
    except ValidationError as error:
        raise _refusal(error) from None
    owner = border.owner(message)
    if owner != text_key:
        raise BadMessage("key_mismatch", f"the key is {text_key[:64]!r} but the message belongs to {owner[:64]!r}")
    if border.time_field is not None:
        time_ms: int = getattr(message, border.time_field)
        if not limits.min_event_time_ms <= time_ms <= timestamp_ms:
            message = _with_time_set_right(message, border.time_field, time_ms, timestamp_ms, limits)
            metrics.FUTURE_TIMES.labels(topic=topic).inc()
    if type(message) is BehaviorEvent and message.item_id is None and message.type != "search":
        raise BadMessage("missing_item", f"an event of type {message.type} needs an item_id")
    return text_key, message


def _check_version(headers: Headers) -> None:
    for name, raw in headers:
        if name == HEADERS_UNREADABLE:
            raise BadMessage(
                "bad_headers", "a header's name is not UTF-8; the headers are lost, key and value are as they came"
            )
        if name == VERSION_HEADER and raw != _OUR_VERSION:
            raise BadMessage("unknown_version", f"schema version {raw!r:.40}; this build reads version {SCHEMA_VERSION}")


def _decode_key(key: bytes | None) -> str:
    if not key:
        raise BadMessage("missing_key", "the key is null or empty")
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise BadMessage("bad_key", "the key is not UTF-8") from None


def _check_large(value: bytes, border: _Border) -> None:
    if len(value) > border.max_bytes:
        raise BadMessage("too_large", f"{len(value)} bytes; a message of this topic has at most {border.max_bytes}")
    if border.shape is None:
        return
    try:
        border.shape.decode(value)
    except msgspec.ValidationError as error:
        raise BadMessage("invalid", f"{error}"[:300]) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass  # no JSON in msgspec's eyes; that is for the validator to say


def _refusal(error: ValidationError) -> BadMessage:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return BadMessage("not_json", first["msg"])
    place = ".".join(str(part) for part in first["loc"]) or "message"
    return BadMessage("invalid", f"{place}: {first['msg']}"[:300])


def _with_time_set_right(message: BaseModel, name: str, time_ms: int, timestamp_ms: int, limits: FoldSettings) -> BaseModel:
    if time_ms < limits.min_event_time_ms:
        raise BadMessage("absurd_time", f"{name} {time_ms} is before {limits.min_event_time_ms}; is it in seconds?")
    if time_ms > timestamp_ms + limits.max_future_s * 1000:
        raise BadMessage("absurd_time", f"{name} {time_ms} is more than {limits.max_future_s:.0f} s ahead of its record")
    return message.model_copy(update={name: timestamp_ms})


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
