"""The processes of the local stack, each under a guard that never lets it outlive us."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from schemas.errors import ConfigError

GUARD = Path(__file__).with_name("guard.py")
GRACE_S = 20.0
TAIL_BYTES = 64 * 1024
LINE_CHARACTERS = 300


class Child:
    """One running command, its output appended to `log`.

    `lock_fd` is kept open by the guard, so that a lock on it is held until the last process of the command has gone.
    `shm_prefix` names shared memory to remove when the command could not.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], log: Path, lock_fd: int | None = None, shm_prefix: str = ""
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(GRACE_S), str(log), shm_prefix, *command],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=() if lock_fd is None else (lock_fd,),
            start_new_session=True,  # Ctrl-C in the terminal is for us; we end the servers in good order
        )
        assert self._guard.stdout is not None
        with self._guard.stdout as announced:
            line = announced.readline()
        if not line:
            raise ConfigError(f"could not run {command[0]}; see the end of {log}")
        self.pid = int(line)

    @property
    def returncode(self) -> int | None:
        """None while the command or anything it started lives; 128 + n when signal n ended it."""
        return self._guard.poll()

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the command to end by itself; None when it has not within the time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._guard.wait(timeout_s)
        return None

    def stop(self) -> None:
        """End the command in good order, killing it when it takes longer than GRACE_S. Returns when all of it has gone."""
        if self._guard.poll() is None:
            self._guard.terminate()
        self._guard.wait()

    def kill(self) -> None:
        """kill -9 of the command, as a crash would. Returns when all of it has gone."""
        if self._guard.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._guard.wait()

    def last_lines(self, count: int = 12) -> str:
        """The end of what this run of the command has written."""
        return "\n".join(line[:LINE_CHARACTERS] for line in tail(self.log, count, self._log_start).splitlines())


class Children:
    """Every process a stack has started. Once closed, it starts none: a start still under way in a thread ends with an error.

    `lock_fd` is the stack's lock, held on by each guard.
    """

    def __init__(self, lock_fd: int | None = None) -> None:
        self._lock_fd = lock_fd
        self._started: list[Child] = []
        self._closed = False
        self._starting = threading.Lock()

    def start(self, command: Sequence[str], env: Mapping[str, str], log: Path, shm_prefix: str = "") -> Child:
        """Start a process.

        Raises:
            ConfigError: closed, or the command cannot be run.
        """
        with self._starting:
            if self._closed:
                raise ConfigError("the local stack is being stopped")
            self._started = [child for child in self._started if child.returncode is None]
            child = Child(command, env, log, self._lock_fd, shm_prefix)
            self._started.append(child)
            return child

    def close(self) -> None:
        """Stop every process, side by side, and start no more."""
        with self._starting:
            self._closed = True
        if self._started:
            with ThreadPoolExecutor(max_workers=len(self._started)) as pool:
                list(pool.map(Child.stop, self._started))


def tail(log: Path, count: int, start: int = 0) -> str:
    """The last lines of a log, at most TAIL_BYTES of them, from byte `start` on."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - TAIL_BYTES))
        return "\n".join(deque(file.read().decode(errors="replace").splitlines(), maxlen=count))


def is_alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
