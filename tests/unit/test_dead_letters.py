"""Dead letters taken apart, chosen and planned for a replay."""

import pytest

from consumers.runtime.clients import RawRecord
from deploy.dead_letter_replay import make_plan, replay_headers
from deploy.dead_letters import Choice, Letter, Place, letter_of, since_ms
from schemas.errors import BadMessage, ConfigError
from schemas.topics import BEHAVIOR_EVENTS, DEAD_LETTERS, ITEMS
from schemas.wire import dead_letter_headers

Headers = list[tuple[str, bytes | None]]


def a_letter(offset: int = 7, topic: str = BEHAVIOR_EVENTS.name, original: Headers | None = None, key: bytes = b"u") -> Letter:
    headers = dead_letter_headers(BadMessage("not_json", "why"), topic, 1, 40, 1000, original)
    return letter_of(RawRecord(DEAD_LETTERS.name, 2, offset, 2000, key, b"{", headers))


def test_a_record_cannot_forge_our_headers() -> None:
    forged: Headers = [("portrait-source-topic", b"items"), ("a", None), ("a", b"2"), ("portrait-reason", b"x")]
    letter = a_letter(original=forged)
    assert (letter.source, letter.reason) == ("behavior-events-1@40", "not_json")
    assert list(letter.original_headers) == forged


def test_a_replay_s_header_replaces_the_one_before() -> None:
    letter = a_letter(original=[("x", b"1"), ("portrait-replayed-from", b"0@1"), ("y", None)])
    assert letter.replayed_from == "0@1"
    assert replay_headers(letter) == [("x", b"1"), ("y", None), ("portrait-replayed-from", b"2@7")]


def test_the_plan_leaves_out_what_must_not_go() -> None:
    before: Headers = [("portrait-replayed-from", b"0@1")]
    foreign = letter_of(RawRecord(DEAD_LETTERS.name, 2, 4, 2000, b"u", b"{", []))
    letters = [
        a_letter(1),
        a_letter(2, original=before),
        a_letter(3, key=b"erased"),
        foreign,
        a_letter(5, ITEMS.name, key=b"erased"),
    ]
    plan = make_plan(letters, {b"erased": 1000}, to=None, again=False)
    assert plan.targets == {Place(2, 1): "behavior-events", Place(2, 5): "items"}  # an item is not a user of the same name
    assert plan.left_out == {"replayed before": 1, "user erased since": 1, "no source": 1}
    assert plan.sourceless == [Place(2, 4)]
    again = make_plan(letters, {b"erased": 999}, to="items", again=True)
    assert set(again.targets.values()) == {"items"} and len(again.targets) == 5
    assert make_plan(letters, {b"erased": 1000}, to="items", again=True).left_out == {"user erased since": 1}


def test_what_a_stopped_replay_has_passed_is_left_out() -> None:
    """What it left out itself is still called by its reason."""
    letters = [a_letter(1), a_letter(2, original=[("portrait-replayed-from", b"0@1")]), a_letter(3)]
    plan = make_plan(letters, {}, to=None, again=False, passed=lambda letter: letter.place.offset < 3)
    assert plan.targets == {Place(2, 3): "behavior-events"} and plan.left_out == {
        "passed before it was stopped": 1,
        "replayed before": 1,
    }


def test_choices_restrict() -> None:
    letter = a_letter()
    assert Choice().has(letter) and Choice("not_json", "behavior-events", 2000).has(letter)
    assert (
        not Choice(reason="forged").has(letter)
        and not Choice(topic="items").has(letter)
        and not Choice(since_ms=2001).has(letter)
    )


def test_places_and_moments_are_read_or_refused() -> None:
    assert Place.parse("3@12") == Place.parse("dead-letters-3@12") == Place(3, 12)
    for wrong in ("", "3", "@", "3@", "-1@2", "3@12 ", "٣@1"):
        with pytest.raises(ConfigError, match="PARTITION@OFFSET"):
            Place.parse(wrong)
    assert since_ms("2h", 10_000_000) == 2_800_000
    assert since_ms("1970-01-01T00:00:05", 0) == since_ms("1970-01-01T01:00:05+01:00", 0) == 5000
    with pytest.raises(ConfigError, match="is no time"):
        since_ms("2 hours", 0)
