"""What is let in at the border, and the reason given for what is not."""

import json

import pytest

from schemas import metrics
from schemas.errors import BadMessage
from schemas.messages import BehaviorEvent, UserAttributes
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


def test_a_clock_that_is_ahead_is_set_back_to_the_records_time() -> None:
    bound_ms = int(LIMITS.max_future_s * 1000)
    counted = metrics.FUTURE_TIMES.labels(topic=BEHAVIOR_EVENTS.name)._value.get
    before = counted()
    _, ahead = decoded(changed(event_time_ms=NOW + bound_ms))
    _, on_time = decoded(changed(event_time_ms=NOW))
    assert isinstance(ahead, BehaviorEvent) and isinstance(on_time, BehaviorEvent)
    assert ahead == on_time
    assert counted() - before == 1
    with pytest.raises(BadMessage, match="absurd_time"):
        decoded(changed(event_time_ms=NOW + bound_ms + 1))


def test_a_fast_clock_does_not_keep_a_user_from_correcting_what_they_declared() -> None:
    ahead = json.dumps({"user_id": "u", "updated_at_ms": NOW + 3_600_000, "age": 20}).encode()
    _, message = decoded(ahead, USER_ATTRIBUTES.name)
    assert isinstance(message, UserAttributes)
    assert message.updated_at_ms == NOW
