"""A process that is killed while it restores leaves a store whose position promises nothing that is missing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.runtime.store import Position, Store

RESTORED = {f"user-{number}".encode(): b"restored" for number in range(2000)}
SLICE = Position(2000, {"events": 7}, 1)
NEXT = Position(2001, {"events": 8}, 2)

SCRIPT = """
import os, signal, sys
from pathlib import Path
from consumers.runtime.store import Position, Store
from tests.unit.test_store_kill import NEXT, RESTORED, SLICE
store = Store(Path(sys.argv[1]), 0)
store.write({"older": b"kept"}, Position(1, {}, 1))
store.restore(RESTORED, SLICE)
if sys.argv[2] == "recorded":
    store.record_position(SLICE)
if sys.argv[2] == "written":
    store.write({"newer": b"kept"}, NEXT)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder: Path, after: str) -> Store:
    ended = subprocess.run([sys.executable, "-c", SCRIPT, str(folder), after], check=False)
    assert ended.returncode == -signal.SIGKILL
    return Store(folder, 0)


def held(store: Store) -> int:
    return len(store.load([key.decode() for key in RESTORED]))


def test_killed_inside_a_restore_it_stands_where_it_stood(tmp_path: Path) -> None:
    store = killed(tmp_path, "restored")
    assert store.position() == Position(1, {}, 1)
    assert held(store) == 0 and store.load(["older"]) == {"older": b"kept"}


@pytest.mark.parametrize(("after", "position"), [("recorded", SLICE), ("written", NEXT)])
def test_killed_after_it_nothing_restored_is_missing(tmp_path: Path, after: str, position: Position) -> None:
    store = killed(tmp_path, after)
    assert store.position() == position
    assert held(store) == len(RESTORED) and store.load(["older"]) == {"older": b"kept"}
