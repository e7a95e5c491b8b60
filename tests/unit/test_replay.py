"""Replay: what is sent, in which order, at which pace; and malformed messages that nothing may accept."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
from pydantic import BaseModel

from producers.dataset import open_dataset
from producers.malformed import KINDS, RawMessage, malformed_messages
from producers.publisher import Headers
from producers.replay import MAX_ARREARS_S, Pace, mixed, replay
from schemas.errors import BadMessage
from schemas.messages import BehaviorEvent, ConsentControl
from schemas.settings import FoldSettings
from schemas.topics import MAX_MESSAGE_BYTES, Topic
from schemas.wire import decode

NOW_MS = 1_760_000_000_000


class Ledger:
    """A sender that writes down what it is given; "flush" marks where the replay waited."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str | bytes | None, BaseModel | bytes | None]] = []

    def send(self, topic: Topic, key: str, message: BaseModel) -> None:
        self.sent.append((topic.name, key, message))

    def send_raw(self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers | None = None) -> None:
        self.sent.append((topic.name, key, value))

    def flush(self) -> None:
        self.sent.append(("flush", None, None))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [f"u{n % 4},i{n % 3},view,{NOW_MS + n}" for n in range(40)]
    (tmp_path / "events.csv").write_text("user_id,item_id,type,event_time_ms\n" + "\n".join(rows) + "\n")
    (tmp_path / "items.csv").write_text("item_id,title,domain\n" + "".join(f"i{n},Item {n},video\n" for n in range(3)))
    (tmp_path / "users.csv").write_text("user_id,age\nu0,30\nu9,\n")
    return tmp_path


def test_items_arrive_before_users_and_users_before_events(folder: Path) -> None:
    ledger = Ledger()
    sent = replay(open_dataset(folder), ledger, grant_profile=True)
    topics = [topic for topic, _, _ in ledger.sent]
    expected = ["items"] * 3 + ["flush", "user-attributes"] + ["user-controls"] * 5 + ["flush"] + ["behavior-events"] * 40
    assert topics == [*expected, "flush"]
    assert (sent.items, sent.attributes, sent.controls, sent.events, sent.malformed) == (3, 1, 5, 40, 0)
    assert sent.users == {"u0", "u1", "u2", "u3"}
    consents = [message for _, _, message in ledger.sent if isinstance(message, ConsentControl)]
    assert {message.user_id for message in consents} == {"u0", "u1", "u2", "u3", "u9"}
    assert all(message.granted and message.purpose == "profile" for message in consents)


def test_no_consent_is_made_up_unasked(folder: Path) -> None:
    ledger = Ledger()
    assert replay(open_dataset(folder), ledger).controls == 0
    assert "user-controls" not in [topic for topic, _, _ in ledger.sent]


def test_keys_are_the_ids_and_times_the_data_s(folder: Path) -> None:
    ledger = Ledger()
    replay(open_dataset(folder), ledger, limit=7)
    events = [(key, message) for _, key, message in ledger.sent if isinstance(message, BehaviorEvent)]
    assert len(events) == 7
    assert all(key == message.user_id for key, message in events)
    assert [message.event_time_ms for _, message in events] == [NOW_MS + n for n in range(7)]


def test_progress_is_told_for_each_stage(folder: Path) -> None:
    told: list[tuple[str, int]] = []
    replay(open_dataset(folder), Ledger(), on_progress=lambda stage, done: told.append((stage, done)))
    assert [done for stage, done in told if stage == "events"] == list(range(1, 41))
    assert ("items", 3) in told and ("users", 1) in told


