"""A store whose states are overwritten again and again stays near the size of what is alive."""

import random
from pathlib import Path

from consumers.runtime.store import Position, Store, StoreMemory

STATES = 16_000
STATE_BYTES = 2_000
OVERWRITTEN = 16
"""Times each state, on average."""
TIMES_ALIVE = 6
"""So small a store has a large fixed part: files not yet compacted. Unless compaction is asked for it is 10."""


def test_what_is_overwritten_is_freed(tmp_path: Path) -> None:
    chance = random.Random(1)
    keys = [f"user-{number}" for number in range(STATES)]
    store = Store(tmp_path, 0, StoreMemory(8 << 20))
    for _ in range(10 * OVERWRITTEN):
        states = {key: chance.randbytes(STATE_BYTES) for key in chance.sample(keys, STATES // 10)}
        store.write(states, Position(1))
    held_bytes = sum(file.stat().st_blocks * 512 for file in tmp_path.rglob("*") if file.is_file())
    store.close()
    assert held_bytes < TIMES_ALIVE * STATES * STATE_BYTES
