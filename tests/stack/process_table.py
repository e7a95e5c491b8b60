"""The processes of a stack: found by its folder, which is in the command line or the environment of each."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]

MODELS = Path(__file__).with_name("models")


def processes(folder: Path) -> dict[int, str]:
    """The living processes that belong to a stack folder: pid and command."""
    found = {}
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
            if process.status() != psutil.STATUS_ZOMBIE and any(str(folder) in word for word in words):
                found[process.pid] = " ".join(process.cmdline())
        except psutil.Error:
            continue
    return found


def pids_of(folder: Path, name: str) -> list[int]:
    """Pids of the stack's processes whose command has this in it, guards aside."""
    return [pid for pid, command in processes(folder).items() if name in command and "guard.py" not in command]


def await_true(condition: Callable[[], object], timeout_s: float = 30.0) -> bool:
    """Whether the condition came true within the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def assert_no_process(folder: Path, timeout_s: float = 30.0) -> None:
    """Nothing of the stack is left."""
    assert await_true(lambda: not processes(folder), timeout_s), processes(folder)


def shared_memory_of(pid: int) -> list[Path]:
    """Shared memory that a Triton started by this process has not removed."""
    return list(Path("/dev/shm").glob(f"portrait_{pid}_*"))
