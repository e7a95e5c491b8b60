"""Messages that must all end in dead-letters, of many kinds: what a broken or hostile producer may send."""

import gzip
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from producers.publisher import Headers
from schemas.messages import VERSION_HEADER, version_headers
from schemas.topics import BEHAVIOR_EVENTS, ITEMS, MAX_MESSAGE_BYTES, USER_ATTRIBUTES, USER_CONTROLS, Topic

DAY_MS = 86_400_000
NEST_DEPTH = 10_000
ROOM_FOR_KEY_AND_HEADERS = 1024


class RawMessage(NamedTuple):
    """Bytes for a topic as a producer might send them; `kind` says what is wrong with them."""

    kind: str
    topic: Topic
    key: bytes | None
    value: bytes | None
    headers: Headers


class Victim(NamedTuple):
    """The user and ids one malformed message is made of, and the time it is made at."""

    user_id: str
    event_id: str
    now_ms: int

    def event(self, **changes: Any) -> dict[str, Any]:
        """A valid view event with some fields changed."""
        return {
            "event_id": self.event_id,
            "user_id": self.user_id,
            "item_id": "malformed-item",
            "type": "view",
            "event_time_ms": self.now_ms - 60_000,
            **changes,
        }

    def message(
        self,
        kind: str,
        value: bytes | dict[str, Any] | None,
        topic: Topic = BEHAVIOR_EVENTS,
        key: str | None = "",
        version: bytes | None = None,
    ) -> RawMessage:
        """A message of this victim: a dict becomes JSON, key "" is the user's id."""
        data = json.dumps(value, ensure_ascii=False).encode() if isinstance(value, dict) else value
        headers = version_headers() if version is None else [(VERSION_HEADER, version)]
        return RawMessage(kind, topic, (key or self.user_id).encode() if key is not None else None, data, headers)


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    """The fields less some of them."""
    return {name: value for name, value in fields.items() if name not in names}


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


def _huge_text(victim: Victim) -> bytes:
    room = MAX_MESSAGE_BYTES - ROOM_FOR_KEY_AND_HEADERS - len(_json(victim.event(text="")))
    return _json(victim.event(text="x" * room))


def _deep(victim: Victim) -> bytes:
    return _json(victim.event())[:-1] + b', "text": ' + b"[" * NEST_DEPTH + b"]" * NEST_DEPTH + b"}"


def _number(victim: Victim, literal: str) -> bytes:
    return _json(victim.event())[:-1] + b', "value": ' + literal.encode() + b"}"


def _user(victim: Victim, **fields: Any) -> dict[str, Any]:
    return {"user_id": victim.user_id, "updated_at_ms": victim.now_ms, **fields}


def _control(victim: Victim, **fields: Any) -> dict[str, Any]:
    return {"user_id": victim.user_id, "issued_at_ms": victim.now_ms, **fields}


Maker = Callable[[str, Victim], RawMessage]

