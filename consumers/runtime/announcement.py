"""A worker's name in its project folder: one living process has it, and leaves word there of where it serves its metrics."""

import fcntl
import json
import os

from schemas.errors import ConfigError
from schemas.settings import RuntimeSettings

ENDPOINTS_FOLDER = "endpoints"
"""Below the project folder: one JSON file a running process, with its role, replica, pid and url."""


class Announcement:
    """The endpoint file of a role's replica, and the lock on its name. The kernel frees the lock however the process ends."""

    def __init__(self, settings: RuntimeSettings, role: str) -> None:
        self._settings = settings
        self._role = role
        self._file = settings.folder / ENDPOINTS_FOLDER / f"{role}-{settings.replica}.json"
        self._lock: int | None = None

    def claim(self) -> None:
        """Take the name.

        Raises:
            ConfigError: another process has it.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise ConfigError(
                f"a {self._role} of the name {self._settings.replica} is already running in {self._settings.folder}"
                f"{self._owner()}: stop it, or give this one a name of its own with PORTRAIT_RUNTIME__REPLICA"
            ) from None
        self._lock = lock
        self._file.unlink(missing_ok=True)  # the word of one that was killed

    def _owner(self) -> str:
        try:
            return f" (process {int(json.loads(self._file.read_text())['pid'])})"
        except (OSError, ValueError, KeyError, TypeError):  # it has only just started
            return ""

    def publish(self, port: int) -> None:
        """Leave word of the port, so that `portrait top` and the demo find every process of this folder."""
        address = {"role": self._role, "replica": self._settings.replica, "pid": os.getpid()}
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps({**address, "url": f"http://{self._settings.http_host}:{port}"}))
        draft.replace(self._file)

    def withdraw(self) -> None:
        """Take back the word and give the name free, where this process has it."""
        if self._lock is not None:
            self._file.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
