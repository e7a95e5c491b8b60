"""The workers of a demo: child processes that never outlive it."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from consumers.runtime.announcement import ENDPOINTS_FOLDER
from deploy.local.child import Child
from deploy.local.progress import Report, silent
from schemas.errors import ConfigError
from schemas.settings import Settings

READY_TIMEOUT_S = 120.0
ROLES = ("catalog", "profiler", "narrator")


class Workers:
    """One process a role, with the addresses of `settings`; logs beside the stack's."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        self._settings = settings
        self._logs = logs
        self._children: dict[str, Child] = {}

    def start(self, role: str) -> None:
        """Start a role's process."""
        command = [sys.executable, "-m", "deploy.cli", "run", role]
        self._children[role] = Child(command, self._environment(), self._logs / f"{role}.log")

    def start_all(self, report: Report = silent) -> None:
        """Start every role and return when all of them do their work.

        Raises:
            ConfigError: one ended or was not ready in time; the message has its last log lines.
        """
        for role in ROLES:
            self.start(role)
            report(role, "starting")
        for role in ROLES:
            self.wait_ready(role)
            report(role, "ready")

    def wait_ready(self, role: str, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Return when the role's process does its work."""
        child, deadline = self._children[role], time.monotonic() + timeout_s
        while not self._ready(role):
            if child.returncode is not None:
                raise ConfigError(f"{role} ended with status {child.returncode}; {child.log} ends:\n{child.last_lines()}")
            if time.monotonic() > deadline:
                raise ConfigError(f"{role} was not ready after {timeout_s:.0f} s; {child.log} ends:\n{child.last_lines()}")
            time.sleep(0.1)

    def alive(self, role: str) -> bool:
        """Whether the role's first process still runs: none was restarted."""
        return self._children[role].returncode is None

    def kill(self, role: str) -> None:
        """kill -9, as a crash would."""
        self._children[role].kill()

    def stop_one(self, role: str) -> None:
        """End one of them in good order."""
        self._children[role].stop()

    def stop(self) -> None:
        """End all of them in good order."""
        for child in self._children.values():
            child.stop()

    def _environment(self) -> dict[str, str]:
        settings = self._settings
        assert settings.kafka.bootstrap_servers
        assert settings.triton.grpc_address
        return {
            **os.environ,
            "PORTRAIT_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "PORTRAIT_TRITON__GRPC_ADDRESS": settings.triton.grpc_address,
            "PORTRAIT_RUNTIME__FOLDER": str(settings.runtime.folder.absolute()),
            "PORTRAIT_RUNTIME__HTTP_PORT": "0",
            "OMP_NUM_THREADS": "1",  # faiss and numpy in several processes on few cores only get in each other's way
        }

    def _endpoint(self, role: str) -> Path:
        return self._settings.runtime.folder / ENDPOINTS_FOLDER / f"{role}-{self._settings.runtime.replica}.json"

    def _ready(self, role: str) -> bool:
        try:
            said = json.loads(self._endpoint(role).read_text())
            if said["pid"] != self._children[role].pid:  # left there by a process that was killed
                return False
            with urllib.request.urlopen(f"{said['url']}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (FileNotFoundError, json.JSONDecodeError, urllib.error.URLError, TimeoutError, ConnectionError):
            return False