@pytest.mark.parametrize(("total", "malformed"), [(40, 0), (40, 7), (40, 40), (10, 95), (1, 3), (0, 5)])
def test_malformed_messages_are_spread_evenly_and_all_sent(total: int, malformed: int) -> None:
    events = [BehaviorEvent(event_id=str(n), user_id="u", item_id="i", type="view", event_time_ms=n) for n in range(total)]
    stream = list(mixed(events, total, malformed, seed=1))
    assert [message for message in stream if isinstance(message, BehaviorEvent)] == events
    assert sum(isinstance(message, RawMessage) for message in stream) == malformed
    first_half = sum(isinstance(message, RawMessage) for message in stream[: len(stream) // 2])
    assert total == 0 or abs(first_half - malformed / 2) <= max(2, malformed / total)


class FakeClock:
    """Time that passes only by sleeping, and by what the loop itself costs."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now_s += seconds


@pytest.mark.parametrize("rate_per_s", [0.5, 10.0, 200.0, 3000.0])
def test_turns_are_evenly_spaced(rate_per_s: float) -> None:
    clock = FakeClock()
    pace = Pace(rate_per_s, clock, clock.sleep)
    turns = []
    for _ in range(500):
        pace.wait()
        turns.append(clock.now_s)
        clock.now_s += 0.00005
    assert turns[-1] - turns[0] == pytest.approx(499 / rate_per_s, rel=0.02)
    gaps = [after - before for before, after in itertools.pairwise(turns)]
    assert max(gaps) <= 1 / rate_per_s + 0.0011, "never waits longer than a turn and a nap"


def test_a_short_delay_is_made_up_for_and_a_stall_is_not() -> None:
    clock = FakeClock()
    pace = Pace(100.0, clock, clock.sleep)
    pace.wait()
    clock.now_s += 0.1
    started_s = clock.now_s
    for _ in range(9):
        pace.wait()
    assert clock.now_s == pytest.approx(started_s, abs=0.002), "nine turns were due already"
    clock.now_s += MAX_ARREARS_S * 20
    started_s = clock.now_s
    for _ in range(101):
        pace.wait()
    assert clock.now_s - started_s == pytest.approx(1.0, rel=0.02), "no burst after a stall"


def test_without_a_rate_nothing_waits() -> None:
    clock = FakeClock()
    pace = Pace(None, clock, clock.sleep)
    for _ in range(1000):
        pace.wait()
    assert clock.naps == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_malformed_kind_is_refused_at_the_border(kind: str) -> None:
    made = [raw for raw in malformed_messages(5, 3 * len(KINDS), NOW_MS) if raw.kind == kind]
    assert len(made) == 3
    for raw in made:
        with pytest.raises(BadMessage) as refused:
            decode(raw.topic.name, raw.key, raw.value, raw.headers, NOW_MS, FoldSettings())
        assert refused.value.reason
        assert len(raw.value or b"") < MAX_MESSAGE_BYTES, "the broker must take it"


def test_what_the_kinds_are_made_of_is_otherwise_valid() -> None:
    """So that each is refused for what its name says, not for a slip in the maker."""
    from producers.malformed import Victim

    victim = Victim("u", "e", NOW_MS)
    event = victim.message("none", victim.event(), key="")
    assert decode(event.topic.name, event.key, event.value, event.headers, NOW_MS, FoldSettings())[0] == "u"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("key_mismatch", "key_mismatch"), ("null_key", "missing_key"), ("null_value", "missing_value"),
        ("unknown_version", "unknown_version"), ("seconds_for_ms", "absurd_time"), ("three_days_ahead", "absurd_time"),
        ("deep_nesting", "invalid"), ("huge_text", "too_large"), ("view_of_no_item", "missing_item"),
        ("key_not_utf8", "bad_key"),
    ],
)  # fmt: skip
def test_kinds_are_refused_for_their_own_reason(kind: str, reason: str) -> None:
    raw = next(raw for raw in malformed_messages(1, len(KINDS), NOW_MS) if raw.kind == kind)
    with pytest.raises(BadMessage) as refused:
        decode(raw.topic.name, raw.key, raw.value, raw.headers, NOW_MS, FoldSettings())
    assert refused.value.reason == reason


def test_malformed_messages_are_many_kinds_deterministic_and_distinct() -> None:
    assert len(KINDS) >= 40
    one, two = list(malformed_messages(5, 1000, NOW_MS)), list(malformed_messages(5, 1000, NOW_MS))
    assert one == two and len(one) == 1000
    counts = Counter(raw.kind for raw in one)
    assert set(counts) == set(KINDS) and max(counts.values()) - min(counts.values()) <= 1
    assert list(malformed_messages(6, 100, NOW_MS)) != one[:100]
    assert len({(raw.kind, raw.key, raw.value) for raw in one}) > 900
