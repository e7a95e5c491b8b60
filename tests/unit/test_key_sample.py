"""The sample of a store's keys: bounded, of every key with the same chance, and kept without a look at the states."""

from pathlib import Path

import pytest

from consumers.runtime import key_sample
from consumers.runtime.key_sample import MOST_KEYS, KeySample
from consumers.runtime.packing import pack
from consumers.runtime.store import Position, Store

STATE = pack(bytes(range(256)) * 8)
USERS = 40_000


def states(*numbers: int) -> dict[str, bytes | None]:
    return {f"user-{number}": STATE for number in numbers}


def test_it_is_bounded_and_prefers_no_key() -> None:
    sample = KeySample()
    kept: set[bytes] = set()
    for start in range(0, USERS, 1000):
        moved = sample.follow({f"user-{number}".encode(): STATE for number in range(start, start + 1000)})
        kept = {*kept, *moved} - {key for key, entry in moved.items() if entry is None}
    chosen = sample.in_order()
    assert kept == set(chosen) and MOST_KEYS / 3 < len(chosen) <= MOST_KEYS
    numbers = [int(key.split(b"-")[1]) for key in chosen]
    of_each_tenth = [sum(number * 10 // USERS == tenth for number in numbers) for tenth in range(10)]
    assert all(0.75 < 10 * count / len(numbers) < 1.25 for count in of_each_tenth)
    first = numbers[: len(numbers) // 4]
    assert 0.45 < sum(first) / len(first) / USERS < 0.55


def test_a_store_gives_all_keys_while_there_are_few_and_none_that_was_deleted(tmp_path: Path) -> None:
    store = Store(tmp_path, 0)
    assert store.sample() == []
    store.write(states(1, 2, 3), Position(1))
    store.write({"user-2": None, "user-3": STATE}, Position(2))
    assert set(store.sample()) == {"user-1", "user-3"}


def test_it_outlives_a_restart_and_goes_with_a_wipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_sample, "MOST_KEYS", 20)
    store = Store(tmp_path, 0)
    store.restore({key.encode(): state for key, state in states(*range(100)).items()}, Position(1))
    store.record_position(Position(1))
    chosen = store.sample()
    assert 5 < len(chosen) <= 20
    store.close()
    store = Store(tmp_path, 0)
    assert store.sample() == chosen
    store.write(states(*range(100)), Position(2))  # known keys: those that the bound left out stay out
    assert store.sample() == chosen
    store.wipe()
    assert store.sample() == []


def test_no_state_is_read_for_it(tmp_path: Path) -> None:
    store = Store(tmp_path, 0)
    store.write(states(*range(50)), Position(1))
    store.close()
    for file in (tmp_path / "0").glob("*.blob"):
        file.write_bytes(bytes(file.stat().st_size))
    assert len(Store(tmp_path, 0).sample()) == 50
