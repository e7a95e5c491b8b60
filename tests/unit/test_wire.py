"""What is let in at the border, and the reason given for what is not."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.runtime.clients import raw_record
from schemas import metrics
from schemas.errors import BadMessage
from schemas.messages import BehaviorEvent, Cause, Sentence, Statement, UserAttributes, UserProfile, encode
from schemas.settings import FoldSettings
from schemas.topics import BEHAVIOR_EVENTS, PROFILE_REQUESTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES
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
        ("not_json", b"[" * 4_000),
        ("too_large", changed(new_field="x" * 200_000)),
        ("invalid", changed(item_id=[{}] * 30_000)),
        ("invalid", b"{" + b'"a":1,' * 10_000 + b'"b":2}'),
        ("not_json", changed(new_field="x" * 5_000)[:-1]),
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


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda part: st.lists(part, max_size=3)))
def test_a_large_message_gets_the_verdict_of_a_small_one(part: object) -> None:
    """Its shape is looked at first, which must refuse nothing that the model takes."""
    for name in ("item_id", "value", "text", "event_time_ms", "unknown"):
        verdicts = []
        for padding in ("x", "x" * 5000):
            try:
                verdicts.append(decoded(changed(**{name: part, "padding": padding})))
            except BadMessage as refusal:
                verdicts.append(refusal.reason)
        assert verdicts[0] == verdicts[1]


def test_every_message_in_full_passes_for_its_shape() -> None:
    everything = {"free_text": "\u00e9" * 4000, "tags": ["\U0001d54f" * 64] * 32, "age": 1, "gender": "other"}
    value = json.dumps({"user_id": "u", "updated_at_ms": NOW, "location": "x", **everything}).encode()
    _, message = decoded(value, USER_ATTRIBUTES.name)
    assert isinstance(message, UserAttributes) and len(message.tags) == 32
    widest = changed(text="\U0001d54f" * 4000, event_id="\U0001d54f" * 128, item_id="\U0001d54f" * 128)
    assert len(widest) > 40_000 and isinstance(decoded(widest)[1], BehaviorEvent)
    vector = [0.123456] * 1000
    profile = answer().model_copy(update={"text_vector": vector})
    assert decoded(encode(profile), USER_PROFILES.name) == ("u", profile)


@pytest.mark.parametrize("hole", [b"[" + b"{}," * 150_000 + b"{}]", b"[" + b'{"topic":1},' * 50_000 + b"{}]"])
def test_a_megabyte_of_structure_is_refused_at_once(hole: bytes) -> None:
    """It took seconds, one error and one copy of the whole for each part of it."""
    value = b'{"user_id": "u", "statements": ' + hole + b"}"
    started = time.process_time()
    with pytest.raises(BadMessage, match="invalid"):
        decoded(value, USER_PROFILES.name)
    assert time.process_time() - started < 0.2


def answer() -> UserProfile:
    cause = Cause(topic="t", partition=0, offset=0, record_time_ms=0, waiting_since_ms=0)
    statement = Statement(topic="sports", stance="likes", strength=0.5, evidence=["event:e1"])
    return UserProfile(
        user_id="u", request_id="r", language="en", state_version=1, event_count=3, statements=[statement] * 20,
        summary=[Sentence(text="Likes sports.", source="plain", statements=[0])], text_vector=[], model_name="m",
        model_version="1", generated_at_ms=NOW, requested_at_ms=NOW, cause=cause,
    )  # fmt: skip


class Unreadable:
    """A message with a header whose name is not UTF-8, as confluent-kafka gives it."""

    def headers(self) -> None:
        raise SystemError("<method 'headers' of 'cimpl.Message' objects> returned a result with an exception set")

    def __getattr__(self, name: str) -> Any:
        return {"topic": lambda: "behavior-events", "timestamp": lambda: (1, 5)}.get(name, lambda: 7)


def test_a_header_that_cannot_be_read_makes_a_bad_message_and_no_dead_worker() -> None:
    raw = raw_record(Unreadable())  # type: ignore[arg-type]
    with pytest.raises(BadMessage, match="not UTF-8") as refused:
        decode(raw.topic, b"ann", b"{}", raw.headers, 1, FoldSettings())
    assert refused.value.reason == "bad_headers"
