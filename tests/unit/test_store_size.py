"""A store whose states are overwritten again and again stays near the size of what is alive."""

import random
import time
from contextlib import suppress
from pathlib import Path

from consumers.runtime.store import Position, Store, StoreMemory

STATES = 16_000
STATE_BYTES = 2_000
OVERWRITTEN = 16
"""Times each state, on average."""
TIMES_ALIVE = 6
"""So small a store has a large fixed part: files not yet compacted. Unless compaction is asked for it is 10."""

FEW_STATES, TIMES_ALIVE_CLOSED = 3_000, 1.2
"""Not written out or not compacted they are twice as much, with nothing freed after the restore 6 times."""

SETTLED_WITHIN_S = 30.0
"""Compaction has the time that nobody else wants, and is behind when others keep the machine busy."""


def test_what_is_overwritten_is_freed(tmp_path: Path) -> None:
    chance = random.Random(1)
    keys = [f"user-{number}" for number in range(STATES)]
    store = Store(tmp_path, 0, StoreMemory(8 << 20))
    for _ in range(10 * OVERWRITTEN):
        states = {key: chance.randbytes(STATE_BYTES) for key in chance.sample(keys, STATES // 10)}
        store.write(states, Position(1))
    deadline_s = time.monotonic() + SETTLED_WITHIN_S
    while (held_bytes := bytes_of(tmp_path)) >= TIMES_ALIVE * STATES * STATE_BYTES and time.monotonic() < deadline_s:
        time.sleep(0.5)
    store.close()
    assert held_bytes < TIMES_ALIVE * STATES * STATE_BYTES


def test_a_restore_hinders_no_freeing_and_a_stop_leaves_hardly_more_than_what_is_alive(tmp_path: Path) -> None:
    chance = random.Random(1)
    keys = [f"user-{number}" for number in range(FEW_STATES)]
    store = Store(tmp_path, 0, StoreMemory(8 << 20))
    store.restore({key.encode(): chance.randbytes(STATE_BYTES) for key in keys}, Position(1))
    store.record_position(Position(1))
    for _ in range(10 * OVERWRITTEN):
        store.write({key: chance.randbytes(STATE_BYTES) for key in chance.sample(keys, FEW_STATES // 10)}, Position(1))
    store.close()
    assert bytes_of(tmp_path) < TIMES_ALIVE_CLOSED * FEW_STATES * STATE_BYTES
    assert len(Store(tmp_path, 0).load(keys)) == FEW_STATES


def bytes_of(folder: Path) -> int:
    """What the files hold of the disk; one may go while we look."""
    held_bytes = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            held_bytes += file.stat().st_blocks * 512 if file.is_file() else 0
    return held_bytes