MAKERS: dict[str, Maker] = {
    "not_json": lambda kind, v: v.message(kind, f"user {v.user_id} viewed something".encode()),
    "empty": lambda kind, v: v.message(kind, b""),
    "null_value": lambda kind, v: v.message(kind, None),
    "null_literal": lambda kind, v: v.message(kind, b"null"),
    "list": lambda kind, v: v.message(kind, f'["{v.event_id}"]'.encode()),
    "string": lambda kind, v: v.message(kind, f'"{v.event_id}"'.encode()),
    "truncated": lambda kind, v: v.message(kind, _json(v.event())[:-9]),
    "trailing_bytes": lambda kind, v: v.message(kind, _json(v.event()) + b"}"),
    "utf16": lambda kind, v: v.message(kind, json.dumps(v.event()).encode("utf-16")),
    "byte_order_mark": lambda kind, v: v.message(kind, b"\xef\xbb\xbf" + _json(v.event())),
    "invalid_utf8": lambda kind, v: v.message(kind, _json(v.event(text="@")).replace(b"@", b"\xff\xc3\x28")),
    "lone_surrogate": lambda kind, v: v.message(kind, _json(v.event(text="@")).replace(b"@", b"\\ud800")),
    "gzip": lambda kind, v: v.message(kind, gzip.compress(_json(v.event()), mtime=0)),
    "deep_nesting": lambda kind, v: v.message(kind, _deep(v)),
    "huge_text": lambda kind, v: v.message(kind, _huge_text(v)),
    "wrong_types": lambda kind, v: v.message(kind, v.event(item_id=12345, event_time_ms=str(v.now_ms))),
    "value_is_text": lambda kind, v: v.message(kind, v.event(value="five")),
    "missing_user_id": lambda kind, v: v.message(kind, without(v.event(), "user_id")),
    "missing_event_id": lambda kind, v: v.message(kind, without(v.event(), "event_id")),
    "missing_time": lambda kind, v: v.message(kind, without(v.event(), "event_time_ms")),
    "empty_id": lambda kind, v: v.message(kind, v.event(event_id="")),
    "long_id": lambda kind, v: v.message(kind, v.event(item_id="i" * 129)),
    "control_character_in_id": lambda kind, v: v.message(kind, v.event(item_id="item\x00\x1b[2J")),
    "key_mismatch": lambda kind, v: v.message(kind, v.event(), key=f"not-{v.user_id}"),
    "null_key": lambda kind, v: v.message(kind, v.event(), key=None),
    "empty_key": lambda kind, v: v.message(kind, v.event())._replace(key=b""),
    "key_not_utf8": lambda kind, v: v.message(kind, v.event())._replace(key=b"\xfe\xed" + v.user_id.encode()),
    "view_of_no_item": lambda kind, v: v.message(kind, without(v.event(), "item_id")),
    "negative_time": lambda kind, v: v.message(kind, v.event(event_time_ms=-v.now_ms)),
    "year_9999": lambda kind, v: v.message(kind, v.event(event_time_ms=253_402_300_798_000)),
    "three_days_ahead": lambda kind, v: v.message(kind, v.event(event_time_ms=v.now_ms + 3 * DAY_MS)),
    "seconds_for_ms": lambda kind, v: v.message(kind, v.event(event_time_ms=v.now_ms // 1000)),
    "huge_integer": lambda kind, v: v.message(kind, v.event(event_time_ms=10**400)),
    "nan": lambda kind, v: v.message(kind, _number(v, "NaN")),
    "infinity": lambda kind, v: v.message(kind, _number(v, "-Infinity")),
    "overflowing_number": lambda kind, v: v.message(kind, _number(v, "1e999")),
    "unknown_type": lambda kind, v: v.message(kind, v.event(type="stare")),
    "unknown_version": lambda kind, v: v.message(kind, v.event(), version=b"999"),
    "version_not_a_number": lambda kind, v: v.message(kind, v.event(), version=b"one"),
    "unknown_control": lambda kind, v: v.message(kind, _control(v, kind="forget_half"), USER_CONTROLS),
    "control_without_kind": lambda kind, v: v.message(kind, _control(v), USER_CONTROLS),
    "unknown_purpose": lambda kind, v: v.message(
        kind, _control(v, kind="consent", purpose="resale", granted=True), USER_CONTROLS
    ),
    "consent_as_text": lambda kind, v: v.message(
        kind, _control(v, kind="consent", purpose="profile", granted="yes"), USER_CONTROLS
    ),
    "impossible_age": lambda kind, v: v.message(kind, _user(v, age=-3), USER_ATTRIBUTES),
    "too_many_tags": lambda kind, v: v.message(kind, _user(v, tags=["tag"] * 5000), USER_ATTRIBUTES),
    "item_without_title": lambda kind, v: v.message(
        kind, {"item_id": v.event_id, "domain": "news", "title": ""}, ITEMS, key=v.event_id
    ),
    "item_of_no_domain": lambda kind, v: v.message(
        kind, {"item_id": v.event_id, "domain": "weapons", "title": "An item"}, ITEMS, key=v.event_id
    ),
}
KINDS: tuple[str, ...] = tuple(MAKERS)


def malformed_messages(seed: int, count: int, now_ms: int | None = None) -> Iterator[RawMessage]:
    """`count` messages none of which may be accepted, every kind in turn; the same for the same seed and `now_ms`.

    Their users are called `malformed-…`, so that a user of that name in any output is a fault. `now_ms` is when they are
    sent (default now): a few are wrong only by their distance from it.
    """
    random_source = random.Random(f"malformed {seed}")
    kinds = list(MAKERS.items())
    random_source.shuffle(kinds)
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    for number, (kind, make) in enumerate(itertools.islice(itertools.cycle(kinds), count)):
        suffix = f"{random_source.getrandbits(32):08x}"
        yield make(kind, Victim(f"malformed-{suffix}", f"malformed-{seed}-{number}", now_ms))
