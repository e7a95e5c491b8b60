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


def bytes_of(folder: Path) -> int:
    """What the files hold of the disk; one may go while we look."""
    held_bytes = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            held_bytes += file.stat().st_blocks * 512 if file.is_file() else 0
    return held_bytes
