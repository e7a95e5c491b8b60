"""What is let in at the border, and the reason given for what is not."""

import json

import pytest

from schemas.errors import BadMessage
from schemas.messages import BehaviorEvent
from schemas.settings import FoldSettings
from schemas.topics import BEHAVIOR_EVENTS, PROFILE_REQUESTS, USER_ATTRIBUTES, USER_CONTROLS
from schemas.wire import decode

LIMITS = FoldSettings()
NOW = 1_790_000_000_000
GOOD = {"event_id": "e", "user_id": "u", "item_id": "i", "type": "view", "event_time_ms": NOW}


def decoded(value: bytes | None, topic: str = BEHAVIOR_EVENTS.name, key: bytes | None = b"u", headers: list | None = None):
    return decode(topic, key, value, headers, NOW, LIMITS)


def changed(**fields: object) -> bytes:
    return json.dumps(GOOD | fields).encode()


def test_a_good_event_and_unknown_fields() -> None:
    key, message = decoded(changed(new_field={"a": 1}), headers=[("schema-version", b"1"), ("other", b"x")])
    assert key == "u"
    assert isinstance(message, BehaviorEvent)


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("not_json", b"{"),
        ("not_json", b""),
        ("not_json", b'{"event_id": "\xff"}'),
        ("not_json", b"[" * 10_000),
        ("invalid", b"[]"),
        ("invalid", changed(event_time_ms="1790000000000")),
        ("invalid", changed(event_time_ms=-5)),
        ("invalid", changed(user_id="")),
        ("invalid", changed(item_id="a\u0000b")),
        ("invalid", changed(type="teleport")),
        ("invalid", changed(text="x" * 5000)),
        ("invalid", json.dumps(GOOD | {"value": float("nan")}).encode()),
        ("absurd_time", changed(event_time_ms=1_700_000_000)),
        ("absurd_time", changed(event_time_ms=NOW + 3 * 86_400_000)),
        ("key_mismatch", changed(user_id="other")),
        ("missing_item", json.dumps({name: value for name, value in GOOD.items() if name != "item_id"}).encode()),
        ("missing_value", None),
    ],
)
def test_refusals_name_their_reason(reason: str, value: bytes | None) -> None:
    with pytest.raises(BadMessage) as refusal:
        decoded(value)
    assert refusal.value.reason == reason
    assert len(str(refusal.value)) < 400


def test_refused_keys_and_versions() -> None:
    for key, reason in ((None, "missing_key"), (b"\xff", "bad_key")):
        with pytest.raises(BadMessage, match=reason):
            decoded(changed(), key=key)
    with pytest.raises(BadMessage, match="unknown_version"):
        decoded(changed(), headers=[("schema-version", b"2")])


def test_null_is_a_tombstone_only_where_it_has_a_meaning() -> None:
    assert decoded(None, USER_ATTRIBUTES.name) == ("u", None)
    assert decoded(None, PROFILE_REQUESTS.name) == ("u", None)
    with pytest.raises(BadMessage, match="missing_value"):
        decoded(None, USER_CONTROLS.name)
